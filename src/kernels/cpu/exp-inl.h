// Functions built from words alone.

namespace quantspec::cpu::QS_ISA {

using F = Words::F;

// e^x within 2 units in the last place; 0 below -103 (so for -infinity), infinity beyond 88.8.
// 2^n * e^r with |r| <= ln(2)/2 and a polynomial of degree 6 (Taylor coefficients: its error of
// 1.2e-7 * r is the float's own).
QS_INLINE F Exp(F x) {
  x = Words::Max(Words::Min(x, Words::Set(89.0f)), Words::Set(-110.0f));
  const F n = Words::Round(Words::Mul(x, Words::Set(1.44269504089f)));
  F r = Words::Fma(n, Words::Set(-0.693359375f), x);
  r = Words::Fma(n, Words::Set(2.12194440e-4f), r);
  F p = Words::Set(1.0f / 720);
  p = Words::Fma(p, r, Words::Set(1.0f / 120));
  p = Words::Fma(p, r, Words::Set(1.0f / 24));
  p = Words::Fma(p, r, Words::Set(1.0f / 6));
  p = Words::Fma(p, r, Words::Set(0.5f));
  p = Words::Fma(p, r, Words::Set(1.0f));
  p = Words::Fma(p, r, Words::Set(1.0f));
  return Words::Scale2(p, n);
}

}  // namespace quantspec::cpu::QS_ISA
