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
  QS_CHECK(segment.rows >= 0 && segment.rows <= segment.capacity);
  QS_CHECK(segment.first_position >= 0);
  QS_CHECK(IsAligned(segment.keys) && IsAligned(segment.values));
  QS_CHECK(segment.capacity == 0 || (segment.keys != nullptr && segment.values != nullptr));
}

// `lower` may be null where only the upper plane is read.
void CheckSegment(const SealedSegment& segment, Planes planes) {
  QS_CHECK(segment.groups >= 0 && segment.groups <= segment.capacity);
  QS_CHECK(IsAligned(segment.upper) && IsAligned(segment.lower) && IsAligned(segment.scales));
  if (segment.capacity == 0) return;
  QS_CHECK(segment.upper != nullptr && segment.scales != nullptr);
  QS_CHECK(planes == Planes::kUpper || segment.lower != nullptr);
}

void CheckChosen(const KvView& kv) {
  if (kv.chosen == nullptr) return;
  QS_CHECK(kv.chosen_groups >= 0);
  const int32_t* group = kv.chosen;
  for (int head = 0; head < kv.geometry.kv_heads; ++head) {
    for (int64_t i = 0; i < kv.chosen_groups; ++i, ++group) {
      QS_CHECK(*group >= 0 && *group < kv.sealed.groups && (i == 0 || group[-1] < *group));
    }
  }
}

// Own keys and values come together, and the view has a row for each.
void CheckOwnRows(const AttendArgs& args) {
  if (args.k.rows == 0 && args.v.rows == 0) return;
  const int64_t columns = int64_t{args.kv.geometry.kv_heads} * args.kv.geometry.head_dim;
  CheckView(args.k, args.q.rows, columns);
  CheckView(args.v, args.q.rows, columns);
  int64_t found = 0;
  for (int i = 0; i < args.kv.dense_count; ++i) {
    const RowRange own = OwnRows(args, args.kv.dense[i]);
    found += own.last - own.first;
  }
  QS_CHECK(found == args.q.rows);
}

void CheckRotation(const Rotation& rotation, int head_dim) {
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

void Backend::MatMul(ConstRows x, std::span<const Product> products, Inputs inputs) {
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
  if (x.rows > 0 && !products.empty()) DoMatMul(x, products, inputs);
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
                     const SealedSegment& to, int64_t first_group, int64_t groups) {
  CheckGeometry(geometry);
  CheckSegment(from);
  CheckSegment(to, Planes::kBoth);
  CheckInside(first_group, groups, to.capacity);
  CheckInside(from_row, groups * kKvGroup, from.capacity);
  if (groups > 0) DoSealKv(geometry, from, from_row, to, first_group, groups);
}

void Backend::Attend(const AttendArgs& args) {
  const KvGeometry geometry = args.kv.geometry;
  CheckGeometry(geometry);
  QS_CHECK(args.q_heads > 0 && args.q_heads % geometry.kv_heads == 0);
  CheckView(args.q, args.q.rows, int64_t{args.q_heads} * geometry.head_dim);
  CheckView(args.out, args.q.rows, args.q.columns);
  QS_CHECK(args.kv.dense_count >= 0 && args.kv.dense_count <= kMaxDenseSegments);
  QS_CHECK(args.first_position >= 0);
  CheckSegment(args.kv.sealed, args.kv.planes);
  CheckChosen(args.kv);
  QS_CHECK(args.kv.group_weights == nullptr ||
           (args.kv.chosen == nullptr && args.q.rows <= kStepTokens));
  // The first query, which sees least, must see something: a softmax over nothing has no value.
  QS_CHECK(args.first_position >= args.kv.sealed.groups * kKvGroup);
  bool sees = args.kv.ReadGroups() > 0;
  for (int i = 0; i < args.kv.dense_count; ++i) {
    const DenseSegment& segment = args.kv.dense[i];
    CheckSegment(segment);
    sees |= segment.rows > 0 && segment.first_position <= args.first_position;
  }
  QS_CHECK(sees || args.q.rows == 0);
  CheckOwnRows(args);
  CheckRotation(args.rotation, geometry.head_dim);
  if (args.q.rows > 0) DoAttend(args);
}

void Backend::LoadKv(KvGeometry geometry, const DenseSegment& segment, int64_t row, float* k,
                     float* v) const {
  CheckGeometry(geometry);
  CheckSegment(segment);
  CheckInside(row, 1, segment.capacity);
  DoLoadKv(geometry, segment, row, k, v);
}

void Backend::LoadGroup(KvGeometry geometry, const SealedSegment& segment, int head, int64_t group,
                        const GroupCodes& out) const {
  CheckGeometry(geometry);
  CheckSegment(segment, Planes::kBoth);
  QS_CHECK(head >= 0 && head < geometry.kv_heads);
  CheckInside(group, 1, segment.capacity);
  DoLoadGroup(geometry, segment, head, group, out);
}

void Backend::Embed(const EmbeddingTable& table, std::span<const int32_t> tokens, Rows out) {
  const GgmlTypeInfo* info = FindGgmlType(static_cast<uint32_t>(table.type));
  QS_CHECK(info != nullptr && table.hidden > 0 && table.hidden % info->block_values == 0);
  CheckView(out, static_cast<int64_t>(tokens.size()), table.hidden);
  for (int32_t token : tokens) QS_CHECK(token >= 0 && token < table.vocab);
  if (!tokens.empty()) DoEmbed(table, tokens, out);
}

void Backend::RmsNorm(ConstRows x, const float* weight, float epsilon, Rows out) {
  CheckView(x, x.rows, x.columns);
  CheckView(out, x.rows, x.columns);
  QS_CHECK(weight != nullptr && x.columns > 0);
  if (x.rows > 0) DoRmsNorm(x, weight, epsilon, out);
}

void Backend::GatedActivation(ConstRows gate, ConstRows up, Rows out) {
  CheckView(gate, gate.rows, gate.columns);
  CheckView(up, gate.rows, gate.columns);
  CheckView(out, gate.rows, gate.columns);
  if (gate.rows > 0) DoGatedActivation(gate, up, out);
}

}  // namespace quantspec
