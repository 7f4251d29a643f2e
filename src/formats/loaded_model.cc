#include "formats/loaded_model.h"

#include <algorithm>
#include <tuple>

#include "base/check.h"

namespace quantspec {

void TensorReader::Import(int64_t, int64_t, uint8_t*, uint8_t*, GroupScale*) const {
  QS_CHECK(false);  // codes() has none
}

void LoadedModel::SortTensors() {
  std::sort(tensors.begin(), tensors.end(), [](const SourceTensor& a, const SourceTensor& b) {
    return std::tie(a.name, a.source_name) < std::tie(b.name, b.source_name);
  });
}

const SourceTensor* LoadedModel::Find(std::string_view wanted) const {
  const auto at = std::lower_bound(
      tensors.begin(), tensors.end(), wanted,
      [](const SourceTensor& tensor, std::string_view other) { return tensor.name < other; });
  return at != tensors.end() && at->name == wanted ? &*at : nullptr;
}

}  // namespace quantspec
