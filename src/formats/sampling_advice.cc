#include "formats/sampling_advice.h"

#include <cmath>
#include <limits>
#include <optional>
#include <string_view>

#include "quantspec/error.h"

namespace quantspec {
namespace {

constexpr double kMostTemperature = 100, kMostPenalty = 100;
constexpr double kMostWhole = std::numeric_limits<int>::max();

// Values in their ranges; others become warnings.
class Values {
 public:
  Values(std::string where, std::vector<std::string>* warnings)
      : where_(std::move(where)), warnings_(warnings) {}

  std::optional<float> Number(std::string_view key, std::optional<double> value, double least,
                              double most) {
    if (!value) return std::nullopt;
    if (*value >= least && *value <= most) return static_cast<float>(*value);
    Warn(key, *value, "a number", least, most);
    return std::nullopt;
  }

  std::optional<int> Whole(std::string_view key, std::optional<double> value, double least) {
    if (!value) return std::nullopt;
    if (*value >= least && *value <= kMostWhole && std::floor(*value) == *value) {
      return static_cast<int>(*value);
    }
    Warn(key, *value, "a whole number", least, kMostWhole);
    return std::nullopt;
  }

 private:
  void Warn(std::string_view key, double value, const char* kind, double least, double most) {
    const auto text = [](double number) {
      return JsonTree(std::floor(number) == number && std::fabs(number) <= kMostWhole
                          ? JsonTree(static_cast<int64_t>(number))
                          : JsonTree(number))
          .dump();
    };
    warnings_->push_back(where_ + std::string(key) + ": found " + text(value) + ", expected " +
                         kind + " from " + text(least) + " to " + text(most) +
                         "; this advice on sampling is left out");
  }

  std::string where_;
  std::vector<std::string>* warnings_;
};

}  // namespace

SamplingAdvice ReadHfSampling(const JsonTree& generation, const std::string& file,
                              std::vector<std::string>* warnings) {
  Values values(file + ": ", warnings);
  const auto number = [&](std::string_view key) -> std::optional<double> {
    if (!generation.is_object() || !generation.contains(key)) return std::nullopt;
    const JsonTree& value = generation[std::string(key)];
    return value.is_number() ? std::optional<double>(value.get<double>()) : std::nullopt;
  };
  SamplingAdvice advice;
  const bool is_told = generation.is_object() && generation.contains("do_sample") &&
                       generation["do_sample"].is_boolean();
  const bool samples =
      is_told ? generation["do_sample"].get<bool>() : number("temperature").has_value();
  if (is_told && !samples) advice.temperature = 0.0f;
  if (samples) {
    advice.temperature =
        values.Number("temperature", number("temperature").value_or(1.0), 0, kMostTemperature);
    advice.top_k = values.Whole("top_k", number("top_k"), 0);
    advice.top_p = values.Number("top_p", number("top_p"), 0, 1);
    advice.min_p = values.Number("min_p", number("min_p"), 0, 1);
  }
  const auto penalty =
      values.Number("repetition_penalty", number("repetition_penalty"), 0.01, kMostPenalty);
  if (penalty && *penalty != 1.0f) {
    advice.repeat_penalty = penalty;
    advice.repeat_window = std::numeric_limits<int>::max();
  }
  return advice;
}

SamplingAdvice ReadGgufSampling(const Gguf& file, std::vector<std::string>* warnings) {
  const std::string prefix = "general.sampling.";
  Values values(file.name() + ": metadata " + prefix, warnings);
  const auto number = [&](std::string_view key) { return file.Number(prefix + std::string(key)); };
  SamplingAdvice advice;
  advice.temperature = values.Number("temp", number("temp"), 0, kMostTemperature);
  advice.top_k = values.Whole("top_k", number("top_k"), 0);
  advice.top_p = values.Number("top_p", number("top_p"), 0, 1);
  advice.min_p = values.Number("min_p", number("min_p"), 0, 1);
  advice.repeat_penalty =
      values.Number("penalty_repeat", number("penalty_repeat"), 0.01, kMostPenalty);
  advice.repeat_window = values.Whole("penalty_last_n", number("penalty_last_n"), 0);
  return advice;
}

}  // namespace quantspec
