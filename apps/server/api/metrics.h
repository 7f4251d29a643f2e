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

// Times of one answer, in seconds.
struct AnswerTimes {
  double queued = 0;
  double whole = 0;
};

class Metrics {
 public:
  Metrics();

  void ObserveFirstToken(double seconds);
  void ObserveInterToken(double seconds);
  // An answer that ended by itself.
  void ObserveAnswer(const Ending& ending, const AnswerTimes& times);
  void CountAborted() { ++aborted_; }

  // What stands beside the scheduler's own counters.
  struct Gauges {
    std::string model;
    int cache_tokens = 0;   // that the cache holds
    double cache_used = 0;  // the share of it that requests have reserved
    int connections = 0;
  };
  // Prometheus's text format 0.0.4.
  std::string Text(const SchedulerCounters& counters, const Gauges& gauges) const;

 private:
  std::string AnswerText(const std::string& labels) const;

  int64_t stopped_ = 0, length_ = 0, aborted_ = 0;
  int64_t prompt_tokens_ = 0, cached_tokens_ = 0, generated_tokens_ = 0;
  int64_t rounds_ = 0, drafted_ = 0, accepted_ = 0;
  Histogram first_token_, inter_token_, whole_, queue_, prefill_, decode_, inference_;
  Histogram prompt_sizes_, answer_sizes_;
};

}  // namespace quantspec::server
