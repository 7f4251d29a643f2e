#include <new>

#include "base/buffer.h"
#include "engine/engine_impl.h"
#include "engine/fingerprint.h"
#include "engine/memory_plan.h"
#include "engine/out_of_memory.h"
#include "engine/session.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

// Throws Error{kMemory} if other sessions leave too little of the pool.
void CheckReservation(EngineCore& core, const KvCacheSpec& spec) {
  if (spec.kind == CacheKind::kFull) return;
  const Turn turn(core.turns());
  const GroupPool& pool = *core.Pool().pool;
  const int left = pool.unreserved();
  if (SlotsOf(spec) <= left) return;
  throw Error(ErrorKind::kMemory,
              "a context of " + std::to_string(spec.context) +
                  " tokens does not fit beside the other sessions of this engine, which leave " +
                  std::to_string(left * kKvGroup) +
                  "; use a smaller context or a larger --cache-tokens");
}

// Throws Error{kUsage} if a sequence of `context` tokens needs other factors of RoPE than those
// that the engine's sequences share.
void CheckRope(const ModelConfig& config, const CoreLimits& limits, int context) {
  const bool is_long = config.ReadsLongRope(context);
  if (is_long == config.ReadsLongRope(limits.context)) return;
  throw Error(
      ErrorKind::kUsage,
      "context: found " + std::to_string(context) +
          " tokens, where this engine's first "
          "context, of " +
          std::to_string(limits.context) + ", chose RoPE's " +
          (is_long ? "factors for short contexts" : "factors for long contexts") +
          "; use a context on the same side of the model's original one, or another engine");
}

}  // namespace

EngineImpl::EngineImpl(std::shared_ptr<const ModelFileImpl> file, const EngineCapacity& capacity,
                       const Progress& progress)
    : file_(std::move(file)), capacity_(capacity), threads_(ThreadsOf(options())) {
  const std::unique_ptr<Backend> backend = MakeBackend(options().backend, threads_);
  isa_ = backend->isa();
  model_ =
      std::make_unique<Model>(file_->source(), MakeWeightOptions(options(), file_->info().layers),
                              *backend, threads_, progress);
}

CoreBytes EngineImpl::CoreBytesOf(CacheKind cache) const {
  return BytesOfCore(file_->config(), core_->limits(), cache, core_->backend(),
                     file_->HasDiskStore());
}

uint64_t EngineImpl::BytesBeside(const SessionOptions& session) const {
  const int context = file_->ContextOf(session);
  const SequenceSpec sequence = SequenceOf(session);
  const Backend& backend = core_ != nullptr ? core_->backend() : file_->sizing();
  const uint64_t own = BytesOfSequence(file_->config(), sequence, backend) +
                       WindowRings::Bytes(sequence.cache, backend);
  const CoreLimits limits = core_ != nullptr ? core_->limits() : LimitsOf(capacity_, context);
  const CoreBytes core =
      BytesOfCore(file_->config(), limits, session.cache, backend, file_->HasDiskStore());
  if (core_ == nullptr) return core.pool + core.chunk_rows + core.scratch + own;
  if (core_->has_pool() || session.cache == CacheKind::kFull) return own;
  return core.pool + core.chunk_rows + own;
}

MemoryPlan EngineImpl::Plan(const SessionOptions& session) const {
  const std::lock_guard<std::mutex> guard(mutex_);
  EngineCapacity capacity = capacity_;
  uint64_t held = 0;  // of what such a session takes
  if (core_ != nullptr) {
    capacity.cache_tokens = core_->limits().tokens;
    const CoreBytes bytes = CoreBytesOf(session.cache);
    held = bytes.scratch + (core_->has_pool() ? bytes.pool + bytes.chunk_rows : 0);
  }
  MemoryPlan plan;
  plan.context = file_->ContextOf(session);
  plan.bytes = file_->BytesFor(plan.context, session, capacity);
  plan.available_bytes = AvailableMemoryBytes();
  plan.largest_context = file_->LargestContext(session, capacity, plan.available_bytes + held);
  return plan;
}

std::string EngineImpl::AdviseContext(const SessionOptions& session) const {
  const MemoryPlan plan = Plan(session);
  const std::string text = "a context of " + std::to_string(plan.context) + " tokens needs " +
                           std::to_string(plan.bytes.total() - plan.bytes.weights) +
                           " bytes beside the weights, but only " +
                           std::to_string(plan.available_bytes) + " are available; ";
  if (plan.largest_context == 0) {
    return text + "not even one token fits; use fewer threads or raise the limits of this process";
  }
  if (plan.largest_context >= plan.context) return text + "use a smaller context";
  return text + "the largest context that fits is " + std::to_string(plan.largest_context) +
         " tokens";
}

EngineCore& EngineImpl::Core(const SessionOptions& session) const {
  const auto make = [&]() -> EngineCore* {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (BytesBeside(session) > AvailableMemoryBytes()) throw std::bad_alloc();
    const int context = file_->ContextOf(session);
    if (core_ == nullptr) {
      core_ = std::make_unique<EngineCore>(*model_, MakeBackend(options().backend, threads_),
                                           LimitsOf(capacity_, context), Disk(context));
    }
    CheckRope(file_->config(), core_->limits(), context);
    if (session.cache == CacheKind::kHierarchical && !core_->has_pool()) {
      const Turn turn(core_->turns());
      core_->Pool();
    }
    return core_.get();
  };
  return *OrOutOfMemory(make, [&] { return AdviseContext(session); });
}

DiskStoreSpec EngineImpl::Disk(int context) const {
  DiskStoreSpec disk;
  if (!file_->HasDiskStore()) return disk;
  disk.folder = options().prompt_store;
  disk.bytes = options().prompt_store_bytes;
  disk.fingerprint = FingerprintOf(file_->source(), options(), isa_, context);
  return disk;
}

PromptStoreCounters EngineImpl::prompt_store() const {
  PromptStore* store = nullptr;
  {
    const std::lock_guard<std::mutex> guard(mutex_);
    if (core_ != nullptr) store = core_->store();
  }
  PromptStoreCounters counters;
  if (!options().prompt_store.empty() && !file_->HasDiskStore()) {
    counters.warning = "prompts of models with sliding windows are kept in memory alone";
  }
  if (store == nullptr) return counters;
  if (store->disk() != nullptr) counters = store->disk()->counters();
  counters.chunks = store->chunks();
  return counters;
}

SequenceSpec EngineImpl::SequenceOf(const SessionOptions& session) const {
  return MakeSequenceSpec(file_->config(), options().weights, session, file_->ContextOf(session));
}

IsEnd EngineImpl::IsEndToken() const {
  // With random weights nothing ends a text.
  if (!options().random_shape.empty()) return {};
  return [tokenizer = &file_->tokenizer()](Token token) { return tokenizer->IsEnd(token); };
}

std::unique_ptr<Session> EngineImpl::Open(const SessionOptions& session) const {
  const int context = file_->ContextOf(session);
  SessionParts parts;
  parts.engine = shared_from_this();
  parts.sequence = SequenceOf(session);
  parts.weights = options().weights;
  parts.core = &Core(session);
  parts.tokens = tokens();
  parts.is_end = IsEndToken();
  const CoreLimits& limits = parts.core->limits();
  if (context > limits.tokens) {
    throw Error(ErrorKind::kMemory, "a context of " + std::to_string(context) +
                                        " tokens is larger than the engine's cache of " +
                                        std::to_string(limits.tokens) +
                                        "; use a smaller context or a larger --cache-tokens");
  }
  const Backend& backend = parts.core->backend();
  const CoreBytes core = CoreBytesOf(session.cache);
  parts.bytes.weights = model_->bytes();
  parts.bytes.pool = core.pool;
  parts.bytes.scratch = core.scratch;
  parts.bytes.tail = BytesOfSequence(file_->config(), parts.sequence, backend);
  parts.bytes.windows = WindowRings::Bytes(parts.sequence.cache, backend) + core.chunk_rows;
  CheckReservation(*parts.core, parts.sequence.cache);
  return OrOutOfMemory([&] { return MakeSession(parts); }, [&] { return AdviseContext(session); });
}

std::shared_ptr<const Engine> Engine::Load(std::shared_ptr<const ModelFile> file,
                                           const EngineCapacity& capacity,
                                           const Progress& progress) {
  auto implementation = std::dynamic_pointer_cast<const ModelFileImpl>(std::move(file));
  QS_CHECK(implementation != nullptr);
  LimitsOf(capacity, 1);  // checks
  const auto advise = [&] {
    return implementation->source().name + ": the weights need " +
           std::to_string(implementation->BytesForWeights()) + " bytes, but only " +
           std::to_string(AvailableMemoryBytes()) +
           " are available; use a smaller model, fewer threads, or raise the limits of this "
           "process";
  };
  if (implementation->BytesForWeights() > AvailableMemoryBytes()) {
    throw Error(ErrorKind::kMemory, advise());
  }
  return OrOutOfMemory(
      [&] { return std::make_shared<EngineImpl>(implementation, capacity, progress); }, advise);
}

std::string_view Version() { return QS_VERSION; }

}  // namespace quantspec
