// The checking front: every shape is looked at once, here; the Do... functions assume.
#include "kernels/backend.h"

#include "base/check.h"

namespace quantspec {
namespace {

bool IsAligned(const void* p) { return reinterpret_cast<uintptr_t>(p) % 64 == 0; }

void CheckGeometry(KvGeometry geometry) {
  QS_CHECK(geometry.kv_heads > 0);
  QS_CHECK(geometry.head_dim > 0 && geometry.head_dim <= 256 && geometry.head_dim % 16 == 0);
  QS_CHECK(geometry.head_dim % ValueGroup(geometry.head_dim) == 0);
}

template <typename T>
void CheckView(const MatrixView<T>& view, int64_t rows, int64_t columns) {
  QS_CHECK(view.rows == rows && view.columns == columns);
  QS_CHECK(rows == 0 || view.data != nullptr);
  QS_CHECK(view.stride >= columns || rows <= 1);
}

void CheckSegment(const DenseSegment& segment) {
  QS_CHECK(segment.capacity >= 0 && segment.capacity % kDenseRows == 0);
  QS_CHECK(segment.first_row >= 0 && segment.first_row % kDenseRows == 0);
  QS_CHECK(segment.rows >= 0 && segment.first_row <= segment.capacity - segment.rows);
  QS_CHECK(segment.first_position >= 0);
  QS_CHECK(IsAligned(segment.keys) && IsAligned(segment.values));
  QS_CHECK(segment.capacity == 0 || (segment.keys != nullptr && segment.values != nullptr));
}

// `lower` may be null where only the upper plane is read.
void CheckSegment(const SealedSegment& segment, Planes planes) {
  QS_CHECK(segment.capacity >= 0);
  QS_CHECK(IsAligned(segment.upper) && IsAligned(segment.lower) && IsAligned(segment.scales));
  if (segment.capacity == 0) return;
  QS_CHECK(segment.upper != nullptr && segment.scales != nullptr);
  QS_CHECK(planes == Planes::kUpper || segment.lower != nullptr);
}

// The slots themselves are device memory, which is not looked at here.
void CheckRuns(const KvView& kv) {
  QS_CHECK(kv.run_count >= 0 && kv.run_count <= kMaxRuns);
  for (int i = 0; i < kv.run_count; ++i) {
    const GroupRun& run = kv.runs[i];
    QS_CHECK(run.count >= 0 && run.count <= kv.sealed.capacity);
    if (run.count == 0) continue;
    QS_CHECK(run.slots != nullptr);
    CheckSegment(kv.sealed, run.planes);
  }
}

// A view without gaps, as WeighArgs has it.
void CheckWholeView(const KvView& kv) {
  CheckRuns(kv);
  int64_t tokens = kv.Groups() * kKvGroup;
  for (int i = 0; i < kv.run_count; ++i) {
    const GroupRun& run = kv.runs[i];
    QS_CHECK(run.count == 0 || (!run.by_head && run.planes == Planes::kBoth));
  }
  QS_CHECK(kv.dense_count >= 0 && kv.dense_count <= kMaxDenseSegments);
  for (int i = 0; i < kv.dense_count; ++i) {
    CheckSegment(kv.dense[i]);
    QS_CHECK(kv.dense[i].rows == 0 || kv.dense[i].first_position == tokens);
    tokens += kv.dense[i].rows;
  }
}

// Every query must see something, as a softmax over nothing has no value: with a window its own
// row, else what the first query, which sees least, sees.
bool SeesSomething(const AttendRows& rows, int64_t window) {
  bool sees = rows.kv.Groups() > 0;
  int64_t own = 0;  // rows of the queries themselves
  for (int i = 0; i < rows.kv.dense_count; ++i) {
    const DenseSegment& segment = rows.kv.dense[i];
    sees |= segment.rows > 0 && segment.first_position <= rows.first_position;
    const int64_t first = std::max(segment.first_position, rows.first_position);
    const int64_t end = std::min(segment.first_position + segment.rows, rows.EndPosition());
    own += std::max<int64_t>(end - first, 0);
  }
  return window == 0 ? sees : own == rows.rows;
}

void CheckSequence(const AttendRows& rows, AttendMath math, int64_t window) {
  const KvView& kv = rows.kv;
  QS_CHECK(rows.rows > 0 && (math != AttendMath::kCodes || rows.rows <= kStepRows));
  QS_CHECK(window == 0 || (kv.Groups() == 0 && rows.masses == nullptr));
  CheckRuns(kv);
  QS_CHECK(rows.masses == nullptr || kv.run_count == 0 || !kv.runs[0].by_head);
  QS_CHECK(rows.first_position >= kv.Groups() * kKvGroup);
  QS_CHECK(kv.dense_count >= 0 && kv.dense_count <= kMaxDenseSegments);
  for (int i = 0; i < kv.dense_count; ++i) CheckSegment(kv.dense[i]);
  QS_CHECK(SeesSomething(rows, window));
}

void CheckRotation(const Rotation& rotation, int64_t head_dim) {
  QS_CHECK(rotation.rotated >= 0 && rotation.rotated <= head_dim && rotation.rotated % 2 == 0);
  QS_CHECK(rotation.rotated == 0 || rotation.table != nullptr);
}

void CheckInside(int64_t first, int64_t count, int64_t limit) {
  QS_CHECK(first >= 0 && count >= 0 && first <= limit && count <= limit - first);
}

bool IsQuantized(WeightFormat format) {
  return format == WeightFormat::kHq4 || format == WeightFormat::kHq8;
}

void CheckWeight(const PackedWeight& weight) {
  const WeightSpec& spec = weight.spec;
  QS_CHECK(spec.outputs > 0 && spec.inputs > 0);
  if (IsQuantized(spec.format)) {
    QS_CHECK(spec.group == 32 || spec.group == 64 || spec.group == 128);
    QS_CHECK(spec.inputs % spec.group == 0);
  }
  QS_CHECK(weight.upper != nullptr && IsAligned(weight.upper) && IsAligned(weight.lower));
}

void CheckPackedRows(const WeightSpec& spec, int64_t first_output, int64_t rows) {
  CheckInside(first_output, rows, spec.outputs);
  QS_CHECK(first_output % kPackRows == 0);
  QS_CHECK(rows % kPackRows == 0 || first_output + rows == spec.outputs);
}

}  // namespace

void Backend::PackQuantized(const HqRows& rows, int64_t first_output,
                            const PackedWeight& weight) const {
  CheckWeight(weight);
  const WeightSpec& spec = weight.spec;
  QS_CHECK(IsQuantized(spec.format));
  QS_CHECK(rows.inputs == spec.inputs && rows.group == spec.group);
  CheckPackedRows(spec, first_output, rows.rows);
  const auto codes = static_cast<size_t>(rows.rows * rows.inputs);
  QS_CHECK(rows.upper.size() == codes && rows.scales.size() == codes / spec.group);
  if (spec.format == WeightFormat::kHq8) {
    QS_CHECK(rows.lower.size() == codes && weight.lower != nullptr);
  }
  DoPackQuantized(rows, first_output, weight);
}

void Backend::PackDense(ConstRows rows, int64_t first_output, const PackedWeight& weight) const {
  CheckWeight(weight);
  QS_CHECK(!IsQuantized(weight.spec.format));
  CheckView(rows, rows.rows, weight.spec.inputs);
  CheckPackedRows(weight.spec, first_output, rows.rows);
  DoPackDense(rows, first_output, weight);
}

void Backend::MatMul(ConstRows x, std::span<const Product> products, Activations activations) {
  CheckView(x, x.rows, x.columns);
  for (const Product& product : products) {
    QS_CHECK(product.weight != nullptr);
    CheckWeight(*product.weight);
    const WeightSpec& spec = product.weight->spec;
    QS_CHECK(spec.inputs == x.columns);
    CheckView(product.y, x.rows, spec.outputs);
    CheckPackedRows(spec, product.first_output, product.OutputCount());
    if (product.maxima.data != nullptr) {
      CheckView(product.maxima, x.rows, CeilDiv(spec.outputs, kPackRows));
    }
    if (spec.format == WeightFormat::kHq8 && product.planes == Planes::kBoth) {
      QS_CHECK(product.weight->lower != nullptr);
    }
  }
  if (x.rows > 0 && !products.empty()) DoMatMul(x, products, activations);
}

void Backend::StoreKv(ConstRows k, ConstRows v, KvGeometry geometry, const DenseSegment& segment,
                      int64_t first_row) {
  CheckGeometry(geometry);
  CheckSegment(segment);
  CheckView(k, k.rows, int64_t{geometry.kv_heads} * geometry.head_dim);
  CheckView(v, k.rows, k.columns);
  CheckInside(first_row, k.rows, segment.capacity);
  if (k.rows > 0) DoStoreKv(k, v, geometry, segment, first_row);
}

void Backend::CopyKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row, int64_t rows,
                     const DenseSegment& to, int64_t to_row) {
  CheckGeometry(geometry);
  CheckSegment(from);
  CheckSegment(to);
  CheckInside(from_row, rows, from.capacity);
  CheckInside(to_row, rows, to.capacity);
  QS_CHECK(from.keys != to.keys);
  if (rows > 0) DoCopyKv(geometry, from, from_row, rows, to, to_row);
}

void Backend::SealKv(KvGeometry geometry, const DenseSegment& from, int64_t from_row,
                     const SealedSegment& to, int64_t slot) {
  CheckGeometry(geometry);
  CheckSegment(from);
  CheckSegment(to, Planes::kBoth);
  CheckInside(from_row, kKvGroup, from.capacity);
  CheckInside(slot, 1, to.capacity);
  QS_CHECK(from_row % kDenseRows == 0);
  DoSealKv(geometry, from, from_row, to, slot);
}

void Backend::UnsealKv(KvGeometry geometry, const SealedSegment& from, int64_t slot,
                       const DenseSegment& to, int64_t to_row) {
  CheckGeometry(geometry);
  CheckSegment(from, Planes::kBoth);
  CheckSegment(to);
  CheckInside(slot, 1, from.capacity);
  CheckInside(to_row, kKvGroup, to.capacity);
  QS_CHECK(to_row % kDenseRows == 0);
  DoUnsealKv(geometry, from, slot, to, to_row);
}

void Backend::ChooseGroups(ConstRows masses, std::span<const int32_t> slots, int64_t count,
                           int32_t* chosen) {
  const auto groups = static_cast<int64_t>(slots.size());
  QS_CHECK(masses.rows > 0 && masses.columns >= 0 && masses.columns <= groups);
  if (masses.columns > 0) CheckView(masses, masses.rows, masses.columns);
  QS_CHECK(count >= 0 && count <= groups);
  if (count == 0) return;
  QS_CHECK(slots.data() != nullptr && chosen != nullptr);
  DoChooseGroups(masses, slots, count, chosen);
}

void Backend::Attend(const AttendArgs& args) {
  CheckGeometry(args.geometry);
  QS_CHECK(args.q_heads > 0 && args.q_heads % args.geometry.kv_heads == 0);
  CheckView(args.q, args.q.rows, int64_t{args.q_heads} * args.geometry.head_dim);
  CheckView(args.out, args.q.rows, args.q.columns);
  QS_CHECK(args.window >= 0 && args.softcap >= 0);
  int64_t covered = 0;
  for (const AttendRows& rows : args.sequences) {
    QS_CHECK(rows.first_row == covered);
    CheckSequence(rows, args.math, args.window);
    covered += rows.rows;
  }
  QS_CHECK(covered == args.q.rows);
  if (args.q.rows > 0) DoAttend(args);
}

void Backend::WeighRows(const WeighArgs& args) {
  CheckGeometry(args.geometry);
  QS_CHECK(args.q_heads > 0 && args.q_heads % args.geometry.kv_heads == 0);
  QS_CHECK(args.q.rows >= 1 && args.q.rows <= kWeighRows && args.first_position >= 0);
  QS_CHECK(args.softcap >= 0);
  CheckView(args.q, args.q.rows, int64_t{args.q_heads} * args.geometry.head_dim);
  CheckWholeView(args.kv);
  CheckInside(0, args.masses.columns, args.kv.Tokens());
  if (args.masses.columns == 0) return;
  CheckView(args.masses, args.q_heads, args.masses.columns);
  DoWeighRows(args);
}

void Backend::ChooseRows(ConstRows masses, int kv_heads, RowPooling pooling, int64_t count,
                         int32_t* chosen) {
  QS_CHECK(kv_heads > 0 && masses.rows > 0 && masses.rows % kv_heads == 0);
  CheckInside(0, count, masses.columns);
  if (count == 0) return;
  CheckView(masses, masses.rows, masses.columns);
  QS_CHECK(masses.columns <= INT32_MAX && chosen != nullptr);
  DoChooseRows(masses, kv_heads, pooling, count, chosen);
}

void Backend::GatherKv(KvGeometry geometry, const KvView& from, const int32_t* rows, int64_t count,
                       const DenseSegment& to, int64_t to_row) {
  CheckGeometry(geometry);
  CheckWholeView(from);
  CheckSegment(to);
  CheckInside(to_row, count, to.capacity);
  for (int i = 0; i < from.dense_count; ++i) QS_CHECK(from.dense[i].keys != to.keys);
  if (count == 0) return;
  QS_CHECK(rows != nullptr && from.Tokens() > 0);
  DoGatherKv(geometry, from, rows, count, to, to_row);
}

void Backend::LoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row, float* k,
                     float* v) const {
  CheckGeometry(geometry);
  CheckSegment(segment);
  CheckInside(row, 1, segment.capacity);
  DoLoadKv(geometry, segment, row, k, v);
}

void Backend::LoadGroup(KvGeometry geometry, const SealedSegment& segment, int head, int64_t slot,
                        const GroupCodes& out) const {
  CheckGeometry(geometry);
  CheckSegment(segment, Planes::kBoth);
  QS_CHECK(head >= 0 && head < geometry.kv_heads);
  CheckInside(slot, 1, segment.capacity);
  DoLoadGroup(geometry, segment, head, slot, out);
}

void Backend::Rotate(Rows x, int heads, const Rotation& rotation, int64_t first_position) {
  CheckView(x, x.rows, x.columns);
  QS_CHECK(heads > 0 && x.columns % heads == 0 && first_position >= 0);
  CheckRotation(rotation, x.columns / heads);
  if (x.rows > 0 && rotation.rotated > 0) DoRotate(x, heads, rotation, first_position);
}

void Backend::Copy(ConstRows from, Rows to) {
  CheckView(from, from.rows, from.columns);
  CheckView(to, from.rows, from.columns);
  if (from.rows > 0) DoCopy(from, to);
}

void Backend::RmsNorm(ConstRows x, const float* weight, float epsilon, Rows out) {
  CheckView(x, x.rows, x.columns);
  CheckView(out, x.rows, x.columns);
  QS_CHECK(weight != nullptr && x.columns > 0);
  if (x.rows > 0) DoRmsNorm(x, weight, epsilon, out);
}

void Backend::GatedActivation(ConstRows gate, ConstRows up, Rows out, Activation activation) {
  CheckView(gate, gate.rows, gate.columns);
  CheckView(up, gate.rows, gate.columns);
  CheckView(out, gate.rows, gate.columns);
  if (gate.rows > 0) DoGatedActivation(gate, up, out, activation);
}

void Backend::Scale(Rows x, float factor) {
  CheckView(x, x.rows, x.columns);
  if (x.rows > 0) DoScale(x, factor);
}

void Backend::AddScaled(ConstRows x, float factor, Rows sum) {
  CheckView(x, x.rows, x.columns);
  CheckView(sum, x.rows, x.columns);
  if (x.rows > 0) DoAddScaled(x, factor, sum);
}

void Backend::SoftCap(Rows x, float cap) {
  CheckView(x, x.rows, x.columns);
  QS_CHECK(cap > 0);
  if (x.rows > 0) DoSoftCap(x, cap);
}

}  // namespace quantspec
