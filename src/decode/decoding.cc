#include "decode/decoding.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"
#include "decode/token_logprobs.h"
#include "quantspec/error.h"

namespace quantspec {
namespace {

// What the controller is told of drafts that no step makes.
constexpr double kNoStepSeconds = 1e-6;

}  // namespace

void CheckGenerate(const GenerateOptions& options) {
  if (options.max_tokens < 0) {
    throw Error(ErrorKind::kUsage,
                "max tokens is " + std::to_string(options.max_tokens) + ", expected 0 or more");
  }
  if (options.gamma != kGammaAuto && (options.gamma < 0 || options.gamma > kMaxGamma)) {
    throw Error(ErrorKind::kUsage, "gamma is " + std::to_string(options.gamma) +
                                       ", expected auto or 0 to " + std::to_string(kMaxGamma));
  }
  if (options.logprobs < kNoLogprobs || options.logprobs > kMaxLogprobs) {
    throw Error(ErrorKind::kUsage, "logprobs is " + std::to_string(options.logprobs) +
                                       ", expected 0 to " + std::to_string(kMaxLogprobs));
  }
  CheckSampling(options.sampling);
}

Decoding::Decoding(int vocab, int tokens)
    : vocab_(vocab), token_count_(tokens), sampler_(vocab, tokens) {
  QS_CHECK(vocab > 0);
}

uint64_t Decoding::Bytes(int tokens) { return Sampler::Bytes(tokens); }

bool Decoding::UsesRejection() const {
  return options_.sampling.verify == VerifyRule::kRejection && !sampler_.greedy();
}

std::span<float> Decoding::Probabilities(int row) const {
  const size_t columns = static_cast<size_t>(vocab_);
  return {probabilities_.As<float>() + static_cast<size_t>(row) * columns, columns};
}

void Decoding::Start(std::vector<Token>* tokens, const GenerateOptions& options, IsEnd is_end,
                     const CostPrior& prior, DraftSource* source) {
  CheckGenerate(options);
  QS_CHECK(tokens != nullptr && !tokens->empty());
  tokens_ = tokens;
  options_ = options;
  is_end_ = std::move(is_end);
  source_ = source;
  guide_.reset();
  sampler_.Configure(options.sampling, tokens->size());
  logprobs_.clear();
  if (options.logprobs != kNoLogprobs) {
    logprobs_.reserve(static_cast<size_t>(options.logprobs + 1) * (kMaxGamma + 1));
  }
  controller_.Start(prior);
  if (UsesRejection() && probabilities_.bytes() == 0) {
    probabilities_ = Buffer(static_cast<size_t>(vocab_) * (kMaxGamma + 1) * sizeof(float));
  }
  history_ = static_cast<int>(tokens->size());
  generated_ = 0;
  finish_ = FinishReason::kLength;
  context_full_ = false;
  stats_ = {};
  stats_.gamma = options.gamma;
  is_open_ = false;
  gamma_ = drafted_ = accepted_ = reached_ = new_tokens_ = 0;
  is_lookup_ = false;
  finished_ = options.max_tokens == 0;
}

void Decoding::AcceptFirst(std::span<const float> logits) {
  if (finished_) return;
  const ConstRows row(logits.data(), 1, vocab_);
  Read(row, 0, final_length());
  const Token token = sampler_.Choose(static_cast<uint64_t>(final_length()));
  KeepLogprobs(row, 0, token);
  Append(token);
}

// A round appends gamma + 1 rows and emits at most as many tokens.
int Decoding::MostDrafts(int room) const {
  return std::min({kMaxGamma, room - 1, options_.max_tokens - generated_ - 1});
}

int Decoding::RoundGamma(int room) {
  const int most = MostDrafts(room);
  if (!is_auto()) return std::min(options_.gamma, most);
  if (!guide_) return std::min(controller_.Next(), most);
  const int wanted =
      source_ != nullptr
          ? controller_.SharedLookup(std::min(most, guide_->most_lookup), guide_->row_price, 0)
          : guide_->gamma;
  controller_.NoteShared(wanted);
  return std::min(wanted, most);
}

std::optional<WantedRows> Decoding::Next(int room) {
  if (finished_) return std::nullopt;
  const int length = final_length();
  if (!is_open_) {
    if (room == 0) {
      context_full_ = finished_ = true;
      return std::nullopt;
    }
    drafted_ = accepted_ = reached_ = new_tokens_ = 0;
    logprobs_.clear();
    is_lookup_ = LookUp(room);
    if (!is_lookup_) {
      gamma_ = RoundGamma(room);
      if (source_ != nullptr) TakeProposed(Propose(*source_, gamma_));
    }
    is_open_ = true;
  }
  const std::span<const Token> tokens = *tokens_;
  if (drafted_ < gamma_) {
    // g_1 .. g_gamma, each from the draft's logits of the token before it.
    const int position = length - 1 + drafted_;
    return WantedRows{Reader::kDraft, position, tokens.subspan(static_cast<size_t>(position), 1)};
  }
  // p_1 .. p_(gamma + 1): the target's logits after the last token and after each draft token.
  return WantedRows{
      Reader::kTarget, length - 1,
      tokens.subspan(static_cast<size_t>(length - 1), static_cast<size_t>(gamma_) + 1)};
}

bool Decoding::LookUp(int room) {
  if (source_ != nullptr || options_.gamma != kGammaAuto) return false;
  const int most = guide_ ? std::min(MostDrafts(room), guide_->most_lookup) : MostDrafts(room);
  const int proposed = most > 0 ? Propose(lookup_, most) : 0;
  int count = 0;
  if (proposed > 0) {
    count = guide_ ? controller_.SharedLookup(proposed, guide_->row_price, guide_->gamma)
                   : controller_.NextLookup(proposed);
  }
  TakeProposed(count);
  return count > 0;
}

int Decoding::Propose(DraftSource& source, int most) {
  const auto length = static_cast<size_t>(final_length());
  tokens_->resize(length + static_cast<size_t>(most));
  const std::span<Token> room(tokens_->data() + length, static_cast<size_t>(most));
  const int count = source.Propose(std::span<const Token>(*tokens_).first(length), room);
  QS_CHECK(count >= 0 && count <= most);
  return count;
}

void Decoding::TakeProposed(int count) {
  const auto length = static_cast<size_t>(final_length());
  tokens_->resize(length + static_cast<size_t>(count));
  gamma_ = drafted_ = count;
  for (int i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    // What proposes without probabilities is sure of its tokens.
    if (UsesRejection()) {
      std::ranges::fill(Probabilities(i), 0.0f);
      Probabilities(i)[static_cast<size_t>((*tokens_)[length + at])] = 1.0f;
    }
    draft_steps_s_[at] = kNoStepSeconds;
    ++stats_.drafted;
    ++stats_.drafted_by_position[at];
    ++stats_.looked_up;
  }
}

void Decoding::Accept(const LogitRows& logits, double seconds) {
  QS_CHECK(is_open_ && logits.columns == vocab_);
  if (drafted_ < gamma_) {
    AcceptDraft(logits, seconds);
  } else {
    AcceptTarget(logits, seconds);
  }
}

void Decoding::AcceptDraft(const LogitRows& logits, double seconds) {
  const int length = final_length() + drafted_;
  // The target judges what a draft makes of numbers that are not finite.
  Read(logits, 0, length, NotFinite::kAllow);
  tokens_->push_back(sampler_.Choose(static_cast<uint64_t>(length)));
  if (UsesRejection()) sampler_.Probabilities(Probabilities(drafted_));
  const auto at = static_cast<size_t>(drafted_++);
  draft_steps_s_[at] = seconds;
  stats_.draft_s += seconds;
  ++stats_.drafted;
  ++stats_.drafted_by_position[at];
}

void Decoding::AddDraftSeconds(double seconds) {
  QS_CHECK(drafted_ > 0);
  draft_steps_s_[static_cast<size_t>(drafted_ - 1)] += seconds;
  stats_.draft_s += seconds;
}

// Keeps draft tokens while they are accepted, then the target's own token: the correction of the
// first one rejected, or one more if all were accepted.
void Decoding::AcceptTarget(const LogitRows& logits, double seconds) {
  QS_CHECK(logits.rows == gamma_ + 1);
  verify_s_ = seconds;
  stats_.verify_s += seconds;
  for (int row = 0; row <= gamma_ && !finished_; ++row) {
    Verdict verdict;
    try {
      verdict = Judge(logits, row, final_length());
    } catch (const Error&) {
      // Plain decoding would hand out the tokens before this one first: the next round fails here.
      if (row == 0) throw;
      break;
    }
    reached_ += row < gamma_ ? 1 : 0;
    accepted_ += verdict.accepted ? 1 : 0;
    KeepLogprobs(logits, row, verdict.token);
    Append(verdict.token);
    if (!verdict.accepted) break;
  }
  tokens_->resize(static_cast<size_t>(final_length()));
}

void Decoding::Read(const LogitRows& logits, int64_t row, int length, NotFinite not_finite) {
  sampler_.Read({logits.Row(row), static_cast<size_t>(vocab_)},
                std::span<const Token>(*tokens_).first(static_cast<size_t>(length)),
                logits.MaximaOf(row), not_finite);
}

// VERIFY and CORRECT for the token at position `length`, drafted if row < gamma. The tokens before
// it are final, so draft and target saw the same ones.
Verdict Decoding::Judge(const LogitRows& logits, int row, int length) {
  const bool drafted = row < gamma_;
  const Token draft = drafted ? (*tokens_)[static_cast<size_t>(length)] : 0;
  Read(logits, row, length);
  if (drafted && UsesRejection()) {
    sampler_.Probabilities(Probabilities(kMaxGamma));
    return AcceptOrResample(draft, Probabilities(kMaxGamma), Probabilities(row),
                            options_.sampling.seed, static_cast<uint64_t>(length));
  }
  const Token token = sampler_.Choose(static_cast<uint64_t>(length));
  return {token, drafted && token == draft};
}

void Decoding::KeepLogprobs(const LogitRows& logits, int row, Token chosen) {
  if (options_.logprobs == kNoLogprobs) return;
  AppendLogprobs({logits.Row(row), static_cast<size_t>(token_count_)}, chosen, options_.logprobs,
                 &logprobs_);
  logprob_ends_[static_cast<size_t>(new_tokens_)] = logprobs_.size();
}

void Decoding::Append(Token token) {
  const auto at = static_cast<size_t>(final_length());
  if (at < tokens_->size()) {
    (*tokens_)[at] = token;
  } else {
    tokens_->push_back(token);
  }
  ++generated_;
  ++new_tokens_;
  if (!options_.ignore_end && is_end_ && is_end_(token)) {
    finished_ = true;
    finish_ = FinishReason::kStop;
  } else if (generated_ == options_.max_tokens) {
    finished_ = true;
  }
}

std::span<const Token> Decoding::NewTokens() const {
  return std::span<const Token>(*tokens_)
      .first(static_cast<size_t>(final_length()))
      .last(static_cast<size_t>(new_tokens_));
}

std::span<const TokenLogprob> Decoding::NewLogprobs(int index) const {
  if (options_.logprobs == kNoLogprobs) return {};
  const size_t end = logprob_ends_[static_cast<size_t>(index)];
  const size_t begin = index == 0 ? 0 : logprob_ends_[static_cast<size_t>(index) - 1];
  return std::span<const TokenLogprob>(logprobs_).subspan(begin, end - begin);
}

void Decoding::CutNewTokens(int count) {
  QS_CHECK(count >= 1 && count <= new_tokens_);
  const bool ended = finished_ && count == new_tokens_ && finish_ == FinishReason::kStop;
  generated_ -= new_tokens_ - count;
  new_tokens_ = count;
  accepted_ = std::min(accepted_, count);
  reached_ = std::min(reached_, count);
  tokens_->resize(static_cast<size_t>(final_length()));
  finished_ = true;
  if (!ended) finish_ = FinishReason::kInterrupted;
}

void Decoding::EndRound(double commit_s) {
  if (!is_open_) return;  // of the first token
  is_open_ = false;
  ++stats_.rounds;
  stats_.seal_s += commit_s;
  stats_.accepted += accepted_;
  for (int i = 0; i < reached_; ++i) ++stats_.reached_by_position[static_cast<size_t>(i)];
  for (int i = 0; i < accepted_; ++i) ++stats_.accepted_by_position[static_cast<size_t>(i)];
  if (is_auto() && guide_) {
    controller_.ObserveShared(gamma_, accepted_, round_is_lookup());
    guide_.reset();
  } else if (is_lookup_) {
    controller_.ObserveLookup(gamma_, verify_s_, accepted_);
  } else if (options_.gamma == kGammaAuto) {
    controller_.Observe(std::span(draft_steps_s_).first(static_cast<size_t>(gamma_)), verify_s_,
                        accepted_);
  }
}

void Decoding::Abort() {
  if (is_open_) generated_ -= new_tokens_;
  new_tokens_ = 0;
  is_open_ = false;
  finished_ = true;
  if (tokens_ != nullptr) tokens_->resize(static_cast<size_t>(final_length()));
}

GenerateResult Decoding::Result() const {
  GenerateResult result;
  const auto first = tokens_->begin() + history_;
  result.tokens.assign(first, first + generated_);
  result.finish = finish_;
  result.context_full = context_full_;
  result.stats = stats_;
  result.stats.generated_tokens = generated_;
  if (options_.gamma == kGammaAuto) result.stats.gamma_changes = controller_.Changes();
  return result;
}

}  // namespace quantspec
