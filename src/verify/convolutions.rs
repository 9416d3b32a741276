//! Convolutions against their definition in [`kernels::plain`](crate::kernels::plain), and their
//! gradients against the adjoint identity.
use super::suite::{Instance, Measurement, Property, Suite, distance};
use crate::autodiff::gradcheck::randn;
use crate::kernels::conv::{self, Sliding, Window};
use crate::kernels::gemm::{Packed, Precision};
use crate::kernels::plain;
use ndarray::{Array2, ArrayView2, s};

/// A convolution of images `x [B, H, W, C]` with weights `w [N, h·w·C]`, and its gradients.
#[derive(Clone, Copy)]
pub struct Convolution {
    /// `y`, given `x` and `w`.
    pub forward: fn(&Sliding, &[f64], ArrayView2<'_, f64>, &mut [f64]),
    /// `dx`, given `dy` and `w`.
    pub by_input: fn(&Sliding, &[f64], ArrayView2<'_, f64>, &mut [f64]),
    /// `dw`, given `x` and `dy`.
    pub by_weight: fn(&Sliding, &[f64], &[f64], &mut Array2<f64>),
}

const ENGINE: Convolution = Convolution {
    forward: |over, x, w, y| conv::forward(over, x, &Packed::new(w.t()), y),
    by_input: |over, dy, w, dx| conv::backward_input(Precision::F32, over, dy, w, 0., dx),
    by_weight: |over, x, dy, dw| {
        conv::backward_weight(Precision::F32, over, x, dy, 0., dw.view_mut())
    },
};

/// The suite of [`conv`].
pub fn suite() -> Suite<Convolution> {
    Suite {
        properties: vec![
            Property::new(
                "forward",
                "every stride, padding and ragged window agrees with loops over the definition",
                |c| {
                    on_every_case(|over, Case { x, w, dy, y }| {
                        let mut found = dy.clone();
                        (c.forward)(over, x, w.view(), &mut found);
                        (found, y.clone())
                    })
                },
            ),
            Property::new(
                "adjoints",
                "⟨dy, conv(x, w)⟩ = ⟨dx, x⟩ = ⟨dw, w⟩, so that both gradients are those of the forward pass",
                |c| {
                    on_every_case(|over, Case { x, w, dy, y }| {
                        let (mut dx, mut dw) = (x.clone(), w.clone());
                        (c.by_input)(over, dy, w.view(), &mut dx);
                        (c.by_weight)(over, x, dy, &mut dw);
                        (vec![dot(&dx, x), dot(&dw, w)], vec![dot(dy, y); 2])
                    })
                },
            ),
        ],
        instances: vec![Instance::new("conv", ENGINE)],
        faults: faults(),
    }
}

/// The sizes `[images, H, W, C, N]`, and a window with its size, stride and padding.
const CASES: [([usize; 5], Window); 8] = [
    ([2, 6, 5, 3, 4], Window::of([3, 3], [1, 1], [0, 0])),
    ([1, 7, 6, 1, 5], Window::of([3, 2], [2, 1], [0, 0])),
    ([3, 5, 5, 2, 3], Window::of([3, 3], [1, 1], [1, 1])),
    ([2, 9, 8, 4, 7], Window::of([4, 3], [3, 2], [2, 1])),
    ([1, 4, 4, 40, 36], Window::of([2, 2], [1, 1], [0, 0])),
    ([1, 12, 11, 17, 65], Window::of([5, 3], [1, 2], [1, 0])),
    ([3, 9, 40, 19, 33], Window::of([3, 3], [1, 1], [0, 0])),
    ([2, 5, 6, 16, 16], Window::of([3, 3], [1, 1], [2, 1])),
];

/// Images, weights, a gradient with respect to the output, and the output by its definition.
struct Case {
    x: Vec<f64>,
    w: Array2<f64>,
    dy: Vec<f64>,
    y: Vec<f64>,
}

/// Compares the two results of `compute`, found and expected, on every case.
fn on_every_case(compute: impl Fn(&Sliding, &Case) -> (Vec<f64>, Vec<f64>)) -> Measurement {
    Measurement::worst(CASES.map(|(sizes, window)| {
        let [images, h, w, channels, n] = sizes;
        let over = window.over([h, w, channels]).expect("the window fits");
        let [rows, columns] = over.positions;
        let random = |n: usize, seed| randn(&[n], seed).into_raw_vec_and_offset().0;
        let x = random(images * h * w * channels, 1);
        let weights = randn(&[n, over.covered()], 2).into_dimensionality().expect("a matrix");
        let dy = random(images * rows * columns * n, 3);
        let mut y = vec![0.; dy.len()];
        plain::conv2d(&over, &x, weights.view(), &mut y);
        let (found, expected) = compute(&over, &Case { x, w: weights, dy, y });
        let at = format!("{images}×{h}×{w}×{channels} → {n}, {window:?}");
        // The tolerance allows for the rounding of sums of up to tens of thousands of products.
        Measurement::new(distance(&found, &expected), 1e-12, at)
    }))
}

fn dot<'a>(a: impl IntoIterator<Item = &'a f64>, b: impl IntoIterator<Item = &'a f64>) -> f64 {
    a.into_iter().zip(b).map(|(a, b)| a * b).sum()
}

fn faults() -> Vec<Instance<Convolution>> {
    let forward = |name, forward| Instance::new(name, Convolution { forward, ..ENGINE });
    let by_input = |name, by_input| Instance::new(name, Convolution { by_input, ..ENGINE });
    let by_weight = |name, by_weight| Instance::new(name, Convolution { by_weight, ..ENGINE });
    vec![
        forward("a true convolution: its weights flipped", |over, x, w, y| {
            (ENGINE.forward)(over, x, w.slice(s![.., ..;-1]).to_owned().view(), y);
        }),
        forward("the first position is left out", |over, x, w, y| {
            (ENGINE.forward)(over, x, w, y);
            y[..w.nrows()].fill(0.);
        }),
        by_input("the gradient by the input stops short of the border", |over, dy, w, dx| {
            (ENGINE.by_input)(over, dy, w, dx);
            *dx.last_mut().expect("an entry") = 0.;
        }),
        by_weight("the gradient by the weights is that of the first image", |over, x, dy, dw| {
            let positions: usize = over.positions.iter().product();
            let images = dy.len() / (positions * dw.nrows());
            (ENGINE.by_weight)(over, &x[..x.len() / images], &dy[..dy.len() / images], dw);
        }),
    ]
}
