#include "formats/tensor_names.h"

#include <algorithm>

namespace quantspec {
namespace {

constexpr std::string_view kWeight = ".weight", kBias = ".bias";
constexpr std::string_view kOurLayer = "layers.";

// Empty for a name that is not there.
std::string_view Translate(std::span<const TensorNamePair> names, std::string_view from,
                           std::string_view TensorNamePair::*source,
                           std::string_view TensorNamePair::*target) {
  for (const TensorNamePair& pair : names) {
    if (pair.*source == from) return pair.*target;
  }
  return {};
}

// Takes "3." from "3.attn_q" and gives "3"; empty if there is no such number.
std::string_view TakeLayer(std::string_view& name) {
  const size_t digits = std::min(name.find_first_not_of("0123456789"), name.size());
  const std::string_view layer = name.substr(0, digits);
  const bool has_zero_in_front = layer.size() > 1 && layer[0] == '0';
  if (layer.empty() || has_zero_in_front || digits == name.size() || name[digits] != '.') return {};
  name.remove_prefix(digits + 1);
  return layer;
}

}  // namespace

std::optional<std::string> TensorNames::ToOurs(std::string_view name) const {
  const bool is_bias = name.ends_with(kBias);
  if (!is_bias && !name.ends_with(kWeight)) return std::nullopt;
  name.remove_suffix(is_bias ? kBias.size() : kWeight.size());
  std::string ours;
  if (name.starts_with(layer)) {
    name.remove_prefix(layer.size());
    const std::string_view number = TakeLayer(name);
    const std::string_view part =
        Translate(of_layer, name, &TensorNamePair::theirs, &TensorNamePair::ours);
    if (number.empty() || part.empty()) return std::nullopt;
    ours.append(kOurLayer).append(number).append(".").append(part);
  } else {
    ours = Translate(of_model, name, &TensorNamePair::theirs, &TensorNamePair::ours);
    if (ours.empty()) return std::nullopt;
  }
  return is_bias ? ours.append(kBias) : ours;
}

std::string TensorNames::ToTheirs(std::string_view name) const {
  const bool is_bias = name.ends_with(kBias);
  if (is_bias) name.remove_suffix(kBias.size());
  std::string theirs;
  if (name.starts_with(kOurLayer)) {
    name.remove_prefix(kOurLayer.size());
    theirs.append(layer).append(TakeLayer(name)).append(".");
    theirs.append(Translate(of_layer, name, &TensorNamePair::ours, &TensorNamePair::theirs));
  } else {
    theirs = Translate(of_model, name, &TensorNamePair::ours, &TensorNamePair::theirs);
  }
  return theirs.append(is_bias ? kBias : kWeight);
}

}  // namespace quantspec
