//! Defends: max pooling, maxima and ReLU propagate NaN and its gradient, as PyTorch does.
use bhn::autodiff::{Tape, Tensor, Var};
use bhn::primary::Window;

const NAN: f32 = f32::NAN;
const LEAST: f32 = f32::NEG_INFINITY;

/// Gradients of `Σ wᵢ yᵢ` with weights 1, 2, 3, ….
fn gradient<'t>(tape: &'t Tape, x: Var<'t>, y: Var<'t>) -> Vec<f32> {
    let weight = |i: usize| (i + 1) as f32;
    let n = y.value().len();
    let weights = Tensor::from_shape_vec(vec![n], (0..n).map(weight).collect()).unwrap();
    let loss = y.reshape(&[n]) * tape.constant(weights);
    loss.sum().backward().wrt(x).unwrap().iter().copied().collect()
}

#[test]
fn max_pool_propagates_nan_and_its_gradient() {
    let tape = Tape::default();
    let rows = [[1., 2., NAN, 3.], [4., 3., 9., NAN], [5., 5., 1., NAN], [5., 1., 7., 2.]];
    let x = tape.leaf(Tensor::from_shape_vec(vec![4, 4, 1], rows.concat()).unwrap());
    let y = x.max_pool2d(Window::squares(2));
    assert!(y.value()[[0, 0, 0]] == 4. && y.value()[[0, 1, 0]].is_nan());
    let found = gradient(&tape, x, y);
    assert_eq!(found, [0., 0., 2., 0., 1., 0., 0., 0., 3., 0., 0., 4., 0., 0., 0., 0.]);
}

/// An infinite gradient goes to the first of tied maxima alone.
#[test]
fn tied_max_pool_routes_infinite_gradient_to_first() {
    let tape = Tape::default();
    let x = tape.leaf(Tensor::from_elem(vec![2, 2, 1], 1.));
    let y = x.max_pool2d(Window::squares(2)) * f32::INFINITY;
    assert_eq!(gradient(&tape, x, y), [f32::INFINITY, 0., 0., 0.]);
}

#[test]
fn max_axis_propagates_nan_and_its_gradient() {
    let tape = Tape::default();
    let rows = [[1., NAN, 3.], [2., 2., 1.], [NAN, NAN, NAN], [LEAST, LEAST, LEAST]];
    let x = tape.leaf(Tensor::from_shape_vec(vec![4, 3], rows.concat()).unwrap());
    let found = gradient(&tape, x, x.max_axis(1));
    assert_eq!(found, [0., 1., 0., 2., 0., 0., 3., 0., 0., 4., 0., 0.]);
}

#[test]
fn relu_propagates_nan_and_its_gradient() {
    let tape = Tape::default();
    let x = tape.leaf(Tensor::from_shape_vec(vec![1, 3], vec![-1., NAN, 2.]).unwrap());
    assert_eq!(gradient(&tape, x, x.relu()), [0., 2., 3.]);
    let [scale, shift] = [&[1, 1, 3][..], &[3]].map(|shape| tape.leaf(Tensor::ones(shape)));
    let y = x.reshape(&[1, 1, 3]).affine_relu(scale, shift - 1.);
    assert_eq!(gradient(&tape, x, y), [0., 2., 3.]);
}
