//! A deep ensemble (Lakshminarayanan et al. 2017): a uniform distribution over `M` values of `θ`.
use super::{Draw, Kl, Posterior};
use crate::autodiff::Owned;
use crate::kernels::scalar::Scalar;
use crate::nn::{BoundParams, ParamId, Params};
use rand::Rng;

/// `M` independently trained points; sample `s` is point `s mod M`.
///
/// ```
/// use bhn::bayes::{Ensemble, Posterior};
/// use bhn::{nn::Params, autodiff::Tape};
/// use rand::{SeedableRng, rngs::ChaCha8Rng};
/// let (mut params, tape) = (Params::<f32>::default(), Tape::default());
/// let q = Ensemble::new(&mut params, "q", &[vec![1., 2.], vec![3., 4.]]);
/// let draw = q.draw(&params.bind(&tape), 3, &mut ChaCha8Rng::seed_from_u64(0));
/// assert_eq!(draw.theta.value().as_slice(), [1., 2., 3., 4., 1., 2.]);
/// ```
#[derive(Clone, Debug)]
pub struct Ensemble(ParamId);

impl Ensemble {
    /// An ensemble that starts at `points [M][D]`.
    ///
    /// # Panics
    /// If there are no points, or their lengths differ.
    pub fn new<T: Scalar>(params: &mut Params<T>, name: &str, points: &[Vec<f64>]) -> Self {
        let (m, d) = (points.len(), points.first().map_or(0, Vec::len));
        let fits = d > 0 && points.iter().all(|point| point.len() == d);
        assert!(fits, "Ensemble: {m} points, the first with {d} entries");
        let theta = Owned::from_shape_fn(vec![m, d], |i| T::of(points[i[0]][i[1]]));
        Self(params.add(format!("{name}.theta"), theta))
    }
}

impl<T: Scalar> Posterior<T> for Ensemble {
    fn draw<'t>(&self, p: &BoundParams<'t, T>, samples: usize, _: &mut dyn Rng) -> Draw<'t, T> {
        let points = p[self.0];
        let m = points.shape()[0];
        let members: Vec<_> = (0..samples).map(|s| s % m).collect();
        let theta = if samples == m { points } else { points.gather(0, members) };
        Draw { theta, kl: Kl::Absent }
    }

    /// Sets every member to `theta`, after which all members are equal.
    fn recentre(&self, params: &mut Params<T>, theta: &[f64]) {
        let points = params.get_mut(self.0);
        let m = points.shape()[0];
        super::set(points, &theta.repeat(m));
    }
}
