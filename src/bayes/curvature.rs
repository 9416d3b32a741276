//! The Hessian of `−ln p(θ, D)` in `θ`, at a given `θ`: the precision of a Laplace approximation.
use super::{Hessian, Likelihood, Model, Prior, Targets};
use crate::autodiff::{Owned, Tape, Var};
use crate::kernels::gemm::gemm;
use crate::kernels::scalar::Scalar;
use ndarray::{Array2, ArrayView2, Axis, Slice, s};

/// The number of examples that are evaluated together.
const ROWS: usize = 128;
/// The number of directions whose central differences are evaluated together.
const DIRECTIONS: usize = 8;

/// `−∂² ln p(θ, D)/∂θ² [D, D]` at `theta [D]`, for inputs `x [N, …]` and targets `y [N]`. All other
/// parameters of the model are constants.
///
/// Central differences of the gradient `g` have the step `hⱼ = ε^⅓ max(1, |θⱼ|)` with the machine
/// epsilon `ε`: the truncation error `g‴h²/6` and the rounding error `ε|g|/h` are then both of
/// relative order `ε^⅔ ≈ 4·10⁻¹¹`.
///
/// # Panics
/// If the prior is not Gaussian, the likelihood is clipped, or the data do not fit the model.
pub fn hessian<U: Scalar>(
    kind: Hessian,
    model: &Model<f64>,
    theta: &[f64],
    x: ArrayView2<'_, U>,
    y: &Targets<U>,
) -> Array2<f64> {
    let Prior::Gaussian { precision } = model.prior else {
        panic!("hessian: {:?} is not Gaussian", model.prior)
    };
    let is_clipped = matches!(model.likelihood, Likelihood::Categorical { clip: Some(_) });
    assert!(!is_clipped, "hessian: {:?} has no curvature where it clips", model.likelihood);
    let batch = |start: usize| {
        let rows = start..y.len().min(start + ROWS);
        let x = x.slice_axis(Axis(0), Slice::from(rows.clone())).mapv(U::f64);
        (x.into_dyn(), y.select(&rows.collect::<Vec<_>>()).cast())
    };
    let batches = || (0..y.len()).step_by(ROWS).map(batch);
    let of_data = match kind {
        Hessian::Ggn => gauss_newton(model, theta, batches()),
        Hessian::Exact => central_differences(theta, |at| {
            let zero = Array2::zeros((at.nrows(), theta.len()));
            batches().fold(zero, |sum, (x, y)| sum + gradients(model, at, x, &y))
        }),
    };
    of_data + Array2::<f64>::eye(theta.len()) * precision
}

/// `Σₙ JₙᵀΛₙJₙ`.
///
/// For classes with probabilities `p`, `Λ = diag(p) − ppᵀ`, and `JᵀΛJ = Σ_c p_c M_cᵀM_c` for the
/// rows `M_c = J_c − Σ_k p_k J_k`. For values, `Λ = τ`.
fn gauss_newton(
    model: &Model<f64>,
    theta: &[f64],
    batches: impl Iterator<Item = (Owned<f64>, Targets<f64>)>,
) -> Array2<f64> {
    let d = theta.len();
    batches.fold(Array2::zeros((d, d)), |mut sum, (x, y)| {
        let tape = Tape::default();
        let (p, rows) = (model.params.freeze(&tape), y.len());
        // Each example has its own θ, so that a gradient has a row per example.
        let each = tape.leaf(Owned::from_shape_fn(vec![1, rows, d], |i| theta[i[2]]));
        let outputs = model.primary.forward(&p, each, tape.constant(x));
        let jacobian = |k: usize| -> Array2<f64> {
            let grads = outputs.slice(2, k..k + 1).sum().backward();
            let zero = || Array2::zeros((rows, d));
            grads.wrt(each).map_or_else(zero, |g| {
                g.to_owned().into_shape_with_order((rows, d)).expect("[1, B, D]")
            })
        };
        let mut add = |m: Array2<f64>| gemm(1., m.t(), m.view(), 1., sum.view_mut());
        match model.likelihood.precision(&p) {
            Some(tau) => add(jacobian(0) * tau.sqrt()),
            None => {
                let probabilities = softmax(outputs);
                let jacobians: Vec<_> = (0..probabilities.ncols()).map(jacobian).collect();
                let weight = |k: usize| probabilities.slice(s![.., k..k + 1]);
                let parts = jacobians.iter().enumerate().map(|(k, j)| j * &weight(k));
                let mean = parts.reduce(|a, b| a + b).expect("a class");
                for (k, j) in jacobians.iter().enumerate() {
                    add((j - &mean) * weight(k).mapv(f64::sqrt));
                }
            }
        }
        sum
    })
}

/// The softmax of `outputs [1, B, K]`: `[B, K]`.
fn softmax(outputs: Var<'_, f64>) -> Array2<f64> {
    let shape = (outputs.shape()[1], outputs.shape()[2]);
    let mut p = outputs.value().to_owned().into_shape_with_order(shape).expect("[1, B, K]");
    for mut row in p.rows_mut() {
        let top = row.fold(f64::NEG_INFINITY, |a, &b| a.max(b));
        row.mapv_inplace(|f| (f - top).exp());
        let sum = row.sum();
        row /= sum;
    }
    p
}

/// `−∂/∂θ Σ_B ln p(y|x, θₛ) [S, D]` for `theta [S, D]`.
fn gradients(
    model: &Model<f64>,
    theta: ArrayView2<'_, f64>,
    x: Owned<f64>,
    y: &Targets<f64>,
) -> Array2<f64> {
    let tape = Tape::default();
    let p = model.params.freeze(&tape);
    let theta = tape.leaf(theta.to_owned().into_dyn());
    let outputs = model.primary.forward(&p, theta, tape.constant(x));
    let grads = (-model.likelihood.log_prob(&p, outputs, y).sum()).backward();
    let zero = Array2::zeros((theta.shape()[0], theta.shape()[1]));
    grads.wrt(theta).map_or(zero, |g| g.to_owned().into_dimensionality().expect("[S, D]"))
}

/// The symmetric part of the matrix with columns `(g(θ + hⱼeⱼ) − g(θ − hⱼeⱼ))/2hⱼ`, where
/// `gradient` computes `g [S, D]` for `θ [S, D]`.
pub fn central_differences(
    theta: &[f64],
    gradient: impl Fn(ArrayView2<'_, f64>) -> Array2<f64>,
) -> Array2<f64> {
    let d = theta.len();
    let mut hessian = Array2::zeros((d, d));
    for start in (0..d).step_by(DIRECTIONS) {
        let directions = start..d.min(start + DIRECTIONS);
        // Rows 2i and 2i + 1 are moved forwards and backwards along direction i.
        let mut at = Array2::from_shape_fn((2 * directions.len(), d), |(_, j)| theta[j]);
        for (i, j) in directions.clone().enumerate() {
            let h = f64::EPSILON.cbrt() * theta[j].abs().max(1.);
            at[[2 * i, j]] += h;
            at[[2 * i + 1, j]] -= h;
        }
        let g = gradient(at.view());
        for (i, j) in directions.enumerate() {
            // The step that was taken, after rounding.
            let step = at[[2 * i, j]] - at[[2 * i + 1, j]];
            let column = (&g.row(2 * i) - &g.row(2 * i + 1)) / step;
            hessian.column_mut(j).assign(&column);
        }
    }
    (&hessian + &hessian.t()) / 2.
}
