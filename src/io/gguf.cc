#include "io/gguf.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "io/byte_cursor.h"

namespace quantspec {
namespace {

enum class ValueType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64,
};
constexpr uint32_t kValueTypes = 13;

constexpr uint32_t kMagic = 0x46554747u;  // "GGUF"
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint64_t kLargestAlignment = 65536;
constexpr uint32_t kMostDimensions = 4;
// The least that an entry takes (length, one byte of key, type, one byte of value), and a tensor
// (length, one byte of name, dimensions, one extent, type, offset).
constexpr uint64_t kEntryBytes = 8 + 1 + 4 + 1;
constexpr uint64_t kTensorBytes = 8 + 1 + 4 + 8 + 4 + 8;

// Values of a tensor are counted in 62 bits, so that sums and int64 cannot overflow.
constexpr uint64_t kMostValues = uint64_t{1} << 62;

ValueType ReadValueType(ByteCursor& in, std::string_view what) {
  const size_t start = in.at();
  const uint32_t type = in.Read<uint32_t>(what);
  if (type >= kValueTypes) in.FailAt(start, what, std::to_string(type), "0 to 12");
  return static_cast<ValueType>(type);
}

bool ReadBool(ByteCursor& in) {
  const size_t start = in.at();
  const uint8_t flag = in.Read<uint8_t>("bool");
  if (flag > 1) in.FailAt(start, "bool", std::to_string(flag), "0 or 1");
  return flag != 0;
}

int64_t ReadUint64Element(ByteCursor& in) {
  const size_t start = in.at();
  const uint64_t value = in.Read<uint64_t>("element");
  if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    in.FailUnsupported(start, "element", std::to_string(value), "at most 2^63 - 1",
                       "convert the model again");
  }
  return static_cast<int64_t>(value);
}

// `count` elements of `element_bytes` each are in the file once this returns.
template <typename Value, typename ReadElement>
std::vector<Value> ReadElements(ByteCursor& in, uint64_t element_bytes, ReadElement read) {
  const uint64_t count = in.ReadCount("array length", element_bytes);
  std::vector<Value> values;
  values.reserve(static_cast<size_t>(count));
  for (uint64_t i = 0; i < count; ++i) values.push_back(static_cast<Value>(read(in)));
  return values;
}

template <typename T>
GgufArray ReadIntegers(ByteCursor& in) {
  return {{},
          ReadElements<int64_t>(in, sizeof(T), [](ByteCursor& c) { return c.Read<T>("element"); }),
          {}};
}

template <typename T>
GgufArray ReadNumbers(ByteCursor& in) {
  return {{}, {}, ReadElements<double>(in, sizeof(T), [](ByteCursor& c) {
            return c.Read<T>("element");
          })};
}

GgufArray ReadArray(ByteCursor& in) {
  const size_t start = in.at();
  switch (ReadValueType(in, "element type")) {
    case ValueType::kUint8:
      return ReadIntegers<uint8_t>(in);
    case ValueType::kInt8:
      return ReadIntegers<int8_t>(in);
    case ValueType::kUint16:
      return ReadIntegers<uint16_t>(in);
    case ValueType::kInt16:
      return ReadIntegers<int16_t>(in);
    case ValueType::kUint32:
      return ReadIntegers<uint32_t>(in);
    case ValueType::kInt32:
      return ReadIntegers<int32_t>(in);
    case ValueType::kInt64:
      return ReadIntegers<int64_t>(in);
    case ValueType::kFloat32:
      return ReadNumbers<float>(in);
    case ValueType::kFloat64:
      return ReadNumbers<double>(in);
    case ValueType::kUint64:
      return {{}, ReadElements<int64_t>(in, 8, ReadUint64Element), {}};
    case ValueType::kBool:
      return {{}, ReadElements<int64_t>(in, 1, ReadBool), {}};
    case ValueType::kString:  // at least its length
      return {ReadElements<std::string_view>(in, 8,
                                             [](ByteCursor& c) { return c.ReadString("element"); }),
              {},
              {}};
    case ValueType::kArray:
      break;
  }
  in.FailUnsupported(start, "element type", "an array of arrays", "numbers, bools or texts",
                     "convert the model without that key");
}

GgufValue ReadValue(ByteCursor& in, ValueType type) {
  switch (type) {
    case ValueType::kUint8:
      return int64_t{in.Read<uint8_t>("value")};
    case ValueType::kInt8:
      return int64_t{in.Read<int8_t>("value")};
    case ValueType::kUint16:
      return int64_t{in.Read<uint16_t>("value")};
    case ValueType::kInt16:
      return int64_t{in.Read<int16_t>("value")};
    case ValueType::kUint32:
      return int64_t{in.Read<uint32_t>("value")};
    case ValueType::kInt32:
      return int64_t{in.Read<int32_t>("value")};
    case ValueType::kInt64:
      return in.Read<int64_t>("value");
    case ValueType::kUint64:
      return in.Read<uint64_t>("value");
    case ValueType::kFloat32:
      return double{in.Read<float>("value")};
    case ValueType::kFloat64:
      return in.Read<double>("value");
    case ValueType::kBool:
      return ReadBool(in);
    case ValueType::kString:
      return in.ReadString("value");
    case ValueType::kArray:
      break;
  }
  return ReadArray(in);
}

uint32_t SwapBytes(uint32_t x) {
  return x >> 24 | (x >> 8 & 0xFF00u) | (x << 8 & 0xFF0000u) | x << 24;
}

uint32_t ReadVersion(ByteCursor& in) {
  const auto magic = in.Take(4, "magic");
  if (std::memcmp(magic.data(), &kMagic, 4) != 0) {
    in.FailAt(0, "magic", "\"" + Printable({reinterpret_cast<const char*>(magic.data()), 4}) + "\"",
              "\"GGUF\", the mark of a GGUF model file");
  }
  const uint32_t version = in.Read<uint32_t>("version");
  if (version == 2 || version == 3) return version;
  if (SwapBytes(version) <= 3) {
    in.FailUnsupported(4, "version",
                       std::to_string(SwapBytes(version)) + " of a big-endian machine",
                       "a little-endian file", "take the little-endian file of the same model");
  }
  in.FailUnsupported(4, "version", std::to_string(version), "2 or 3",
                     "convert the model to GGUF 3");
}

Gguf::Entry ReadEntry(ByteCursor& in) {
  in.SetSubject("metadata");
  const size_t start = in.at();
  const std::string_view key = in.ReadString("key");
  if (key.empty()) in.FailAt(start, "key", "an empty text", "a name");
  in.SetSubject("metadata " + Printable(key));
  const ValueType type = ReadValueType(in, "value type");
  return {key, ReadValue(in, type)};
}

struct TensorPlace {
  uint64_t offset;  // from the start of the data
  uint64_t bytes;
};

// The values of a tensor: reads the extents, fastest first, into `shape`, slowest first.
uint64_t ReadShape(ByteCursor& in, std::vector<int64_t>* shape) {
  const size_t start = in.at();
  const uint32_t dimensions = in.Read<uint32_t>("dimensions");
  if (dimensions < 1 || dimensions > kMostDimensions) {
    in.FailAt(start, "dimensions", std::to_string(dimensions), "1 to 4");
  }
  shape->resize(dimensions);
  uint64_t values = 1;
  for (size_t i = dimensions; i-- > 0;) {
    const size_t at = in.at();
    const uint64_t extent = in.Read<uint64_t>("extent");
    if (extent == 0) in.FailAt(at, "extent", "0", "at least 1");
    if (extent > kMostValues / values) {
      in.FailAt(at, "extent", std::to_string(extent), "at most 2^62 values in all");
    }
    values *= extent;
    (*shape)[i] = static_cast<int64_t>(extent);
  }
  return values;
}

GgufTensor ReadTensor(ByteCursor& in, Gguf::TypeSize type_size, TensorPlace* place) {
  GgufTensor tensor;
  in.SetSubject("tensors");
  const size_t start = in.at();
  tensor.name = in.ReadString("name");
  if (tensor.name.empty()) in.FailAt(start, "name", "an empty text", "a name");
  in.SetSubject("tensor " + Printable(tensor.name));
  const size_t shape_at = in.at();
  const uint64_t values = ReadShape(in, &tensor.shape);
  const size_t type_at = in.at();
  tensor.type = in.Read<uint32_t>("type");
  int64_t block_values = 0, block_bytes = 0;
  if (!type_size(tensor.type, &block_values, &block_bytes)) {
    in.FailUnsupported(type_at, "type", "number " + std::to_string(tensor.type),
                       "a type that this build reads: F32, F16, BF16, Q4_0 to Q8_0, Q2_K to Q6_K, "
                       "IQ4_NL, IQ4_XS or MXFP4",
                       "take a file of the model in one of these");
  }
  if (tensor.shape.back() % block_values != 0) {
    in.FailAt(shape_at, "shape", "rows of " + std::to_string(tensor.shape.back()) + " values",
              "a multiple of " + std::to_string(block_values) + ", the block of its type");
  }
  const uint64_t blocks = values / static_cast<uint64_t>(block_values);
  if (blocks > kMostValues / static_cast<uint64_t>(block_bytes)) {
    in.FailAt(shape_at, "shape", std::to_string(values) + " values", "what fits into a file");
  }
  place->bytes = blocks * static_cast<uint64_t>(block_bytes);
  place->offset = in.Read<uint64_t>("offset");
  return tensor;
}

uint64_t AlignmentOf(const Gguf& file, ByteCursor& in) {
  const std::optional<int64_t> wanted = file.Integer("general.alignment");
  if (!wanted) return kDefaultAlignment;
  const auto alignment = static_cast<uint64_t>(*wanted);
  if (alignment < 8 || alignment > kLargestAlignment || (alignment & (alignment - 1)) != 0) {
    in.SetSubject("metadata general.alignment");
    in.Fail(std::to_string(*wanted),
            "a power of two from 8 to " + std::to_string(kLargestAlignment));
  }
  return alignment;
}

std::vector<Gguf::Entry> ReadEntries(ByteCursor& in, uint64_t count) {
  std::vector<Gguf::Entry> entries;
  for (uint64_t i = 0; i < count; ++i) entries.push_back(ReadEntry(in));
  std::sort(entries.begin(), entries.end(),
            [](const Gguf::Entry& a, const Gguf::Entry& b) { return a.key < b.key; });
  for (size_t i = 1; i < entries.size(); ++i) {
    if (entries[i].key != entries[i - 1].key) continue;
    in.SetSubject("metadata " + Printable(entries[i].key));
    in.Fail("it twice", "it once");
  }
  return entries;
}

std::vector<uint32_t> SortByName(ByteCursor& in, const std::vector<GgufTensor>& tensors) {
  std::vector<uint32_t> order(tensors.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
  for (size_t i = 1; i < order.size(); ++i) {
    if (tensors[order[i]].name != tensors[order[i - 1]].name) continue;
    in.SetSubject("tensor " + Printable(tensors[order[i]].name));
    in.Fail("it twice", "it once");
  }
  return order;
}

// Puts a tensor's data at its place behind the header, which ends where `in` stands.
void PlaceData(ByteCursor& in, TensorPlace place, uint64_t alignment, GgufTensor* tensor) {
  in.SetSubject("tensor " + Printable(tensor->name));
  if (place.offset % alignment != 0) {
    in.Fail("offset " + std::to_string(place.offset),
            "a multiple of the alignment, " + std::to_string(alignment));
  }
  if (place.offset > in.left() || place.bytes > in.left() - place.offset) {
    in.Fail(std::to_string(place.bytes) + " bytes at offset " + std::to_string(place.offset),
            "them inside the file's data, the " + std::to_string(in.left()) + " bytes from byte " +
                std::to_string(in.at()));
  }
  tensor->offset = in.at() + place.offset;
  tensor->bytes = place.bytes;
}

}  // namespace

Gguf Gguf::ParseWith(ByteCursor& in, const std::string& name, TypeSize type_size) {
  Gguf file;
  file.name_ = name;
  in.SetSubject("header");
  file.version_ = ReadVersion(in);
  const uint64_t tensors = in.ReadCount("tensor count", kTensorBytes);
  const uint64_t entries = in.ReadCount("metadata count", kEntryBytes);
  file.entries_ = ReadEntries(in, entries);
  std::vector<TensorPlace> places;
  for (uint64_t i = 0; i < tensors; ++i) {
    file.tensors_.push_back(ReadTensor(in, type_size, &places.emplace_back()));
  }
  file.tensors_by_name_ = SortByName(in, file.tensors_);
  const uint64_t alignment = AlignmentOf(file, in);
  in.Align(alignment);
  for (size_t i = 0; i < file.tensors_.size(); ++i) {
    PlaceData(in, places[i], alignment, &file.tensors_[i]);
  }
  return file;
}

Gguf Gguf::Parse(std::span<const std::byte> bytes, const std::string& name, TypeSize type_size) {
  ByteCursor in(bytes, name);
  return ParseWith(in, name, type_size);
}

std::optional<Gguf> Gguf::ParseStart(std::span<const std::byte> start, uint64_t file_bytes,
                                     const std::string& name, TypeSize type_size) {
  ByteCursor in(start, file_bytes, name);
  try {
    return ParseWith(in, name, type_size);
  } catch (const NeedsMoreBytes&) {
    return std::nullopt;
  }
}

}  // namespace quantspec
