//! Defends: a kernel panics if lengths do not agree, as documented; it never ignores elements.
use bhn::kernels::affine::{self, Affine};
use bhn::kernels::conv::{self, Window};
use bhn::kernels::gemm::Precision;
use bhn::kernels::vector::{self, AdamStep};
use bhn::kernels::{broadcast, gemm, pool};
use ndarray::Array2;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn panics(f: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(f)).is_err()
}

/// `f` accepts slices of these lengths, and panics if one is longer or shorter by one, or empty.
fn exact<const N: usize>(name: &str, lengths: [usize; N], f: impl Fn([&mut [f32]; N])) {
    let run = |lengths: [usize; N]| {
        let mut slices = lengths.map(|n| vec![0.5; n]);
        f(slices.each_mut().map(|slice| &mut slice[..]));
    };
    run(lengths);
    for i in 0..N {
        for n in [lengths[i] + 1, lengths[i] - 1, 0] {
            let mut others = lengths;
            others[i] = n;
            assert!(panics(|| run(others)), "{name} takes lengths {others:?} for {lengths:?}");
        }
    }
}

#[test]
fn vector_kernels_panic_on_length_mismatch() {
    exact("map", [7; 2], |[x, y]| vector::map(x, y, |x| x));
    exact("zip", [7; 3], |[x, y, z]| vector::zip(x, y, z, |x, y| x + y));
    exact("zip_onto", [7; 3], |[x, y, z]| vector::zip_onto(x, y, z, |x, y| x + y));
    exact("transpose", [12; 2], |[x, y]| vector::transpose(x, y, [2, 3]));
    exact("scaled_sum", [7; 3], |[x, y, z]| vector::scaled_sum(Some(x), 2., y, z));
    exact("scaled_sum of one", [7; 2], |[y, z]| vector::scaled_sum(None, 2., y, z));
    exact("add_rows", [5, 15, 3], |[a, z, y]| vector::add_rows(a, z, y));
    exact("dot_f64", [7; 2], |[x, y]| {
        vector::dot_f64(x, y);
    });
    exact("dot", [7; 2], |[x, y]| {
        vector::dot(x, y);
    });
    exact("axpy", [7; 2], |[x, y]| vector::axpy(2., x, y));
    let wide = |n| vec![0.; n];
    exact("add_f64", [7], |[x]| vector::add_f64(x, &mut wide(7)));
    exact("add_rounded", [7], |[x]| vector::add_rounded(&wide(7), x));
    exact("add_products", [7; 2], |[x, y]| vector::add_products(2., x, y, &mut wide(7)));
    let k = AdamStep {
        shrink: 1.,
        limit: 1.,
        beta1: 0.9,
        beta2: 0.9,
        rate: 0.1,
        unbias: 1.,
        epsilon: 1e-8,
    };
    exact("adam", [7; 4], |[g, m, v, w]| vector::adam(k, g, m, v, w));
    exact("adam_combined", [7; 4], |[g, m, v, w]| {
        let g = vector::Combination { along: 1., factors: [1.], rows: [g] };
        vector::adam_combined(k, g, m, v, w);
    });
    assert!(panics(|| vector::transpose::<f32>(&[], &mut [], [1 << 40, 1 << 40])));
    vector::transpose::<f32>(&[], &mut [], [0, 3]);
    vector::add_rows::<f32>(&[1.; 3], &[], &mut []);
}

#[test]
fn broadcast_kernels_panic_on_length_mismatch() {
    for shapes in [[[2, 3], [1, 3], [2, 3]], [[2, 3]; 3], [[2, 1], [1, 3], [2, 3]]] {
        let lengths = shapes.map(|shape| shape.iter().product());
        let [xs, ys, zs] = &shapes;
        exact("broadcast::zip", lengths, |[x, y, z]| {
            broadcast::zip((x, xs), (y, ys), (z, zs), |x, y| x + y);
        });
        exact("sum_to", [lengths[2], lengths[1]], |[g, to]| {
            broadcast::sum_to((g, zs), (to, ys));
        });
    }
    let (x, z) = ([1_f32; 3], &mut [0.; 2]);
    assert!(panics(|| broadcast::zip((&x, &[3]), (&x, &[3]), (z, &[2]), |x, _| x)));
    let sums: [(&[usize], &[usize]); 4] =
        [(&[2], &[3]), (&[3], &[2]), (&[], &[1]), (&[3], &[3, 1])];
    for (gs, ts) in sums {
        let [g, mut to] = [gs, ts].map(|shape| vec![0_f32; shape.iter().product()]);
        assert!(panics(|| broadcast::sum_to((&g, gs), (&mut to, ts))), "{gs:?} to {ts:?}");
    }
}

#[test]
fn affine_kernels_panic_on_length_mismatch() {
    let (n, batch, samples) = (3, 4, 2);
    fn map<'a>(p: &'a [f32], scale: &'a [f32], batch: usize) -> Affine<'a, f32> {
        Affine { p, scale, n: 3, batch, relu: true }
    }
    let rows = batch * samples;
    for p in [rows * n, batch * n] {
        exact("affine", [p, samples * n, n, rows * n], |[p, scale, shift, y]| {
            affine::forward(map(p, scale, batch), shift, y);
        });
        exact(
            "affine backward",
            [p, samples * n, rows * n, rows * n, p],
            |[p, scale, dy, y, dp]| {
                let [mut ds, mut db] = [samples, 1].map(|rows| Array2::zeros((rows, n)));
                let map = map(p, scale, batch);
                affine::backward(map, (dy, y), (0., dp), ds.view_mut(), db.view_mut());
            },
        );
        for (ds, db) in
            [((samples, n + 1), (1, n)), ((samples + 1, n), (1, n)), ((samples, n), (2, n))]
        {
            let [p, scale, y, mut dp] = [p, samples * n, rows * n, p].map(|n| vec![0.; n]);
            let [mut ds, mut db] = [ds, db].map(Array2::zeros);
            let map = map(&p, &scale, batch);
            assert!(panics(|| {
                affine::backward(map, (&y, &y), (0., &mut dp), ds.view_mut(), db.view_mut());
            }));
        }
    }
    let nothing = Affine { p: &[], scale: &[], n: 0, batch, relu: true };
    assert!(panics(|| affine::forward::<f32>(nothing, &[], &mut [])));
}

#[test]
fn conv_and_pool_kernels_panic_on_length_mismatch() {
    let over = Window::new([2, 2]).over([3, 4, 2]).unwrap();
    let (image, pooled, n) = (2 * 24, 2 * 12, 5);
    exact("max", [image, pooled], |[x, y]| pool::max(&over, x, y));
    exact("mean", [image, pooled], |[x, y]| pool::mean(&over, x, y));
    exact("mean backward", [pooled, image], |[dy, dx]| pool::mean_backward(&over, dy, dx));
    exact("max backward", [image, pooled, pooled, image], |[x, y, dy, dx]| {
        pool::max_backward(&over, x, y, dy, dx);
    });
    let out = 2 * 6 * n;
    for k in [7, 8, 9] {
        let w = Array2::<f32>::ones((n, k));
        let packed = gemm::Packed::new(w.t());
        let run = |[x, y]: [&mut [f32]; 2]| conv::forward(&over, x, &packed, y);
        let back = |[dx, dy]: [&mut [f32]; 2]| {
            conv::backward_input(Precision::F32, &over, dy, w.view(), 0., dx)
        };
        let weight = |[x, dy]: [&mut [f32]; 2]| {
            conv::backward_weight(Precision::F32, &over, x, dy, 0., w.clone().view_mut());
        };
        if k == over.covered() {
            exact("conv", [image, out], run);
            exact("conv by input", [image, out], back);
            exact("conv by weight", [image, out], weight);
        } else {
            let slices = || [vec![0.5; image], vec![0.5; out]];
            let refuses = |f: &dyn Fn([&mut [f32]; 2])| {
                panics(|| f(slices().each_mut().map(|slice| &mut slice[..])))
            };
            assert!(refuses(&run) && refuses(&back) && refuses(&weight));
        }
    }
}

#[test]
fn matrix_kernels_panic_on_shape_mismatch() {
    let v = Array2::<f32>::ones((7, 3));
    exact("row_squares", [7], |[squares]| gemm::row_squares(v.view(), squares));
    let packed = gemm::Packed::new(v.view());
    let multiply = |a: [usize; 2], c: [usize; 2]| {
        packed.multiply(Array2::ones(a).view(), Array2::zeros(c).view_mut());
    };
    multiply([2, 7], [2, 3]);
    for (a, c) in [([2, 6], [2, 3]), ([2, 7], [3, 3]), ([2, 7], [2, 4]), ([2, 7], [2, 2])] {
        assert!(panics(|| multiply(a, c)), "{a:?} into {c:?}");
        let product =
            || gemm::gemm(1., Array2::ones(a).view(), v.view(), 0., Array2::zeros(c).view_mut());
        assert!(panics(product), "{a:?} into {c:?}");
    }
}
