//! `cargo run --release [-- THREADS [SECONDS [NAME]]]` in this folder: GFLOP/s of f32 matrix
//! products, best of many and alternating, ours and other crates'. Set `MATMUL_NUM_THREADS` to the
//! same number.
use faer::{Accum, MatMut, MatRef, Par};
use ndarray::{ArrayView2, ArrayViewMut2};
use std::time::Instant;

/// `M × K × N`, and whether `A` and `B` are stored transposed: a layer's product is `x Vᵀ`.
const SHAPES: [([usize; 3], [bool; 2]); 21] = [
    ([128, 784, 800], [false, false]),
    ([128, 800, 800], [false, false]),
    ([128, 800, 10], [false, false]),
    ([800, 128, 784], [true, false]),
    ([1000, 784, 800], [false, false]),
    ([512, 512, 512], [false, false]),
    ([1024, 1024, 1024], [false, false]),
    ([2048, 2048, 2048], [false, false]),
    ([65536, 576, 64], [false, false]),
    ([1, 200, 1600], [false, false]),
    ([8, 200, 1600], [false, false]),
    ([32, 200, 1600], [false, false]),
    ([128, 784, 800], [false, true]),
    ([128, 800, 10], [false, true]),
    ([128, 10, 800], [false, false]),
    ([1024, 800, 800], [false, true]),
    ([1024, 800, 800], [false, false]),
    ([800, 1024, 800], [true, false]),
    ([1, 200, 805], [false, true]),
    ([8, 805, 200], [false, true]),
    ([8, 805, 200], [false, false]),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let threads: usize = words.first().map_or(1, |n| n.parse().expect("THREADS"));
    let secs: f64 = words.get(1).map_or(1., |n| n.parse().expect("SECONDS"));
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .use_current_thread()
        .build_global()
        .expect("threads");
    println!("{threads} threads | bhn | gemm x86-v4 | faer | matrixmultiply | bhn / best");
    for ([m, k, n], [ta, tb]) in SHAPES {
        let name =
            format!("{m}x{k}x{n}{}{}", if ta { " At" } else { "" }, if tb { " Bt" } else { "" });
        if words.get(2).is_some_and(|part| !name.contains(part)) {
            continue;
        }
        let fill =
            |len: usize| -> Vec<f32> { (0..len).map(|i| (i * 7 % 11) as f32 - 5.).collect() };
        let (a, b) = (fill(m * k), fill(k * n));
        let [sa, sb] = [if ta { [1, m] } else { [k, 1] }, if tb { [1, k] } else { [n, 1] }];
        let mut c = [0; 4].map(|_| vec![0_f32; m * n]);
        let flops = 2. * (m * k * n) as f64;
        let inner = (2e6 / flops).ceil() as usize;
        let mut best = [f64::MAX; 4];
        let (start, mut rounds) = (Instant::now(), 0);
        while start.elapsed().as_secs_f64() < 4. * secs || rounds < 10 {
            for (lib, best) in best.iter_mut().enumerate() {
                let at = Instant::now();
                for _ in 0..inner {
                    product(lib, [m, k, n], (&a, sa), (&b, sb), &mut c[lib], threads);
                }
                *best = best.min(at.elapsed().as_secs_f64() / inner as f64);
            }
            rounds += 1;
        }
        for other in &c[1..] {
            let worst = c[0].iter().zip(other).map(|(x, y)| (x - y).abs()).fold(0., f32::max);
            assert!(worst <= 1e-2 * k as f32, "{name}: results differ by {worst}");
        }
        let rates = best.map(|secs| 1e-9 * flops / secs);
        let others = rates[1..].iter().copied().fold(0., f64::max);
        let row: Vec<_> = rates.iter().map(|rate| format!("{rate:.0}")).collect();
        println!("{name} | {} | {:.2}", row.join(" | "), rates[0] / others);
    }
}

fn product(
    lib: usize,
    [m, k, n]: [usize; 3],
    (a, sa): (&[f32], [usize; 2]),
    (b, sb): (&[f32], [usize; 2]),
    c: &mut [f32],
    threads: usize,
) {
    let [ia, ib] = [sa, sb].map(|s| s.map(|s| s as isize));
    match lib {
        0 => {
            use ndarray::ShapeBuilder;
            let a = ArrayView2::from_shape((m, k).strides((sa[0], sa[1])), a).expect("fits");
            let b = ArrayView2::from_shape((k, n).strides((sb[0], sb[1])), b).expect("fits");
            let c = ArrayViewMut2::from_shape((m, n), c).expect("fits");
            bhn::kernels::gemm::gemm(1., a, b, 0., c);
        }
        1 => {
            let par = if threads == 1 {
                gemm::Parallelism::None
            } else {
                gemm::Parallelism::Rayon(threads)
            };
            // SAFETY: shapes and strides are those of the slices.
            unsafe {
                gemm::gemm(
                    m,
                    n,
                    k,
                    c.as_mut_ptr(),
                    1,
                    n as isize,
                    false,
                    a.as_ptr(),
                    ia[1],
                    ia[0],
                    b.as_ptr(),
                    ib[1],
                    ib[0],
                    0.,
                    1.,
                    false,
                    false,
                    false,
                    par,
                );
            }
        }
        2 => {
            let par = if threads == 1 { Par::Seq } else { Par::rayon(threads) };
            // SAFETY: shapes and strides are those of the slices.
            let (a, b) = unsafe {
                (
                    MatRef::from_raw_parts(a.as_ptr(), m, k, ia[0], ia[1]),
                    MatRef::from_raw_parts(b.as_ptr(), k, n, ib[0], ib[1]),
                )
            };
            let c = MatMut::from_row_major_slice_mut(c, m, n);
            faer::linalg::matmul::matmul(c, Accum::Replace, a, b, 1_f32, par);
        }
        _ => {
            // SAFETY: shapes and strides are those of the slices.
            unsafe {
                matrixmultiply::sgemm(
                    m,
                    k,
                    n,
                    1.,
                    a.as_ptr(),
                    ia[0],
                    ia[1],
                    b.as_ptr(),
                    ib[0],
                    ib[1],
                    0.,
                    c.as_mut_ptr(),
                    n as isize,
                    1,
                );
            }
        }
    }
}
