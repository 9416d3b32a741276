//! Where the time goes, by operation, and how near each comes to what the machine can do.
use crate::kernels::peak;
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Which part of the work an operation belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// To a value on the tape.
    Forward,
    /// To the gradients of an operation's inputs.
    Backward,
    /// Around the tape, in every step.
    Around,
    /// Between steps.
    Between,
}

/// What all calls of one operation took together.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Its name on the tape; of a product also the shape of the second factor.
    pub name: String,
    /// Which part.
    pub pass: Phase,
    /// How often it ran.
    pub calls: u64,
    /// How long.
    pub seconds: f64,
    /// What it had to read and write at least, in bytes; 0 if that is not known.
    pub bytes: f64,
    /// Additions and multiplications, of products alone.
    pub flops: f64,
}

impl Row {
    /// The share of the roofline, `max(flops / peak, bytes / bandwidth) / time`: 1 is as fast as
    /// the machine can. More than 1 says that operands came from the cache, which is faster than memory.
    pub fn share(&self, machine: &Machine) -> f64 {
        (self.flops / machine.flops).max(self.bytes / machine.bandwidth) / self.seconds
    }
}

/// What the threads of a pool can do together, as measured.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Machine {
    /// How many they are.
    pub threads: usize,
    /// Floating-point operations a second, in fused multiply-adds of `f32`.
    pub flops: f64,
    /// Bytes a second between them and memory.
    pub bandwidth: f64,
}

impl Machine {
    /// Measure it: a fraction of a second, and 192 MiB.
    pub fn measure() -> Self {
        let threads = rayon::current_num_threads();
        Self { threads, flops: peak::flops(), bandwidth: peak::bandwidth() }
    }
}

/// A stopwatch that is read after every operation: all time is someone's. A clone is the same
/// stopwatch.
///
/// ```
/// use bhn::autodiff::profile::{Phase, Profile};
/// use bhn::autodiff::{Tape, Tensor};
/// let profile = Profile::start();
/// let tape = Tape::<f32>::default().profiled(Some(profile.clone()));
/// let [x, w] = [[3, 4], [5, 4]].map(|shape| tape.leaf(Tensor::ones(&shape[..])));
/// x.matmul_t(w).sum().backward();
/// let row = &profile.rows()[0];
/// assert_eq!((&*row.name, row.pass, row.flops), ("matmul_t 5×4", Phase::Forward, 2. * 3. * 4. * 5.));
/// ```
#[derive(Clone, Debug)]
pub struct Profile(Arc<Mutex<Watch>>);

#[derive(Debug)]
struct Watch {
    rows: Vec<Row>,
    last: Instant,
}

/// An input of an operation on a tape.
pub(crate) struct Input<'a> {
    pub shape: &'a [usize],
    /// How many numbers the backward rule wrote as its gradient.
    pub written: usize,
}

impl Profile {
    /// Begin here.
    pub fn start() -> Self {
        Self(Arc::new(Mutex::new(Watch { rows: vec![], last: Instant::now() })))
    }

    /// What took time, in the order of the first calls.
    pub fn rows(&self) -> Vec<Row> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).rows.clone()
    }

    /// All time since the last call was spent on this.
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

    /// The same of an operation on a tape, with `y` entries of `size` bytes in its value. A product is
    /// told from others by its second factor: a thin one waits for memory, a wide one computes.
    pub(crate) fn operation(
        &self,
        name: &str,
        pass: Phase,
        y: usize,
        inputs: &[Input],
        size: usize,
    ) {
        let (entries, flops) = cost(name, pass, y, inputs);
        let (bytes, flops) = ((size * entries) as f64, flops as f64);
        if is_product(name) {
            let [rows, columns] = [0, 1].map(|axis| inputs[1].shape[axis]);
            self.spent(&format!("{name} {rows}×{columns}"), pass, bytes, flops);
        } else {
            self.spent(name, pass, bytes, flops);
        }
    }
}

fn is_product(name: &str) -> bool {
    matches!(name, "matmul" | "matmul_t" | "linear" | "conv2d")
}

/// How many numbers an operation must read and write at least, and its arithmetic if it is a product:
/// `2 n k m` for `[n, k]` by `[k, m]`, and as much for each gradient that it forms; of a convolution `n` is the
/// number of positions and `k` what its window covers.
fn cost(name: &str, pass: Phase, y: usize, inputs: &[Input]) -> (usize, usize) {
    let len = |x: &Input| x.shape.iter().product::<usize>();
    let inner = &inputs[usize::from(name == "conv2d")];
    let flops = 2 * y * inner.shape.last().filter(|_| is_product(name)).unwrap_or(&0);
    if pass == Phase::Forward {
        let entries = match name {
            "reshape" => 0,
            "slice" | "gather" => 2 * y,
            _ => y + inputs.iter().map(len).sum::<usize>(),
        };
        return (entries, flops);
    }
    let read: usize = match name {
        // Linear: the gradient alone, or what is as small.
        "add" | "sub" | "sum" | "sum_axis" | "scale_shift" | "div_by" | "reshape" | "slice"
        | "concat" | "gather" | "permute_axes" | "broadcast_to" | "row_norms" | "avg_pool2d" => 0,
        // Linear in each of two: the gradient of one takes the other.
        "mul" | "affine" | "affine_relu" | "matmul" | "matmul_t" | "linear" | "conv2d" => {
            (0..2).filter(|&k| inputs[1 - k].written > 0).map(|k| len(&inputs[k])).sum()
        }
        _ => inputs.iter().map(len).sum(),
    };
    let formed = inputs.iter().take(2).filter(|x| x.written > 0 && x.written == len(x)).count();
    (y + read + inputs.iter().map(|x| x.written).sum::<usize>(), formed * flops)
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
    fn a_product_is_counted_exactly() {
        let (flops, [x, w, y]) = (2. * 64. * 50. * 40., [64. * 50., 40. * 50., 64. * 40.]);
        let forward = [1., flops, 4. * (x + w + y)];
        let both = [1., 2. * flops, 4. * (y + x + w + x + w)];
        assert_eq!(product(|tape, x| tape.leaf(x), 64), [forward, both]);
        // Data take no gradient, and so `w` is not read.
        let one = [1., flops, 4. * (y + x + w)];
        assert_eq!(product(|tape, x| tape.constant(x), 64), [forward, one]);
    }

    /// Of two rows the gradient of `w` is kept as its factors.
    #[test]
    fn a_product_that_is_not_formed_is_not_counted() {
        let (flops, [x, w, y]) = (2. * 2. * 50. * 40., [2. * 50., 40. * 50., 2. * 40.]);
        let forward = [1., flops, 4. * (x + w + y)];
        assert_eq!(product(|tape, x| tape.constant(x), 2), [forward, [1., 0., 4. * (y + x + y)]]);
    }

    /// What is added to a gradient writes as much as what was there first.
    #[test]
    fn a_second_gradient_is_written_too() {
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
    fn all_time_is_someones() {
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
    fn the_roofline_is_the_slower_of_arithmetic_and_memory() {
        let machine = Machine { threads: 1, flops: 100., bandwidth: 10. };
        let (name, pass) = ("matmul".into(), Phase::Forward);
        let row = Row { name, pass, calls: 1, seconds: 2., bytes: 15., flops: 50. };
        assert_eq!(row.share(&machine), 0.75);
        assert_eq!(Row { bytes: 4., ..row }.share(&machine), 0.25);
    }
}
