//! The prior of a network's point estimates: its directions and biases.
use crate::autodiff::Var;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, ParamId, Params};

/// `ln p(V, b) = Σⱼ κ (cos(vⱼ, vⱼ⁰) − 1) − (λ/2) ‖b‖² + const`, for a network whose `θ` is its
/// scales.
///
/// The direction `vⱼ/‖vⱼ‖` of each unit or channel, a row of `V`, has a von Mises-Fisher
/// distribution of concentration `κ` around its initial direction `vⱼ⁰`; biases are `N(0, 1/λ)`.
/// Directions and biases stay point estimates: training maximises `ELBO + ln p(V, b)`. By default
/// `κ = λ = 0`, and it maximises the ELBO.
///
/// A Gaussian prior on `V` itself would have no maximum: the network depends on `V/‖V‖` alone, and
/// the density would rise for ever as `V` shrinks towards 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PointPrior {
    /// `κ`, 0 for uniformly distributed directions.
    pub kappa: f64,
    /// `λ`, 0 for biases without a prior.
    pub bias_precision: f64,
}

impl PointPrior {
    /// Take the present directions as `v⁰`, for parameters `[V, b]` of each layer, unless `params`
    /// has saved ones. They are [kept](Params::keep) as buffers, if `κ ≠ 0`.
    pub(super) fn centre<T: Scalar>(self, params: &mut Params<T>, layers: &[[ParamId; 2]]) {
        if self.kappa != 0. {
            layers.iter().for_each(|&[v, _]| params.keep(v));
        }
    }

    /// `ln p(V, b)`, a scalar with the constant for which it is 0 at the mode, for parameters
    /// `[V, b]` of each layer; `None` for `κ = λ = 0`. `v⁰` are the directions kept in `params`.
    ///
    /// # Panics
    /// If `κ ≠ 0` and no directions were kept.
    pub fn log_prob<'t, T: Scalar>(
        self,
        params: &Params<T>,
        p: &BoundParams<'t, T>,
        layers: &[[ParamId; 2]],
    ) -> Option<Var<'t, T>> {
        let directions = |v: ParamId| {
            let start = p.tape().constant(params.kept(v));
            let cos = (p[v] * start).sum_axis(1) / (p[v].row_norms() * start.row_norms());
            (cos - T::one()).sum() * T::of(self.kappa)
        };
        let biases = |b: ParamId| (p[b] * p[b]).sum() * T::of(-0.5 * self.bias_precision);
        let of_layer = |&[v, b]: &[ParamId; 2]| {
            let directions = (self.kappa != 0.).then(|| directions(v));
            directions.into_iter().chain((self.bias_precision != 0.).then(|| biases(b)))
        };
        layers.iter().flat_map(of_layer).reduce(|a, b| a + b)
    }
}
