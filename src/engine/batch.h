// The scheduler's work without its threads: sequences that decode together and prompts that are
// read in slices, one turn at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "decode/decoding.h"
#include "decode/pass_costs.h"
#include "engine/sequence.h"
#include "engine/stop_search.h"
#include "engine/stream.h"
#include "quantspec/scheduler.h"

namespace quantspec {

// A request on its way.
struct Job {
  Request request;
  std::shared_ptr<StreamQueue> stream;
  std::unique_ptr<Sequence> sequence;
  std::unique_ptr<Decoding> decoding;  // null while the prompt is read
  std::unique_ptr<StopSearch> stop;    // null: no stop texts
  double start_s = 0;                  // of waiting, then of the prompt, then of decoding
  double queue_s = 0;
  double prefill_s = 0;
  bool waits_for_room = false;      // in this turn
  double row_s = 0;                 // running mean: seconds a prompt row takes in a layer
  std::optional<StreamEvent> last;  // once the job is over

  bool is_over() const { return last.has_value(); }
  bool is_reading() const { return decoding == nullptr && !is_over(); }
  bool is_decoding() const { return decoding != nullptr && !is_over(); }
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

  // Sequences that are copied out; while there are some, nobody else comes in.
  int waiting() const;
  // The last turn left somebody waiting for room in the pool, which sessions may give back.
  bool wants_room() const { return wants_room_; }
  int size() const { return static_cast<int>(jobs_.size()); }
  // Tokens that all sequences have room for.
  int64_t contexts() const;
  // All but what of the queue and the pool only the scheduler knows.
  SchedulerCounters counters() const;

 private:
  // A job's rows in a pass.
  struct Wanted {
    Job* job;
    WantedRows rows;
  };
  int reading() const;
  int decoding() const;
  // True if there was one.
  bool EndCancelled();
  // A round of all that decode; true if there was one.
  bool Round();
  // Those whose readers keep up and whose caches have room for what the round commits.
  void CollectActive();
  // Says how many tokens each of several sequences drafts.
  void GuideRound();
  void CollectWanted(Reader reader);
  // Computes what is wanted, in as many passes as it takes.
  void ComputeWanted();
  void Pass(std::span<const Wanted> wanted);
  // The same for a caller that has the turn; throws where the model does.
  void ComputePass(std::span<const Wanted> wanted);
  void FinishRound(Job& job);
  void CountDrafts(const Decoding& decoding);
  // Counts the turn that ends.
  void CountTurn();

  // ---- batch_room.cc
  // Makes sure that the job's cache can take `slots` more groups. Younger sequences that decode are
  // copied out for it; false if it has to wait. Ends it if it never will get them.
  bool MakeRoom(Job& job, int slots);
  // Copies the youngest one out that decodes, if it is younger than `job`. For the oldest, also a
  // prompt begins anew, whose finished chunks the prompt store keeps while it can.
  bool FreeYoungest(const Job& job);
  // True if other jobs have room in the pool. Those that are over give theirs back when they are
  // delivered.
  bool OthersHoldRoom(const Job& job) const;
  // Sequences come back, the oldest first; true if one did.
  bool CopyIn();

  // ---- batch_prompts.cc
  bool ReadPrompts(double seconds);
  // The prompt whose turn it is, of the two that take turns; null if none is to be read.
  Job* NextPrompt();
  // False if it has to wait for room.
  bool ReadSlice(Job& job, int rows);
  void StartDecoding(Job& job);

  // Hands the new tokens to the stream, up to one that ends the answer.
  void HandOut(Job& job);
  void End(Job& job, StreamEvent::Kind kind);
  void Fail(Job& job);  // with the exception being handled

  EngineCore& core_;
  IsEnd is_end_;
  int tokens_;  // ids that are tokens
  std::shared_ptr<Bell> bell_;
  std::vector<std::unique_ptr<Job>> jobs_;  // the oldest first
  std::vector<Job*> active_;                // of the round
  std::vector<RoundMember> members_;        // the same
  std::vector<Wanted> wanted_;
  std::vector<StepRows> step_rows_;
  PassCosts costs_;
  AcceptanceModel acceptance_;  // of all sequences so far
  // Seconds that the shorter of two prompts has to its favour: a second of the longer one gives it
  // two.
  double short_s_ = 0;
  double row_s_ = 0;  // as Job::row_s, of the last prompt
  bool wants_room_ = false;
  int64_t turn_tokens_ = 0;     // of the turn, read and generated
  SchedulerCounters counters_;  // what adds up
};

}  // namespace quantspec
