#include "server/api/metrics.h"

#include <algorithm>
#include <cstdio>

namespace quantspec::server {
namespace {

const std::vector<double> kSeconds = {0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1,  0.25, 0.5,
                                      0.75,  1.0,   2.5,  5.0,  7.5,  10.0, 20.0, 40.0, 80.0};
const std::vector<double> kGaps = {0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15,
                                   0.2,    0.3,   0.4,  0.5,   0.75, 1.0,   2.5, 5.0};
const std::vector<double> kLongSeconds = {0.1,  0.3,  0.5,   0.8,   1.0,   1.5,   2.0,
                                          2.5,  5.0,  10.0,  15.0,  20.0,  30.0,  40.0,
                                          50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0};
const std::vector<double> kTokens = {1,   2,    5,    10,   20,    50,    100,   200,
                                     500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};

std::string Show(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.10g", value);
  return text;
}

void AddHead(std::string* text, const std::string& name, const char* type, const char* help) {
  *text += "# HELP " + name + " " + help + "\n# TYPE " + name + " " + type + "\n";
}

void AddValue(std::string* text, const std::string& name, const char* type, const char* help,
              const std::string& labels, double value) {
  AddHead(text, name, type, help);
  *text += name + "{" + labels + "} " + Show(value) + "\n";
}

void AddHistogram(std::string* text, const std::string& name, const char* help,
                  const std::string& labels, const Histogram& histogram) {
  AddHead(text, name, "histogram", help);
  *text += histogram.Lines(name, labels);
}

std::string EscapeLabel(const std::string& text) {
  std::string escaped;
  for (const char c : text) {
    if (c == '\\' || c == '"') escaped += '\\';
    escaped += c == '\n' ? ' ' : c;
  }
  return escaped;
}

}  // namespace

Histogram::Histogram(std::vector<double> bounds)
    : bounds_(std::move(bounds)), counts_(bounds_.size() + 1) {}

void Histogram::Observe(double value) {
  const auto bound = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  ++counts_[static_cast<size_t>(bound - bounds_.begin())];
  sum_ += value;
}

std::string Histogram::Lines(std::string_view name, const std::string& labels) const {
  return HistogramLines(name, labels, bounds_, counts_, sum_);
}

std::string HistogramLines(std::string_view name, const std::string& labels,
                           std::span<const double> bounds, std::span<const int64_t> counts,
                           double sum) {
  const std::string metric(name);
  std::string text;
  int64_t below = 0;
  for (size_t i = 0; i < bounds.size(); ++i) {
    below += counts[i];
    text += metric + "_bucket{" + labels + ",le=\"" + Show(bounds[i]) + "\"} " +
            std::to_string(below) + "\n";
  }
  const std::string all = std::to_string(below + counts[bounds.size()]) + "\n";
  text += metric + "_bucket{" + labels + ",le=\"+Inf\"} " + all;
  text += metric + "_sum{" + labels + "} " + Show(sum) + "\n";
  return text + metric + "_count{" + labels + "} " + all;
}

Metrics::Metrics()
    : first_token_(kSeconds),
      inter_token_(kGaps),
      whole_(kLongSeconds),
      queue_(kLongSeconds),
      prefill_(kLongSeconds),
      decode_(kLongSeconds),
      inference_(kLongSeconds),
      prompt_sizes_(kTokens),
      answer_sizes_(kTokens) {}

void Metrics::ObserveFirstToken(double seconds) { first_token_.Observe(seconds); }
void Metrics::ObserveInterToken(double seconds) { inter_token_.Observe(seconds); }

void Metrics::ObserveAnswer(const Ending& ending, double seconds) {
  ++(ending.finish == FinishReason::kLength ? length_ : stopped_);
  const GenerateStats& stats = ending.stats;
  whole_.Observe(seconds);
  queue_.Observe(stats.queue_s);
  prefill_.Observe(stats.prefill_s);
  decode_.Observe(stats.decode_s);
  inference_.Observe(stats.prefill_s + stats.decode_s);
  prompt_sizes_.Observe(ending.prompt_tokens);
  answer_sizes_.Observe(ending.completion_tokens);
}

std::string Metrics::AnswerText(const std::string& labels) const {
  std::string text;
  AddHead(&text, "vllm:request_success_total", "counter", "Answers by what ended them.");
  for (const auto& [reason, count] :
       {std::pair{"stop", stopped_}, {"length", length_}, {"abort", aborted_}}) {
    text += "vllm:request_success_total{" + labels + ",finished_reason=\"" + reason + "\"} " +
            std::to_string(count) + "\n";
  }
  AddHistogram(&text, "vllm:time_to_first_token_seconds", "Seconds to the first token.", labels,
               first_token_);
  AddHistogram(&text, "vllm:inter_token_latency_seconds",
               "Seconds between tokens that arrive one after another.", labels, inter_token_);
  AddHistogram(&text, "vllm:e2e_request_latency_seconds", "Seconds of a request.", labels, whole_);
  AddHistogram(&text, "vllm:request_queue_time_seconds", "Seconds before the prompt is read.",
               labels, queue_);
  AddHistogram(&text, "vllm:request_prefill_time_seconds", "Seconds of reading the prompt.", labels,
               prefill_);
  AddHistogram(&text, "vllm:request_decode_time_seconds", "Seconds of decoding.", labels, decode_);
  AddHistogram(&text, "vllm:request_inference_time_seconds", "Seconds of reading and decoding.",
               labels, inference_);
  AddHistogram(&text, "vllm:request_prompt_tokens", "Tokens of a prompt.", labels, prompt_sizes_);
  AddHistogram(&text, "vllm:request_generation_tokens", "Tokens of an answer.", labels,
               answer_sizes_);
  return text;
}

std::string Metrics::Text(const SchedulerCounters& counters, const Gauges& gauges) const {
  const std::string labels = "model_name=\"" + EscapeLabel(gauges.model) + "\",engine=\"0\"";
  std::string text;
  const auto add = [&](const char* name, const char* type, const char* help, auto value) {
    AddValue(&text, name, type, help, labels, static_cast<double>(value));
  };
  const int used = counters.pool_groups - counters.pool_free;
  add("vllm:num_requests_running", "gauge", "Answers that are read for or decoded.",
      counters.reading + counters.decoding);
  add("vllm:num_requests_waiting", "gauge", "Answers that wait for a place.", counters.queued);
  add("vllm:kv_cache_usage_perc", "gauge", "Share of the cache that requests have a right to.",
      counters.pool_groups > 0 ? static_cast<double>(used) / counters.pool_groups : 0);
  add("vllm:prefix_cache_queries_total", "counter", "Tokens of prompts looked for in the store.",
      counters.prompt_tokens);
  add("vllm:prefix_cache_hits_total", "counter", "Tokens of prompts found in the store.",
      counters.cached_tokens);
  add("vllm:num_preemptions_total", "counter", "Sequences copied out for older ones.",
      counters.copied_out);
  add("vllm:prompt_tokens_total", "counter", "Tokens of prompts.", counters.prompt_tokens);
  add("vllm:generation_tokens_total", "counter", "Tokens generated.", counters.generated_tokens);
  add("vllm:spec_decode_num_drafts_total", "counter", "Rounds that verified drafts.",
      counters.draft_rounds);
  add("vllm:spec_decode_num_draft_tokens_total", "counter", "Tokens drafted.", counters.drafted);
  add("vllm:spec_decode_num_accepted_tokens_total", "counter", "Drafted tokens accepted.",
      counters.accepted);
  AddHead(&text, "vllm:cache_config_info", "gauge", "The cache.");
  text += "vllm:cache_config_info{" + labels + ",block_size=\"128\",num_gpu_blocks=\"" +
          std::to_string(counters.pool_groups) + "\",enable_prefix_caching=\"True\"} 1\n";
  AddHead(&text, "vllm:iteration_tokens_total", "histogram",
          "Tokens read of prompts and generated in a turn of the scheduler.");
  const std::vector<double> bounds(kTurnTokens.begin(), kTurnTokens.end());
  text += HistogramLines("vllm:iteration_tokens_total", labels, bounds, counters.turns,
                         static_cast<double>(counters.turn_tokens));
  text += AnswerText(labels);
  add("quantspec:passes_total", "counter", "Steps over any number of sequences.", counters.passes);
  add("quantspec:pass_sequences_total", "counter", "Sequences of all those steps.",
      counters.pass_sequences);
  add("quantspec:pass_rows_total", "counter", "Tokens of all those steps.", counters.pass_rows);
  add("quantspec:requests_failed_total", "counter", "Requests that failed in the engine.",
      counters.failed);
  add("quantspec:requests_cancelled_total", "counter", "Requests that were given up.",
      counters.cancelled);
  add("quantspec:connections", "gauge", "Open connections.", gauges.connections);
  const PromptStoreCounters& store = gauges.store;
  add("quantspec:store_chunks", "gauge", "Chunks of prompts in memory.", store.chunks);
  add("quantspec:store_files", "gauge", "Chunks of prompts on disk.", store.files);
  add("quantspec:store_bytes", "gauge", "Bytes of them.", store.bytes);
  add("quantspec:store_hits_total", "counter", "Chunks read from disk.", store.hits);
  add("quantspec:store_misses_total", "counter", "Chunks looked for on disk in vain.",
      store.misses);
  add("quantspec:store_damaged_total", "counter", "Files that were not what was written.",
      store.damaged);
  return text;
}

}  // namespace quantspec::server
