#include "bench/base_logits.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>

#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr char kMagic[8] = {'_', 'l', 'o', 'g', 'i', 't', 's', '_'};
constexpr int kMostTokens = 1 << 28;  // of a window, a vocabulary, a file's windows
constexpr float kLogitRange = 16;
constexpr uint64_t kHeadBytes = 8 + 3 * sizeof(int32_t);

uint64_t CodesOf(int vocab) { return 2 * ((static_cast<uint64_t>(vocab) + 1) / 2); }
uint64_t RowBytes(int vocab) { return 2 * sizeof(float) + CodesOf(vocab) * sizeof(uint16_t); }

uint64_t FileBytes(const BaseLogitsHeader& header) {
  const auto windows = static_cast<uint64_t>(header.windows);
  return kHeadBytes + windows * static_cast<uint64_t>(header.window) * sizeof(Token) +
         windows * static_cast<uint64_t>(header.rows()) * RowBytes(header.vocab);
}

}  // namespace

void EncodeBaseRow(std::span<const float> logits, BaseRow& row) {
  const auto [smallest, largest] = std::minmax_element(logits.begin(), logits.end());
  const float high = *largest;
  const float low = std::max(*smallest, high - kLogitRange);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - high);
  const float log_sum = static_cast<float>(std::log(sum));
  row.lowest = low - high - log_sum;
  row.scale = (high - low) / 65535.0f;
  row.codes.assign(logits.size(), 0);
  if (row.scale == 0) return;
  const float inverse = 1 / row.scale;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (logits[i] <= low) continue;
    const long code = std::lrintf(inverse * (logits[i] - low));
    row.codes[i] = static_cast<uint16_t>(std::min(code, 65535L));
  }
}

BaseLogitsReader::BaseLogitsReader(const std::string& path)
    : path_(path), file_(path, std::ios::binary) {
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (!file_ || error) {
    throw Error(ErrorKind::kIo, path + ": cannot be opened; expected a base-logits file, as " +
                                    "llama-perplexity --save-all-logits or quantspec quality "
                                    "--save-base write it");
  }
  char magic[sizeof(kMagic)] = {};
  int32_t head[3] = {};
  if (size >= kHeadBytes) {
    Read(magic, sizeof(magic));
    Read(head, sizeof(head));
  }
  if (std::memcmp(magic, kMagic, sizeof(kMagic)) != 0) {
    throw Error(ErrorKind::kCorrupt, path +
                                         ": is no base-logits file: expected it to begin with "
                                         "'_logits_' and three numbers");
  }
  const auto check = [&](int32_t value, int low, const char* name) {
    if (value >= low && value <= kMostTokens) return;
    throw Error(ErrorKind::kCorrupt, path + ": " + name + " is " + std::to_string(value) +
                                         ", expected " + std::to_string(low) + " to " +
                                         std::to_string(kMostTokens));
  };
  check(head[0], 3, "the window's length");
  check(head[1], 1, "the size of the vocabulary");
  check(head[2], 1, "the number of windows");
  header_.window = head[0];
  header_.vocab = head[1];
  header_.windows = head[2];
  CheckSize(size);
  header_.tokens.resize(static_cast<size_t>(header_.window) * static_cast<size_t>(header_.windows));
  Read(header_.tokens.data(), header_.tokens.size() * sizeof(Token));
  for (const Token token : header_.tokens) {
    if (token >= 0 && token < header_.vocab) continue;
    throw Error(ErrorKind::kCorrupt, path + ": token " + std::to_string(token) +
                                         " is outside its vocabulary of " +
                                         std::to_string(header_.vocab));
  }
}

void BaseLogitsReader::CheckSize(uint64_t found) const {
  // Bounded by 2^28 * 2^28 / 2 rows, so only the product with a row's bytes can overflow.
  const double expected =
      static_cast<double>(header_.windows) *
      (4.0 * header_.window + header_.rows() * static_cast<double>(RowBytes(header_.vocab)));
  if (expected < 9e18 && FileBytes(header_) == found) return;
  throw Error(ErrorKind::kCorrupt,
              path_ + ": has " + std::to_string(found) + " bytes, but " +
                  std::to_string(header_.windows) + " windows of " +
                  std::to_string(header_.window) + " tokens over a vocabulary of " +
                  std::to_string(header_.vocab) + " take " +
                  (expected < 9e18 ? std::to_string(FileBytes(header_)) : "far more") +
                  "; was it cut off while it was written?");
}

void BaseLogitsReader::Read(void* bytes, uint64_t size) {
  file_.read(static_cast<char*>(bytes), static_cast<std::streamsize>(size));
  if (file_) return;
  throw Error(ErrorKind::kIo, path_ + ": cannot be read");
}

void BaseLogitsReader::Next(BaseRow& row) {
  const auto bad = [&](const std::string& what) {
    throw Error(ErrorKind::kCorrupt, path_ + ": row " + std::to_string(row_) + ": " + what);
  };
  if (row_ >= int64_t{header_.windows} * header_.rows()) bad("there are no more rows");
  Read(&row.scale, sizeof(row.scale));
  Read(&row.lowest, sizeof(row.lowest));
  row.codes.resize(CodesOf(header_.vocab));
  Read(row.codes.data(), row.codes.size() * sizeof(uint16_t));
  row.codes.resize(static_cast<size_t>(header_.vocab));
  if (!std::isfinite(row.scale) || row.scale < 0 || !std::isfinite(row.lowest)) {
    bad("its scale is " + std::to_string(row.scale) + " and its lowest log-probability " +
        std::to_string(row.lowest) + ", expected finite numbers and no negative scale");
  }
  ++row_;
}

BaseLogitsWriter::BaseLogitsWriter(const std::string& path, const BaseLogitsHeader& header)
    : path_(path),
      file_(path + ".partial", std::ios::binary | std::ios::trunc),
      vocab_(header.vocab),
      rows_left_(int64_t{header.windows} * header.rows()) {
  const int32_t head[3] = {header.window, header.vocab, header.windows};
  Write(kMagic, sizeof(kMagic));
  Write(head, sizeof(head));
  Write(header.tokens.data(), header.tokens.size() * sizeof(Token));
}

BaseLogitsWriter::~BaseLogitsWriter() {
  if (is_finished_) return;
  file_.close();
  std::remove((path_ + ".partial").c_str());
}

void BaseLogitsWriter::Add(std::span<const float> logits) {
  if (rows_left_-- == 0 || logits.size() != static_cast<size_t>(vocab_)) {
    throw Error(ErrorKind::kUsage, path_ + ": a row more than was announced, or of another size");
  }
  EncodeBaseRow(logits, row_);
  row_.codes.resize(CodesOf(vocab_), 0);
  Write(&row_.scale, sizeof(row_.scale));
  Write(&row_.lowest, sizeof(row_.lowest));
  Write(row_.codes.data(), row_.codes.size() * sizeof(uint16_t));
}

void BaseLogitsWriter::Finish() {
  if (rows_left_ != 0) {
    throw Error(ErrorKind::kUsage, path_ + ": " + std::to_string(rows_left_) + " rows are missing");
  }
  file_.close();
  std::error_code error;
  if (file_) std::filesystem::rename(path_ + ".partial", path_, error);
  if (!file_ || error) throw Error(ErrorKind::kIo, path_ + ": cannot be written");
  is_finished_ = true;
}

void BaseLogitsWriter::Write(const void* bytes, uint64_t size) {
  file_.write(static_cast<const char*>(bytes), static_cast<std::streamsize>(size));
  if (!file_) {
    throw Error(ErrorKind::kIo, path_ +
                                    ".partial: cannot be written; is the folder there, and the "
                                    "disk not full?");
  }
}

void BaseScores::Add(const BaseRow& base, std::span<const float> logits, Token next) {
  const Distribution row(logits);
  double kld = 0;
  size_t likeliest = 0;
  for (size_t token = 0; token < logits.size(); ++token) {
    const double log_p = base.LogProbability(token);
    if (base.codes[token] > base.codes[likeliest]) likeliest = token;
    // Where llama.cpp stops counting: below it stands what was clipped.
    if (log_p > -kLogitRange) kld += std::exp(log_p) * (log_p - row.LogProbability(token));
  }
  const auto at = static_cast<size_t>(next);
  const double base_nll = -base.LogProbability(at);
  const double nll = -row.LogProbability(at);
  base_nll_.Add(base_nll);
  nll_.Add(nll);
  log_ratio_.Add(nll - base_nll);
  kld_.Add(kld);
  kld_values_.push_back(static_cast<float>(kld));
  top1_.Add(row.likeliest() == likeliest ? 1 : 0);
}

double BaseScores::base_perplexity() const { return std::exp(base_nll_.mean_error().mean); }
double BaseScores::perplexity() const { return std::exp(nll_.mean_error().mean); }

double BaseScores::kld_quantile(double share) const {
  std::vector<double> values(kld_values_.begin(), kld_values_.end());
  std::sort(values.begin(), values.end());
  return Quantile(values, share);
}

}  // namespace quantspec
