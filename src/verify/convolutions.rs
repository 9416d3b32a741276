//! Convolutions against their definition in [`kernels::plain`](crate::kernels::plain), and their
//! gradients as adjoints.
use super::suite::{Instance, Measurement, Property, Suite, largest};
use crate::autodiff::gradcheck::randn;
use crate::kernels::conv::{self, Sliding, Window};
use crate::kernels::gemm::Packed;
use crate::kernels::plain;
use ndarray::{Array2, ArrayView2, s};

/// A convolution of images `x [B, H, W, C]` with weights `w [N, h·w·C]`, and its gradients.
#[derive(Clone, Copy)]
pub struct Convolution {
    /// `y` of `x` and `w`.
    pub forward: fn(&Sliding, &[f64], ArrayView2<'_, f64>, &mut [f64]),
    /// `dx` of `dy` and `w`.
    pub by_input: fn(&Sliding, &[f64], ArrayView2<'_, f64>, &mut [f64]),
    /// `dw` of `x` and `dy`.
    pub by_weight: fn(&Sliding, &[f64], &[f64], &mut Array2<f64>),
}

const ENGINE: Convolution = Convolution {
    forward: |over, x, w, y| conv::forward(over, x, &Packed::new(w.t()), y),
    by_input: |over, dy, w, dx| conv::backward_input(over, dy, w, 0., dx),
    by_weight: |over, x, dy, dw| conv::backward_weight(over, x, dy, 0., dw.view_mut()),
};

/// The suite of [`conv`].
pub fn suite() -> Suite<Convolution> {
    Suite {
        properties: vec![
            Property {
                name: "forward",
                statement: "every stride, padding and ragged window agrees with loops over the definition",
                measure: |c| on_every_case(c, |run| (run.y.clone(), run.plain.clone())),
            },
            Property {
                name: "adjoints",
                statement: "⟨dy, conv(x, w)⟩ = ⟨dx, x⟩ = ⟨dw, w⟩, so that both gradients are those of the forward pass",
                measure: |c| {
                    on_every_case(c, |run| {
                        let whole = dot(&run.dy, &run.plain);
                        (vec![dot(&run.dx, &run.x), dot(&run.dw, &run.w)], vec![whole, whole])
                    })
                },
            },
        ],
        instances: vec![Instance::new("conv", ENGINE)],
        faults: faults(),
    }
}

/// `[images, H, W, C, N]`, and a window.
const CASES: [([usize; 5], Window); 8] = [
    ([2, 6, 5, 3, 4], window([3, 3], [1, 1], [0, 0])),
    ([1, 7, 6, 1, 5], window([3, 2], [2, 1], [0, 0])),
    ([3, 5, 5, 2, 3], window([3, 3], [1, 1], [1, 1])),
    ([2, 9, 8, 4, 7], window([4, 3], [3, 2], [2, 1])),
    ([1, 4, 4, 40, 36], window([2, 2], [1, 1], [0, 0])),
    ([1, 12, 11, 17, 65], window([5, 3], [1, 2], [1, 0])),
    ([3, 9, 40, 19, 33], window([3, 3], [1, 1], [0, 0])),
    ([2, 5, 6, 16, 16], window([3, 3], [1, 1], [2, 1])),
];

const fn window(size: [usize; 2], stride: [usize; 2], padding: [usize; 2]) -> Window {
    Window { size, stride, padding }
}

/// Inputs and outputs of a convolution on one case.
struct Run {
    x: Vec<f64>,
    w: Vec<f64>,
    dy: Vec<f64>,
    y: Vec<f64>,
    /// `y` by its definition.
    plain: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
}

/// Compares the found and expected values that `compare` takes from a run, on every case.
fn on_every_case(c: &Convolution, compare: fn(&Run) -> (Vec<f64>, Vec<f64>)) -> Measurement {
    Measurement::worst(CASES.map(|(sizes, window)| {
        let (found, expected) = compare(&run(c, sizes, window));
        let size = expected.iter().fold(1., |m: f64, e| m.max(e.abs()));
        let errors = found.iter().zip(&expected).map(|(f, e)| (f - e).abs() / size);
        let [images, h, w, channels, n] = sizes;
        let at = format!("{images}×{h}×{w}×{channels} → {n}, {window:?}");
        // Sums of at most a few thousand products.
        Measurement::new(largest(errors), 1e-12, at)
    }))
}

fn run(c: &Convolution, [images, h, w, channels, n]: [usize; 5], window: Window) -> Run {
    let over = window.over([h, w, channels]).expect("the window fits");
    let [rows, columns] = over.positions();
    let random = |n: usize, seed| randn(&[n], seed).into_raw_vec_and_offset().0;
    let x = random(images * h * w * channels, 1);
    let weights = random(n * over.covered(), 2);
    let dy = random(images * rows * columns * n, 3);
    let matrix = ArrayView2::from_shape([n, over.covered()], &weights).expect("as many entries");
    let mut plain = vec![0.; dy.len()];
    plain::conv2d(&over, &x, matrix, &mut plain);
    let (mut y, mut dx, mut dw) = (dy.clone(), x.clone(), matrix.to_owned());
    (c.forward)(&over, &x, matrix, &mut y);
    (c.by_input)(&over, &dy, matrix, &mut dx);
    (c.by_weight)(&over, &x, &dy, &mut dw);
    Run { dw: dw.into_raw_vec_and_offset().0, x, w: weights, dy, y, plain, dx }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn faults() -> Vec<Instance<Convolution>> {
    vec![
        Instance::new(
            "a true convolution: its weights flipped",
            Convolution {
                forward: |over, x, w, y| {
                    (ENGINE.forward)(over, x, w.slice(s![.., ..;-1]).to_owned().view(), y);
                },
                ..ENGINE
            },
        ),
        Instance::new(
            "the first position is left out",
            Convolution {
                forward: |over, x, w, y| {
                    (ENGINE.forward)(over, x, w, y);
                    y[..w.nrows()].fill(0.);
                },
                ..ENGINE
            },
        ),
        Instance::new(
            "the gradient by the input stops short of the border",
            Convolution {
                by_input: |over, dy, w, dx| {
                    (ENGINE.by_input)(over, dy, w, dx);
                    *dx.last_mut().expect("an entry") = 0.;
                },
                ..ENGINE
            },
        ),
        Instance::new(
            "the gradient by the weights is that of the first image",
            Convolution {
                by_weight: |over, x, dy, dw| {
                    let positions: usize = over.positions().iter().product();
                    let images = dy.len() / (positions * dw.nrows());
                    (ENGINE.by_weight)(over, &x[..x.len() / images], &dy[..dy.len() / images], dw);
                },
                ..ENGINE
            },
        ),
    ]
}
