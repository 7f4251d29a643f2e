// One request on its way through the scheduler: its answers become events or one response. Belongs
// to the I/O thread; nothing here waits.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "quantspec/scheduler.h"
#include "server/api/metrics.h"
#include "server/api/order.h"
#include "server/api/writer.h"

namespace quantspec::server {

// What generations share.
struct Floor {
  const Served& served;
  Scheduler& scheduler;
  Metrics& metrics;
};

// One answer, as /slots shows it.
struct SlotState {
  int prompt_tokens = 0;
  int prompt_done = 0;
  int generated = 0;
  int reserved = 0;  // tokens of the cache
};

class Generation : public std::enable_shared_from_this<Generation> {
 public:
  // `tag` is that of its requests to the scheduler.
  Generation(uint64_t tag, Order order, std::shared_ptr<Exchange> exchange, const Floor& floor);
  ~Generation();

  // Submits all answers, or responds with what refused them.
  void Start();
  // Takes the events that are there, as far as the client keeps up.
  void Pump();
  // Comments that keep the connection alive, and the progress of prompts.
  void Tick();
  // Ends it with an error: a response, or an event if a stream has begun.
  void Fail(const ApiError& error);

  bool is_over() const { return is_over_; }
  std::vector<SlotState> Slots() const;
  // One line, without any of the texts.
  std::string Summary() const;

 private:
  struct Answer;

  void Submit();
  Request RequestOf(const Answer& answer, size_t prompt) const;
  void Take(Answer& answer, StreamEvent event);
  void TakeToken(Answer& answer, StreamEvent event);
  void Complete(Answer& answer, StreamEvent event);
  void Emit(Answer& answer, const Piece& piece, const LiveSpeed* speed);
  void Write(std::string_view text);
  void Finish();
  void GiveUp();

  const uint64_t tag_;
  Order order_;
  std::shared_ptr<Exchange> exchange_;
  Floor floor_;
  std::unique_ptr<Writer> writer_;
  std::vector<std::unique_ptr<Answer>> answers_;
  std::vector<Ending> endings_;  // of the answers that are over, for a plain response
  double start_s_ = 0;
  int64_t pumps_ = 0;
  double written_s_ = 0;  // when the stream was last written to
  bool is_begun_ = false;
  bool is_over_ = false;
  int status_ = 200;
  Usage usage_;
};

double NowSeconds();

}  // namespace quantspec::server
