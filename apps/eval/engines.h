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

// Tokens that the longest sequence of a cell needs room for, generated ones included.
int NeededRoom(const Cell& cell);
// The same, no more than the model has.
int RoomOf(const Cell& cell, const ModelInfo& model);

class Engines {
 public:
  // Engines are loaded with room for sequences of `largest_room` tokens, so that cells of several
  // lengths share them.
  Engines(const EngineSettings& settings, int largest_room)
      : settings_(settings), largest_room_(largest_room) {}

  // The engine whose target a method of `cell` has, with room for the cell. Throws Error as
  // Engine::Load does, cli::Cancelled after Ctrl-C.
  const Engine& Of(const Cell& cell, Target target) {
    return Get(cell.model, target == Target::kPaper ? "bf16" : cell.weights, NeededRoom(cell));
  }

  // Where memory is short: frees the engines with room for more than `room` tokens and loads them
  // with no more from now on. False if there are none.
  bool ShrinkTo(int room);

 private:
  struct Loaded {
    std::shared_ptr<const Engine> engine;
    int room = 0;
  };
  const Engine& Get(const ModelIdentity& model, const std::string& weights, int room);

  EngineSettings settings_;
  int largest_room_;
  std::map<std::pair<std::string, std::string>, Loaded> engines_;
};

// How a session of a cell is opened for a method.
SessionOptions SessionOf(const Cell& cell, const ModelInfo& model, const Method& method);

// What a program that does nothing but this method would take: weights, cache and scratch; a copy
// of the weights that the method never reads is left out.
MemoryBytes MemoryOf(const Cell& cell, const ModelFile& file, const Method& method);

// {cpu, isa, threads}.
Json MachineJson(const Engine& engine);

}  // namespace quantspec::eval
