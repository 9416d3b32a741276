//! Predictive distributions and their uncertainties, from the network's outputs under posterior
//! samples.
use crate::data::Preprocess;
use crate::error::{Error, Result};
use crate::predict::mixture::Mixture;
use ndarray::{Array2, ArrayView1, ArrayView3, Axis};

/// Predictions for `N` inputs. Entropies are in nats.
#[derive(Clone, Debug)]
pub enum Predictive {
    /// Predictions of a class.
    Classes {
        /// `p̄ = mean_s p_s` `[N, K]`, where `p_s` is the softmax under posterior sample `s`.
        p: Array2<f32>,
        /// `H[p̄]` `[N]`: the total uncertainty.
        entropy: Vec<f32>,
        /// `I[y; θ] = H[p̄] − mean_s H[p_s]` `[N]` (BALD): the epistemic uncertainty.
        bald: Vec<f32>,
        /// `mean_c std_s p_{s,c}` `[N]`.
        mean_std: Vec<f32>,
        /// `1 − (count of the most frequent argmax_c p_{s,c})/S` `[N]`.
        variation_ratio: Vec<f32>,
    },
    /// Predictions of a real number: standardised or, after [`Predictive::in_units`], in the units
    /// of the target. `f_s` is the network's output under posterior sample `s`, and `σ_s²` the
    /// variance of the observation noise.
    Values {
        /// `mean_s f_s` `[N]`.
        mean: Vec<f64>,
        /// `√(mean_s σ_s² + var_s f_s)` `[N]`: the total standard deviation, aleatoric and
        /// epistemic.
        std: Vec<f64>,
        /// `√(var_s f_s)` `[N]`: the epistemic standard deviation.
        spread: Vec<f64>,
        /// The whole distribution of each input.
        mixture: Mixture,
    },
}

impl Predictive {
    /// `μ + σ y` for means and `σ y` for standard deviations: the predictions in the units of the
    /// target. `μ` and `σ` are the mean and the standard deviation of the training targets.
    pub fn in_units(self, preprocess: &Preprocess) -> Self {
        match self {
            Self::Values { mixture, .. } => {
                mixture.in_units(preprocess.y.unwrap_or((0., 1.))).into()
            }
            classes => classes,
        }
    }

    /// Check that the network's outputs are finite; errors refer to input `i` by `name(i)`.
    ///
    /// # Errors
    /// If they overflow on an input.
    pub fn check(&self, name: impl Fn(usize) -> String) -> Result<()> {
        let overflow = match self {
            Self::Classes { p, .. } => p.rows().into_iter().position(|p| p.is_any_nan()),
            Self::Values { mean, std, .. } => {
                mean.iter().zip(std).position(|(mean, std)| !(mean + std).is_finite())
            }
        };
        overflow.map_or(Ok(()), |i| Err(overflows(name(i))))
    }

    /// These predictions followed by `other`.
    pub(super) fn and(mut self, other: Self) -> Self {
        use Predictive::{Classes, Values};
        match (&mut self, other) {
            (
                Classes { p, entropy, bald, mean_std, variation_ratio },
                Classes { p: q, entropy: e, bald: b, mean_std: m, variation_ratio: v },
            ) => {
                p.append(Axis(0), q.view()).expect("the same classes");
                entropy.extend(e);
                bald.extend(b);
                mean_std.extend(m);
                variation_ratio.extend(v);
            }
            (
                Values { mean, std, spread, mixture },
                Values { mean: m, std: s, spread: d, mixture: other },
            ) => {
                mean.extend(m);
                std.extend(s);
                spread.extend(d);
                mixture.and(&other);
            }
            _ => unreachable!("a model predicts one kind of target"),
        }
        self
    }
}

/// The predictions from logits `x [S, B, K]`. For each sample and input, `m` is the largest logit,
/// `Z = Σ eˣ⁻ᵐ` over the classes, `p_s = eˣ⁻ᵐ / Z` and `H[p_s] = ln Z − Σ p_s (x − m)`. A sample
/// votes for the first class whose logit is `m`.
pub(super) fn classes(x: ArrayView3<'_, f32>) -> Predictive {
    // In double precision, so that `1 − p` is accurate where p is close to 1.
    let mut p = x.mapv(f64::from);
    let (samples, inputs, k) = x.dim();
    let mut conditional = vec![0.; inputs];
    let mut votes = Array2::<usize>::zeros([inputs, k]);
    for mut sample in p.outer_iter_mut() {
        let each = conditional.iter_mut().zip(votes.rows_mut());
        for (mut row, (sum, mut votes)) in sample.rows_mut().into_iter().zip(each) {
            let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if let Some(class) = row.iter().position(|&x| x == max) {
                votes[class] += 1;
            }
            let (mut z, mut along) = (0., 0.);
            row.mapv_inplace(|x| {
                let e = f64::from(((x - max) as f32).exp());
                z += e;
                if e > 0. {
                    along += e * (x - max);
                }
                e
            });
            row.mapv_inplace(|e| e / z);
            *sum += z.ln() - along / z;
        }
    }
    let mean = p.mean_axis(Axis(0)).expect("a sample");
    let entropy: Vec<_> = mean.rows().into_iter().map(nats).collect();
    let mean_std = p.std_axis(Axis(0), 0.).mean_axis(Axis(1)).expect("a class");
    // BALD is not negative (Jensen), and 0 where samples agree; rounded entropies may violate both.
    let information = |((h, sum), &std): ((&f64, f64), &f64)| match std == 0. {
        true => 0.,
        false => (h - sum / samples as f64).max(0.) as f32,
    };
    let bald = entropy.iter().zip(conditional).zip(&mean_std).map(information).collect();
    let mean_std = mean_std.mapv(|s| s as f32).to_vec();
    let entropy = entropy.into_iter().map(|entropy| entropy as f32).collect();
    let most = |votes: ArrayView1<'_, usize>| votes.iter().copied().max().expect("a class");
    let minority = |votes| (samples - most(votes)) as f32 / samples as f32;
    let variation_ratio = votes.rows().into_iter().map(minority).collect();
    let p = mean.mapv(|p| p as f32);
    Predictive::Classes { p, entropy, bald, mean_std, variation_ratio }
}

/// The predictions from outputs `f_s [S, B, 1]` and the precision `τ` of the observation noise, or
/// from outputs `[S, B, 2]`, the second of which is `ln τ`.
pub(super) fn values(outputs: ArrayView3<'_, f32>, precision: Option<f64>) -> Predictive {
    Mixture::new(outputs, precision).into()
}

impl From<Mixture> for Predictive {
    fn from(mixture: Mixture) -> Self {
        let [mean, std, spread] = mixture.moments();
        Self::Values { mean, std, spread, mixture }
    }
}

/// The error for the input `what`, on which the network's outputs are not finite.
pub(super) fn overflows(what: String) -> Error {
    let expected = "values like those that it was trained on";
    let advice = "Correct or remove it.";
    Error::invalid(what, "an input on which the network overflows", expected, advice)
}

/// `H[p] = −Σ p ln p`.
fn nats(p: ArrayView1<'_, f64>) -> f64 {
    let term = |&p: &f64| if p > 0. { p * p.ln() } else { 0. };
    // 0 rather than −0 where the prediction is certain.
    0. - p.iter().map(term).sum::<f64>()
}
