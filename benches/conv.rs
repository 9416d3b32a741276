//! Time of single 3 × 3 convolutions, forward and both gradients.
//!
//! `cargo bench --bench conv -- [--threads N] [--secs S] [--bf16]` prints one JSON line for each,
//! the best of many runs; with `--bf16`, for those that are computed in bfloat16 then. The weights
//! are packed in each run, as in a training step. `benches/torch_conv.py` is the same in PyTorch;
//! `benches/conv.sh` compares the two.
use bhn::kernels::conv::{self, Window, backward_input, backward_weight, forward};
use bhn::kernels::gemm::Precision;
use ndarray::Array2;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `[images, channels, side, output channels, padding]`: the layers of the paper's network for
/// CIFAR-10, and one that preserves the size of its images.
const SHAPES: [[usize; 5]; 5] = [
    [64, 3, 32, 64, 0],
    [64, 64, 30, 64, 0],
    [64, 64, 14, 128, 0],
    [64, 128, 12, 128, 0],
    [64, 64, 32, 64, 1],
];

fn main() {
    let words: Vec<_> = std::env::args().collect();
    let flag = |name: &str| {
        let at = words.iter().position(|word| word == name)?;
        words.get(at + 1)?.parse::<f64>().ok()
    };
    let secs = Duration::from_secs_f64(flag("--secs").unwrap_or(1.));
    let precision = match words.iter().any(|word| word == "--bf16") {
        true => Precision::Bf16,
        false => Precision::F32,
    };
    let threads = flag("--threads").map_or(vec![1, 2], |n| vec![n as usize]);
    for threads in threads {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        SHAPES.iter().for_each(|shape| pool.install(|| run(precision, *shape, threads, secs)));
    }
}

fn run(
    asked: Precision,
    [images, channels, side, out, padding]: [usize; 5],
    threads: usize,
    secs: Duration,
) {
    let window = Window { padding: [padding; 2], ..Window::new([3, 3]) };
    let over = window.over([side, side, channels]).expect("it fits");
    let precision = conv::precision(asked, &over, out);
    if precision != asked {
        return;
    }
    let positions: usize = over.positions.iter().product();
    let numbers = |n: usize| (0..n).map(|i| (i * 7 % 11) as f32 - 5.).collect::<Vec<_>>();
    let (mut x, mut y) =
        (numbers(images * side * side * channels), numbers(images * positions * out));
    let w = Array2::from_shape_vec([out, 9 * channels], numbers(out * 9 * channels))
        .expect("its length");
    let mut dw = w.clone();
    let report = |what: &str, mut f: Box<dyn FnMut() + '_>| {
        (0..2).for_each(|_| f());
        let (start, mut best, mut runs) = (Instant::now(), f64::MAX, 0);
        while runs < 10 || start.elapsed() < secs {
            let at = Instant::now();
            f();
            best = best.min(at.elapsed().as_secs_f64());
            runs += 1;
        }
        let flop = (2 * images * positions * out * 9 * channels) as f64;
        println!(
            "{{\"case\": \"{images}×{channels}×{side}×{side} → {out}, \
             padding {padding}\", \"pass\": \"{what}\", \"threads\": {threads}, \"gflops\": {:.1}}}",
            flop / best * 1e-9
        );
    };
    report("forward", Box::new(|| forward(&over, &x, &precision.pack(w.t()), &mut y)));
    report("by weight", Box::new(|| backward_weight(precision, &over, &x, &y, 0., dw.view_mut())));
    report("by input", Box::new(|| backward_input(precision, &over, &y, w.view(), 0., &mut x)));
}
