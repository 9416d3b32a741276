//! Matrix products at the shapes a Bayesian hypernetwork needs, in f32 and in bfloat16:
//! `cargo bench --bench gemm`.
//!
//! Criterion's throughput is in multiply-adds per second; FLOP/s are twice that.
use bhn::kernels::gemm::Precision::{Bf16, F32};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use ndarray::Array2;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `M × K × N`, and whether `A` and `B` are stored transposed.
const SHAPES: [([usize; 3], [bool; 2]); 19] = [
    ([128, 784, 800], [false, true]),
    ([128, 800, 800], [false, true]),
    ([128, 800, 10], [false, true]),
    ([128, 10, 800], [false, false]),
    ([800, 128, 784], [true, false]),
    ([1000, 784, 800], [false, true]),
    ([512, 512, 512], [false, false]),
    ([1024, 800, 800], [false, true]),
    ([1024, 800, 800], [false, false]),
    ([800, 1024, 800], [true, false]),
    ([1024, 800, 10], [false, true]),
    ([1024, 10, 800], [false, false]),
    ([1024, 1024, 1024], [false, false]),
    ([2048, 2048, 2048], [false, false]),
    ([65536, 576, 64], [false, true]),
    ([1, 200, 1600], [false, true]),
    ([8, 200, 1600], [false, true]),
    ([32, 200, 1600], [false, true]),
    ([805, 1, 200], [true, false]),
];

fn products(c: &mut Criterion) {
    for (threads, precision) in [(1, F32), (1, Bf16), (2, F32), (2, Bf16)] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let mut group = c.benchmark_group(format!("gemm, {precision:?}, {threads} threads"));
        group.sample_size(20).measurement_time(std::time::Duration::from_secs(1));
        for ([m, k, n], [ta, tb]) in SHAPES {
            let matrix = |r: usize, c: usize, t: bool| {
                let fill = |(i, j): (usize, usize)| ((i * 7 + j * 3) % 11) as f32 - 5.;
                if t {
                    Array2::from_shape_fn((c, r), fill)
                } else {
                    Array2::from_shape_fn((r, c), fill)
                }
            };
            let (a, b) = (matrix(m, k, ta), matrix(k, n, tb));
            let (a, b) = (if ta { a.t() } else { a.view() }, if tb { b.t() } else { b.view() });
            let mut out = Array2::<f32>::zeros((m, n));
            group.throughput(Throughput::Elements((m * k * n) as u64));
            group.bench_function(
                BenchmarkId::from_parameter(format!(
                    "{m}x{k}x{n} {}{}",
                    if ta { "At" } else { "" },
                    if tb { "Bt" } else { "" }
                )),
                |bench| {
                    pool.install(|| bench.iter(|| precision.gemm(a, b, 0., out.view_mut())));
                },
            );
        }
    }
}

criterion_group!(benches, products);
criterion_main!(benches);
