// Which sealed groups of a layer a draft reads: of each KV head those that weighed most when the
// target attended last. Tokens that follow each other need much the same part of a long context,
// and the softmax says which. A draft may choose so, because the target, which reads everything,
// judges what it proposes. [quest, triforce]
#pragma once

#include <cstddef>
#include <cstdint>

namespace quantspec {

// Groups that a draft reads of `groups`, with KvCacheSpec::draft_context.
int64_t DraftGroups(int draft_context, int64_t groups);

class GroupChoice {
 public:
  // Bytes for segments of `capacity` groups; a multiple of 64.
  static size_t Bytes(int kv_heads, int64_t capacity);
  GroupChoice() = default;
  // Takes the next Bytes(...) of `memory`.
  GroupChoice(std::byte*& memory, int kv_heads, int64_t capacity);

  // For KvView::group_weights of a step that reads `groups` groups. Null now and then, which leaves
  // the older weights, while nobody chooses by them: plain decoding shall not pay for drafts.
  float* Weights(int64_t groups);
  // For KvView::chosen: the `count` heaviest of `groups` groups of every head, [kv_heads][count].
  // Groups sealed since the weights were left are the newest and count as heaviest. Null, which
  // reads all, if none were left. Valid until the next call of a member.
  const int32_t* Choose(int64_t groups, int64_t count);
  void Forget();

 private:
  void ChooseOfHead(int head, int64_t groups, int64_t count);

  int kv_heads_ = 0;
  int64_t capacity_ = 0;
  float* weights_ = nullptr;    // [kv_heads][weighed]
  int32_t* chosen_ = nullptr;   // [kv_heads][count]; memory for [kv_heads][capacity]
  int64_t weighed_ = 0;         // groups that weights were left for, ...
  int steps_since_ = 0;         // ... so many steps ago, ...
  bool is_used_ = false;        // ... and whether drafts chose by them
  int64_t chosen_groups_ = -1;  // what the choice at hand is of; -1: there is none
  int64_t chosen_count_ = 0;
};

}  // namespace quantspec
