// The scheduler's work without its threads: sequences that decode together and prompts that are
// read in slices, one turn at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "decode/decoding.h"
#include "engine/sequence.h"
#include "engine/stream.h"
#include "quantspec/scheduler.h"

namespace quantspec {

// A request on its way.
struct Job {
  Request request;
  std::shared_ptr<StreamQueue> stream;
  std::unique_ptr<Sequence> sequence;
  std::unique_ptr<Decoding> decoding;  // null while the prompt is read
  double start_s = 0;                  // of the prompt, then of decoding
  double prefill_s = 0;
  std::optional<StreamEvent> last;  // once the job is over

  bool is_over() const { return last.has_value(); }
};

struct BatchCounters {
  int64_t finished = 0, cancelled = 0, failed = 0;
  int64_t prompt_tokens = 0, cached_tokens = 0, generated_tokens = 0;
  int64_t passes = 0, pass_sequences = 0;
};

// Belongs to one thread. No user code runs in it: tokens and errors go to streams.
class Batch {
 public:
  // `bell` wakes readers as soon as a round has tokens for them.
  Batch(EngineCore& core, IsEnd is_end, int tokens, std::shared_ptr<Bell> bell)
      : core_(core), is_end_(std::move(is_end)), tokens_(tokens), bell_(std::move(bell)) {}

  // `job.sequence` is there; its prompt is read from now on.
  void Add(std::unique_ptr<Job> job);
  // One round of every sequence that decodes and whose reader keeps up, then slices of prompts
  // until they took about as long. False if there was nothing to do.
  bool Turn();
  // Ends all jobs as cancelled.
  void CancelAll();
  // Ends all jobs with the exception being handled.
  void FailAll();
  // Gives the streams of jobs that are over their last events, and lets the jobs go.
  void Deliver();

  int reading() const;
  int decoding() const;
  int size() const { return static_cast<int>(jobs_.size()); }
  // Tokens that all sequences have room for.
  int64_t contexts() const;
  const BatchCounters& counters() const { return counters_; }

 private:
  // A job's rows in a pass.
  struct Wanted {
    Job* job;
    WantedRows rows;
  };
  // True if there was one.
  bool EndCancelled();
  // A round of all that decode; true if there was one.
  bool Round();
  void CollectWanted(Reader reader, std::span<Job* const> jobs);
  // Computes what is wanted, in as many passes as it takes.
  void ComputeWanted();
  void Pass(std::span<const Wanted> wanted);
  // The same for a caller that has the turn; throws where the model does.
  void ComputePass(std::span<const Wanted> wanted);
  void FinishRound(Job& job);
  bool ReadPrompts(double seconds);
  // The next slice of a prompt.
  void ReadSlice(Job& job, int rows);
  void StartDecoding(Job& job);
  // Hands the new tokens to the stream.
  void HandOut(Job& job);
  void End(Job& job, StreamEvent::Kind kind);
  void Fail(Job& job);  // with the exception being handled

  EngineCore& core_;
  IsEnd is_end_;
  int tokens_;  // ids that are tokens
  std::shared_ptr<Bell> bell_;
  std::vector<std::unique_ptr<Job>> jobs_;
  std::vector<Wanted> wanted_;
  std::vector<StepRows> step_rows_;
  size_t next_prompt_ = 0;  // prompts take turns by slice
  double slice_row_s_ = 0;  // running mean: seconds a prompt row takes in a layer
  BatchCounters counters_;
};

}  // namespace quantspec
