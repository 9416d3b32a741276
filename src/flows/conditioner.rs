//! The network inside a coupling or IAF step. It computes the scales and shifts of some entries
//! from the values of others.
use super::Stabiliser;
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, Init, Linear, Params};
use rand::Rng;
use std::sync::Arc;

/// The standard deviation of the initial weights or, with weight normalisation, of the initial
/// scales. It is small, so that couplings and IAF steps start near the identity.
const START: f64 = 1e-4;

/// Settings of the network of a coupling or IAF step. The network has one hidden ReLU layer and two
/// heads, one for the scales and one for the shifts.
///
/// ```
/// let plain = bhn::flows::Conditioner { weight_norm: false, ..Default::default() };
/// assert_eq!(plain.hidden, 200);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Conditioner {
    /// The number of hidden units.
    pub hidden: usize,
    /// How the scales are kept positive.
    pub stabiliser: Stabiliser,
    /// Whether weights are normalised, which "stabilizes training dramatically" (section 3 of the
    /// paper). The authors' MNIST code does not normalise them.
    pub weight_norm: bool,
}

impl Default for Conditioner {
    fn default() -> Self {
        Self { hidden: 200, stabiliser: Stabiliser::default(), weight_norm: true }
    }
}

/// `x [S, inputs] ↦ (s, ln s, m)`, each `[S, outputs]`, where `s > 0` are scales and `m` shifts.
#[derive(Clone, Debug)]
pub(super) struct Network {
    trunk: Linear,
    scale: Linear,
    shift: Linear,
    stabiliser: Stabiliser,
}

impl Network {
    /// A network with parameters `NAME.trunk.…`, `NAME.scale.…` and `NAME.shift.…`.
    pub fn new<T: Scalar>(
        params: &mut Params<T>,
        name: &str,
        [inputs, outputs]: [usize; 2],
        Conditioner { hidden, stabiliser, weight_norm }: Conditioner,
        rng: &mut impl Rng,
    ) -> Self {
        let mut layer = |part: &str, size| {
            let name = format!("{name}.{part}");
            match weight_norm {
                true => Linear::weight_normed(params, &name, size, START, rng),
                false => {
                    let init = Init::Normal { mean: 0., std: START };
                    Linear::new(params, &name, size, init, rng)
                }
            }
        };
        let trunk = layer("trunk", [inputs, hidden]);
        let scale = layer("scale", [hidden, outputs]);
        let shift = layer("shift", [hidden, outputs]);
        Self { trunk, scale, shift, stabiliser }
    }

    /// The network with masked weights: `trunk [hidden · inputs]` masks those of the hidden layer,
    /// and `heads [outputs · hidden]` those of each head.
    pub fn masked(self, trunk: Arc<[bool]>, heads: Arc<[bool]>) -> Self {
        Self {
            trunk: self.trunk.masked(trunk),
            scale: self.scale.masked(heads.clone()),
            shift: self.shift.masked(heads),
            stabiliser: self.stabiliser,
        }
    }

    /// The network on a tape, its weights masked and normalised once for all inputs.
    pub fn bind<'t, T: Scalar>(
        &self,
        p: &BoundParams<'t, T>,
    ) -> impl Fn(Var<'t, T>) -> [Var<'t, T>; 3] + use<'t, T> {
        let [trunk, scale, shift] = [&self.trunk, &self.scale, &self.shift].map(|l| l.bind(p));
        let stabiliser = self.stabiliser;
        move |x| {
            let hidden = trunk.forward_relu(x);
            let (s, ln_s) = stabiliser.scale(scale.forward(hidden));
            [s, ln_s, shift.forward(hidden)]
        }
    }
}
