//! Reverse-mode differentiation on a tape: every operation computes its value immediately and
//! appends a node; `backward` applies the chain rule to the nodes in reverse.
//!
//! `cargo run --release --example 01_tape`
use bhn::autodiff::Tape;
use ndarray::{arr1, arr2};

fn main() {
    // Three points (x₁, x₂) with targets y. Data are constants: no gradient flows to them.
    let tape = Tape::<f64>::default();
    let x = tape.constant(arr2(&[[1., 2.], [3., 4.], [5., 6.]]).into_dyn());
    let y = tape.constant(arr1(&[1., 2., 4.]).into_dyn());

    // Gradients are with respect to leaves. A `Var` is a `Copy` handle, so `w` and `error` can be
    // used any number of times.
    let w = tape.leaf(arr2(&[[0.5, -0.5]]).into_dyn());
    let error = x.matmul_t(w).reshape(&[3]) - y;
    let loss = (error * error).mean();
    println!("L = mean (x wᵀ − y)² = {:.4}, recorded as\n{tape}", loss.item());

    // Parents precede their children: the order of recording is a topological order, so `backward`
    // sorts nothing. Node 6 multiplies `error`, node 5, by itself; both contributions are summed.
    let grads = loss.backward();
    let dw = grads.wrt(w).expect("the loss depends on w");
    println!("dL/dw by the tape = {dw:.4}");

    // The same by hand: dL/dw = (2/3) Σᵢ errorᵢ xᵢ.
    let (e, x_value) = (error.value(), x.value());
    for j in 0..2 {
        let by_hand: f64 = (0..3).map(|i| 2. / 3. * e[i] * x_value[[i, j]]).sum();
        println!("dL/dw_{j} by hand  = {by_hand:.4}");
        assert!((dw[[0, j]] - by_hand).abs() < 1e-12);
    }

    // Gradients are returned and not stored in the nodes, so a second call returns the same values
    // instead of accumulating.
    assert_eq!(loss.backward().wrt(w), Some(dw));
    assert!(grads.wrt(x).is_none(), "no gradient for data");

    // Training: a new tape per step; the parameter lives outside the tape.
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
