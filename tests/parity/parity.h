// The fixture of the parity tests: two backends, random data, and outputs between sentinels.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "kernels/backend.h"
#include "tolerance.h"

namespace quantspec::testing {

// Normal numbers; every test names its own stream.
class Random {
 public:
  explicit Random(uint64_t stream) : stream_(stream) {}
  double Uniform() { return RandomUniform(20240901, stream_, index_++); }
  float Normal() {
    const double radius = std::sqrt(-2.0 * std::log(Uniform()));
    return static_cast<float>(radius * std::cos(6.283185307179586 * Uniform()));
  }
  std::vector<float> Normals(int64_t count, float factor = 1.0f) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& x : values) x = factor * Normal();
    return values;
  }

 private:
  uint64_t stream_;
  uint64_t index_ = 0;
};

// Rows with a gap behind each and guards around, all holding a sentinel that must survive.
class GuardedRows {
 public:
  GuardedRows(int64_t rows, int64_t columns)
      : rows_(rows),
        columns_(columns),
        values_((rows * (columns + kGap) + 2 * kGuard), kSentinel) {}

  Rows view() { return {values_.data() + kGuard, rows_, columns_, columns_ + kGap}; }
  // The rows without gaps.
  std::vector<float> Packed() {
    std::vector<float> packed;
    for (int64_t row = 0; row < rows_; ++row) {
      const float* first = view().data + row * (columns_ + kGap);
      packed.insert(packed.end(), first, first + columns_);
    }
    return packed;
  }
  void Fill(const std::vector<float>& packed) {
    for (int64_t i = 0; i < rows_ * columns_; ++i) {
      view().data[i / columns_ * (columns_ + kGap) + i % columns_] = packed[i];
    }
  }
  bool GuardsSurvive() const {
    for (int64_t i = 0; i < static_cast<int64_t>(values_.size()); ++i) {
      const int64_t at = i - kGuard;
      const bool inside =
          at >= 0 && at < rows_ * (columns_ + kGap) && at % (columns_ + kGap) < columns_;
      if (!inside && values_[i] != kSentinel) return false;
    }
    return true;
  }

 private:
  static constexpr int64_t kGap = 3;
  static constexpr int64_t kGuard = 64;
  static constexpr float kSentinel = -12345.5f;
  int64_t rows_;
  int64_t columns_;
  std::vector<float> values_;
};

inline ConstRows View(const std::vector<float>& values, int64_t columns) {
  return {values.data(), static_cast<int64_t>(values.size()) / columns, columns};
}

inline double Largest(std::span<const float> values) {
  double largest = 0.0;
  for (float x : values) largest = std::max(largest, std::abs(double{x}));
  return largest;
}

class Parity : public ::testing::TestWithParam<std::string> {
 protected:
  Parity() : cpu_(MakeCpuBackend(pool_, GetParam())), reference_(MakeReferenceBackend()) {}

  void Reserve(const ScratchLimits& limits) {
    cpu_->Reserve(limits);
    reference_->Reserve(limits);
  }
  static void ExpectMatch(const std::vector<float>& actual, const std::vector<float>& expected,
                          Tolerance tolerance, const std::string& what) {
    const Difference difference = Compare(actual, expected);
    EXPECT_TRUE(Matches(actual, expected, tolerance))
        << what << ": max " << difference.max << " (at most " << tolerance.max << "), rms "
        << difference.rms << " (at most " << tolerance.rms << "), worst at " << difference.worst;
  }

  ThreadPool pool_{2};
  std::unique_ptr<Backend> cpu_;
  std::unique_ptr<Backend> reference_;
};

inline std::vector<std::string> IsaNames() {
  return {AvailableIsas().begin(), AvailableIsas().end()};
}
inline std::string IsaName(const ::testing::TestParamInfo<std::string>& info) { return info.param; }

}  // namespace quantspec::testing
