#include "formats/transposed_reader.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>

#include "base/check.h"
#include "formats/stored_codes.h"
#include "formats/stored_numbers.h"

namespace quantspec {
namespace {

constexpr int64_t kTileOutputs = 64, kTileInputs = 32;

// A part of the matrix, of one group of inputs.
struct Tile {
  std::array<std::array<uint8_t, kTileInputs>, kTileOutputs> codes;
  std::array<float, kTileOutputs> scale;
  std::array<uint8_t, kTileOutputs> zero;
  int64_t group = -1;  // that scale and zero are of
};

class TransposedReader : public TensorReader {
 public:
  explicit TransposedReader(TransposedMatrix matrix) : m_(std::move(matrix)) {
    QS_CHECK(m_.group % kTileInputs == 0 && m_.inputs % m_.group == 0);
    for (const int group : {32, 64, 128}) {
      if (m_.group % group == 0) import_group_ = group;
    }
  }

  void Decode(int64_t first, Rows out) const override {
    QS_CHECK(out.columns == m_.inputs);
    ForEachTile(first, out.rows, [&](const Tile& tile, int64_t row, int64_t begin, size_t index) {
      float* values = out.Row(row) + begin;
      for (size_t i = 0; i < kTileInputs; ++i) {
        values[i] = static_cast<float>(tile.codes[index][i] - tile.zero[index]) * tile.scale[index];
      }
    });
  }

  SourceCodes codes() const override { return {m_.bits, import_group_}; }

  void Import(int64_t first, int64_t rows, uint8_t* upper, uint8_t* lower,
              GroupScale* scales) const override {
    ForEachTile(first, rows, [&](const Tile& tile, int64_t row, int64_t begin, size_t index) {
      const int64_t at = row * m_.inputs + begin;
      for (size_t i = 0; i < kTileInputs; ++i) {
        const uint8_t code = tile.codes[index][i];
        upper[at + static_cast<int64_t>(i)] = m_.bits == 4 ? code : code >> 4;
        if (m_.bits == 8) lower[at + static_cast<int64_t>(i)] = code & 15;
      }
      if (at % import_group_ == 0) {
        const float scale = tile.scale[index];
        const float least = -static_cast<float>(tile.zero[index]) * scale;
        scales[at / import_group_] = ScaleOfCodes(m_.bits, scale, least);
      }
    });
  }

 private:
  // use(tile, row, begin, index): row `row` of those asked for, inputs [begin, begin +
  // kTileInputs), is output `index` of the tile.
  template <typename Use>
  void ForEachTile(int64_t first, int64_t rows, const Use& use) const {
    const int64_t per_word = 32 / m_.bits;
    Tile tile;
    for (int64_t done = 0; done < rows;) {
      const int64_t start = (first + done) / per_word * per_word;  // words are read whole
      const int64_t end = std::min(
          {start + kTileOutputs, m_.outputs, (first + rows + per_word - 1) / per_word * per_word});
      const int64_t stop = std::min(end, first + rows);
      tile.group = -1;
      for (int64_t begin = 0; begin < m_.inputs; begin += kTileInputs) {
        ReadCodes(start, end - start, begin, &tile);
        ReadGroup(start, end - start, begin / m_.group, &tile);
        for (int64_t output = first + done; output < stop; ++output) {
          use(tile, output - first, begin, static_cast<size_t>(output - start));
        }
      }
      done = stop - first;
    }
  }

  // The place in a word of the output that is `index`-th among its neighbours.
  int64_t PlaceOf(int64_t index) const {
    constexpr std::array<int64_t, 8> kPlaces = {0, 4, 1, 5, 2, 6, 3, 7};
    return m_.packed == TransposedMatrix::Packed::kInterleaved ? kPlaces[static_cast<size_t>(index)]
                                                               : index;
  }

  void ReadCodes(int64_t start, int64_t count, int64_t begin, Tile* tile) const {
    const int64_t per_word = 32 / m_.bits;
    std::array<uint32_t, kTileOutputs> words;
    if (m_.packed == TransposedMatrix::Packed::kInterleaved) {
      for (int64_t i = 0; i < kTileInputs; ++i) {
        ReadWords(*m_.file, m_.offset, ((begin + i) * m_.outputs + start) / per_word,
                  std::span(words).first(At(count / per_word)));
        for (int64_t o = 0; o < count; ++o) {
          tile->codes[At(o)][At(i)] =
              CodeIn(words[At(o / per_word)], PlaceOf(o % per_word), m_.bits);
        }
      }
      return;
    }
    for (int64_t i = 0; i < kTileInputs; i += per_word) {
      ReadWords(*m_.file, m_.offset, (begin + i) / per_word * m_.outputs + start,
                std::span(words).first(At(count)));
      for (int64_t o = 0; o < count; ++o) {
        for (int64_t j = 0; j < per_word; ++j) {
          tile->codes[At(o)][At(i + j)] = CodeIn(words[At(o)], j, m_.bits);
        }
      }
    }
  }

  void ReadGroup(int64_t start, int64_t count, int64_t group, Tile* tile) const {
    if (tile->group == group) return;
    tile->group = group;
    ReadNumbers(m_.scales, group * m_.outputs + start, std::span(tile->scale).first(At(count)),
                m_.name);
    if (!m_.zeros) {
      tile->zero.fill(MiddleCode(m_.bits));
      return;
    }
    const int64_t per_word = 32 / m_.bits;
    std::array<uint32_t, kTileOutputs> words;
    ReadWords(*m_.zeros->file, m_.zeros->offset, (group * m_.outputs + start) / per_word,
              std::span(words).first(At(count / per_word)));
    for (int64_t o = 0; o < count; ++o) {
      const int stored = CodeIn(words[At(o / per_word)], PlaceOf(o % per_word), m_.bits);
      tile->zero[At(o)] = CodeIn(static_cast<uint32_t>(stored + m_.zero_offset), 0, m_.bits);
    }
  }

  static size_t At(int64_t i) { return static_cast<size_t>(i); }

  TransposedMatrix m_;
  int import_group_ = 0;
};

}  // namespace

std::shared_ptr<const TensorReader> MakeTransposedReader(TransposedMatrix matrix) {
  return std::make_shared<TransposedReader>(std::move(matrix));
}

}  // namespace quantspec
