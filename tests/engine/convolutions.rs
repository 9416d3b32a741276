//! Defends: convolutions and pools equal PyTorch's, forward and backward, and give the same bits
//! for any number of threads.
use bhn::autodiff::{Tape, Tensor, Var};
use bhn::nn::Params;
use bhn::primary::{AllWeights, Layer, PrimaryNet, Shape, WeightNormed, Window};
use bhn::random::{Purpose, stream};
use serde::Deserialize;

/// A case of `golden/conv.py`.
#[derive(Deserialize)]
struct Golden {
    kind: String,
    image: [usize; 4],
    units: usize,
    size: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    y: Vec<f64>,
    dx: Vec<f64>,
    dw: Vec<f64>,
}

impl Golden {
    fn window(&self) -> Window {
        Window { size: self.size, stride: self.stride, padding: self.padding }
    }

    fn apply<'t>(&self, x: Var<'t>, w: Var<'t>) -> Var<'t> {
        match &*self.kind {
            "conv" => x.conv2d(w, self.window()),
            "max" => x.max_pool2d(self.window()),
            _ => x.avg_pool2d(self.window()),
        }
    }
}

fn numbers(shape: &[usize], seed: usize) -> Tensor<f32> {
    let entry = |i: usize| (((7919 * i + seed) % 1009) as f32 - 504.) / 512.;
    let n = shape.iter().product();
    Tensor::from_shape_vec(shape, (0..n).map(entry).collect()).unwrap()
}

/// `[B, C, H, W]` to `[B, H, W, C]`.
fn channels_last<'t>(x: Var<'t>) -> Var<'t> {
    x.permute_axes(&[0, 2, 3, 1])
}

/// `[B, H, W, C]` to `[B, C, H, W]`.
fn channels_first<'t>(x: Var<'t>) -> Var<'t> {
    x.permute_axes(&[0, 3, 1, 2])
}

/// `y [B, C, H, W]`, `dx` and `dw [N, C, h, w]`, in PyTorch's layout.
fn run(case: &Golden) -> [Tensor<f32>; 3] {
    let ([_, c, ..], [h, w]) = (case.image, case.size);
    let tape = Tape::default();
    let x = tape.leaf(numbers(&case.image, 1));
    let weights = tape.leaf(numbers(&[case.units.max(1), c, h, w], 2));
    let matrix = channels_last(weights).reshape(&[case.units.max(1), h * w * c]);
    let y = channels_first(case.apply(channels_last(x), matrix));
    let dy = tape.constant(numbers(&y.shape(), 3));
    let grads = (y * dy).sum().backward();
    let of = |x: Var<'_>| grads.wrt(x).cloned().unwrap_or_else(|| Tensor::zeros(x.shape()));
    [y.value(), of(x), of(weights)]
}

/// Each sum agrees to 10⁻⁵ of the largest in its tensor: two orders of summation round differently.
#[test]
fn convolution_and_pooling_match_pytorch() {
    let golden: Vec<Golden> = serde_json::from_str(include_str!("../golden/conv.json")).unwrap();
    assert!(golden.len() >= 8);
    for case in &golden {
        let expected = [&case.y, &case.dx, &case.dw];
        for (found, expected) in run(case).iter().zip(expected).filter(|(_, e)| !e.is_empty()) {
            let every = (found.len() / 60).max(1);
            let found: Vec<_> = found.iter().step_by(every).map(|&x| f64::from(x)).collect();
            assert_eq!(found.len(), expected.len());
            let scale = expected.iter().fold(0., |a: f64, x| a.max(x.abs()));
            for (found, expected) in found.iter().zip(expected) {
                let (kind, image) = (&case.kind, case.image);
                assert!(
                    (found - expected).abs() <= 1e-5 * scale,
                    "{kind} {image:?}: {found} {expected}"
                );
            }
        }
    }
}

#[test]
fn results_are_bitwise_independent_of_thread_count() {
    let golden: Vec<Golden> = serde_json::from_str(include_str!("../golden/conv.json")).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| golden.iter().map(run).collect::<Vec<_>>())
    };
    let one = on(1);
    assert!(one == on(2) && one == on(3));
}

#[test]
#[should_panic(
    expected = "conv2d: [1, 2, 5, 3]: no place for [3, 3] with stride [1, 1] and padding [0, 0]"
)]
fn window_larger_than_image_panics() {
    let tape = Tape::<f32>::default();
    let x = tape.leaf(Tensor::zeros(vec![1, 2, 5, 3]));
    x.conv2d(tape.leaf(Tensor::zeros(vec![4, 27])), Window::new([3, 3]));
}

#[test]
#[should_panic(
    expected = "conv2d: [1, 4, 5, 3] with weights [4, 9], and not [N, 27] for windows of [3, 3]"
)]
fn weights_of_wrong_width_panic() {
    let tape = Tape::<f32>::default();
    let x = tape.leaf(Tensor::zeros(vec![1, 4, 5, 3]));
    x.conv2d(tape.leaf(Tensor::zeros(vec![4, 9])), Window::new([3, 3]));
}

#[test]
fn max_pool_breaks_ties_by_first_and_propagates_nan() {
    let tape = Tape::<f32>::default();
    let x = tape.leaf(Tensor::from_elem(vec![1, 2, 2, 1], 7.));
    let y = x.max_pool2d(Window::squares(2));
    assert_eq!(y.sum().backward().wrt(x).unwrap().as_slice(), [1., 0., 0., 0.]);
    for at in 0..4 {
        let mut x = vec![1.; 4];
        x[at] = f32::NAN;
        let x = tape.constant(Tensor::from_shape_vec(vec![1, 2, 2, 1], x).unwrap());
        assert!(x.max_pool2d(Window::squares(2)).item().is_nan());
    }
}

/// The filter of a channel, convolved as an image of its own size, gives `‖w‖²/‖w‖` or `‖w‖²` on
/// that channel: its weights are in the order in which the convolution reads them.
#[test]
fn filter_images_match_convolution_layout() {
    let layers: Vec<Layer> = ["conv 5 4x3", "flatten"].map(|word| word.parse().unwrap()).into();
    let (shape, rng) = (Shape::Image([3, 4, 3]), &mut stream(0, Purpose::Init, 0));
    let mut params = Params::<f64>::default();
    let directions = WeightNormed::new(&mut params, "net", shape, &layers, rng);
    let weights = AllWeights::new(shape, &layers);
    let nets: [&dyn PrimaryNet<f64>; 2] = [&directions, &weights];
    for net in nets {
        let theta = Tensor::from_shape_vec(vec![1, net.dim()], net.start(rng)).unwrap();
        let (filters, image) = net.filters(&params, theta.as_slice()).unwrap();
        assert_eq!((filters.dim(), image), ((5, 36), [3, 4, 3]));
        let tape = Tape::default();
        let x = tape.constant(filters.clone().into_dyn());
        let y = net.forward(&params.freeze(&tape), tape.constant(theta), x).value();
        for (n, filter) in filters.rows().into_iter().enumerate() {
            let square = filter.dot(&filter);
            let expected = if net.dim() == 5 { square.sqrt() } else { square };
            assert!((y[[0, n, n]] - expected).abs() < 1e-12 * expected, "{n}");
        }
    }
    let mut params = Params::<f64>::default();
    let dense = WeightNormed::new(&mut params, "net", 12, &Layer::mlp(&[3], 2), rng);
    assert!(PrimaryNet::filters(&dense, &params, &[]).is_none());
}
