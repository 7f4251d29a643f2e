// Counts and times for Prometheus, under vLLM's names, so that its dashboards and routers work.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/scheduler.h"
#include "server/api/writer.h"

namespace quantspec::server {

class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);
  // Its lines, without HELP and TYPE; `labels` as `a="b"`.
  std::string Lines(std::string_view name, const std::string& labels) const;

 private:
  std::vector<double> bounds_;
  std::vector<int64_t> counts_;  // of each bound, not of those below it
  double sum_ = 0;
  int64_t count_ = 0;
};

class Metrics {
 public:
  Metrics();

  void ObserveFirstToken(double seconds);
  void ObserveInterToken(double seconds);
  // An answer that ended by itself, after `seconds`.
  void ObserveAnswer(const Ending& ending, double seconds);
  void CountAborted() { ++aborted_; }

  // What stands beside the scheduler's own counters.
  struct Gauges {
    std::string model;
    int connections = 0;
    PromptStoreCounters store;
  };
  // Prometheus's text format 0.0.4.
  std::string Text(const SchedulerCounters& counters, const Gauges& gauges) const;

 private:
  std::string AnswerText(const std::string& labels) const;

  int64_t stopped_ = 0, length_ = 0, aborted_ = 0;
  Histogram first_token_, inter_token_, whole_, queue_, prefill_, decode_, inference_;
  Histogram prompt_sizes_, answer_sizes_;
};

}  // namespace quantspec::server
