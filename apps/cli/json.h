// The JSON of results: names as docs/cli.md gives them.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "quantspec/session.h"
#include "quantspec/types.h"

namespace quantspec::cli {

using Json = nlohmann::ordered_json;  // keys stay in the order they were written in

// One line; bytes that are not UTF-8 become U+FFFD.
void PrintJson(const Json& json);

Json MemoryJson(const MemoryBytes& bytes);  // {weights, pool, tail, windows, cache, scratch, total}
Json GammaJson(int gamma);                  // a number or "auto"
// The share, or null if nothing was drafted.
Json AcceptanceJson(int64_t accepted, int64_t drafted);
// Speeds, rounds and acceptance of one answer.
Json StatsJson(const GenerateStats& stats);
std::string FinishName(FinishReason finish);  // "stop", "length", "interrupted"

// count / seconds, 0 for no time.
double PerSecond(double count, double seconds);

}  // namespace quantspec::cli
