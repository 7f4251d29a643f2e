// The engines that cells run on, loaded once and kept while cells ask for them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "eval/cell.h"
#include "eval/method.h"
#include "quantspec/engine.h"

namespace quantspec::eval {

struct EngineSettings {
  int threads = 0;  // 0 = physical cores
  int group = 0;    // 0 = the default
  bool quiet = false;
};

class Engines {
 public:
  // `largest_context`: tokens of the longest sequence of any cell, generated ones included.
  Engines(const EngineSettings& settings, int largest_context)
      : settings_(settings), largest_context_(largest_context) {}

  // Throws Error as Engine::Load does, cli::Cancelled after Ctrl-C.
  const Engine& Get(const ModelIdentity& model, const std::string& weights);

  // The engine whose target a method of `cell` has.
  const Engine& Of(const Cell& cell, Target target) {
    return Get(cell.model, target == Target::kPaper ? "bf16" : cell.weights);
  }

 private:
  EngineSettings settings_;
  int largest_context_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const Engine>> engines_;
};

// Tokens that a sequence of a cell needs room for.
int RoomOf(const Cell& cell, const ModelInfo& model);
// How a session of a cell is opened for a method.
SessionOptions SessionOf(const Cell& cell, const ModelInfo& model, const Method& method);

// What a program that does nothing but this method would take: weights, cache and scratch; a copy
// of the weights that the method never reads is left out.
MemoryBytes MemoryOf(const Cell& cell, const ModelFile& file, const Method& method);

// {cpu, isa, threads}.
Json MachineJson(const Engine& engine);

}  // namespace quantspec::eval
