//! What this machine can do at the most, as the library's own loops measure it.
#![allow(unsafe_code)]
use super::gemm::micro::{Blend, Native};
use super::vector;
use crate::kernels::scalar::Scalar;
use rayon::prelude::*;
use std::hint::black_box;
use std::time::Instant;

/// Floating-point operations a second in fused multiply-adds of `f32`, two each, on all threads of
/// the pool together. The best of a few tries, as others may use the machine; 40 ms.
pub fn flops() -> f64 {
    let tile = || rayon::broadcast(|_| tile()).into_iter().sum();
    (0..40).map(|_| tile()).fold(0., f64::max)
}

/// The same on one thread: the micro-kernel on operands that stay in the cache next to it.
fn tile() -> f64 {
    const DEPTH: usize = 256;
    const TURNS: usize = 1000;
    let micro = f32::micro();
    let [rows, cols] = micro.map_or([16; 2], |micro| [micro.rows, micro.cols]);
    let [a, b, mut c] = [rows * DEPTH, DEPTH * cols, rows * cols].map(|n| vec![1_f32; n]);
    let (sa, sc) = ([DEPTH as isize, 1], [cols as isize, 1]);
    let start = Instant::now();
    for _ in 0..TURNS {
        let (a, b, c) = (black_box(a.as_ptr()), b.as_ptr(), c.as_mut_ptr());
        // SAFETY: the instruction set was detected; `a [rows, DEPTH]`, `b [DEPTH, cols]` and
        // `c [rows, cols]` are as long as that, and `b` is one panel.
        unsafe {
            match micro {
                Some(micro) => {
                    let blend = Blend { alpha: 1., beta: 0. };
                    (micro.tile)(DEPTH, (a, sa), (b, sc[0]), (c, sc[0]), [rows, cols], blend);
                }
                None => {
                    f32::gemm_block([rows, DEPTH, cols], 1., (a, sa), (b, sc), 0., (c, sc));
                }
            }
        }
    }
    black_box(&c);
    (2 * rows * DEPTH * cols * TURNS) as f64 / start.elapsed().as_secs_f64()
}

/// Bytes a second of `z ← x + c y` in `f32` on all threads of the pool together, counting each of the
/// three arrays once; they are far larger than caches. The best of a few tries; 0.2 s.
pub fn bandwidth() -> f64 {
    const ENTRIES: usize = 1 << 24;
    let [x, y, mut z] = [1_f32; 3].map(|x| vec![x; ENTRIES]);
    let mut run = || {
        let start = Instant::now();
        let inputs = x.par_chunks(vector::CHUNK).zip(y.par_chunks(vector::CHUNK));
        z.par_chunks_mut(vector::CHUNK).zip(inputs).for_each(|(z, (x, y))| {
            vector::scaled_sum(Some(x), 2., y, z);
        });
        black_box(&z);
        (3 * size_of::<f32>() * ENTRIES) as f64 / start.elapsed().as_secs_f64()
    };
    (0..10).map(|_| run()).fold(0., f64::max)
}
