// The bytes of a chunk's slots, gathered from the planes of the group pool and put back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "cache/group_pool.h"
#include "engine/chunk_file.h"

namespace quantspec {

// The sections of a file that holds `slots` slots of all layers.
ChunkLayout LayoutOfSlots(const GroupPool& pool, int slots);

// All planes of `slots` in the order of the layout's sections, to and from a file
// [layout.file_bytes()] of the host. The caller has the turn.
void DownloadSlots(const Backend& backend, const GroupPool& pool, std::span<const int32_t> slots,
                   const ChunkLayout& layout, std::span<std::byte> file);
void UploadSlots(const Backend& backend, const GroupPool& pool, std::span<const int32_t> slots,
                 const ChunkLayout& layout, std::span<const std::byte> file);
// True if `a` and `b`, as many slots, hold the same bytes. The caller has the turn.
bool SlotsAreEqual(const Backend& backend, const GroupPool& pool, std::span<const int32_t> a,
                   std::span<const int32_t> b);

}  // namespace quantspec
