// The checking front refuses views that no operation could read.
#include "kernels/backend.h"

#include <gtest/gtest.h>

#include <vector>

namespace quantspec {
namespace {

constexpr KvGeometry kGeometry{1, 16};
constexpr int64_t kCapacity = 64;

class BackendDeathTest : public ::testing::Test {
 protected:
  BackendDeathTest() {
    ScratchLimits limits;
    limits.rows = limits.step_rows = kWeighRows;
    limits.sequences = 1;
    limits.positions = 2 * kCapacity;
    limits.geometry = kGeometry;
    limits.q_heads = 1;
    backend_->Reserve(limits);
    memory_ = backend_->Allocate(backend_->DenseBytes(kGeometry, KvType::kF16, kCapacity));
    segment_.keys = segment_.values = memory_.data();
    segment_.capacity = kCapacity;
    segment_.rows = 32;
    args_.geometry = kGeometry;
    args_.q_heads = 1;
    args_.q = ConstRows(q_.data(), 1, kGeometry.head_dim);
    args_.first_position = kCapacity;
    args_.kv.dense[0] = segment_;
    args_.kv.dense_count = 1;
    args_.masses = Rows(masses_.data(), 1, 32);
  }

  void Store() {
    const ConstRows row(q_.data(), 1, kGeometry.head_dim);
    backend_->StoreKv(row, row, kGeometry, segment_, 0);
  }

  std::unique_ptr<Backend> backend_ = MakeReferenceBackend();
  DeviceMemory memory_;
  DenseSegment segment_;
  std::vector<float> q_ = std::vector<float>((kWeighRows + 1) * kGeometry.head_dim);
  std::vector<float> masses_ = std::vector<float>(2 * kCapacity);
  WeighArgs args_;
};

TEST_F(BackendDeathTest, SlicesStayInsideAndStartAtBlocks) {
  segment_.first_row = 32;
  Store();
  segment_.first_row = 8;
  EXPECT_DEATH(Store(), "kDenseRows");
  segment_.first_row = 48;
  EXPECT_DEATH(Store(), "first_row <= segment.capacity");
}

TEST_F(BackendDeathTest, WeighedViewsHaveNoGaps) {
  backend_->WeighRows(args_);
  args_.kv.dense[1] = segment_;
  args_.kv.dense_count = 2;
  args_.kv.dense[1].first_position = 33;
  EXPECT_DEATH(backend_->WeighRows(args_), "first_position == tokens");
  args_.kv.dense[1].first_position = 32;
  backend_->WeighRows(args_);
}

TEST_F(BackendDeathTest, WeighedRunsAreThoseOfATarget) {
  const int32_t slot = 0;
  args_.kv.dense[0].first_position = kKvGroup;
  args_.kv.sealed = {memory_.data(), memory_.data(), memory_.data(), 1};
  args_.kv.run_count = 1;
  args_.kv.runs[0] = {&slot, 1, true, Planes::kBoth};
  EXPECT_DEATH(backend_->WeighRows(args_), "by_head");
  args_.kv.runs[0] = {&slot, 1, false, Planes::kUpper};
  EXPECT_DEATH(backend_->WeighRows(args_), "by_head");
}

TEST_F(BackendDeathTest, EveryQueryOfAWindowSeesItsOwnRow) {
  AttendArgs args;
  args.geometry = kGeometry;
  args.q_heads = 1;
  args.window = 8;
  args.q = ConstRows(q_.data(), 2, kGeometry.head_dim);
  args.out = Rows(masses_.data(), 2, kGeometry.head_dim);
  AttendRows rows;
  rows.rows = 2;
  rows.first_position = 30;
  rows.kv.dense[0] = segment_;
  rows.kv.dense_count = 1;
  args.sequences = {&rows, 1};
  backend_->Attend(args);
  rows.first_position = 31;
  EXPECT_DEATH(backend_->Attend(args), "SeesSomething");
  rows.first_position = 30;
  rows.masses = masses_.data();
  EXPECT_DEATH(backend_->Attend(args), "window == 0");
}

TEST_F(BackendDeathTest, ThereAreNotMoreMassesThanTokens) {
  args_.masses = Rows(masses_.data(), 1, 33);
  EXPECT_DEATH(backend_->WeighRows(args_), "");
}

TEST_F(BackendDeathTest, AtMost32RowsWeigh) {
  args_.q = ConstRows(q_.data(), kWeighRows, kGeometry.head_dim);
  backend_->WeighRows(args_);
  args_.q = ConstRows(q_.data(), kWeighRows + 1, kGeometry.head_dim);
  EXPECT_DEATH(backend_->WeighRows(args_), "kWeighRows");
}

TEST_F(BackendDeathTest, NotMoreAreChosenThanThereAre) {
  std::vector<int32_t> chosen(40);
  const ConstRows masses(masses_.data(), 1, 32);
  backend_->ChooseRows(masses, 1, RowPooling::kNone, 32, chosen.data());
  EXPECT_DEATH(backend_->ChooseRows(masses, 1, RowPooling::kNone, 33, chosen.data()), "");
}

}  // namespace
}  // namespace quantspec
