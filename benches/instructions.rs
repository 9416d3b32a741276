//! Instruction counts by valgrind's callgrind, which do not depend on the load of the machine.
//!
//! `cargo bench --bench instructions` fails if a case grew by more than 5 % over
//! `benches/instructions.txt`; with `-- --bless` it writes that file.
//!
//! Valgrind emulates no AVX-512: **the AVX2 path is counted**, on one thread. Waiting for memory is
//! not counted, so `benches/step.rs` decides about speed.
//!
//! Counts depend on the compiler. The baseline names its version; with any other, the table is
//! printed and nothing fails. An unrelated edit may change what the compiler inlines, and so a
//! small case.
use bhn::autodiff::{Owned, Tape};
use bhn::bayes::Targets;
use bhn::data::Task;
use bhn::kernels::gemm::gemm;
use bhn::kernels::vector::{AdamStep, adam};
use bhn::predict::{draw, predict};
use bhn::primary::Layer;
use bhn::random::{Purpose, stream};
use bhn::run::config::Config;
use bhn::run::train::Trainer;
use ndarray::Array2;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::process::{Command, ExitCode};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BASELINE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.txt");
/// Growth that fails, and shrinkage that is reported, in percent.
const LIMIT: f64 = 5.;

fn main() -> ExitCode {
    let flag = |name: &str| std::env::args().any(|word| word == name);
    if flag("--cases") {
        cases();
        return ExitCode::SUCCESS;
    }
    let (compiler, counts) = (compiler(), counts());
    if flag("--bless") {
        let rows = counts.iter().map(|(case, n)| format!("{n:>9} {case}\n"));
        let text = format!("{compiler}\n{}", rows.collect::<String>());
        std::fs::write(BASELINE, text).expect("benches/ can be written");
        return ExitCode::SUCCESS;
    }
    let text = std::fs::read_to_string(BASELINE).unwrap_or_default();
    let (baseline_compiler, rows) = text.split_once('\n').unwrap_or_default();
    let passed = compare(rows, &counts);
    if compiler != baseline_compiler {
        println!("\nNOT JUDGED: this is {compiler}, the baseline {baseline_compiler}.");
        return ExitCode::SUCCESS;
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Prints case, baseline, count and change; `false` if a case grew beyond the limit, is new or is
/// gone.
fn compare(rows: &str, counts: &[(String, u64)]) -> bool {
    let row = |line: &str| {
        let (n, case) = line.trim().split_once(' ').expect("a number and a case");
        (case.to_owned(), n.parse::<u64>().expect("a number"))
    };
    let mut baseline: BTreeMap<_, _> = rows.lines().map(row).collect();
    let (mut failures, mut shrunk) = (0, 0);
    println!("{:<38} {:>10} {:>10} {:>9}", "instructions", "baseline", "now", "change");
    for (case, now) in counts {
        let Some(then) = baseline.remove(case) else {
            println!("{case:<38} {:>10} {now:>10} {:>9}  NEW", "-", "-");
            failures += 1;
            continue;
        };
        let change = 100. * (*now as f64 / then as f64 - 1.);
        let (grew, shrank) = (change > LIMIT, change < -LIMIT);
        let verdict = if grew { "  GREW" } else { ["", "  shrank"][usize::from(shrank)] };
        println!("{case:<38} {then:>10} {now:>10} {change:>+8.2}%{verdict}");
        failures += usize::from(grew);
        shrunk += usize::from(shrank);
    }
    for (case, then) in &baseline {
        println!("{case:<38} {then:>10} {:>10} {:>9}  GONE", "-", "-");
        failures += 1;
    }
    if failures + shrunk > 0 {
        println!(
            "\n{failures} failed, {shrunk} shrank by more than {LIMIT} %. If that is meant to be: \
             cargo bench --bench instructions -- --bless"
        );
    }
    failures == 0
}

/// Instruction counts of all cases: runs this program under valgrind, with one dump for each case.
fn counts() -> Vec<(String, u64)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dumps = folder.path().join("dumps");
    let run = Command::new("valgrind")
        .args(["--tool=callgrind", "--combine-dumps=yes"])
        .args(["--toggle-collect", "--dump-after"].map(|what| format!("{what}=*::counted")))
        .arg(format!("--callgrind-out-file={}", dumps.display()))
        .args([std::env::current_exe().expect("a path").as_os_str(), "--cases".as_ref()])
        // Callgrind counts each byte of a `rep movsb`, which glibc uses for some copies.
        .env("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS")
        // By default mimalloc returns memory to the system after some time.
        .env("MIMALLOC_PURGE_DELAY", "-1")
        .output()
        .unwrap_or_else(|error| panic!("valgrind: {error}: `apt-get install valgrind`"));
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let dumps = std::fs::read_to_string(dumps).expect("what callgrind wrote");
    let totals = dumps.lines().filter_map(|line| line.strip_prefix("totals: "));
    let totals: Vec<u64> = totals.map(|n| n.parse().expect("a number")).collect();
    let names: Vec<_> = String::from_utf8_lossy(&run.stdout).lines().map(String::from).collect();
    // The last dump is that of the program's end.
    assert_eq!(totals.len(), names.len() + 1, "one dump a case");
    names.into_iter().zip(totals).collect()
}

/// The compiler and target, on which counts depend beside the source and Cargo.lock.
fn compiler() -> String {
    let output = Command::new("rustc").arg("-V").output().expect("rustc runs");
    let version = String::from_utf8_lossy(&output.stdout);
    format!("{} on {}", version.trim(), std::env::consts::ARCH)
}

fn cases() {
    // Callgrind counts each thread by itself: rayon's only worker is this thread.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread();
    pool.build_global().expect("the first pool");
    products();
    kernels();
    steps();
}

/// Counts the second run of `f`; the first detects the processor and warms the allocator.
fn case(name: &str, mut f: impl FnMut()) {
    f();
    counted(&mut f);
    println!("{name}");
}

/// The function, by name, whose instructions callgrind collects.
#[inline(never)]
fn counted(f: &mut dyn FnMut()) {
    f();
    black_box(());
}

fn products() {
    // `M × K × N`, and whether `A` and `B` are stored transposed.
    for ([m, k, n], [ta, tb]) in [
        ([128, 784, 800], [false, true]),
        ([128, 800, 784], [false, false]),
        ([800, 128, 784], [true, false]),
        ([128, 800, 10], [false, true]),
        ([8, 805, 200], [false, true]),
        ([1, 200, 1600], [false, true]),
    ] {
        let matrix = |rows, cols, transposed: bool| {
            let x = numbers(&if transposed { [cols, rows] } else { [rows, cols] });
            let x: Array2<_> = x.into_dimensionality().expect("a matrix");
            if transposed { x.reversed_axes() } else { x }
        };
        let (a, b, mut c) = (matrix(m, k, ta), matrix(k, n, tb), matrix(m, n, false));
        let mark = |transposed: bool| if transposed { "ᵀ" } else { "" };
        case(&format!("gemm A{} B{} {m}×{k}×{n}", mark(ta), mark(tb)), || {
            gemm(1., a.view(), b.view(), 0., c.view_mut());
        });
    }
}

fn kernels() {
    let n = 100_000;
    let k = AdamStep {
        shrink: 0.5,
        limit: 5.,
        beta1: 0.9,
        beta2: 0.999,
        rate: 1e-3,
        unbias: 2.,
        epsilon: 1e-8,
    };
    let g = vec![0.1_f32; n];
    let [mut m, mut v, mut w] = [(); 3].map(|()| vec![0.1; n]);
    case("adam 100000", || adam(k, &g, &mut m, &mut v, &mut w));

    let tape = Tape::<f32>::default();
    let leaf = |shape: &[usize]| tape.leaf(numbers(shape));
    let (x, row, column) = (leaf(&[8, 128, 200]), leaf(&[200]), leaf(&[8, 1, 200]));
    let labels: Vec<_> = (0..128).map(|i| i % 10).collect();
    let (logits, directions) = (leaf(&[8, 128, 10]), leaf(&[800, 784]));
    macro_rules! op {
        ($name:literal, $y:expr) => {
            case(concat!($name, ", forward"), || {
                black_box($y);
            });
            let y = $y.sum();
            case(concat!($name, ", backward"), || {
                black_box(y.backward());
            });
        };
    }
    op!("[8, 128, 200] + [200]", x + row);
    op!("[8, 128, 200] × [8, 1, 200]", x * column);
    op!("relu [8, 128, 200]", x.relu());
    op!("log_softmax [8, 128, 10]", logits.log_softmax());
    op!("log-prob [8, 128, 10]", logits.categorical_log_prob(labels.clone()));
    op!("row_norms [800, 784]", directions.row_norms());
}

/// A hypernetwork for 64-32-32-10 with two couplings: steps on 16 examples, a prediction for 64.
fn steps() {
    let x: Array2<f32> = numbers(&[64, 64]).into_dimensionality().expect("a matrix");
    let rows = x.slice(ndarray::s![..16, ..]);
    let y = Targets::Classes((0..16).map(|i| i % 10).collect());
    for samples in [1, 8] {
        let mut config = Config::default();
        config.primary.layers = Some(Layer::mlp(&[32, 32], 10));
        (config.flow.couplings, config.train.samples) = (2, samples);
        let classes = (0..10).map(|c| c.to_string()).collect();
        let mut trainer = Trainer::new(&config, 64, &Task::Classification { classes }, 1000);
        case(&format!("step, S = {samples}"), || {
            trainer.step(rows.to_owned(), &y).expect("a finite step");
        });
        if samples == 8 {
            case("predict, S = 8", || {
                let rng = &mut stream(0, Purpose::Sample, 0);
                let (theta, _) = draw(&trainer.model, samples, rng);
                black_box(predict(&trainer.model, &theta, x.view()));
            });
        }
    }
}

fn numbers(shape: &[usize]) -> Owned<f32> {
    let mut i = 0_u32;
    Owned::from_shape_simple_fn(shape, || {
        i += 1;
        (i * 7 % 11) as f32 / 5. - 1.
    })
}
