#include "engine/chunk_planes.h"

#include <array>
#include <vector>

#include "base/check.h"

namespace quantspec {
namespace {

struct Plane {
  SectionKind kind;
  std::byte* SealedSegment::*data;
  size_t SealedBytes::*bytes;
};
constexpr std::array<Plane, 3> kPlanes = {{
    {SectionKind::kUpper, &SealedSegment::upper, &SealedBytes::upper},
    {SectionKind::kLower, &SealedSegment::lower, &SealedBytes::lower},
    {SectionKind::kScales, &SealedSegment::scales, &SealedBytes::scales},
}};

// Calls `visit(device, section, offset, bytes)` for every stretch of the slots.
template <typename Visit>
void ForEachStretch(const GroupPool& pool, std::span<const int32_t> slots, const Visit& visit) {
  const auto heads = static_cast<size_t>(pool.spec().geometry.kv_heads);
  for (size_t section = 0; section < kPlanes.size(); ++section) {
    const Plane& plane = kPlanes[section];
    const size_t of_head = pool.group_bytes().*plane.bytes / heads;
    size_t offset = 0;
    for (int layer = 0; layer < pool.spec().layers; ++layer) {
      const SealedSegment& segment = pool.Layer(layer);
      for (size_t head = 0; head < heads; ++head) {
        std::byte* of_slots =
            segment.*plane.data + head * static_cast<size_t>(segment.capacity) * of_head;
        for (const int32_t slot : slots) {
          visit(of_slots + static_cast<size_t>(slot) * of_head, section, offset, of_head);
          offset += of_head;
        }
      }
    }
  }
}

}  // namespace

ChunkLayout LayoutOfSlots(const GroupPool& pool, int slots) {
  std::array<SectionSpec, kPlanes.size()> sections;
  for (size_t i = 0; i < kPlanes.size(); ++i) {
    sections[i] = {kPlanes[i].kind, pool.group_bytes().*kPlanes[i].bytes *
                                        static_cast<size_t>(pool.spec().layers) *
                                        static_cast<size_t>(slots)};
  }
  return ChunkLayout(sections);
}

void DownloadSlots(const Backend& backend, const GroupPool& pool, std::span<const int32_t> slots,
                   const ChunkLayout& layout, std::span<std::byte> file) {
  ForEachStretch(pool, slots,
                 [&](const std::byte* device, size_t section, size_t offset, size_t bytes) {
                   backend.Download(device, bytes, layout.Section(file, section).data() + offset);
                 });
}

void UploadSlots(const Backend& backend, const GroupPool& pool, std::span<const int32_t> slots,
                 const ChunkLayout& layout, std::span<const std::byte> file) {
  ForEachStretch(pool, slots, [&](std::byte* device, size_t section, size_t offset, size_t bytes) {
    backend.Upload(layout.Section(file, section).data() + offset, bytes, device);
  });
}

bool SlotsAreEqual(const Backend& backend, const GroupPool& pool, std::span<const int32_t> a,
                   std::span<const int32_t> b) {
  QS_CHECK(a.size() == b.size());
  bool are_equal = true;
  std::vector<std::byte> of_a, of_b;
  for (size_t i = 0; i < a.size(); ++i) {
    const std::ptrdiff_t distance = b[i] - a[i];
    const auto compare = [&](const std::byte* device, size_t, size_t, size_t bytes) {
      if (!are_equal) return;
      of_a.resize(bytes);
      of_b.resize(bytes);
      backend.Download(device, bytes, of_a.data());
      backend.Download(device + distance * static_cast<std::ptrdiff_t>(bytes), bytes, of_b.data());
      are_equal = of_a == of_b;
    };
    ForEachStretch(pool, a.subspan(i, 1), compare);
  }
  return are_equal;
}

}  // namespace quantspec
