#include "formats/hf_quant.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "base/view.h"
#include "formats/hf_tensors.h"
#include "formats/packed_reader.h"
#include "io/byte_cursor.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

HfQuant ReadCompressedTensors(const JsonFields& fields) {
  HfQuant quant;
  const std::string format = fields.String("format").value_or("");
  quant.name = "compressed-tensors " + format;
  if (format == "float-quantized" || format == "naive-quantized") {
    quant.method = HfQuant::Method::kFp8;
  } else if (format == "pack-quantized" || format == "int-quantized") {
    quant.method = HfQuant::Method::kCompressedTensors;
  } else {
    fields.Refuse("format", "\"" + format + "\"", "this format of compressed-tensors");
  }
  const JsonTree* groups = fields.Find("config_groups");
  if (groups == nullptr || !groups->is_object() || groups->empty()) {
    fields.Bad("config_groups", groups == nullptr ? "none" : Shown(*groups), "groups of layers");
  }
  for (const auto& [name, group] : groups->items()) {
    const JsonFields of_group(group, fields.where() + ": config_groups: " + name);
    const JsonTree* tree = of_group.Find("weights");
    if (tree == nullptr) of_group.Bad("weights", "none", "how weights are quantised");
    const JsonFields weights(*tree, of_group.where() + ": weights");
    const auto bits = static_cast<int>(weights.NeededWhole("num_bits", 1, 64));
    if (bits != 4 && bits != 8) {
      weights.Refuse("num_bits", std::to_string(bits), "any number of bits but 4 and 8");
    }
    if (quant.bits != 0 && quant.bits != bits) {
      weights.Refuse("num_bits", std::to_string(bits), "a model of several numbers of bits");
    }
    quant.bits = bits;
    const JsonTree* order = weights.Find("actorder");
    if (order != nullptr && (*order == "group" || *order == true)) {
      weights.Refuse("actorder", Shown(*order), "another order of inputs");
    }
  }
  return quant;
}

// MLX writes "quantization" itself, and copies it to "quantization_config".
HfQuant ReadMlx(const JsonFields& fields) {
  HfQuant quant;
  quant.method = HfQuant::Method::kMlx;
  quant.name = "MLX";
  quant.group = fields.NeededWhole("group_size", 1, 1 << 20);
  const std::string mode = fields.String("mode").value_or("affine");
  if (mode != "affine") fields.Refuse("mode", "\"" + mode + "\"", "this mode of MLX");
  return quant;
}

// A tensor and the file it is in.
struct Placed {
  const SafetensorsFile* file = nullptr;
  const StTensor* tensor = nullptr;
};

class TensorMaker {
 public:
  TensorMaker(const std::vector<SafetensorsFile>& files, const HfQuant& quant)
      : files_(files), quant_(quant) {
    for (const SafetensorsFile& file : files) {
      for (const StTensor& tensor : file.tensors.tensors()) places_[tensor.name] = {&file, &tensor};
    }
  }

  std::vector<SourceTensor> Run() {
    std::vector<SourceTensor> made;
    for (const SafetensorsFile& file : files_) {
      for (const StTensor& tensor : file.tensors.tensors()) {
        if (auto one = Make({&file, &tensor})) made.push_back(std::move(*one));
      }
    }
    return made;
  }

 private:
  // Nothing for a tensor that is part of another.
  std::optional<SourceTensor> Make(Placed placed) {
    const std::string_view name = placed.tensor->name;
    const size_t dot = name.rfind('.');
    const std::string base(name.substr(0, std::min(dot, name.size())));
    const std::string_view part = dot == std::string_view::npos ? "" : name.substr(dot + 1);
    const StDtype dtype = placed.tensor->dtype;
    using Method = HfQuant::Method;
    if (quant_.method == Method::kCompressedTensors) {
      if (part == "weight_packed") return MakeInteger(placed, base, false);
      if (part == "weight" && dtype == StDtype::kI8) return MakeInteger(placed, base, true);
      if (IsOneOf(part, {"weight_scale", "weight_zero_point", "weight_shape"})) return std::nullopt;
    } else if (quant_.method == Method::kMlx) {
      if (part == "weight" && dtype == StDtype::kU32) return MakeMlx(placed, base);
      if (IsOneOf(part, {"scales", "biases"})) return std::nullopt;
    } else if (quant_.method == Method::kFp8) {
      if (part == "weight" && dtype == StDtype::kF8E4M3) return MakeFp8(placed, base);
      // Activations are not quantised here.
      if (IsOneOf(part, {"weight_scale", "weight_scale_inv", "input_scale"})) return std::nullopt;
    }
    return MakeHfTensor(*placed.file, *placed.tensor);
  }

  static bool IsOneOf(std::string_view part, std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), part) != names.end();
  }

  std::optional<Placed> Find(const std::string& name) const {
    const auto at = places_.find(name);
    if (at == places_.end()) return std::nullopt;
    return at->second;
  }

  [[noreturn]] void Fail(Placed placed, const std::string& found,
                         const std::string& expected) const {
    throw Error(ErrorKind::kCorrupt, placed.file->tensors.name() + ": tensor " +
                                         Printable(placed.tensor->name) + ": found " + found +
                                         ", expected " + expected + " (" + quant_.name +
                                         "); the file is damaged or was written wrongly");
  }

  // [rows, columns], both above 0.
  std::pair<int64_t, int64_t> MatrixShape(Placed placed) const {
    const auto shape = placed.file->tensors.ShapeOf(*placed.tensor);
    constexpr uint64_t kMost = uint64_t{1} << 40;
    if (shape.size() != 2 || shape[0] == 0 || shape[1] == 0 || shape[0] > kMost ||
        shape[1] > kMost) {
      Fail(placed, std::to_string(shape.size()) + " sides or one that is empty", "a matrix");
    }
    return {static_cast<int64_t>(shape[0]), static_cast<int64_t>(shape[1])};
  }

  StoredNumbers Numbers(Placed placed) const {
    const StDtype dtype = placed.tensor->dtype;
    if (dtype != StDtype::kF32 && dtype != StDtype::kF16 && dtype != StDtype::kBF16) {
      Fail(placed, "dtype " + std::string(NameOf(dtype)), "F32, F16 or BF16");
    }
    return {placed.file->file, placed.tensor->offset, dtype};
  }

  Placed Needed(Placed of, const std::string& name) const {
    if (const auto found = Find(name)) return *found;
    Fail(of, "no tensor " + Printable(name) + " beside it", "one, with its scales");
  }

  PackedMatrix Start(Placed placed) const {
    PackedMatrix matrix;
    matrix.name = Printable(placed.tensor->name);
    matrix.file = placed.file->file;
    matrix.offset = placed.tensor->offset;
    return matrix;
  }

  // `scales` has its rows' groups of one size.
  void SetScales(Placed of, Placed scales, PackedMatrix* matrix) const {
    const auto [rows, count] = MatrixShape(scales);
    if (rows != matrix->rows || matrix->columns % count != 0 || matrix->columns / count < 16) {
      Fail(of, "scales [" + std::to_string(rows) + ", " + std::to_string(count) + "]",
           "[" + std::to_string(matrix->rows) + ", groups of 16 or more of " +
               std::to_string(matrix->columns) + " inputs]");
    }
    matrix->scales = Numbers(scales);
    matrix->scales_a_row = count;
    matrix->group = matrix->columns / count;
  }

  std::optional<SourceTensor> MakeInteger(Placed placed, const std::string& base, bool is_signed) {
    PackedMatrix matrix = Start(placed);
    const auto [rows, stored] = MatrixShape(placed);
    matrix.rows = rows;
    matrix.bits = is_signed ? 8 : quant_.bits;
    matrix.columns = is_signed ? stored : stored * 32 / matrix.bits;
    if (is_signed) matrix.codes = PackedMatrix::Codes::kSigned;
    if (!is_signed && placed.tensor->dtype != StDtype::kI32) {
      Fail(placed, "dtype " + std::string(NameOf(placed.tensor->dtype)), "I32");
    }
    if (Find(base + ".weight_g_idx")) {
      throw Error(ErrorKind::kUnsupported, placed.file->tensors.name() + ": tensor " +
                                               Printable(base) +
                                               ".weight_g_idx: inputs in another order (actorder) "
                                               "are not supported");
    }
    SetScales(placed, Needed(placed, base + ".weight_scale"), &matrix);
    if (const auto zeros = Find(base + ".weight_zero_point")) SetZeros(*zeros, &matrix);
    const std::string kind = matrix.bits == 4 ? "INT4" : "INT8";
    return Finish(placed, base, kind, std::move(matrix));
  }

  void SetZeros(Placed zeros, PackedMatrix* matrix) const {
    if (matrix->codes == PackedMatrix::Codes::kSigned) {
      throw Error(ErrorKind::kUnsupported, zeros.file->tensors.name() + ": tensor " +
                                               Printable(zeros.tensor->name) +
                                               ": zero points of unpacked integers are not "
                                               "supported");
    }
    const auto [words, count] = MatrixShape(zeros);
    if (zeros.tensor->dtype != StDtype::kI32 || count != matrix->scales_a_row ||
        words != CeilDiv(matrix->rows * matrix->bits, 32)) {
      Fail(zeros, "[" + std::to_string(words) + ", " + std::to_string(count) + "]",
           "I32 words packed along the rows, for each group");
    }
    matrix->zeros = StoredNumbers{zeros.file->file, zeros.tensor->offset, StDtype::kI32};
  }

  std::optional<SourceTensor> MakeMlx(Placed placed, const std::string& base) {
    PackedMatrix matrix = Start(placed);
    const auto [rows, words] = MatrixShape(placed);
    const Placed scales = Needed(placed, base + ".scales");
    const Placed biases = Needed(placed, base + ".biases");
    const int64_t groups = MatrixShape(scales).second;
    matrix.rows = rows;
    matrix.columns = groups * quant_.group;
    const int64_t bits = words * 32 / matrix.columns;
    if ((bits != 4 && bits != 8) || words * 32 % matrix.columns != 0) {
      throw Error(ErrorKind::kUnsupported,
                  placed.file->tensors.name() + ": tensor " + matrix.name + ": found " +
                      std::to_string(words) + " words and " + std::to_string(groups) +
                      " groups of " + std::to_string(quant_.group) +
                      " inputs a row, expected 4 or 8 bits an input: other numbers of bits, and "
                      "groups of several sizes, are not supported");
    }
    matrix.bits = static_cast<int>(bits);
    SetScales(placed, scales, &matrix);
    if (MatrixShape(biases) != MatrixShape(scales)) {
      Fail(biases, "another shape than the scales'", "the same");
    }
    matrix.biases = Numbers(biases);
    return Finish(placed, base, bits == 4 ? "MLX4" : "MLX8", std::move(matrix));
  }

  std::optional<SourceTensor> MakeFp8(Placed placed, const std::string& base) {
    PackedMatrix matrix = Start(placed);
    std::tie(matrix.rows, matrix.columns) = MatrixShape(placed);
    matrix.bits = 8;
    matrix.codes = PackedMatrix::Codes::kFloatE4M3;
    const bool is_inverse = Find(base + ".weight_scale_inv").has_value();
    const Placed scales =
        Needed(placed, base + (is_inverse ? ".weight_scale_inv" : ".weight_scale"));
    matrix.scales = Numbers(scales);
    constexpr int64_t kBlock = 128;
    const auto shape = scales.file->tensors.ShapeOf(*scales.tensor);
    uint64_t count = 1;
    for (const uint64_t side : shape) count *= side;
    if (count == 1) {
      matrix.row_block = matrix.rows;
      matrix.group = matrix.columns;
      matrix.scales_a_row = 1;
    } else if (count == static_cast<uint64_t>(matrix.rows) && shape.back() == 1) {
      matrix.group = matrix.columns;
      matrix.scales_a_row = 1;
    } else if (shape.size() == 2 &&
               shape[0] == static_cast<uint64_t>(CeilDiv(matrix.rows, kBlock)) &&
               shape[1] == static_cast<uint64_t>(CeilDiv(matrix.columns, kBlock))) {
      matrix.row_block = matrix.group = kBlock;
      matrix.scales_a_row = static_cast<int64_t>(shape[1]);
    } else {
      Fail(scales, std::to_string(count) + " scales", "one, one a row, or one a 128 x 128 block");
    }
    if (matrix.group < 16) Fail(placed, "less than 16 inputs", "more");
    return Finish(placed, base, "F8_E4M3", std::move(matrix));
  }

  std::optional<SourceTensor> Finish(Placed placed, const std::string& base,
                                     const std::string& kind, PackedMatrix matrix) const {
    const auto name = NameOfHf(base + ".weight");
    if (!name || name->empty()) {
      throw Error(ErrorKind::kUnsupported, placed.file->tensors.name() + ": tensor " +
                                               Printable(placed.tensor->name) +
                                               " is none that this build knows; this variant of "
                                               "the model is not supported");
    }
    SourceTensor source;
    source.name = *name;
    source.source_name = placed.tensor->name;
    source.stored_as = kind;
    source.shape = {matrix.rows, matrix.columns};
    source.bytes = placed.tensor->bytes;
    source.reader = MakePackedReader(std::move(matrix));
    return source;
  }

  const std::vector<SafetensorsFile>& files_;
  const HfQuant& quant_;
  std::unordered_map<std::string_view, Placed> places_;
};

}  // namespace

HfQuant ReadHfQuant(const JsonTree& config, const std::string& file) {
  const JsonFields fields(config, file);
  if (const JsonTree* tree = fields.Find("quantization")) {
    return ReadMlx(JsonFields(*tree, file + ": quantization"));
  }
  const JsonTree* tree = fields.Find("quantization_config");
  if (tree == nullptr) tree = fields.Find("compression_config");
  if (tree == nullptr) return {};
  const JsonFields quant(*tree, file + ": quantization_config");
  const std::string method = quant.String("quant_method").value_or("");
  if (method == "compressed-tensors") return ReadCompressedTensors(quant);
  if (method == "fp8") {
    HfQuant fp8;
    fp8.method = HfQuant::Method::kFp8;
    fp8.name = "fp8";
    return fp8;
  }
  quant.Refuse("quant_method", "\"" + method + "\"",
               "this way of quantising (known: compressed-tensors, fp8, and MLX's)");
}

std::vector<SourceTensor> MakeHfTensors(const std::vector<SafetensorsFile>& files,
                                        const HfQuant& quant) {
  return TensorMaker(files, quant).Run();
}

}  // namespace quantspec
