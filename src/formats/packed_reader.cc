#include "formats/packed_reader.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <span>
#include <utility>

#include "base/check.h"
#include "formats/stored_codes.h"

namespace quantspec {
namespace {

constexpr int64_t kPieceColumns = 4096;  // a multiple of every group that is imported
constexpr int64_t kLeastGroup = 16;
// Scales of a piece, one more where a group lies across its beginning.
constexpr int64_t kPieceScales = kPieceColumns / kLeastGroup + 1;

// [ocp-fp8] E4M3 without infinities; 0x7F and 0xFF are NaN.
float FloatFromE4M3(uint8_t byte) {
  const int exponent = (byte >> 3) & 15, mantissa = byte & 7;
  if (exponent == 15 && mantissa == 7) return NAN;
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -9)
                              : std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  return (byte & 0x80) != 0 ? -magnitude : magnitude;
}

const std::array<float, 256>& E4M3Table() {
  static const std::array<float, 256> table = [] {
    std::array<float, 256> values{};
    for (size_t byte = 0; byte < values.size(); ++byte) {
      values[byte] = FloatFromE4M3(static_cast<uint8_t>(byte));
    }
    return values;
  }();
  return table;
}

// A stretch of one row.
struct Piece {
  std::array<uint8_t, kPieceColumns> codes;  // one a byte, signed ones moved to begin at 0
  std::array<float, kPieceScales> scale, bias;
  std::array<uint8_t, kPieceScales> zero;
};

class PackedReader : public TensorReader {
 public:
  explicit PackedReader(PackedMatrix matrix) : m_(std::move(matrix)) {
    QS_CHECK(m_.group >= kLeastGroup && (m_.bits == 4 || m_.bits == 8));
    for (const int group : {128, 64, 32}) {
      if (import_group_ == 0 && m_.group % group == 0 && m_.columns % group == 0) {
        import_group_ = group;
      }
    }
  }

  void Decode(int64_t first, Rows out) const override {
    QS_CHECK(out.columns == m_.columns);
    Piece piece;
    for (int64_t row = 0; row < out.rows; ++row) {
      ForEachPiece(first + row, &piece, [&](int64_t begin, int64_t count) {
        DecodePiece(piece, begin, count, out.Row(row) + begin);
      });
    }
  }

  SourceCodes codes() const override {
    if (m_.codes == PackedMatrix::Codes::kFloatE4M3 || import_group_ == 0) return {};
    return {m_.bits, import_group_};
  }

  void Import(int64_t first, int64_t rows, uint8_t* upper, uint8_t* lower,
              GroupScale* scales) const override {
    Piece piece;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t start = row * m_.columns;
      ForEachPiece(first + row, &piece, [&](int64_t begin, int64_t count) {
        uint8_t* const codes = upper + start + begin;
        for (int64_t i = 0; i < count; ++i) {
          codes[i] = m_.bits == 4 ? piece.codes[At(i)] : piece.codes[At(i)] >> 4;
        }
        if (m_.bits == 8) {
          for (int64_t i = 0; i < count; ++i) lower[start + begin + i] = piece.codes[At(i)] & 15;
        }
        for (int64_t i = 0; i < count; i += import_group_) {
          scales[(start + begin + i) / import_group_] = ScaleOf(piece, ScaleIndex(begin, i));
        }
      });
    }
  }

 private:
  static size_t At(int64_t i) { return static_cast<size_t>(i); }
  // Of column begin + i, among the scales of the piece that begins at `begin`.
  size_t ScaleIndex(int64_t begin, int64_t i) const {
    return At((begin + i) / m_.group - begin / m_.group);
  }

  GroupScale ScaleOf(const Piece& piece, size_t index) const {
    const float scale = piece.scale[index];
    const float least = piece.bias[index] - static_cast<float>(piece.zero[index]) * scale;
    return ScaleOfCodes(m_.bits, scale, least);
  }

  void DecodePiece(const Piece& piece, int64_t begin, int64_t count, float* out) const {
    const bool is_float = m_.codes == PackedMatrix::Codes::kFloatE4M3;
    const std::array<float, 256>& floats = E4M3Table();
    for (int64_t i = 0; i < count;) {
      const size_t index = ScaleIndex(begin, i);
      const int64_t end = std::min(count, (((begin + i) / m_.group) + 1) * m_.group - begin);
      const float scale = piece.scale[index], bias = piece.bias[index];
      const int zero = piece.zero[index];
      for (; i < end; ++i) {
        const uint8_t code = piece.codes[At(i)];
        out[i] = is_float ? floats[code] * scale : static_cast<float>(code - zero) * scale + bias;
        if (is_float && !std::isfinite(out[i])) RefuseNotFinite(*m_.file, m_.name);
      }
    }
  }

  template <typename Use>
  void ForEachPiece(int64_t row, Piece* piece, const Use& use) const {
    for (int64_t begin = 0; begin < m_.columns; begin += kPieceColumns) {
      const int64_t count = std::min(kPieceColumns, m_.columns - begin);
      ReadCodes(row, begin, count, piece);
      const int64_t first = begin / m_.group, last = (begin + count - 1) / m_.group;
      ReadScales(row, first, last + 1 - first, piece);
      use(begin, count);
    }
  }

  void ReadCodes(int64_t row, int64_t begin, int64_t count, Piece* piece) const {
    const int64_t at = (row * m_.columns + begin) * m_.bits / 8;
    const auto bytes = At(count * m_.bits / 8);
    const auto stored = std::as_writable_bytes(std::span(piece->codes)).first(bytes);
    m_.file->Read(m_.offset + static_cast<uint64_t>(at), stored);
    if (m_.bits == 4) {  // from the end, so that no byte is overwritten before it is read
      for (size_t i = bytes; i-- > 0;) {
        const uint8_t both = piece->codes[i];
        piece->codes[2 * i] = both & 15;
        piece->codes[2 * i + 1] = both >> 4;
      }
    } else if (m_.codes == PackedMatrix::Codes::kSigned) {
      for (size_t i = 0; i < bytes; ++i) piece->codes[i] ^= 0x80;
    }
  }

  void ReadScales(int64_t row, int64_t first, int64_t count, Piece* piece) const {
    const int64_t at = row / m_.row_block * m_.scales_a_row + first;
    ReadNumbers(m_.scales, at, std::span(piece->scale).first(At(count)), m_.name);
    std::fill_n(piece->bias.begin(), count, 0.0f);
    std::fill_n(piece->zero.begin(), count, m_.biases ? uint8_t{0} : MiddleCode(m_.bits));
    if (m_.biases) {
      ReadNumbers(*m_.biases, at, std::span(piece->bias).first(At(count)), m_.name);
    }
    if (m_.zeros) ReadZeros(row, first, count, piece);
  }

  void ReadZeros(int64_t row, int64_t first, int64_t count, Piece* piece) const {
    std::array<uint32_t, kPieceScales> words;
    const int64_t word = row * m_.bits / 32 * m_.scales_a_row + first;
    ReadWords(*m_.zeros->file, m_.zeros->offset, word, std::span(words).first(At(count)));
    const int64_t place = row % (32 / m_.bits);
    for (int64_t i = 0; i < count; ++i) {
      piece->zero[At(i)] = CodeIn(words[At(i)], place, m_.bits);
    }
  }

  PackedMatrix m_;
  int import_group_ = 0;
};

}  // namespace

std::shared_ptr<const TensorReader> MakePackedReader(PackedMatrix matrix) {
  return std::make_shared<PackedReader>(std::move(matrix));
}

}  // namespace quantspec
