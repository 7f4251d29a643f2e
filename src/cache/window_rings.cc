#include "cache/window_rings.h"

#include "base/check.h"
#include "cache/kv_cache.h"

namespace quantspec {
namespace {

// Rounds begin at any position, views at multiples of kDenseRows; with the window rounded up to the
// spare rows' multiple, what a round appends and what its first row sees fit beside each other.
int64_t CapacityOf(const KvCacheSpec& spec, int window, int spare) {
  return std::min(RoundUp(window, spare) + spare, RoundUp(spec.context, kDenseRows));
}

}  // namespace

uint64_t WindowRings::Bytes(const KvCacheSpec& spec, const Backend& backend) {
  uint64_t bytes = 0;
  for (const int window : spec.windows) {
    if (window == 0) continue;
    bytes +=
        2 * backend.DenseBytes(spec.geometry, spec.dense_type, CapacityOf(spec, window, kSpare));
  }
  return bytes;
}

WindowRings::WindowRings(const KvCacheSpec& spec, const Backend& backend)
    : geometry_(spec.geometry) {
  if (spec.FullLayers() == spec.layers) return;
  memory_ = backend.Allocate(Bytes(spec, backend));
  std::byte* next = memory_.data();
  for (const int window : spec.windows) {
    if (window == 0) continue;
    rings_.push_back(
        {CarveDense(next, spec, backend, CapacityOf(spec, window, kSpare)), window, 0});
  }
}

template <typename Visit>
void WindowRings::ForStretches(const Ring& ring, int begin, int end, Visit visit) {
  const int64_t capacity = ring.rows.capacity;
  for (int64_t position = begin; position < end;) {
    const int64_t row = position % capacity;
    const int64_t rows = std::min(end - position, capacity - row);
    visit(row, rows, position);
    position += rows;
  }
}

KvView WindowRings::View(int ring, int committed, int length) const {
  const Ring& of = rings_[static_cast<size_t>(ring)];
  const int first = std::max(committed + 1 - of.window, 0) / kStep * kStep;
  QS_CHECK(length - first <= of.rows.capacity);
  KvView view;
  ForStretches(of, first, length, [&](int64_t row, int64_t rows, int64_t position) {
    DenseSegment& segment = view.dense[view.dense_count++];
    segment = of.rows;
    segment.first_row = row;
    segment.rows = rows;
    segment.first_position = position;
  });
  return view;
}

void WindowRings::Extend(int length) {
  for (Ring& ring : rings_) {
    ring.kept_from = std::max(ring.kept_from, length - static_cast<int>(ring.rows.capacity));
  }
}

bool WindowRings::CanRewind(int length) const {
  return length == 0 || std::ranges::all_of(rings_, [&](const Ring& ring) {
           return FirstOf(ring, length) >= ring.kept_from;
         });
}

void WindowRings::Rewind(int length) {
  QS_CHECK(CanRewind(length));
  for (Ring& ring : rings_) ring.kept_from = std::min(ring.kept_from, length);
}

bool WindowRings::CanSaveChunk(int begin) const {
  return std::ranges::all_of(rings_, [&](const Ring& ring) { return begin >= ring.kept_from; });
}

void WindowRings::SaveChunk(Backend& backend, int begin,
                            std::span<const DenseSegment> chunk) const {
  QS_CHECK(chunk.size() == rings_.size() && CanSaveChunk(begin));
  for (size_t i = 0; i < rings_.size(); ++i) {
    ForStretches(rings_[i], begin, begin + kChunkTokens,
                 [&](int64_t row, int64_t rows, int64_t position) {
                   backend.CopyKv(geometry_, rings_[i].rows, row, rows, chunk[i], position - begin);
                 });
  }
}

void WindowRings::LoadChunk(Backend& backend, int begin, std::span<const DenseSegment> chunk) {
  const int end = begin + kChunkTokens;
  QS_CHECK(chunk.empty() || chunk.size() == rings_.size());
  Extend(end);
  for (size_t i = 0; i < rings_.size(); ++i) {
    Ring& ring = rings_[i];
    if (chunk.empty()) {
      ring.kept_from = end;
      continue;
    }
    ForStretches(ring, begin, end, [&](int64_t row, int64_t rows, int64_t position) {
      backend.CopyKv(geometry_, chunk[i], position - begin, rows, ring.rows, row);
    });
  }
}

void WindowRings::CopyFrom(Backend& backend, const WindowRings& other, int length) {
  QS_CHECK(other.rings_.size() == rings_.size());
  for (size_t i = 0; i < rings_.size(); ++i) {
    const Ring& from = other.rings_[i];
    Ring& ring = rings_[i];
    ring.kept_from = std::max(FirstOf(from, length), from.kept_from);
    ForStretches(ring, ring.kept_from, length, [&](int64_t row, int64_t rows, int64_t) {
      backend.CopyKv(geometry_, from.rows, row, rows, ring.rows, row);
    });
  }
}

void WindowRings::AddTo(Digest& digest, const Backend& backend, int ring, int length) const {
  const Ring& of = rings_[static_cast<size_t>(ring)];
  std::vector<float> row(2 * static_cast<size_t>(geometry_.kv_heads * geometry_.head_dim));
  for (int position = FirstOf(of, length); position < length; ++position) {
    backend.LoadKv(geometry_, of.rows, position % of.rows.capacity, row.data(),
                   row.data() + row.size() / 2);
    digest.AddValues(std::span<const float>(row));
  }
}

}  // namespace quantspec
