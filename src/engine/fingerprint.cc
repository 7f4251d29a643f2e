#include "engine/fingerprint.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/checksum.h"
#include "engine/model_file.h"

namespace quantspec {
namespace {

constexpr size_t kPiece = size_t{1} << 20;

Checksum ChecksumOfFile(const InputFile& file, std::vector<std::byte>& piece) {
  ChecksumStream stream;
  for (uint64_t at = 0; at < file.size(); at += piece.size()) {
    const auto count = static_cast<size_t>(std::min<uint64_t>(piece.size(), file.size() - at));
    file.Read(at, std::span(piece).first(count));
    stream.Add(std::span(piece).first(count));
  }
  return stream.value();
}

}  // namespace

Sha256Hash FingerprintOf(const LoadedModel& model, const EngineOptions& options,
                         std::string_view isa, int context) {
  Sha256 hash;
  // Lengths stand before texts, so that no two lists are the same bytes.
  const auto add = [&](std::string_view text) {
    hash.Add(std::to_string(text.size()) + ":");
    hash.Add(text);
  };
  add("quantspec arithmetic " + std::to_string(kArithmeticVersion));
  add(isa);
  add(std::to_string(static_cast<int>(options.weights)));
  add(std::to_string(MakeWeightOptions(options, model.config.info.layers).group));
  add(options.random_shape);
  add(model.config.ReadsLongRope(context) ? "long RoPE" : "");
  for (const auto& [key, value] : model.metadata) {
    add(key);
    add(value);
  }
  std::vector<std::byte> piece(kPiece);
  for (const auto& file : model.files) {
    add(std::to_string(file->size()));
    const Checksum checksum = ChecksumOfFile(*file, piece);
    hash.Add(std::as_bytes(std::span(checksum)));
  }
  return hash.Finish();
}

}  // namespace quantspec
