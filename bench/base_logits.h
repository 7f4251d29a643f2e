// llama.cpp's base-logits files, as its perplexity tool writes and reads them: what one model gave
// for a text, so that another can be compared with it.
//
//   "_logits_", int32 window, vocab, windows; int32 tokens [windows, window]; then for each window
//   its rows ScoredFrom(window) .. window - 2: float scale, float lowest, uint16 codes [vocab], one
//   code of padding if the vocabulary is odd. log p(token) = scale * code + lowest.
#pragma once

#include <cstdint>
#include <fstream>
#include <span>
#include <string>
#include <vector>

#include "bench/scores.h"
#include "quantspec/types.h"

namespace quantspec {

struct BaseLogitsHeader {
  int window = 0;             // tokens, at least 3
  int vocab = 0;              // tokens of the vocabulary
  int windows = 0;            // at least 1
  std::vector<Token> tokens;  // [windows, window]

  // Rows of a window that are in the file.
  int rows() const { return window - 1 - ScoredFrom(window); }
  // The first of them: the second half of a window is scored.
  static int ScoredFrom(int window) { return window / 2; }
};

struct BaseRow {
  float scale = 0;
  float lowest = 0;  // of the log-probabilities, nats
  std::vector<uint16_t> codes;

  float LogProbability(size_t token) const {
    return scale * static_cast<float>(codes[token]) + lowest;
  }
};

// Quantises as llama.cpp does: logits more than 16 below the largest are raised to that.
void EncodeBaseRow(std::span<const float> logits, BaseRow& row);

// Reads a file row by row. Throws Error: kIo, and kCorrupt for what contradicts the format.
class BaseLogitsReader {
 public:
  explicit BaseLogitsReader(const std::string& path);
  const BaseLogitsHeader& header() const { return header_; }
  // The next row; as many as header().windows * header().rows().
  void Next(BaseRow& row);

 private:
  void Read(void* bytes, uint64_t size);
  void CheckSize(uint64_t found) const;

  std::string path_;
  std::ifstream file_;
  BaseLogitsHeader header_;
  int64_t row_ = 0;
};

// Writes a file row by row; it gets its name in Finish, and nothing stays without that. Throws
// Error{kIo}.
class BaseLogitsWriter {
 public:
  BaseLogitsWriter(const std::string& path, const BaseLogitsHeader& header);
  ~BaseLogitsWriter();
  BaseLogitsWriter(const BaseLogitsWriter&) = delete;
  BaseLogitsWriter& operator=(const BaseLogitsWriter&) = delete;

  void Add(std::span<const float> logits);
  // All rows are written.
  void Finish();

 private:
  void Write(const void* bytes, uint64_t size);

  std::string path_;
  std::ofstream file_;
  int vocab_;
  int64_t rows_left_;
  BaseRow row_;
  bool is_finished_ = false;
};

// What llama.cpp says of a model against a base file. Values after +- are standard errors.
class BaseScores {
 public:
  // Scores a row of logits, followed by `next` in the text, against the base's.
  void Add(const BaseRow& base, std::span<const float> logits, Token next);

  int64_t rows() const { return static_cast<int64_t>(kld_values_.size()); }
  double base_perplexity() const;
  double perplexity() const;
  MeanError kld() const { return kld_.mean_error(); }    // KL(base || model), nats
  double kld_quantile(double share) const;               // 0 to 1
  MeanError top1() const { return top1_.mean_error(); }  // share with the same likeliest token
  // ln(perplexity / base perplexity).
  MeanError log_ratio() const { return log_ratio_.mean_error(); }

 private:
  MeanSum base_nll_, nll_, kld_, top1_, log_ratio_;
  std::vector<float> kld_values_;
};

}  // namespace quantspec
