// Prompts of a batch: which one is read next, and how much of it.
#include <algorithm>
#include <utility>

#include "decode/generate.h"
#include "engine/batch.h"

namespace quantspec {
namespace {

constexpr int kLeastSliceRows = 16;
constexpr double kPromptShare = 0.7;   // of a round's time; the last slice takes some more
constexpr double kShortShare = 2;      // seconds of the shorter prompt for one of the longer
constexpr double kMostFavour_s = 0.5;  // what it may have saved up, or owe

}  // namespace

// The oldest prompt, so that it comes to its end, and the shortest of the others, so that a
// question does not wait for a book.
Job* Batch::NextPrompt() {
  Job* oldest = nullptr;
  Job* shortest = nullptr;
  for (const auto& job : jobs_) {
    if (!job->is_reading() || job->waits_for_room) continue;
    if (oldest == nullptr) {
      oldest = job.get();
    } else if (shortest == nullptr ||
               job->sequence->PromptLeft() < shortest->sequence->PromptLeft()) {
      shortest = job.get();
    }
  }
  if (shortest == nullptr) return oldest;
  Job* first = oldest;
  Job* second = shortest;
  if (second->sequence->PromptLeft() < first->sequence->PromptLeft()) std::swap(first, second);
  return short_s_ >= 0 ? first : second;
}

bool Batch::ReadPrompts(double seconds) {
  const double end = SteadySeconds() + kPromptShare * seconds;
  bool has_read = false;
  for (double now = SteadySeconds(); !has_read || now < end; now = SteadySeconds()) {
    Job* job = NextPrompt();
    if (job == nullptr) return has_read;
    const bool is_alone = reading() == 1;
    const bool is_short = std::ranges::none_of(jobs_, [&](const auto& other) {
      return other.get() != job && other->is_reading() &&
             other->sequence->PromptLeft() < job->sequence->PromptLeft();
    });
    int rows = kChunkTokens;
    const double row_s = job->row_s > 0 ? job->row_s : row_s_;
    if (seconds > 0 && row_s > 0) {
      const double left = std::max(end - now, 0.0);
      // What is left of the time is less than half of the least slice: another turn.
      if (has_read && left < 0.5 * kLeastSliceRows * row_s) return true;
      rows = static_cast<int>(std::min<double>(rows, left / row_s));
    }
    if (!ReadSlice(*job, std::max(rows, kLeastSliceRows))) continue;  // others may go on
    has_read = true;
    const double spent = SteadySeconds() - now;
    short_s_ += is_short ? -spent : kShortShare * spent;
    short_s_ = is_alone ? 0 : std::clamp(short_s_, -kMostFavour_s, kMostFavour_s);
  }
  return has_read;
}

bool Batch::ReadSlice(Job& job, int rows) {
  if (!MakeRoom(job, kChunkTokens / kKvGroup)) return false;
  try {
    bool is_done = false;
    const int before = job.sequence->PromptDone();
    const double start = SteadySeconds();
    {
      const quantspec::Turn turn(core_.turns());
      is_done = job.sequence->AdvancePrompt(rows);
    }
    if (const int computed = job.sequence->slice_rows(); computed > 0) {
      const double row_s = (SteadySeconds() - start) / computed;
      job.row_s = job.row_s == 0 ? row_s : 0.75 * job.row_s + 0.25 * row_s;
      row_s_ = job.row_s;
      const int done =
          is_done ? static_cast<int>(job.request.prompt.size()) : job.sequence->PromptDone();
      turn_tokens_ += done - before;
    }
    if (is_done) {
      StartDecoding(job);
    } else {
      job.stream->set_prompt_done(job.sequence->PromptDone());
    }
  } catch (...) {
    Fail(job);
  }
  return true;
}

void Batch::StartDecoding(Job& job) {
  Sequence& sequence = *job.sequence;
  const int prompt = static_cast<int>(job.request.prompt.size());
  job.stream->set_prompt_done(prompt);
  counters_.prompt_tokens += prompt;
  counters_.cached_tokens += sequence.cached_tokens();
  const double now = SteadySeconds();
  job.prefill_s = now - job.start_s;
  job.start_s = now;
  job.decoding = std::make_unique<Decoding>(core_.model().config().info.vocab, tokens_);
  const CostPrior prior{static_cast<double>(sequence.BytesPerToken(Reader::kDraft)) /
                        static_cast<double>(sequence.BytesPerToken(Reader::kTarget))};
  job.decoding->Start(&sequence.tokens(), job.request.generate, is_end_, prior,
                      sequence.draft_source());
  job.decoding->controller().Assume(acceptance_);
  costs_.set_prior(prior.draft_over_target);
  job.decoding->AcceptFirst(sequence.Logits());
  if (job.request.generate.max_tokens > 0) HandOut(job);
  if (job.decoding->finished()) End(job, StreamEvent::Kind::kDone);
}

}  // namespace quantspec
