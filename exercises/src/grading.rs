//! What graders share: comparisons with a verdict in words, and gradients.
use bhn::autodiff::gradcheck::{Verdict as Check, gradcheck, randn};
use bhn::autodiff::{Owned, Tape, Tensor, Var};
use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Once, mpsc};
use std::thread;
use std::time::Duration;

/// `Ok`, or what is wrong in words.
pub type Verdict = Result<(), String>;

const PATIENCE: Duration = Duration::from_secs(60);

thread_local! {
    /// Where the last panic of a graded answer occurred, while one is graded on this thread.
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The verdict of `grader`, where panics and loops without an end are errors.
///
/// # Errors
/// As `grader`, or if it panics or takes longer than a minute.
pub fn guarded(grader: fn() -> Verdict) -> Verdict {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let default = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            let is_graded = thread::current().name() == Some("grader");
            if is_graded { PANIC.set(place(info)) } else { default(info) }
        }));
    });
    let (sender, receiver) = mpsc::channel();
    let grade = move || {
        let verdict = caught(grader).and_then(|verdict| verdict);
        // Nobody receives a verdict that is late.
        let _ = sender.send(verdict);
    };
    let started = thread::Builder::new().name("grader".to_string()).spawn(grade);
    started.map_err(|e| format!("no thread could be started: {e}"))?;
    receiver.recv_timeout(PATIENCE).unwrap_or_else(|_| {
        let seconds = PATIENCE.as_secs();
        Err(format!("your code has not finished after {seconds} s; does every loop end?"))
    })
}

/// What `f` returns, or how it panics in words.
pub(crate) fn caught<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(f)).map_err(|panic| in_words(&*panic))
}

/// The line in a learner's file where a panic occurred.
fn place(info: &PanicHookInfo<'_>) -> Option<String> {
    let at = info.location()?;
    let (_, file) = at.file().rsplit_once("todo/").or(at.file().rsplit_once("solutions/"))?;
    Some(format!("{file}, line {}", at.line()))
}

fn in_words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
    match (text.strip_prefix("not yet implemented"), PANIC.take()) {
        (Some(todo), _) => format!("not done yet{todo}"),
        (None, Some(place)) => format!("your code panics ({place}): {text}"),
        (None, None) => format!("a library function that your code calls panics: {text}"),
    }
}

/// Fails with `why` unless it holds.
///
/// # Errors
/// Unless it holds.
pub fn expect(holds: bool, why: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(why()) }
}

/// Compares `what`, which names the quantity and its inputs, up to rounding.
///
/// # Errors
/// If the two differ by more than 10⁻⁹, relative to the larger of 1 and the expected value.
pub fn same(what: &str, found: f64, expected: f64) -> Verdict {
    let is_near = (found - expected).abs() <= 1e-9 * expected.abs().max(1.);
    expect(is_near, || {
        let [short, expected_short] = [found, expected].map(|x| format!("{x:.6}"));
        match short == expected_short {
            true => format!("{what}: found {found:e}, expected {expected:e}"),
            false => format!("{what}: found {short}, expected {expected_short}"),
        }
    })
}

/// Fails unless a list has the expected length.
///
/// # Errors
/// If it has not.
pub fn count(what: &str, found: usize, expected: usize) -> Verdict {
    expect(found == expected, || format!("{what}: found {found} entries, expected {expected}"))
}

/// The value of an operation.
pub fn value(
    f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
    inputs: &[Owned<f64>],
) -> Tensor<f64> {
    let tape = Tape::default();
    let inputs: Vec<_> = inputs.iter().map(|x| tape.leaf(x.clone())).collect();
    f(&inputs).value()
}

/// Checks the backward rule of an operation by the library's gradient check. If it fails, the
/// verdict names the entry whose gradient is furthest from finite differences.
///
/// # Errors
/// If a gradient is wrong.
pub fn gradient(
    name: &str,
    inputs: &[(&str, Owned<f64>)],
    f: impl for<'t> Fn(&[Var<'t, f64>]) -> Var<'t, f64>,
) -> Verdict {
    let xs: Vec<_> = inputs.iter().map(|(_, x)| x.clone()).collect();
    let report = gradcheck(&xs, &f);
    let Some(k) = report.0.iter().position(|check| !matches!(check, Check::Pass { .. })) else {
        return Ok(());
    };
    let input = inputs[k].0;
    let weights = randn(value(&f, &xs).shape(), 99);
    let loss = |xs: &[Owned<f64>]| (value(&f, xs).to_owned() * &weights).sum();

    let by_rule = |weights: &Owned<f64>| {
        let tape = Tape::default();
        let leaves: Vec<_> = xs.iter().map(|x| tape.leaf(x.clone())).collect();
        let loss = (f(&leaves) * tape.constant(weights.clone())).sum();
        loss.backward().wrt(leaves[k]).cloned()
    };
    let Some(found) = by_rule(&weights) else {
        return Err(format!("the backward rule of {name} adds nothing to the gradient of {input}"));
    };
    if by_rule(&(&weights * 2.)).as_ref() == Some(&found) {
        return Err(format!(
            "the backward rule of {name} gives a gradient of {input} that does not depend on dy, \
             the gradient of the output, which it has to be multiplied by"
        ));
    }
    let h = 1e-5;
    let difference = |i: usize| {
        let moved = |by: f64| {
            let mut xs = xs.clone();
            *xs[k].iter_mut().nth(i).expect("an entry") += by;
            loss(&xs)
        };
        (moved(h) - moved(-h)) / (2. * h)
    };
    let errors = found.iter().enumerate().map(|(i, g)| (i, *g, difference(i)));
    let worst = errors.max_by(|a, b| (a.1 - a.2).abs().total_cmp(&(b.1 - b.2).abs()));
    let (i, rule, difference) = worst.ok_or_else(|| format!("{input} has no entries"))?;
    if (rule - difference).abs() <= 1e-6 * difference.abs().max(1.) {
        return Err(format!("the gradient check of {name} fails:\n{report}"));
    }
    let mut rest = i;
    let mut index: Vec<_> = xs[k].shape().iter().rev().map(|n| (rest % n, rest /= n).0).collect();
    index.reverse();
    let x = xs[k].iter().nth(i).expect("an entry");
    Err(format!(
        "the backward rule of {name} gives a wrong gradient of {input}.\nThe error is largest at \
         entry {index:?}, where {input} is {x:.6}: found {rule:.6}, expected {difference:.6}\n(by \
         finite differences, for a loss L = Σ uᵢ yᵢ with random weights u)"
    ))
}
