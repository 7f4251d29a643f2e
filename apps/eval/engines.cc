#include "eval/engines.h"

#include <algorithm>
#include <fstream>
#include <numeric>

#include "cli/common.h"

namespace quantspec::eval {
namespace {

// Bytes of the 4-bit copies beside 16-bit weights, which only drafts with 4-bit weights read.
uint64_t CopyBytes(const ModelFile& file) {
  uint64_t bytes = 0;
  for (const TensorInfo& tensor : file.Tensors()) {
    if (tensor.stored_type.rfind("bf16 +", 0) != 0) continue;
    const auto elements = std::accumulate(
        tensor.shape.begin(), tensor.shape.end(), uint64_t{1},
        [](uint64_t product, int64_t n) { return product * static_cast<uint64_t>(n); });
    bytes += tensor.stored_bytes - std::min(tensor.stored_bytes, 2 * elements);
  }
  return bytes;
}

std::string CpuName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "unknown";
}

}  // namespace

const Engine& Engines::Get(const ModelIdentity& model, const std::string& weights, int room) {
  Loaded& loaded = engines_[{model.path, weights}];
  if (loaded.engine != nullptr && loaded.room >= room) return *loaded.engine;
  loaded.engine = nullptr;
  // Another model's cells are over: plans go model by model within an example.
  for (auto& [key, other] : engines_) {
    if (key.first != model.path) other = {};
  }
  EngineOptions options;
  options.model_path = model.path;
  options.threads = settings_.threads;
  options.group = settings_.group;
  for (const auto& [name, mode] : cli::WeightChoices()) {
    if (name == weights) options.weights = mode;
  }
  const auto file = cli::OpenModel(options, settings_.quiet);
  loaded.room = std::max(room, largest_room_);
  EngineCapacity capacity;
  // A prompt's sequence, and the copy of it that a method goes on with.
  capacity.sequences = 2;
  capacity.cache_tokens = 2 * std::min(loaded.room, file->info().context);
  loaded.engine = cli::LoadEngine(file, capacity, settings_.quiet);
  return *loaded.engine;
}

bool Engines::ShrinkTo(int room) {
  const bool has_larger = std::any_of(engines_.begin(), engines_.end(), [&](const auto& entry) {
    return entry.second.engine != nullptr && entry.second.room > room;
  });
  if (!has_larger) return false;
  engines_.clear();
  largest_room_ = room;
  return true;
}

int NeededRoom(const Cell& cell) {
  // Kernels are timed over data of their own.
  if (cell.experiment == "table5") return 1;
  const bool generates = cell.experiment != "table2" && cell.experiment != "table3";
  return cell.context + (generates ? cell.tokens : 0) + kMaxGamma + 1;
}

int RoomOf(const Cell& cell, const ModelInfo& model) {
  return std::min(NeededRoom(cell), model.context);
}

SessionOptions SessionOf(const Cell& cell, const ModelInfo& model, const Method& method) {
  SessionOptions options;
  options.context = RoomOf(cell, model);
  options.cache = method.target == Target::kPaper ? CacheKind::kFull : CacheKind::kHierarchical;
  options.draft = method.draft;
  options.reuse = PromptReuse::kNone;
  return options;
}

MemoryBytes MemoryOf(const Cell& cell, const ModelFile& file, const Method& method) {
  MemoryBytes bytes = file.Plan(SessionOf(cell, file.info(), method)).bytes;
  if (method.draft_weights != "int4") bytes.weights -= CopyBytes(file);
  return bytes;
}

Json MachineJson(const Engine& engine) {
  return {{"cpu", CpuName()}, {"isa", engine.isa()}, {"threads", engine.threads()}};
}

}  // namespace quantspec::eval
