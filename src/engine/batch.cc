#include "engine/batch.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "decode/generate.h"

namespace quantspec {
namespace {

constexpr size_t kMostGuided = 32;  // sequences; more never draft

}  // namespace

void Batch::Add(std::unique_ptr<Job> job) {
  const double now = SteadySeconds();
  job->queue_s = now - job->start_s;
  job->start_s = now;
  job->sequence->StartPrompt(job->request.prompt);
  jobs_.push_back(std::move(job));
}

int Batch::reading() const {
  return static_cast<int>(
      std::ranges::count_if(jobs_, [](const auto& job) { return job->is_reading(); }));
}

int Batch::decoding() const {
  return static_cast<int>(
      std::ranges::count_if(jobs_, [](const auto& job) { return job->is_decoding(); }));
}

int Batch::waiting() const {
  return static_cast<int>(std::ranges::count_if(
      jobs_, [](const auto& job) { return !job->is_over() && job->sequence->is_out(); }));
}

SchedulerCounters Batch::counters() const {
  SchedulerCounters counters = counters_;
  counters.reading = reading();
  counters.decoding = decoding();
  counters.waiting = waiting();
  return counters;
}

int64_t Batch::contexts() const {
  int64_t tokens = 0;
  for (const auto& job : jobs_) tokens += job->sequence->context();
  return tokens;
}

bool Batch::Turn() {
  wants_room_ = false;
  for (const auto& job : jobs_) job->waits_for_room = false;
  const bool has_ended = EndCancelled();
  const bool has_copied = CopyIn();
  const double start = SteadySeconds();
  const bool has_decoded = Round();
  bell_->WakeReaders();
  const bool has_read = ReadPrompts(has_decoded ? SteadySeconds() - start : 0);
  CountTurn();
  return has_ended || has_copied || has_decoded || has_read;
}

void Batch::CountTurn() {
  const int64_t tokens = std::exchange(turn_tokens_, 0);
  if (tokens == 0) return;
  const auto bound = std::ranges::lower_bound(kTurnTokens, tokens);
  ++counters_.turns[static_cast<size_t>(bound - kTurnTokens.begin())];
  counters_.turn_tokens += tokens;
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
  CollectActive();
  if (active_.empty()) return false;
  GuideRound();
  // As many draft steps as the longest draft takes; each sequence stops at its own.
  do {
    CollectWanted(Reader::kDraft);
    ComputeWanted();
  } while (!wanted_.empty());
  CollectWanted(Reader::kTarget);
  ComputeWanted();
  for (Job* job : active_) {
    if (!job->is_over()) FinishRound(*job);
  }
  return true;
}

void Batch::CollectActive() {
  active_.clear();
  for (const auto& job : jobs_) {
    if (!job->is_decoding() || job->sequence->is_out()) continue;
    if (!job->stream->HasRoom(kMaxGamma + 1)) continue;
    // A round seals one group at most. Younger ones, which come later, may go for it.
    if (!MakeRoom(*job, 1)) continue;
    active_.push_back(job.get());
  }
}

void Batch::GuideRound() {
  if (active_.size() < 2) return;
  members_.clear();
  for (const Job* job : active_) {
    RoundMember member;
    if (job->decoding->is_auto() && active_.size() <= kMostGuided) {
      member.tokens = job->decoding->controller().tokens();
      member.most = job->decoding->MostGuided(job->sequence->Room());
    }
    members_.push_back(member);
  }
  costs_.Plan(members_);
  for (size_t i = 0; i < active_.size(); ++i) {
    Decoding& decoding = *active_[i]->decoding;
    if (!decoding.is_auto()) continue;
    decoding.Guide({members_[i].gamma, costs_.most_lookup(), costs_.row_price()});
  }
}

void Batch::CollectWanted(Reader reader) {
  wanted_.clear();
  for (Job* job : active_) {
    if (job->is_over() || job->decoding->finished()) continue;
    const auto rows = job->decoding->Next(job->sequence->Room());
    if (rows && rows->reader == reader) wanted_.push_back({job, *rows});
  }
}

void Batch::ComputeWanted() {
  const TransformerLimits& limits = core_.transformer().limits();
  for (size_t first = 0; first < wanted_.size();) {
    size_t last = first;
    int64_t rows = 0, positions = 0;
    for (; last < wanted_.size() && last - first < static_cast<size_t>(limits.sequences); ++last) {
      const WantedRows& one = wanted_[last].rows;
      rows += static_cast<int64_t>(one.tokens.size());
      // Sequences that share groups may have more tokens together than the pool.
      positions += one.position + static_cast<int64_t>(one.tokens.size());
      if (rows > limits.step_rows || positions > limits.positions) break;
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
  counters_.pass_rows += logits.rows;
  costs_.Observe(wanted.front().rows.reader, static_cast<int>(logits.rows), seconds);
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
    CountDrafts(*job.decoding);
  }
  if (job.decoding->finished()) End(job, StreamEvent::Kind::kDone);
}

void Batch::CountDrafts(const Decoding& decoding) {
  const int drafted = decoding.round_drafted();
  if (drafted == 0) return;
  ++counters_.draft_rounds;
  counters_.drafted += drafted;
  counters_.accepted += decoding.round_accepted();
  if (!decoding.round_is_lookup()) {
    acceptance_.Observe(drafted, decoding.round_accepted(), counters_.draft_rounds);
  }
}

// -------------------------------------------------------------------------------------- end

void Batch::HandOut(Job& job) {
  const std::span<const Token> tokens = job.decoding->NewTokens();
  for (size_t i = 0; i < tokens.size(); ++i) {
    StreamEvent event;
    event.token = tokens[i];
    const auto logprobs = job.decoding->NewLogprobs(static_cast<int>(i));
    event.logprobs.assign(logprobs.begin(), logprobs.end());
    event.drafted = job.decoding->stats().drafted;
    event.accepted = job.decoding->stats().accepted;
    job.stream->Push(std::move(event));
    ++counters_.generated_tokens;
    ++turn_tokens_;
    if (job.stop != nullptr && job.stop->Push(tokens[i])) {
      job.decoding->CutNewTokens(static_cast<int>(i) + 1);
      return;
    }
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
  if (job.stop != nullptr && job.stop->found()) event.result.finish = FinishReason::kStop;
  if (kind == StreamEvent::Kind::kCancelled) event.result.finish = FinishReason::kInterrupted;
  GenerateStats& stats = event.result.stats;
  stats.prompt_tokens = static_cast<int>(job.request.prompt.size());
  stats.cached_tokens = job.sequence->cached_tokens();
  stats.queue_s = job.queue_s;
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
