//! A tape: every operation computes its value and appends a node; `backward` applies the chain rule
//! to the nodes in reverse. This is all of reverse-mode differentiation.
//!
//! `cargo run --release --example 01_tape`
//!
//! It draws the tape of a step of a Bayesian hypernetwork, and prints the name of the picture.
use bhn::autodiff::Tape;
use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};
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

    let picture = std::env::current_exe().expect("a program").with_extension("svg");
    std::fs::write(&picture, svg(&step_of_a_hypernetwork())).expect("a writable folder");
    println!("picture: {}", picture.display());
}

/// The tape of a step of a Bayesian hypernetwork in DOT: two samples of the scales g of three units
/// explain two points. Example 05 explains the model.
fn step_of_a_hypernetwork() -> String {
    let tape = Tape::<f64>::default();
    // The hypernetwork maps noise ε to scales g = exp(a) ⊙ ε + m, with ln|det ∂g/∂ε| = Σ a.
    let eps = tape.named_constant("ε", arr2(&[[0.3, -1.2, 0.8], [1.1, 0.1, -0.5]]));
    let a = tape.named_leaf("a", arr1(&[-3., -3., -3.]));
    let m = tape.named_leaf("m", arr1(&[1., 1., 1.]));
    let g = eps * a.exp() + m;
    let ln_det = a.sum();
    let hypernet = tape.len();

    // The network is f(x) = Σᵢ relu(gᵢ vᵢᵀx/‖vᵢ‖ + bᵢ), for each sample of g.
    let x = tape.named_constant("x", arr2(&[[1., 0.2], [-0.4, 1.]]));
    let v = tape.named_leaf("V", arr2(&[[1., 0.], [0.5, 0.5], [0., -1.]]));
    let b = tape.named_leaf("b", arr1(&[0., 0.1, 0.2]));
    let hidden = x.matmul_t(v) * (g / v.row_norms()).reshape(&[2, 1, 3]) + b;
    let f = hidden.relu().sum_axis(2);
    let network = tape.len();

    // The bound is E_q[ln p(y|x, g) + ln p(g) − ln q(g)], and ln q(g) = ln N(ε; 0, I) − ln det.
    let y = tape.named_constant("y", arr1(&[1., 0.5]));
    let log_precision = tape.named_constant("ln τ", arr1(&[0.]));
    let log_lik = y.normal_log_prob(f, log_precision);
    let log_q = eps.standard_normal_log_prob() - ln_det;
    let loss = -(log_lik + g.standard_normal_log_prob() - log_q).mean();

    let grads = loss.backward();
    assert!([a, m, v, b].into_iter().all(|leaf| grads.wrt(leaf).is_some()));
    tape.dot(&[("hypernetwork", hypernet), ("network", network), ("bound", tape.len())])
}

/// A graph in DOT as a picture.
fn svg(dot: &str) -> String {
    let graph = DotParser::new(dot).process().expect("a graph");
    let mut builder = GraphBuilder::new();
    builder.visit_graph(&graph);
    let mut picture = SVGWriter::new();
    builder.get().do_it(false, false, false, &mut picture);
    picture.finalize()
}
