//! A tape: every operation computes its value and appends a node; `backward` applies the chain rule
//! to the nodes in reverse. This is all of reverse-mode differentiation.
//!
//! `cargo run --release --example 01_tape`
use bhn::autodiff::Tape;
use ndarray::{arr1, arr2};

fn main() {
    // Three points (x₁, x₂) with targets y. Data are constants: no gradient flows to them.
    let tape = Tape::<f64>::default();
    let x = tape.constant(arr2(&[[1., 2.], [3., 4.], [5., 6.]]));
    let y = tape.constant(arr1(&[1., 2., 4.]));

    // Leaves are what we differentiate with respect to. A `Var` is a `Copy` handle: `w` and `error`
    // may be used any number of times.
    let w = tape.leaf(arr2(&[[0.5, -0.5]]));
    let error = x.matmul_t(w).reshape(&[3]) - y;
    let loss = (error * error).mean();
    println!("L = mean (x wᵀ − y)² = {:.4}, recorded as\n{tape}", loss.item());

    // Parents precede their children: recording order is a topological order, and `backward` needs
    // no sorting. Node 6 multiplies `error`, node 5, by itself; both factors contribute to the
    // gradient of `error`, and the contributions are summed.
    let grads = loss.backward();
    let dw = grads.wrt(w).expect("the loss depends on w");
    println!("dL/dw by the tape = {dw:.4}");

    // By hand: dL/dw = (2/3) Σᵢ errorᵢ xᵢ.
    let (e, x_value) = (error.value(), x.value());
    for j in 0..2 {
        let by_hand: f64 = (0..3).map(|i| 2. / 3. * e[i] * x_value[[i, j]]).sum();
        println!("dL/dw_{j} by hand  = {by_hand:.4}");
        assert!((dw[[0, j]] - by_hand).abs() < 1e-12);
    }

    // Gradients are returned, not stored in the nodes: a second call returns the same values and
    // does not accumulate.
    assert_eq!(loss.backward().wrt(w), Some(dw));
    assert!(grads.wrt(x).is_none(), "no gradient for data");

    // Training: each step has a new tape, and the parameter is kept outside of it.
    let mut w = arr2(&[[0.5, -0.5]]).into_dyn();
    let mut last = f64::INFINITY;
    for step in 0..=300 {
        let tape = Tape::default();
        let (leaf, x, y) = (tape.leaf(w.clone()), x.value(), y.value());
        let error = tape.constant(x).matmul_t(leaf).reshape(&[3]) - tape.constant(y);
        let loss = (error * error).mean();
        if step % 100 == 0 {
            println!("step {step:3}: L = {:.4}", loss.item());
            assert!(loss.item() < last, "gradient descent goes down");
            last = loss.item();
        }
        w = w - loss.backward().wrt(leaf).expect("depends on w") * 0.03;
    }
}
