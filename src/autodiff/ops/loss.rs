//! Log-densities and losses, in nats.
use super::reduce::largest;
use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::kernels::vector::dot_f64;
use std::f64::consts::PI;
use std::sync::Arc;

/// `½ ln 2π`.
pub fn half_ln_2pi<T: Scalar>() -> T {
    T::of(0.5 * (2. * PI).ln())
}

/// `K` for `x [S, B, K]` or `[B, K]`, after a check that there are `B` labels, all below `K`.
fn check_labels<T: Scalar>(name: &str, x: &Tensor<T>, labels: &[usize]) -> usize {
    let shape = x.shape();
    let (k, n) = (shape.last().copied().unwrap_or(0), labels.len());
    let fits = shape.len() >= 2 && shape[shape.len() - 2] == n && labels.iter().all(|&y| y < k);
    assert!(fits, "{name}: logits {shape:?}, {n} labels up to {:?}", labels.iter().max());
    k
}

impl<T: Scalar> Var<'_, T> {
    /// `ln p(c|x) = x_c − ln Σ eˣ` for logits `x […, B, K]` and labels `c [B]`, giving `[…, B]`,
    /// without overflow; `dx = (1_c − softmax(x)) dy`.
    ///
    /// # Panics
    /// Unless there is one label below `K` for each of the `B` rows.
    pub fn categorical_log_prob(self, labels: impl Into<Arc<[usize]>>) -> Self {
        let (x, labels) = (self.value(), labels.into());
        let k = check_labels("categorical_log_prob", &x, &labels);
        let mut p = Tensor::zeros(x.shape());
        let mut y = Tensor::zeros(&x.shape()[..x.ndim() - 1]);
        let rows = x.as_slice().chunks_exact(k).zip(p.as_slice_mut().chunks_exact_mut(k));
        for (((x, p), y), &label) in rows.zip(y.as_slice_mut()).zip(labels.iter().cycle()) {
            let (at, max) = largest(x.iter().copied());
            p.iter_mut().zip(x).for_each(|(p, &x)| *p = (x - max).exp());
            // The largest term of the sum is 1: `ln(1 + s)` keeps the digits of a small `s`.
            let others = p[..at].iter().chain(&p[at + 1..]).map(|p| p.f64()).sum::<f64>();
            let sum = T::of(1. + others);
            p.iter_mut().for_each(|p| *p /= sum);
            *y = T::of((x[label].f64() - max.f64()) - others.ln_1p());
        }
        Self::record("categorical_log_prob", &[self], y, move |c, sink| {
            sink.add(0, || {
                let mut dx = p.clone();
                let rows = dx.as_slice_mut().chunks_exact_mut(k).zip(c.g.as_slice());
                for ((dx, &g), &label) in rows.zip(labels.iter().cycle()) {
                    dx.iter_mut().for_each(|p| *p *= -g);
                    dx[label] += g;
                }
                dx
            });
        })
    }

    /// `ln clip(softmax(x)_c, ε, 1 − ε)`, as in the paper with `ε = 0.001`; `dx` is that of
    /// [`categorical_log_prob`](Var::categorical_log_prob) inside the bounds, 0 outside: an example
    /// has no gradient if its label has a probability below `ε`.
    ///
    /// # Panics
    /// Unless there is one label below `K` for each of the `B` rows.
    pub fn clipped_categorical_log_prob(self, labels: impl Into<Arc<[usize]>>, epsilon: T) -> Self {
        self.categorical_log_prob(labels).clamp(epsilon.ln(), (T::one() - epsilon).ln())
    }

    /// `ln N(x; 0, I) = −½ Σ x² − (D/2) ln 2π` for `x [S, D]`, giving `[S]`; `dx = −x dy`.
    ///
    /// # Panics
    /// Unless `x` is a matrix.
    pub fn standard_normal_log_prob(self) -> Self {
        let x = self.value();
        assert!(x.ndim() == 2, "standard_normal_log_prob: {:?} is not [S, D]", x.shape());
        let (s, d) = (x.shape()[0], x.shape()[1]);
        let constant = half_ln_2pi::<f64>() * d as f64;
        let log_prob = |row: &[T]| T::of(-0.5 * dot_f64(row, row) - constant);
        let rows = (0..s).map(|i| log_prob(&x.as_slice()[i * d..][..d])).collect();
        let y = Tensor::from_shape_vec(vec![s], rows).expect("one entry a row");
        Self::record("standard_normal_log_prob", &[self], y, |c, sink| {
            sink.add(0, || {
                let g = c.g.view().insert_axis(ndarray::Axis(1));
                -(c.x(0) * &g)
            });
        })
    }

    /// `ln N(x; μ, τ⁻¹) = ½ ln τ − ½ ln 2π − ½ τ (x − μ)²`, entry by entry and broadcast, for a
    /// mean `μ` and a log-precision `ln τ`. A composition of operations, without a rule of its own.
    ///
    /// # Panics
    /// Unless the shapes broadcast.
    pub fn normal_log_prob(self, mean: Self, log_precision: Self) -> Self {
        let error = self - mean;
        let half = T::of(0.5);
        log_precision * half - log_precision.exp() * error * error * half - half_ln_2pi::<T>()
    }
}

crate::gradchecks! {
    categorical_log_prob: [[2, 3, 4]] => |[x]| x.categorical_log_prob([1, 3, 0]);
    clipped_categorical_log_prob: [[5, 3]] =>
        |[x]| (x * 4.).clipped_categorical_log_prob([1, 0, 2, 1, 0], 0.05);
    standard_normal_log_prob: [[3, 4]] => |[x]| x.standard_normal_log_prob();
    normal_log_prob: [[3, 4], [4], [1]] => |[x, m, l]| x.normal_log_prob(m, l);
}

#[cfg(test)]
mod tests {
    use crate::autodiff::{Tape, Tensor};

    /// `p = 1/(1 + e^±20)`, clipped to 0.1 and 0.9.
    #[test]
    fn probabilities_are_clipped_on_both_sides() {
        let tape = Tape::<f64>::default();
        let x = tape.leaf(Tensor::from_shape_vec(vec![2, 2], vec![20., 0., 20., 0.]).unwrap());
        let y = x.clipped_categorical_log_prob([0, 1], 0.1).value();
        assert_eq!(y.as_slice(), [0.9_f64.ln(), 0.1_f64.ln()]);
    }

    /// A sum of a million entries is exact to single precision.
    #[test]
    fn normal_log_prob_is_accurate_in_a_million_dimensions() {
        let (tape, x, d) = (Tape::<f32>::default(), 1.1_f32, 1_000_000);
        let log_prob = tape.leaf(Tensor::from_elem(vec![1, d], x)).standard_normal_log_prob();
        let one = -0.5 * f64::from(x).powi(2) - 0.5 * (2. * std::f64::consts::PI).ln();
        let all = d as f64 * one;
        let error = (f64::from(log_prob.value()[0]) - all).abs();
        assert!(error <= -all * f64::from(f32::EPSILON), "{error} of {all}");
    }

    /// Logits of any size give finite values; clipped probabilities have no gradient.
    #[test]
    fn extreme_logits_give_finite_values() {
        let tape = Tape::<f32>::default();
        let x = tape.leaf(Tensor::from_shape_vec(vec![2, 2], vec![1e4, -1e4, 1e4, -1e4]).unwrap());
        let y = x.categorical_log_prob([0, 1]);
        assert_eq!(y.value().as_slice(), [0., -2e4]);
        assert_eq!(y.sum().backward().wrt(x).unwrap().as_slice(), [0., 0., -1., 1.]);
        let y = x.clipped_categorical_log_prob([0, 1], 0.001);
        assert!((y.value()[1] - 0.001_f32.ln()).abs() < 1e-6);
        assert_eq!(y.sum().backward().wrt(x).unwrap().as_slice(), [0.; 4]);
    }
}
