#include "cli/json.h"

#include <span>

#include "cli/arguments.h"
#include "cli/output.h"

namespace quantspec::cli {
namespace {

// Counts up to the largest position at which a token was ever drafted.
Json PositionsJson(const GenerateStats& stats, std::span<const int64_t> counts) {
  size_t end = counts.size();
  while (end > 0 && stats.drafted_by_position[end - 1] == 0) --end;
  return Json(std::vector<int64_t>(counts.begin(), counts.begin() + static_cast<int64_t>(end)));
}

}  // namespace

void PrintJson(const Json& json) {
  Print(json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
}

Json MemoryJson(const MemoryBytes& bytes) {
  return {{"weights", bytes.weights}, {"pool", bytes.pool},     {"tail", bytes.tail},
          {"windows", bytes.windows}, {"cache", bytes.cache()}, {"scratch", bytes.scratch},
          {"total", bytes.total()}};
}

Json GammaJson(int gamma) { return gamma == kGammaAuto ? Json("auto") : Json(gamma); }

Json AcceptanceJson(int64_t accepted, int64_t drafted) {
  if (drafted == 0) return nullptr;
  return static_cast<double>(accepted) / static_cast<double>(drafted);
}

Json StatsJson(const GenerateStats& stats) {
  Json json;
  json["prefill_s"] = stats.prefill_s;
  json["prefill_tokens_per_s"] = PerSecond(stats.prompt_tokens, stats.prefill_s);
  json["decode_s"] = stats.decode_s;
  json["decode_tokens_per_s"] = PerSecond(stats.generated_tokens, stats.decode_s);
  json["gamma"] = GammaJson(stats.gamma);
  json["rounds"] = stats.rounds;
  json["drafted"] = stats.drafted;
  json["accepted"] = stats.accepted;
  json["looked_up"] = stats.looked_up;
  json["acceptance"] = AcceptanceJson(stats.accepted, stats.drafted);
  json["accepted_by_position"] = PositionsJson(stats, stats.accepted_by_position);
  json["drafted_by_position"] = PositionsJson(stats, stats.drafted_by_position);
  json["draft_s"] = stats.draft_s;
  json["verify_s"] = stats.verify_s;
  json["seal_s"] = stats.seal_s;
  json["other_s"] = stats.other_s;
  Json changes = Json::array();
  for (const GammaChange& change : stats.gamma_changes) {
    changes.push_back(
        {{"round", change.round}, {"gamma", change.gamma}, {"reason", change.reason}});
  }
  json["gamma_changes"] = changes;
  return json;
}

std::string FinishName(FinishReason finish) {
  switch (finish) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kInterrupted:
      return "interrupted";
  }
  return "";
}

double PerSecond(double count, double seconds) { return seconds > 0 ? count / seconds : 0; }

}  // namespace quantspec::cli
