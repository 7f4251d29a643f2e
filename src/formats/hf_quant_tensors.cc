#include "formats/hf_quant_tensors.h"

#include <algorithm>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/view.h"
#include "formats/hf_tensors.h"
#include "formats/packed_reader.h"
#include "formats/transposed_reader.h"
#include "io/byte_cursor.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

// A tensor and the file it is in.
struct Placed {
  const SafetensorsFile* file = nullptr;
  const StTensor* tensor = nullptr;
};

class TensorMaker {
 public:
  TensorMaker(const std::vector<SafetensorsFile>& files, const HfQuant& quant, const HfNames& names)
      : files_(files), quant_(quant), names_(names) {
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
      if (part == "weight_g_idx") RefuseOrder(placed, "actorder");
    } else if (quant_.method == Method::kMlx) {
      if (part == "weight" && dtype == StDtype::kU32) return MakeMlx(placed, base);
      if (IsOneOf(part, {"scales", "biases"})) return std::nullopt;
    } else if (quant_.method == Method::kFp8) {
      if (part == "weight" && dtype == StDtype::kF8E4M3) return MakeFp8(placed, base);
      // Activations are not quantised here.
      if (IsOneOf(part, {"weight_scale", "weight_scale_inv", "input_scale", "activation_scale"})) {
        return std::nullopt;
      }
    } else if (quant_.method == Method::kAwq || quant_.method == Method::kGptq) {
      if (part == "qweight") return MakeTransposed(placed, base);
      if (IsOneOf(part, {"qzeros", "scales", "g_idx"})) return std::nullopt;
    }
    return MakeHfTensor(*placed.file, *placed.tensor, names_);
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

  std::optional<SourceTensor> MakeTransposed(Placed placed, const std::string& base) {
    const bool is_awq = quant_.method == HfQuant::Method::kAwq;
    const int64_t per_word = 32 / quant_.bits;
    const auto [first, second] = MatrixShape(placed);
    TransposedMatrix matrix;
    matrix.name = Printable(placed.tensor->name);
    matrix.file = placed.file->file;
    matrix.offset = placed.tensor->offset;
    matrix.bits = quant_.bits;
    matrix.inputs = is_awq ? first : first * per_word;
    matrix.outputs = is_awq ? second * per_word : second;
    matrix.packed =
        is_awq ? TransposedMatrix::Packed::kInterleaved : TransposedMatrix::Packed::kAlongInputs;
    matrix.group = quant_.group == -1 ? matrix.inputs : quant_.group;
    if (placed.tensor->dtype != StDtype::kI32 || matrix.inputs % 32 != 0 ||
        matrix.inputs % matrix.group != 0 || matrix.outputs % per_word != 0) {
      Fail(placed,
           std::string(NameOf(placed.tensor->dtype)) + " words for " +
               std::to_string(matrix.inputs) + " inputs and " + std::to_string(matrix.outputs) +
               " outputs",
           "I32 words, and whole groups of " + std::to_string(matrix.group) + " inputs");
    }
    const int64_t groups = matrix.inputs / matrix.group;
    const Placed scales = Needed(placed, base + ".scales");
    CheckShape(scales, groups, matrix.outputs);
    matrix.scales = Numbers(scales);
    if (is_awq || !quant_.is_symmetric) {
      const Placed zeros = Needed(placed, base + ".qzeros");
      CheckShape(zeros, groups, matrix.outputs / per_word);
      if (zeros.tensor->dtype != StDtype::kI32) Fail(zeros, "another dtype", "I32");
      matrix.zeros = StoredNumbers{zeros.file->file, zeros.tensor->offset, StDtype::kI32};
      matrix.zero_offset = quant_.zero_offset;
    }
    if (const auto order = Find(base + ".g_idx")) CheckOrder(*order, matrix.inputs, matrix.group);
    const std::vector<int64_t> shape = {matrix.outputs, matrix.inputs};
    const std::string kind = is_awq ? "AWQ4" : quant_.bits == 4 ? "GPTQ4" : "GPTQ8";
    return Finish(placed, base, kind, shape, MakeTransposedReader(std::move(matrix)));
  }

  void CheckShape(Placed placed, int64_t rows, int64_t columns) const {
    const auto shape = MatrixShape(placed);
    if (shape == std::pair(rows, columns)) return;
    Fail(placed, "[" + std::to_string(shape.first) + ", " + std::to_string(shape.second) + "]",
         "[" + std::to_string(rows) + ", " + std::to_string(columns) + "]");
  }

  // The group of every input: only those in their natural order can be kept.
  void CheckOrder(Placed placed, int64_t inputs, int64_t group) const {
    if (placed.tensor->dtype != StDtype::kI32 ||
        placed.tensor->bytes != static_cast<uint64_t>(inputs) * 4) {
      Fail(placed, std::to_string(placed.tensor->bytes) + " bytes",
           std::to_string(inputs) + " numbers of type I32");
    }
    std::vector<int32_t> groups(static_cast<size_t>(inputs));
    placed.file->file->Read(placed.tensor->offset, std::as_writable_bytes(std::span(groups)));
    for (int64_t i = 0; i < inputs; ++i) {
      if (groups[static_cast<size_t>(i)] == i / group) continue;
      RefuseOrder(placed, "desc_act");
    }
  }

  [[noreturn]] static void RefuseOrder(Placed placed, const std::string& name) {
    throw Error(ErrorKind::kUnsupported,
                placed.file->tensors.name() + ": tensor " + Printable(placed.tensor->name) +
                    ": inputs in another order (" + name + ") are not supported");
  }

  std::optional<SourceTensor> Finish(Placed placed, const std::string& base,
                                     const std::string& kind, PackedMatrix matrix) const {
    const std::vector<int64_t> shape = {matrix.rows, matrix.columns};
    return Finish(placed, base, kind, shape, MakePackedReader(std::move(matrix)));
  }

  std::optional<SourceTensor> Finish(Placed placed, const std::string& base,
                                     const std::string& kind, std::vector<int64_t> shape,
                                     std::shared_ptr<const TensorReader> reader) const {
    const auto name = names_.ToOurs(base + ".weight");
    if (!name) {
      throw Error(ErrorKind::kUnsupported, placed.file->tensors.name() + ": tensor " +
                                               Printable(placed.tensor->name) +
                                               " is none that this build knows; this variant of "
                                               "the model is not supported");
    }
    SourceTensor source;
    source.name = *name;
    source.source_name = placed.tensor->name;
    source.stored_as = kind;
    source.shape = std::move(shape);
    source.bytes = placed.tensor->bytes;
    source.reader = std::move(reader);
    return source;
  }

  const std::vector<SafetensorsFile>& files_;
  const HfQuant& quant_;
  const HfNames& names_;
  std::unordered_map<std::string_view, Placed> places_;
};

}  // namespace

std::vector<SourceTensor> MakeHfTensors(const std::vector<SafetensorsFile>& files,
                                        const HfQuant& quant, const HfNames& names) {
  return TensorMaker(files, quant, names).Run();
}

}  // namespace quantspec
