// Room of a batch's sequences in the engine's pool: the oldest always gets what it needs.
#include <algorithm>

#include "engine/batch.h"

namespace quantspec {

bool Batch::MakeRoom(Job& job, int slots) {
  for (;;) {
    {
      const quantspec::Turn turn(core_.turns());
      if (job.sequence->Promise(slots)) return true;
    }
    if (FreeYoungest(job)) continue;
    if (job.is_decoding() && !OthersHoldRoom(job)) {
      // Nobody is there who would make room: sessions hold it, or the cache is full.
      job.decoding->EndForRoom();
      End(job, StreamEvent::Kind::kDone);
    } else {
      job.waits_for_room = wants_room_ = true;
    }
    return false;
  }
}

bool Batch::FreeYoungest(const Job& job) {
  Job* decoding = nullptr;
  Job* reading = nullptr;
  bool is_younger = false, is_oldest = true;
  for (const auto& other : jobs_) {
    if (other.get() == &job) is_younger = true;
    if (other.get() == &job || other->is_over() || other->sequence->is_out()) continue;
    if (!is_younger) is_oldest = false;
    if (!is_younger || !other->sequence->cache().HoldsRoom()) continue;
    (other->is_decoding() ? decoding : reading) = other.get();
  }
  // Prompts have a reservation and come to their ends, unless what they shared with others is gone.
  Job* youngest = decoding == nullptr && is_oldest ? reading : decoding;
  if (youngest == nullptr) return false;
  try {
    const quantspec::Turn turn(core_.turns());
    if (youngest->is_decoding()) {
      youngest->sequence->CopyOut();
    } else {
      youngest->sequence->RestartPrompt(youngest->request.prompt);
    }
    ++counters_.copied_out;
    return true;
  } catch (...) {
    Fail(*youngest);  // its slots are free once it was delivered
    return false;
  }
}

bool Batch::OthersHoldRoom(const Job& job) const {
  return std::ranges::any_of(jobs_, [&](const auto& other) {
    return other.get() != &job && other->sequence->cache().HoldsRoom();
  });
}

bool Batch::CopyIn() {
  for (const auto& job : jobs_) {
    if (job->is_over() || !job->sequence->is_out()) continue;
    const quantspec::Turn turn(core_.turns());
    if (job->sequence->CopyIn()) return true;
    wants_room_ = true;
    return false;  // nobody overtakes the oldest
  }
  return false;
}

}  // namespace quantspec
