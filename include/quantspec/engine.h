// A model, loaded and ready: the entry point of the library.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quantspec/error.h"
#include "quantspec/session.h"
#include "quantspec/text.h"
#include "quantspec/types.h"

namespace quantspec {

enum class BackendKind { kCpu, kReference };

struct EngineOptions {
  std::string model_path;  // a GGUF file; of a split model, any part
  WeightMode weights = WeightMode::kAuto;
  int group = 0;    // 32, 64 or 128: HQ8 group along a row; 0 = the default, 32
  int threads = 0;  // 0 = physical cores this process may use
  BackendKind backend = BackendKind::kCpu;
  // Last layers whose weights the draft reads as the target does, 0 to the model's layers; -1 = the
  // default: 1 for groups above 32, else 0. Speculative output is plain output for every value.
  int draft_exact_layers = -1;
  std::string chat_template;  // the text of one to use instead of the model's; empty: the model's
  std::string random_shape;   // instead of a file: random weights of this architecture (bench)
  // A folder that keeps the prompt store's chunks for later processes, made if it is not there;
  // empty: none. No request fails because of it, and answers depend on it with PromptReuse::kAll
  // alone.
  std::string prompt_store;
  uint64_t prompt_store_bytes = uint64_t{8} << 30;  // that its files take at most
};

// Called with the share done, 0 to 1. Returning false stops the work with kInterrupted / Error.
using Progress = std::function<bool(double done)>;

// What an engine has room for.
struct EngineCapacity {
  // Tokens that the caches of all its sequences hold together; 0 = as many contexts of the first
  // session as there are sequences.
  int cache_tokens = 0;
  // The most sequences that a Scheduler decodes together.
  int sequences = 1;
};

struct MemoryPlan {
  MemoryBytes bytes;        // exactly what Load and Open will take
  int context = 0;          // of each sequence
  int largest_context = 0;  // the largest one that fits into the memory available now
  uint64_t available_bytes = 0;
};

// A model file that was read and checked, without its weights in memory.
class ModelFile {
 public:
  // Throws Error: kIo, kCorrupt, kUnsupported; kUsage for options out of range.
  static std::unique_ptr<ModelFile> Open(const EngineOptions& options);
  virtual ~ModelFile() = default;

  virtual const ModelInfo& info() const = 0;
  virtual std::vector<TensorInfo> Tensors() const = 0;
  // (key, printable value) of the file's metadata, long arrays shortened.
  virtual std::vector<std::pair<std::string, std::string>> Metadata() const = 0;
  // What had to be guessed about the model, a sentence each; for the user.
  virtual const std::vector<std::string>& warnings() const = 0;
  // What its authors advise; applied by nobody unless asked for.
  virtual const SamplingAdvice& sampling_advice() const = 0;
  // EngineOptions::draft_exact_layers with the default filled in.
  virtual int draft_exact_layers() const = 0;
  // For as many sequences as the capacity says.
  virtual MemoryPlan Plan(const SessionOptions& options,
                          const EngineCapacity& capacity = {}) const = 0;
  virtual const Tokenizer& tokenizer() const = 0;
  // Null if neither the model nor the options have a template. Throws Error{kUnsupported} that
  // names the line of a template that cannot be read.
  virtual const ChatTemplate* chat() const = 0;
};

// Safe to share between threads; every session belongs to one thread at a time, and sessions on
// several threads take turns by step.
class Engine {
 public:
  // Loads and packs the weights, with the options that `file` was opened with. Throws as
  // ModelFile::Open does, and kMemory.
  static std::shared_ptr<const Engine> Load(std::shared_ptr<const ModelFile> file,
                                            const EngineCapacity& capacity = {},
                                            const Progress& progress = {});
  virtual ~Engine() = default;

  virtual const ModelFile& file() const = 0;
  virtual const EngineOptions& options() const = 0;  // of the file
  // What Open would take, and the largest context that fits beside what is loaded: threads and
  // their stacks have taken their part by now, which ModelFile::Plan cannot know.
  virtual MemoryPlan Plan(const SessionOptions& options) const = 0;
  // Takes the session's memory now; the first session also takes what all share (pool, scratch).
  // Throws Error{kMemory} if it does not fit into the memory or into what other sessions leave of
  // the engine's capacity.
  // The session keeps the engine alive.
  virtual std::unique_ptr<Session> Open(const SessionOptions& options) const = 0;
  virtual std::string_view isa() const = 0;  // "avx512", "avx2", "portable"
  virtual int threads() const = 0;
  // Any thread may ask at any time.
  virtual PromptStoreCounters prompt_store() const = 0;
};

// Version of the library, "0.1.0".
std::string_view Version();

}  // namespace quantspec
