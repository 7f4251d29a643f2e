#include "server/api/metrics.h"

#include <gtest/gtest.h>

namespace quantspec::server {
namespace {

TEST(Histogram, CountsUpToEachBound) {
  Histogram histogram({1, 2, 5});
  for (const double value : {0.5, 1.0, 1.5, 4.0, 9.0}) histogram.Observe(value);
  EXPECT_EQ(histogram.Lines("h", "a=\"b\""),
            "h_bucket{a=\"b\",le=\"1\"} 2\nh_bucket{a=\"b\",le=\"2\"} 3\n"
            "h_bucket{a=\"b\",le=\"5\"} 4\nh_bucket{a=\"b\",le=\"+Inf\"} 5\n"
            "h_sum{a=\"b\"} 16\nh_count{a=\"b\"} 5\n");
}

TEST(Metrics, TellWhatAnswersTook) {
  Metrics metrics;
  Ending ending;
  ending.finish = FinishReason::kLength;
  ending.prompt_tokens = 30;
  ending.completion_tokens = 7;
  ending.stats.queue_s = 0.25;
  metrics.ObserveAnswer(ending, 1.5);
  metrics.CountAborted();
  SchedulerCounters counters;
  counters.queued = 5;
  counters.reading = 1;
  counters.decoding = 2;
  counters.drafted = 6;
  counters.accepted = 4;
  counters.pool_groups = 8;
  counters.pool_free = 6;
  counters.turns[1] = 2;
  counters.turns.back() = 1;
  counters.turn_tokens = 20010;
  Metrics::Gauges gauges;
  gauges.model = "a \"b\"";
  const std::string text = metrics.Text(counters, gauges);
  const std::string labels = "{model_name=\"a \\\"b\\\"\",engine=\"0\"";
  for (const std::string& line :
       {"vllm:num_requests_running" + labels + "} 3",
        "vllm:kv_cache_usage_perc" + labels + "} 0.25",
        "vllm:num_requests_waiting" + labels + "} 5",
        "vllm:spec_decode_num_draft_tokens_total" + labels + "} 6",
        "vllm:spec_decode_num_accepted_tokens_total" + labels + "} 4",
        "vllm:request_success_total" + labels + ",finished_reason=\"length\"} 1",
        "vllm:request_success_total" + labels + ",finished_reason=\"abort\"} 1",
        "vllm:request_queue_time_seconds_sum" + labels + "} 0.25",
        "vllm:iteration_tokens_total_bucket" + labels + ",le=\"1\"} 0",
        "vllm:iteration_tokens_total_bucket" + labels + ",le=\"8\"} 2",
        "vllm:iteration_tokens_total_bucket" + labels + ",le=\"16384\"} 2",
        "vllm:iteration_tokens_total_bucket" + labels + ",le=\"+Inf\"} 3",
        "vllm:iteration_tokens_total_sum" + labels + "} 20010",
        "vllm:request_generation_tokens_count" + labels + "} 1"}) {
    EXPECT_NE(text.find("\n" + line + "\n"), std::string::npos) << line << "\n" << text;
  }
}

}  // namespace
}  // namespace quantspec::server
