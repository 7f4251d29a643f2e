#include "io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <limits>
#include <numeric>

#include "io/byte_cursor.h"
#include "io/json_reader.h"

namespace quantspec {
namespace {

struct DtypeInfo {
  std::string_view name;
  int bits;
};
// By StDtype.
constexpr DtypeInfo kDtypes[] = {
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
};

constexpr const char* kDamaged = "; the file is damaged: fetch it again";

StDtype ReadDtype(JsonReader& in) {
  const std::string_view name = in.String();
  for (size_t i = 0; i < std::size(kDtypes); ++i) {
    if (kDtypes[i].name == name) return static_cast<StDtype>(i);
  }
  in.Fail("dtype \"" + Printable(name) + "\"", "a dtype of safetensors, such as BF16");
}

}  // namespace

std::string_view NameOf(StDtype dtype) { return kDtypes[static_cast<size_t>(dtype)].name; }
int BitsOf(StDtype dtype) { return kDtypes[static_cast<size_t>(dtype)].bits; }

uint64_t Safetensors::HeaderBytes(std::span<const std::byte> start, uint64_t file_bytes,
                                  const std::string& name) {
  if (file_bytes < kLengthBytes || start.size() < kLengthBytes) {
    throw Error(ErrorKind::kCorrupt, name + ": found " + std::to_string(file_bytes) +
                                         " bytes, expected at least 8, the length of the header" +
                                         kDamaged);
  }
  uint64_t bytes = 0;
  std::memcpy(&bytes, start.data(), sizeof(bytes));
  const uint64_t most = std::min(kMostHeaderBytes, file_bytes - kLengthBytes);
  if (bytes <= most) return bytes;
  throw Error(ErrorKind::kCorrupt, name + ": byte 0, the length of the header: found " +
                                       std::to_string(bytes) + ", expected at most " +
                                       std::to_string(most) +
                                       "; this is no safetensors file, or it was cut: fetch it "
                                       "again");
}

Safetensors Safetensors::Parse(std::string_view header, uint64_t file_bytes,
                               const std::string& name) {
  Safetensors file;
  file.name_ = name;
  JsonReader in(header, name, kLengthBytes);
  in.EnterObject();
  bool has_metadata = false;
  for (std::string_view key; in.NextKey(&key);) {
    if (key == "__metadata__") {
      if (has_metadata) in.Fail("__metadata__ for the second time", "it once");
      has_metadata = true;
      file.ReadMetadata(in);
    } else {
      file.ReadTensor(in, key);
    }
  }
  in.Finish();
  file.strings_ = in.strings();
  file.FillTable();
  file.CheckOffsets(kLengthBytes + header.size(), file_bytes);
  return file;
}

void Safetensors::ReadMetadata(JsonReader& in) {
  in.SetSubject("__metadata__");
  if (in.Peek() == JsonKind::kNull) {
    in.Null();
    return;
  }
  in.EnterObject();
  for (std::string_view key; in.NextKey(&key);) metadata_.emplace_back(key, in.String());
}

void Safetensors::ReadTensor(JsonReader& in, std::string_view name) {
  constexpr size_t kMostTensors = std::numeric_limits<uint32_t>::max() / 4;
  in.SetSubject("tensor", name);
  if (tensors_.size() >= kMostTensors || sizes_.size() >= kMostTensors) {
    in.Fail("too many tensors", "less than 2^30");
  }
  StTensor tensor;
  tensor.name = name;
  tensor.first_size = static_cast<uint32_t>(sizes_.size());
  uint64_t bounds[2] = {0, 0};
  enum : unsigned { kDtypeKey = 1, kShapeKey = 2, kOffsetsKey = 4 };
  unsigned seen = 0;
  const auto once = [&](unsigned field, std::string_view key) {
    if ((seen & field) != 0) in.Fail(std::string(key) + " for the second time", "it once");
    seen |= field;
  };
  in.EnterObject();
  for (std::string_view key; in.NextKey(&key);) {
    if (key == "dtype") {
      once(kDtypeKey, key);
      tensor.dtype = ReadDtype(in);
    } else if (key == "shape") {
      once(kShapeKey, key);
      in.EnterArray();
      while (in.NextElement()) sizes_.push_back(in.Whole());
      tensor.sizes = static_cast<uint32_t>(sizes_.size() - tensor.first_size);
    } else if (key == "data_offsets") {
      once(kOffsetsKey, key);
      in.EnterArray();
      size_t count = 0;
      for (; in.NextElement(); ++count) {
        if (count == 2) in.Fail("a third offset", "two, where the data begins and ends");
        bounds[count] = in.Whole();
      }
      if (count < 2) in.Fail(std::to_string(count) + " offsets", "two");
    } else {
      in.Skip();
    }
  }
  if (seen != (kDtypeKey | kShapeKey | kOffsetsKey)) {
    in.Fail("the end of a tensor's entry", "its dtype, shape and data_offsets");
  }
  if (bounds[0] > bounds[1]) {
    in.Fail("data_offsets [" + std::to_string(bounds[0]) + ", " + std::to_string(bounds[1]) + "]",
            "an end behind the beginning");
  }
  tensor.offset = bounds[0];
  tensor.bytes = bounds[1] - bounds[0];
  tensors_.push_back(tensor);
  CheckSize(tensors_.back());
}

void Safetensors::Fail(const StTensor& tensor, const std::string& found,
                       const std::string& expected) const {
  throw Error(ErrorKind::kCorrupt, name_ + ": tensor " + Printable(tensor.name) + ": found " +
                                       found + ", expected " + expected + kDamaged);
}

void Safetensors::CheckSize(const StTensor& tensor) const {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  uint64_t values = 1;
  for (const uint64_t size : ShapeOf(tensor)) {
    if (size != 0 && values > kMost / size) {
      Fail(tensor, "a shape of more than 2^64 values", "one that the file can hold");
    }
    values *= size;
  }
  const auto bits = static_cast<uint64_t>(BitsOf(tensor.dtype));
  if (values > kMost / bits || values * bits % 8 != 0) {
    Fail(tensor, std::to_string(values) + " values of " + std::to_string(bits) + " bits",
         "whole bytes that the file can hold");
  }
  if (values * bits / 8 == tensor.bytes) return;
  Fail(tensor, "data_offsets of " + std::to_string(tensor.bytes) + " bytes",
       std::to_string(values * bits / 8) + ", which shape and dtype " +
           std::string(NameOf(tensor.dtype)) + " take");
}

// Data lies without holes and overlaps from `first` to the end of the file; afterwards offsets
// count from the file's beginning.
void Safetensors::CheckOffsets(uint64_t first, uint64_t file_bytes) {
  const auto ends_before = [](const StTensor& a, const StTensor& b) {
    return a.offset < b.offset || (a.offset == b.offset && a.bytes < b.bytes);
  };
  std::vector<uint32_t> order;
  if (!std::is_sorted(tensors_.begin(), tensors_.end(), ends_before)) {
    order.resize(tensors_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return ends_before(tensors_[a], tensors_[b]); });
  }
  uint64_t end = 0;
  for (size_t i = 0; i < tensors_.size(); ++i) {
    StTensor& tensor = tensors_[order.empty() ? i : order[i]];
    if (tensor.offset != end) {
      Fail(tensor, "data that begins at offset " + std::to_string(tensor.offset),
           std::to_string(end) + ", where the data before it ends");
    }
    end += tensor.bytes;
    if (end > file_bytes - first) {
      Fail(tensor, "data up to offset " + std::to_string(end),
           "at most " + std::to_string(file_bytes - first) + ", the end of the file");
    }
    tensor.offset += first;
  }
  if (end == file_bytes - first) return;
  throw Error(ErrorKind::kCorrupt, name_ + ": found " + std::to_string(file_bytes - first - end) +
                                       " bytes behind the last tensor, expected none" + kDamaged);
}

void Safetensors::FillTable() {
  table_.assign(std::bit_ceil(tensors_.size() + tensors_.size() / 2 + 1), 0);
  for (size_t i = 0; i < tensors_.size(); ++i) {
    uint32_t& slot = table_[Slot(tensors_[i].name)];
    if (slot != 0) Fail(tensors_[i], "its name for the second time", "it once");
    slot = static_cast<uint32_t>(i + 1);
  }
}

size_t Safetensors::Slot(std::string_view name) const {
  const size_t mask = table_.size() - 1;
  size_t slot = std::hash<std::string_view>()(name) & mask;
  while (table_[slot] != 0 && tensors_[table_[slot] - 1].name != name) slot = (slot + 1) & mask;
  return slot;
}

const StTensor* Safetensors::Find(std::string_view name) const {
  const uint32_t index = table_[Slot(name)];
  return index == 0 ? nullptr : &tensors_[index - 1];
}

}  // namespace quantspec
