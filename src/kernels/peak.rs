//! The peak performance of this machine, measured with the library's own loops.
use super::gemm::native::Native;
use super::gemm::packed::panel_product;
use super::parallel;
use super::vector;
use ndarray::{ArrayView2, ArrayViewMut2};
use std::hint::black_box;
use std::time::Instant;

/// Floating-point operations per second in `f32`, summed over all threads of the pool; a fused
/// multiply-add counts as two. Returns the best of 40 runs, because other processes may slow some
/// of them down. Takes about 40 ms.
pub fn flops() -> f64 {
    let run = || rayon::broadcast(|_| tile()).into_iter().sum();
    (0..40).map(|_| run()).fold(0., f64::max)
}

/// [`flops`] of one thread, by a micro-kernel whose operands stay in a core's cache.
fn tile() -> f64 {
    const DEPTH: usize = 256;
    const RUNS: usize = 1000;
    let micro = f32::micro();
    let [rows, cols] = micro.map_or([16; 2], |micro| [micro.rows, micro.cols]);
    let [a, b, mut c] = [rows * DEPTH, DEPTH * cols, rows * cols].map(|n| vec![1_f32; n]);
    let start = Instant::now();
    for _ in 0..RUNS {
        let a = black_box(&a);
        if let Some(micro) = micro {
            let size = [rows, DEPTH, cols];
            panel_product(micro, (a, [DEPTH, 1]), (&b, cols), 0., (&mut c, cols), size);
        } else {
            let view = |x, shape| ArrayView2::from_shape(shape, x).expect("its length");
            let c = ArrayViewMut2::from_shape([rows, cols], &mut c[..]).expect("its length");
            f32::block(1., view(&a[..], [rows, DEPTH]), view(&b[..], [DEPTH, cols]), 0., c);
        }
    }
    black_box(&c);
    (2 * rows * DEPTH * cols * RUNS) as f64 / start.elapsed().as_secs_f64()
}

/// Bytes per second read and written by `z ← x + c y` in `f32`, on all threads of the pool
/// together. Each of the three arrays counts once; they are far larger than the caches. Returns the
/// best of 10 runs. Takes about 0.2 s.
pub fn bandwidth() -> f64 {
    const ENTRIES: usize = 1 << 24;
    let [x, y, mut z] = [1_f32; 3].map(|x| vec![x; ENTRIES]);
    let mut run = || {
        let start = Instant::now();
        let inputs = x.chunks(vector::CHUNK).zip(y.chunks(vector::CHUNK));
        parallel::for_each(z.chunks_mut(vector::CHUNK).zip(inputs), |(z, (x, y))| {
            vector::scaled_sum(Some(x), 2., y, z);
        });
        black_box(&z);
        (3 * size_of::<f32>() * ENTRIES) as f64 / start.elapsed().as_secs_f64()
    };
    (0..10).map(|_| run()).fold(0., f64::max)
}
