// Room of a batch's sequences in the engine's pool: the oldest always gets what it needs.
#include "engine/batch.h"

namespace quantspec {

bool Batch::MakeRoom(Job& job, int slots) {
  for (;;) {
    {
      const quantspec::Turn turn(core_.turns());
      if (job.sequence->Promise(slots)) return true;
    }
    bool is_alone = true;
    Job* youngest = FindYoungest(job, &is_alone);
    if (youngest != nullptr) {
      try {
        const quantspec::Turn turn(core_.turns());
        youngest->sequence->CopyOut();
        ++counters_.copied_out;
        continue;
      } catch (...) {
        Fail(*youngest);  // its slots are free once it was delivered
      }
    } else if (is_alone && job.is_decoding()) {
      // Nobody is there who would make room: sessions hold it, or the cache is full.
      job.decoding->EndForRoom();
      End(job, StreamEvent::Kind::kDone);
      return false;
    }
    wants_room_ = true;
    return false;
  }
}

// The youngest sequence that decodes, if it is younger than `job`.
Job* Batch::FindYoungest(const Job& job, bool* is_alone) const {
  Job* youngest = nullptr;
  bool is_younger = false;
  for (const auto& other : jobs_) {
    if (other.get() == &job) {
      is_younger = true;
      continue;
    }
    if (other->is_over() || other->sequence->is_out()) continue;
    *is_alone = false;
    const bool has_slots = !other->sequence->cache().Slots().empty();
    if (is_younger && other->is_decoding() && has_slots) youngest = other.get();
  }
  return youngest;
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
