// Counts and times for Prometheus, under vLLM's names, so that its dashboards and routers work.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/scheduler.h"
#include "server/api/writer.h"

namespace quantspec::server {

// The lines of a histogram, without HELP and TYPE: `counts` of each of `bounds`, not of those below
// it, then of what is above all of them; `labels` as `a="b"`.
std::string HistogramLines(std::string_view name, const std::string& labels,
                           std::span<const double> bounds, std::span<const int64_t> counts,
                           double sum);

class Histogram {
 public:
  explicit Histogram(std::vector<double> bounds);
  void Observe(double value);
  std::string Lines(std::string_view name, const std::string& labels) const;

 private:
  std::vector<double> bounds_;
  std::vector<int64_t> counts_;  // as HistogramLines has them
  double sum_ = 0;
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
