//! Time by operation, and how close each comes to the roofline of the machine.
use crate::kernels::peak;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The part of a step that an operation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Computes a value on the tape.
    Forward,
    /// Computes the gradients of an operation's inputs.
    Backward,
    /// Within a step, outside of the tape.
    Around,
    /// Between steps.
    Between,
}

/// All calls of one operation in one phase.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The operation's name on the tape; for a product also the shape of the second factor.
    pub name: String,
    /// The phase.
    pub pass: Phase,
    /// The number of calls.
    pub calls: u64,
    /// Their total time.
    pub seconds: f64,
    /// Bytes read and written, at least; 0 if unknown.
    pub bytes: f64,
    /// Floating-point operations; counted for products only.
    pub flops: f64,
}

impl Row {
    /// The fraction of the roofline, `max(flops / peak, bytes / bandwidth) / time`: 1 is the
    /// machine's limit. A fraction above 1 means that operands came from the cache, which is faster
    /// than memory.
    pub fn share(&self, machine: &Machine) -> f64 {
        (self.flops / machine.flops).max(self.bytes / machine.bandwidth) / self.seconds
    }
}

/// The measured peak performance of a thread pool.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Machine {
    /// The number of threads.
    pub threads: usize,
    /// Floating-point operations per second in `f32`; a fused multiply-add counts as two.
    pub flops: f64,
    /// Bytes per second from and to memory.
    pub bandwidth: f64,
}

impl Machine {
    /// Measure the current pool. Takes a fraction of a second and 192 MiB.
    pub fn measure() -> Self {
        let threads = rayon::current_num_threads();
        Self { threads, flops: peak::flops(), bandwidth: peak::bandwidth() }
    }
}

/// A stopwatch that is read after every operation, so that all time is attributed to some
/// operation. Clones share the stopwatch.
///
/// ```
/// use bhn::autodiff::profile::{Phase, Profile};
/// use bhn::autodiff::{Tape, Tensor};
/// let profile = Profile::start();
/// let tape = Tape::<f32>::default().profiled(Some(profile.clone()));
/// let [x, w] = [[3, 4], [5, 4]].map(|shape| tape.leaf(Tensor::ones(&shape[..])));
/// x.matmul_t(w).sum().backward();
/// let row = &profile.rows()[0];
/// assert_eq!((&*row.name, row.pass), ("matmul_t 5×4", Phase::Forward));
/// assert_eq!(row.flops, 2. * 3. * 4. * 5.);
/// ```
#[derive(Clone, Debug)]
pub struct Profile(Arc<Mutex<Watch>>);

#[derive(Debug)]
struct Watch {
    rows: Vec<Row>,
    last: Instant,
}

impl Profile {
    /// Start the stopwatch.
    pub fn start() -> Self {
        Self(Arc::new(Mutex::new(Watch { rows: vec![], last: Instant::now() })))
    }

    /// The rows, in the order of their first calls.
    pub fn rows(&self) -> Vec<Row> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rows.clone()
    }

    /// Attribute to `name` the time since the last call of this method, or since the start.
    pub fn spent(&self, name: &str, pass: Phase, bytes: f64, flops: f64) {
        let mut watch = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let seconds = (now - std::mem::replace(&mut watch.last, now)).as_secs_f64();
        match watch.rows.iter_mut().find(|row| row.name == name && row.pass == pass) {
            Some(row) => {
                row.calls += 1;
                row.seconds += seconds;
                row.bytes += bytes;
                row.flops += flops;
            }
            None => {
                let name = name.to_string();
                watch.rows.push(Row { name, pass, calls: 1, seconds, bytes, flops });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::autodiff::{Tape, Tensor, Var};
    use std::thread::sleep;
    use std::time::Duration;

    /// `[calls, flops, bytes]` of `x wᵀ`, forward and backward, for `w [40, 50]`.
    fn product(x: impl for<'t> Fn(&'t Tape, Tensor<f32>) -> Var<'t>, n: usize) -> [[f64; 3]; 2] {
        let profile = Profile::start();
        let tape = Tape::default().profiled(Some(profile.clone()));
        let w = tape.leaf(Tensor::ones(vec![40, 50]));
        x(&tape, Tensor::ones(vec![n, 50])).matmul_t(w).sum().backward();
        [Phase::Forward, Phase::Backward].map(|pass| {
            let rows = profile.rows();
            let row =
                rows.iter().find(|row| row.name == "matmul_t 40×50" && row.pass == pass).unwrap();
            [row.calls as f64, row.flops, row.bytes]
        })
    }

    #[test]
    fn matmul_flops_and_bytes_are_exact() {
        let (flops, [x, w, y]) = (2. * 64. * 50. * 40., [64. * 50., 40. * 50., 64. * 40.]);
        let forward = [1., flops, 4. * (x + w + y)];
        let both = [1., 2. * flops, 4. * (y + x + w + x + w)];
        assert_eq!(product(|tape, x| tape.leaf(x), 64), [forward, both]);
        // A constant `x` takes no gradient, so `w` is not read.
        let one = [1., flops, 4. * (y + x + w)];
        assert_eq!(product(|tape, x| tape.constant(x), 64), [forward, one]);
    }

    /// With two rows, the gradient of `w` stays in factors.
    #[test]
    fn factored_gradient_counts_no_flops() {
        let (flops, [x, w, y]) = (2. * 2. * 50. * 40., [2. * 50., 40. * 50., 2. * 40.]);
        let forward = [1., flops, 4. * (x + w + y)];
        assert_eq!(product(|tape, x| tape.constant(x), 2), [forward, [1., 0., 4. * (y + x + y)]]);
    }

    /// A later contribution to a gradient writes as many entries as the first.
    #[test]
    fn accumulated_gradients_count_as_writes() {
        let profile = Profile::start();
        let tape = Tape::<f32>::default().profiled(Some(profile.clone()));
        let x = tape.leaf(Tensor::ones(vec![40, 50]));
        (x.exp().sum() + x.tanh().sum()).backward();
        let rows = profile.rows();
        let bytes = |name: &str| {
            let row = rows.iter().find(|row| row.name == name && row.pass == Phase::Backward);
            row.unwrap().bytes
        };
        assert!(
            bytes("exp") == bytes("tanh") && bytes("exp") >= 4. * 2. * 2000.,
            "{}",
            bytes("exp")
        );
    }

    #[test]
    fn all_time_is_attributed() {
        let (clock, profile) = (Instant::now(), Profile::start());
        let tape = Tape::<f32>::default().profiled(Some(profile.clone()));
        sleep(Duration::from_millis(20));
        tape.spent_on("sleep", 0);
        let x = tape.leaf(Tensor::ones(vec![300, 300]));
        x.matmul(x).exp().sum().backward();
        profile.spent("the rest", Phase::Between, 0., 0.);
        let (all, clock) = (profile.rows().iter().map(|row| row.seconds).sum(), clock.elapsed());
        assert!(
            (0.95 * clock.as_secs_f64()..=clock.as_secs_f64()).contains(&all),
            "{all} {clock:?}"
        );
        let slept = profile.rows().into_iter().find(|row| row.name == "sleep");
        assert!(slept.expect("a row of its own").seconds >= 0.02);
    }

    #[test]
    fn roofline_is_the_slower_of_arithmetic_and_memory() {
        let machine = Machine { threads: 1, flops: 100., bandwidth: 10. };
        let (name, pass) = ("matmul".into(), Phase::Forward);
        let row = Row { name, pass, calls: 1, seconds: 2., bytes: 15., flops: 50. };
        assert_eq!(row.share(&machine), 0.75);
        assert_eq!(Row { bytes: 4., ..row }.share(&machine), 0.25);
    }
}
