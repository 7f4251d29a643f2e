#include "eval/paper_values.h"

#include <algorithm>
#include <cmath>

#include "eval/markdown.h"

namespace quantspec::eval {
namespace {

constexpr const char* kLlama2 = "Llama-2-7B-32K-Instruct";
constexpr const char* kLwm = "LWM-Text-Chat-128k";
constexpr const char* kMistral = "Mistral-7B-v0.3";
constexpr const char* kLlama31 = "Llama-3.1-8B";
constexpr const char* kLex = "Multi-LexSum";
constexpr const char* kStreaming = "streaming";
constexpr const char* kSnapKv = "snapkv";
constexpr const char* kQuantSpec = "quantspec-all";

constexpr PaperMain kTable4[] = {
    {kLlama2, "PG-19", 4096, kStreaming, 88.87, 15.2, 1.13, 1},
    {kLlama2, "PG-19", 4096, kSnapKv, 93.59, 15.39, 1.17, 1},
    {kLlama2, "PG-19", 4096, kQuantSpec, 92.46, 16.26, 1.35, 2},
    {kLlama2, "PG-19", 8192, kStreaming, 90.31, 17.75, 1.27, 1},
    {kLlama2, "PG-19", 8192, kSnapKv, 94.39, 18.1, 1.31, 1},
    {kLlama2, "PG-19", 8192, kQuantSpec, 89.88, 17.66, 1.44, 2},
    {kLlama2, kLex, 8192, kStreaming, 90.78, 17.75, 1.27, 1},
    {kLlama2, kLex, 8192, kSnapKv, 55.55, 18.1, 1.01, 1},
    {kLlama2, kLex, 8192, kQuantSpec, 91.23, 17.66, 1.61, 6},
    {kLlama2, kLex, 32768, kStreaming, 91.19, 32.61, 1.84, 1},
    {kLlama2, kLex, 32768, kSnapKv, 72.54, 33.96, 1.63, 1},
    {kLlama2, kLex, 32768, kQuantSpec, 91.16, 25.84, 2.08, 6},
    {kLwm, "infBench Sum", 16384, kStreaming, 87.41, 22.63, 1.49, 1},
    {kLwm, "infBench Sum", 16384, kSnapKv, 88.61, 23.33, 1.5, 1},
    {kLwm, "infBench Sum", 16384, kQuantSpec, 91.64, 20.36, 1.78, 4},
    {kLwm, "infBench Sum", 32768, kStreaming, 85.38, 32.63, 1.15, 1},
    {kLwm, "infBench Sum", 32768, kSnapKv, 84.55, 33.98, 1.78, 1},
    {kLwm, "infBench Sum", 32768, kQuantSpec, 90.99, 25.86, 1.99, 4},
    {kLwm, kLex, 65536, kStreaming, 78.95, 52.96, 2.16, 1},
    {kLwm, kLex, 65536, kSnapKv, 82.79, 55.66, 2.11, 1},
    {kLwm, kLex, 65536, kQuantSpec, 92.18, 38.18, 2.23, 6},
    {kLwm, kLex, 131072, kStreaming, 0, 0, 0, 0},
    {kLwm, kLex, 131072, kSnapKv, 0, 0, 0, 0},
    {kLwm, kLex, 131072, kQuantSpec, 94.31, 61.22, 2.49, 6},
};

constexpr PaperMain kTable7[] = {
    {kMistral, kLex, 16384, kStreaming, 86, 16.25, 0.94, 1},
    {kMistral, kLex, 16384, kSnapKv, 86, 16.7, 0.93, 1},
    {kMistral, kLex, 16384, kQuantSpec, 94, 17.42, 1.55, 6},
    {kMistral, kLex, 32768, kStreaming, 89, 18.67, 1.07, 1},
    {kMistral, kLex, 32768, kSnapKv, 85, 19.79, 0.98, 1},
    {kMistral, kLex, 32768, kQuantSpec, 93, 18.34, 1.61, 6},
    {kLlama31, kLex, 16384, kStreaming, 63, 17.73, 0.82, 1},
    {kLlama31, kLex, 16384, kSnapKv, 66, 18.18, 0.85, 1},
    {kLlama31, kLex, 16384, kQuantSpec, 90, 18.79, 1.48, 6},
    {kLlama31, kLex, 32768, kStreaming, 81, 20.15, 0.93, 1},
    {kLlama31, kLex, 32768, kSnapKv, 73, 21.27, 0.9, 1},
    {kLlama31, kLex, 32768, kQuantSpec, 92, 19.82, 1.54, 6},
    {kLlama31, kLex, 131072, kStreaming, 89, 34.91, 1.06, 1},
    {kLlama31, kLex, 131072, kSnapKv, 80, 39.95, 1.06, 1},
    {kLlama31, kLex, 131072, kQuantSpec, 91, 26.05, 1.63, 6},
};

constexpr PaperSearch kTable6[] = {
    {kLlama2, "PG-19", kStreaming, 1, 90.78, 39.1},
    {kLlama2, "PG-19", kStreaming, 2, 89.42, 38.5},
    {kLlama2, "PG-19", kStreaming, 3, 90.21, 38.66},
    {kLlama2, "PG-19", kSnapKv, 1, 94.39, 40.34},
    {kLlama2, "PG-19", kSnapKv, 2, 91.03, 39.38},
    {kLlama2, "PG-19", kSnapKv, 3, 91.84, 39.28},
    {kLlama2, "PG-19", kQuantSpec, 1, 91.88, 41.52},
    {kLlama2, "PG-19", kQuantSpec, 2, 89.88, 44.51},
    {kLlama2, "PG-19", kQuantSpec, 4, 83.17, 43.84},
    {kLlama2, "PG-19", kQuantSpec, 6, 77.07, 41.88},
    {kLlama2, kLex, kStreaming, 1, 90.78, 39.17},
    {kLlama2, kLex, kStreaming, 2, 86.82, 37.84},
    {kLlama2, kLex, kStreaming, 3, 83.29, 36},
    {kLlama2, kLex, kSnapKv, 1, 55.55, 31.05},
    {kLlama2, kLex, kSnapKv, 2, 43.96, 24.39},
    {kLlama2, kLex, kSnapKv, 3, 36.61, 19.78},
    {kLlama2, kLex, kQuantSpec, 1, 96.58, 42.83},
    {kLlama2, kLex, kQuantSpec, 2, 96.61, 47.51},
    {kLlama2, kLex, kQuantSpec, 4, 95.59, 49.47},
    {kLlama2, kLex, kQuantSpec, 6, 91.23, 49.62},
    {kLwm, "infBench Sum", kStreaming, 1, 81.79, 37.17},
    {kLwm, "infBench Sum", kStreaming, 2, 74.86, 34.33},
    {kLwm, "infBench Sum", kStreaming, 3, 64.48, 30.14},
    {kLwm, "infBench Sum", kSnapKv, 1, 85.55, 38.27},
    {kLwm, "infBench Sum", kSnapKv, 2, 82.92, 36.97},
    {kLwm, "infBench Sum", kSnapKv, 3, 77.13, 34.4},
    {kLwm, "infBench Sum", kQuantSpec, 1, 93.83, 42.01},
    {kLwm, "infBench Sum", kQuantSpec, 2, 94.38, 46.74},
    {kLwm, "infBench Sum", kQuantSpec, 4, 90.33, 47.3},
    {kLwm, "infBench Sum", kQuantSpec, 6, 82.13, 45.51},
    {kLwm, kLex, kStreaming, 1, 83.96, 37.8},
    {kLwm, kLex, kStreaming, 2, 77.41, 35.13},
    {kLwm, kLex, kStreaming, 3, 71.28, 32.37},
    {kLwm, kLex, kSnapKv, 1, 89.25, 39.04},
    {kLwm, kLex, kSnapKv, 2, 83.53, 37.22},
    {kLwm, kLex, kSnapKv, 3, 80.04, 35.48},
    {kLwm, kLex, kQuantSpec, 1, 95.94, 42.79},
    {kLwm, kLex, kQuantSpec, 2, 95.06, 47.1},
    {kLwm, kLex, kQuantSpec, 4, 92.55, 48.15},
    {kLwm, kLex, kQuantSpec, 6, 87.73, 48.2},
};

std::string MethodTitle(const std::string& method) {
  return method == kStreaming ? "StreamingLLM" : method == kSnapKv ? "SnapKV" : "QuantSpec";
}

}  // namespace

std::span<const PaperMain> PaperTable4() { return kTable4; }
std::span<const PaperMain> PaperTable7() { return kTable7; }
std::span<const PaperSearch> PaperTable6() { return kTable6; }

PaperRange NearestPaper(std::span<const PaperMain> table, const std::string& method, int context) {
  PaperRange range;
  const auto distance = [&](int other) {
    return std::fabs(std::log(static_cast<double>(other) / std::max(context, 1)));
  };
  for (const PaperMain& row : table) {
    if (method != row.method || row.speedup == 0) continue;
    if (range.context != 0 && distance(row.context) > distance(range.context)) continue;
    if (row.context != range.context) {
      range = {row.context, row.acceptance_percent, row.acceptance_percent, row.speedup,
               row.speedup};
      continue;
    }
    range.low_acceptance = std::min(range.low_acceptance, row.acceptance_percent);
    range.high_acceptance = std::max(range.high_acceptance, row.acceptance_percent);
    range.low_speedup = std::min(range.low_speedup, row.speedup);
    range.high_speedup = std::max(range.high_speedup, row.speedup);
  }
  return range;
}

std::string PaperTable2Text() {
  return "| Llama-2-7B, groups of 128 | WikiText-2 | C4 |\n|---|---|---|\n"
         "| FP16 cache | 6.4595 | 7.2617 |\n| INT8 cache (target) | 6.4696 | 7.2620 |\n";
}

std::string PaperTable3Text() {
  return "| Llama-2-7B, WikiText-2 | keys by token | keys by channel |\n|---|---|---|\n"
         "| values by token | 6.587 | 6.507 |\n| values by channel | 7.041 | 6.911 |\n";
}

std::string PaperMainText(std::span<const PaperMain> table) {
  std::string text =
      "| model | text | context | method | acceptance | peak GB | speedup | gamma |\n"
      "|---|---|---|---|---|---|---|---|\n";
  for (const PaperMain& row : table) {
    text += std::string("| ") + row.model + " | " + row.dataset + " | " +
            std::to_string(row.context / 1024) + "k | " + MethodTitle(row.method) + " | ";
    if (row.speedup == 0) {
      text += "- | out of memory | - | |\n";
      continue;
    }
    text += Decimals(row.acceptance_percent, 2) + " % | " + Decimals(row.peak_gib, 2) + " | " +
            Decimals(row.speedup, 2) + " | " + std::to_string(row.gamma) + " |\n";
  }
  return text;
}

std::string PaperTable5Text() {
  return "| kernel (A6000) | 64k | 256k |\n|---|---|---|\n"
         "| FlashAttention, FP16 | 3.07 ms | 6.16 ms |\n"
         "| QuantSpec, INT8 | 1.08 ms (1.44x) | 4.06 ms (1.51x) |\n"
         "| QuantSpec, INT4 | 0.54 ms (2.88x) | 2.15 ms (2.86x) |\n";
}

std::string PaperTable6Text() {
  std::string text =
      "| model | text | method | gamma | acceptance | tokens/s |\n|---|---|---|---|---|---|\n";
  for (const PaperSearch& row : kTable6) {
    text += std::string("| ") + row.model + " | " + row.dataset + " | " + MethodTitle(row.method) +
            " | " + std::to_string(row.gamma) + " | " + Decimals(row.acceptance_percent, 2) +
            " % | " + Decimals(row.tokens_per_s, 2) + " |\n";
  }
  return text;
}

}  // namespace quantspec::eval
