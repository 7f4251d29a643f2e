#include "formats/gguf_metadata.h"

#include <cmath>
#include <variant>

#include "formats/model_limits.h"

namespace quantspec {

int64_t GgufMetadata::Needed(std::string_view key, int64_t most) const {
  const auto value = Whole(key);
  if (!value) throw Bad(key, "missing", "a whole number");
  return InRange(key, *value, most);
}

int64_t GgufMetadata::Optional(std::string_view key, int64_t otherwise, int64_t most) const {
  const auto value = Whole(key);
  return value ? InRange(key, *value, most) : otherwise;
}

double GgufMetadata::Number(std::string_view key, double otherwise) const {
  const double value = file_.Number(Key(key)).value_or(otherwise);
  if (!std::isfinite(value)) throw Bad(key, "not finite", "a finite number");
  return value;
}

double GgufMetadata::Positive(std::string_view key, double otherwise) const {
  const double value = Number(key, otherwise);
  if (!(value > 0)) throw Bad(key, std::to_string(value), "above 0");
  return value;
}

float GgufMetadata::Scale(std::string_view key, double otherwise) const {
  const double value = Number(key, otherwise);
  const bool is_none = value == 0 && otherwise != 1.0;
  if (!is_none && !IsScale(value)) throw Bad(key, std::to_string(value), kScales);
  return static_cast<float>(value);
}

bool GgufMetadata::Bool(std::string_view key, bool otherwise) const {
  return file_.Bool(Key(key)).value_or(otherwise);
}

std::optional<std::vector<bool>> GgufMetadata::Marks(std::string_view key, int layers) const {
  const GgufValue* value = file_.Find(Key(key));
  const auto* list = value == nullptr ? nullptr : std::get_if<GgufArray>(value);
  if (list == nullptr) return std::nullopt;
  if (list->integers.size() < static_cast<size_t>(layers)) {
    throw Bad(key, std::to_string(list->integers.size()) + " marks",
              "one for each of " + std::to_string(layers) + " layers");
  }
  std::vector<bool> marks;
  for (int i = 0; i < layers; ++i) marks.push_back(list->integers[static_cast<size_t>(i)] != 0);
  return marks;
}

Error GgufMetadata::Bad(std::string_view key, const std::string& found,
                        const std::string& expected) const {
  return Error(ErrorKind::kCorrupt, file_.name() + ": metadata " + Key(key) + ": found " + found +
                                        ", expected " + expected +
                                        "; the file is damaged or was converted wrongly");
}

void GgufMetadata::Refuse(std::string_view key, const std::string& what) const {
  const GgufValue* value = file_.Find(Key(key));
  if (value == nullptr) return;
  const auto* array = std::get_if<GgufArray>(value);
  if (array == nullptr && file_.Number(Key(key)).value_or(0.0) == 0.0) return;
  throw Error(ErrorKind::kUnsupported,
              file_.name() + ": metadata " + Key(key) + " is set: " + what +
                  " is not supported for this architecture; use another model");
}

// One number, or a per-layer array of equal numbers.
std::optional<int64_t> GgufMetadata::Whole(std::string_view key) const {
  const GgufValue* value = file_.Find(Key(key));
  if (value == nullptr) return std::nullopt;
  const auto* array = std::get_if<GgufArray>(value);
  if (array == nullptr) return file_.Integer(Key(key));
  for (const int64_t element : array->integers) {
    if (element == array->integers.front()) continue;
    throw Error(ErrorKind::kUnsupported, file_.name() + ": metadata " + Key(key) +
                                             " differs between layers, which is not supported");
  }
  if (array->integers.empty()) throw Bad(key, "an empty or non-integer array", "a whole number");
  return array->integers.front();
}

int64_t GgufMetadata::InRange(std::string_view key, int64_t value, int64_t most) const {
  if (value >= 1 && value <= most) return value;
  throw Bad(key, std::to_string(value), "1 to " + std::to_string(most));
}

}  // namespace quantspec
