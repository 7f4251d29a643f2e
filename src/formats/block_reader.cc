#include "formats/block_reader.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "base/check.h"
#include "formats/stored_numbers.h"
#include "quant/ggml_blocks.h"

namespace quantspec {
namespace {

// Reads blocks piece by piece through memory of its own stack.
class BlockReader : public TensorReader {
 public:
  BlockReader(std::shared_ptr<const InputFile> file, StoredBlocks blocks)
      : file_(std::move(file)),
        name_(std::move(blocks.name)),
        offset_(blocks.offset),
        columns_(blocks.columns),
        type_(static_cast<GgmlType>(blocks.type)),
        info_(*FindGgmlType(blocks.type)) {}

  void Decode(int64_t first, Rows out) const override {
    QS_CHECK(out.columns == columns_ && (out.rows == 1 || out.stride == columns_));
    ForEachPiece(first, out.rows, [&](const std::byte* blocks, int64_t begin, int64_t count) {
      DecodeGgml(type_, blocks, count, out.data + begin);
    });
  }

  SourceCodes codes() const override {
    if (info_.is_affine4) return {4, kGroup};
    if (type_ == GgmlType::kQ8_0) return {8, kGroup};
    return {};
  }

  void Import(int64_t first, int64_t rows, uint8_t* upper, uint8_t* lower,
              GroupScale* scales) const override {
    ForEachPiece(first, rows, [&](const std::byte* blocks, int64_t begin, int64_t count) {
      GroupScale* of_piece = scales + begin / kGroup;
      if (info_.is_affine4) {
        ImportAffine4(type_, blocks, count, upper + begin, of_piece);
      } else {
        QS_CHECK(type_ == GgmlType::kQ8_0);
        ImportQ8_0(blocks, count, upper + begin, lower + begin, of_piece);
      }
    });
  }

 private:
  static constexpr int kGroup = 32;
  static constexpr int64_t kPieceBytes = 32 << 10;

  // use(blocks, begin, count): values [begin, begin + count) of the rows, as they are stored.
  template <typename Use>
  void ForEachPiece(int64_t first, int64_t rows, const Use& use) const {
    std::array<std::byte, kPieceBytes> memory;
    const int64_t piece_values = kPieceBytes / info_.block_bytes * info_.block_values;
    const int64_t values = rows * columns_;
    uint64_t at = offset_ + static_cast<uint64_t>(BytesOf(first * columns_));
    for (int64_t begin = 0; begin < values; begin += piece_values) {
      const int64_t count = std::min(piece_values, values - begin);
      const auto bytes = static_cast<size_t>(BytesOf(count));
      file_->Read(at, std::span(memory).first(bytes));
      if (!AllFinite(type_, memory.data(), count)) RefuseNotFinite(*file_, name_);
      use(memory.data(), begin, count);
      at += bytes;
    }
  }
  int64_t BytesOf(int64_t values) const { return values / info_.block_values * info_.block_bytes; }

  std::shared_ptr<const InputFile> file_;
  std::string name_;
  uint64_t offset_;
  int64_t columns_;
  GgmlType type_;
  const GgmlTypeInfo& info_;
};

}  // namespace

std::shared_ptr<const TensorReader> MakeBlockReader(std::shared_ptr<const InputFile> file,
                                                    StoredBlocks blocks) {
  return std::make_shared<BlockReader>(std::move(file), std::move(blocks));
}

}  // namespace quantspec
