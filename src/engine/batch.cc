#include "engine/batch.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "decode/generate.h"

namespace quantspec {
namespace {

constexpr int kLeastSliceRows = 16;

}  // namespace

void Batch::Add(std::unique_ptr<Job> job) {
  job->start_s = SteadySeconds();
  job->sequence->StartPrompt(job->request.prompt);
  jobs_.push_back(std::move(job));
}

int Batch::reading() const {
  return static_cast<int>(std::ranges::count_if(
      jobs_, [](const auto& job) { return job->decoding == nullptr && !job->is_over(); }));
}

int Batch::decoding() const {
  return static_cast<int>(std::ranges::count_if(
      jobs_, [](const auto& job) { return job->decoding != nullptr && !job->is_over(); }));
}

int64_t Batch::contexts() const {
  int64_t tokens = 0;
  for (const auto& job : jobs_) tokens += job->sequence->context();
  return tokens;
}

bool Batch::Turn() {
  const bool has_ended = EndCancelled();
  const double start = SteadySeconds();
  const bool has_decoded = Round();
  bell_->WakeReaders();
  const bool has_read = ReadPrompts(has_decoded ? SteadySeconds() - start : 0);
  return has_ended || has_decoded || has_read;
}

void Batch::CancelAll() {
  for (const auto& job : jobs_) End(*job, StreamEvent::Kind::kCancelled);
}

void Batch::FailAll() {
  for (const auto& job : jobs_) Fail(*job);
}

void Batch::Deliver() {
  for (const auto& job : jobs_) {
    if (job->is_over()) job->stream->Push(*job->last);
  }
  std::erase_if(jobs_, [](const auto& job) { return job->is_over(); });
}

bool Batch::EndCancelled() {
  bool has_ended = false;
  for (const auto& job : jobs_) {
    if (job->is_over() || !job->stream->is_cancelled()) continue;
    End(*job, StreamEvent::Kind::kCancelled);
    has_ended = true;
  }
  return has_ended;
}

// ----------------------------------------------------------------------------------- rounds

bool Batch::Round() {
  std::vector<Job*> active;
  for (const auto& job : jobs_) {
    if (job->is_over() || job->decoding == nullptr) continue;
    if (job->stream->HasRoom(kMaxGamma + 1)) active.push_back(job.get());
  }
  if (active.empty()) return false;
  // As many draft steps as the longest draft takes; each sequence stops at its own.
  do {
    CollectWanted(Reader::kDraft, active);
    ComputeWanted();
  } while (!wanted_.empty());
  CollectWanted(Reader::kTarget, active);
  ComputeWanted();
  for (Job* job : active) {
    if (!job->is_over()) FinishRound(*job);
  }
  return true;
}

void Batch::CollectWanted(Reader reader, std::span<Job* const> jobs) {
  wanted_.clear();
  for (Job* job : jobs) {
    if (job->is_over() || job->decoding->finished()) continue;
    const auto rows = job->decoding->Next(job->sequence->Room());
    if (rows && rows->reader == reader) wanted_.push_back({job, *rows});
  }
}

void Batch::ComputeWanted() {
  const TransformerLimits& limits = core_.transformer().limits();
  for (size_t first = 0; first < wanted_.size();) {
    size_t last = first;
    for (size_t rows = 0;
         last < wanted_.size() && last - first < static_cast<size_t>(limits.sequences); ++last) {
      rows += wanted_[last].rows.tokens.size();
      if (rows > static_cast<size_t>(limits.step_rows)) break;
    }
    Pass(std::span<const Wanted>(wanted_).subspan(first, last - first));
    first = last;
  }
}

void Batch::Pass(std::span<const Wanted> wanted) {
  const quantspec::Turn turn(core_.turns());
  try {
    ComputePass(wanted);
    return;
  } catch (...) {
    if (wanted.size() == 1) Fail(*wanted.front().job);
  }
  if (wanted.size() == 1) return;
  // One of them is at fault, and only that one fails.
  for (size_t i = 0; i < wanted.size(); ++i) {
    try {
      ComputePass(wanted.subspan(i, 1));
    } catch (...) {
      Fail(*wanted[i].job);
    }
  }
}

void Batch::ComputePass(std::span<const Wanted> wanted) {
  step_rows_.clear();
  for (const Wanted& one : wanted) {
    one.job->sequence->Truncate(one.rows.position);
    step_rows_.push_back(one.job->sequence->RowsOf(one.rows.tokens));
  }
  const double start = SteadySeconds();
  const LogitRows logits = core_.transformer().Step(wanted.front().rows.reader, step_rows_);
  const double seconds = SteadySeconds() - start;
  ++counters_.passes;
  counters_.pass_sequences += static_cast<int64_t>(wanted.size());
  int64_t row = 0;
  for (const Wanted& one : wanted) {
    const auto rows = static_cast<int64_t>(one.rows.tokens.size());
    const LogitRows own(logits.Rows(row, rows), logits.maxima.Rows(row, rows), logits.pack);
    row += rows;
    try {
      one.job->decoding->Accept(own, seconds);
    } catch (...) {
      Fail(*one.job);
    }
  }
}

void Batch::FinishRound(Job& job) {
  if (job.decoding->is_open()) {
    HandOut(job);
    const double start = SteadySeconds();
    {
      const quantspec::Turn turn(core_.turns());
      job.sequence->CommitInTurn(static_cast<int>(job.sequence->tokens().size()) - 1);
    }
    job.decoding->EndRound(SteadySeconds() - start);
  }
  if (job.decoding->finished()) End(job, StreamEvent::Kind::kDone);
}

// ---------------------------------------------------------------------------------- prompts

bool Batch::ReadPrompts(double seconds) {
  const int count = reading();
  if (count == 0) return false;
  const double end = SteadySeconds() + seconds;
  do {
    // The next in turn; a job that is over has no prompt to read.
    Job* job = nullptr;
    for (size_t i = 0; i < jobs_.size() && job == nullptr; ++i) {
      Job& candidate = *jobs_[(next_prompt_ + i) % jobs_.size()];
      if (candidate.decoding != nullptr || candidate.is_over()) continue;
      next_prompt_ = (next_prompt_ + i + 1) % jobs_.size();
      job = &candidate;
    }
    if (job == nullptr) break;
    int rows = kChunkTokens;
    if (seconds > 0 && slice_row_s_ > 0) {
      rows = static_cast<int>(std::min<double>(rows, seconds / slice_row_s_));
    }
    ReadSlice(*job, std::max(rows, kLeastSliceRows));
  } while (SteadySeconds() < end);
  return true;
}

void Batch::ReadSlice(Job& job, int rows) {
  try {
    bool is_done = false;
    const double start = SteadySeconds();
    {
      const quantspec::Turn turn(core_.turns());
      is_done = job.sequence->AdvancePrompt(rows);
    }
    if (const int computed = job.sequence->slice_rows(); computed > 0) {
      const double row_s = (SteadySeconds() - start) / computed;
      slice_row_s_ = slice_row_s_ == 0 ? row_s : 0.75 * slice_row_s_ + 0.25 * row_s;
    }
    if (is_done) {
      StartDecoding(job);
    } else {
      job.stream->set_prompt_done(job.sequence->PromptDone());
    }
  } catch (...) {
    Fail(job);
  }
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
  job.decoding->AcceptFirst(sequence.Logits());
  if (job.request.generate.max_tokens > 0) HandOut(job);
  if (job.decoding->finished()) End(job, StreamEvent::Kind::kDone);
}

// -------------------------------------------------------------------------------------- end

void Batch::HandOut(Job& job) {
  for (const Token token : job.decoding->NewTokens()) {
    StreamEvent event;
    event.token = token;
    job.stream->Push(std::move(event));
    ++counters_.generated_tokens;
  }
}

void Batch::End(Job& job, StreamEvent::Kind kind) {
  if (job.is_over()) return;
  StreamEvent event;
  event.kind = kind;
  if (job.decoding != nullptr) {
    if (job.decoding->is_open()) job.decoding->Abort();
    event.result = job.decoding->Result();
    event.result.stats.decode_s = SteadySeconds() - job.start_s;
  } else {
    const quantspec::Turn turn(core_.turns());
    job.sequence->CancelPrompt();
  }
  if (kind == StreamEvent::Kind::kCancelled) event.result.finish = FinishReason::kInterrupted;
  GenerateStats& stats = event.result.stats;
  stats.prompt_tokens = static_cast<int>(job.request.prompt.size());
  stats.cached_tokens = job.sequence->cached_tokens();
  stats.prefill_s = job.prefill_s;
  stats.other_s = std::max(0.0, stats.decode_s - stats.draft_s - stats.verify_s - stats.seal_s);
  if (job.request.wants_digest && kind == StreamEvent::Kind::kDone) {
    event.digest = job.sequence->Digest();
  }
  ++(kind == StreamEvent::Kind::kDone ? counters_.finished : counters_.cancelled);
  job.last = std::move(event);
}

void Batch::Fail(Job& job) {
  if (job.is_over()) return;
  try {
    throw;
  } catch (const std::exception& exception) {
    job.last = ErrorEvent(exception);
  }
  ++counters_.failed;
}

}  // namespace quantspec
