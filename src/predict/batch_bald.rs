//! BatchBALD (Kirsch, van Amersfoort & Gal 2019): inputs whose labels are jointly most informative.
use ndarray::{Array2, ArrayView2, ArrayView3, Axis};
use rand::{Rng, RngExt};
use rayon::prelude::*;

/// An input that was chosen to be labelled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pick {
    /// Its index in the pool, from 0.
    pub index: usize,
    /// Its score; for BatchBALD, the gain in nats given the inputs chosen before it. `None` if the
    /// input was chosen at random.
    pub value: Option<f64>,
}

/// The maximum number of configurations of labels `(y₁ … yₙ)` that are enumerated. If there are
/// more, this many are sampled, rounded up to a multiple of `S`.
const CONFIGURATIONS: usize = 1 << 12;

/// The number of inputs that are evaluated together.
const BLOCK: usize = 64;

/// The greedy choice of `k` inputs that maximise the mutual information of their labels and `θ`.
/// `p [S, N, K]` are the class probabilities of `N` inputs under each of `S` posterior samples.
///
/// The mutual information is `I[y₁ … yₙ; θ] = H[y₁ … yₙ] − Σᵢ mean_s H[yᵢ | θ_s]`. Given a
/// posterior sample, labels are independent, so `p(y₁ … yₙ) = mean_s Π p_s(yᵢ)`. If the chosen
/// inputs have at most 4096 configurations of labels, joint entropies are sums over all of them.
///
/// Otherwise `M` configurations `ŷ_m` are sampled from this mixture, equally many from each
/// posterior sample. They estimate the gain `I[y; θ | y₁ … yₙ]` of another input with label `y` as
/// `(1/M) Σ_m (H[y | ŷ_m] − Σ_s p(θ_s | ŷ_m) H[y | θ_s])`, where `p(θ_s | ŷ_m) ∝ Π p_s(ŷᵢ)`. This
/// is the mean over `m` of the input's BALD, with posterior samples weighted by `p(θ_s | ŷ_m)`. The
/// estimate is unbiased and not negative.
///
/// The gains in the result are not negative, and their sum is at most `ln S`, the entropy of `θ` if
/// it is one of `S` equally likely samples.
///
/// # Panics
/// If there are fewer than `k` inputs, or no samples.
pub fn batch_bald(p: ArrayView3<'_, f64>, k: usize, rng: &mut dyn Rng) -> Vec<Pick> {
    let (samples, inputs, classes) = p.dim();
    assert!(samples > 0 && k <= inputs, "batch_bald: {k} of {inputs} inputs, {samples} samples");
    let entropy = |p: &f64| if *p > 0. { -p * p.ln() } else { 0. };
    let each = p.map(entropy).sum_axis(Axis(2));
    let conditional = each.mean_axis(Axis(0)).expect("a sample");
    // Entry [m, s] is Π p_s(ŷᵢ) over the chosen inputs for configuration m or, if configurations
    // are sampled, p(θ_s | ŷ_m).
    let mut joint = Array2::<f64>::ones([1, samples]);
    let mut is_sampled = false;
    let mut picks: Vec<Pick> = vec![];
    let (mut information, mut noise) = (0., 0.);
    let mut left = (samples as f64).ln();
    for _ in 0..k {
        let (unit, count) =
            if is_sampled { (1., joint.nrows() as f64) } else { (samples as f64, 1.) };
        // H[y₁ … yₙ, y], or the mean of H[y | ŷ_m], for each input of a block, from one matrix
        // product.
        let block = |part: ArrayView3<'_, f64>| {
            let width = part.dim().1;
            let flat = part.to_shape([samples, width * classes]).expect("S rows");
            let together = joint.dot(&flat) / unit;
            let mut sums = vec![0.; width];
            for row in together.rows() {
                for (sum, p) in sums.iter_mut().zip(row.exact_chunks(classes)) {
                    *sum += p.iter().map(entropy).sum::<f64>() / count;
                }
            }
            sums
        };
        let blocks: Vec<_> = p.axis_chunks_iter(Axis(1), BLOCK).collect();
        let entropies: Vec<_> = blocks.into_par_iter().flat_map_iter(block).collect();
        let given = is_sampled.then(|| joint.mean_axis(Axis(0)).expect("a row").dot(&each));
        let gain = |&i: &usize| match &given {
            // A single sample gives no information about `θ`.
            _ if samples == 1 => 0.,
            None => entropies[i] - conditional[i] - noise - information,
            // Rounding must not order gains that are 0.
            Some(given) => (entropies[i] - given[i]).max(0.),
        };
        let free = (0..inputs).filter(|i| picks.iter().all(|pick| pick.index != *i));
        // Reversed, since `max_by` returns the last of equal elements.
        let index = free.rev().max_by(|i, j| gain(i).total_cmp(&gain(j))).expect("k ≤ N");
        let gain = gain(&index);
        information += gain;
        noise += conditional[index];
        let value = gain.clamp(0., left);
        left -= value;
        picks.push(Pick { index, value: Some(value) });

        let chosen = p.index_axis(Axis(1), index);
        if !is_sampled && joint.nrows() * classes > CONFIGURATIONS {
            is_sampled = true;
            joint = Array2::ones([CONFIGURATIONS.div_ceil(samples) * samples, samples]);
            for pick in &picks {
                extend_sampled(&mut joint, p.index_axis(Axis(1), pick.index), rng);
            }
        } else if is_sampled {
            extend_sampled(&mut joint, chosen, rng);
        } else {
            let all = |[m, s]: [usize; 2]| joint[[m / classes, s]] * chosen[[s, m % classes]];
            joint = Array2::from_shape_fn([joint.nrows() * classes, samples], |(m, s)| all([m, s]));
        }
    }
    picks
}

/// Update each row `m` of `joint` to `p(θ_s | ŷ_m, ŷ) ∝ p(θ_s | ŷ_m) p_s(ŷ)`, for an input with
/// probabilities `p [S, K]` and a label `ŷ` sampled under posterior sample `m mod S`.
fn extend_sampled(joint: &mut Array2<f64>, p: ArrayView2<'_, f64>, rng: &mut dyn Rng) {
    let samples = joint.ncols();
    for (m, mut row) in joint.rows_mut().into_iter().enumerate() {
        let mut left = rng.random::<f64>();
        let p_m = p.row(m % samples);
        let last = p_m.iter().rposition(|&p| p > 0.).expect("probabilities");
        let label = p_m.iter().position(|p| {
            left -= p;
            left < 0.
        });
        row *= &p.column(label.unwrap_or(last).min(last));
        // The sum is positive: the label has positive probability under sample m mod S.
        row /= row.sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::{Purpose, stream};

    /// The joint probability of a thousand labels underflows; the probabilities of samples given
    /// the labels do not.
    #[test]
    fn a_thousand_sampled_labels_do_not_underflow() {
        let p = Array2::from_shape_fn([2, 10], |(s, c)| if s == c % 2 { 0.11 } else { 0.09 });
        let (mut joint, rng) = (Array2::ones([64, 2]), &mut stream(0, Purpose::Pool, 0));
        (0..1000).for_each(|_| extend_sampled(&mut joint, p.view(), rng));
        // The log odds of a label are ±l, l = ln(0.11 / 0.09): mean 0.1 l, standard deviation √0.99
        // l.
        let ratio = (0.11_f64 / 0.09).ln();
        let nats = |(m, row): (usize, ndarray::ArrayView1<'_, f64>)| {
            assert!((row.sum() - 1.).abs() < 1e-12);
            (row[m % 2] / row[1 - m % 2]).ln()
        };
        let mean = joint.rows().into_iter().enumerate().map(nats).sum::<f64>() / 64.;
        let error = ratio * (0.99 * 1000. / 64_f64).sqrt();
        assert!((mean - 100. * ratio).abs() < 4. * error, "{mean} for {}", 100. * ratio);
    }
}
