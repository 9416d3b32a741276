//! Invertible maps with known log-determinants (sections 2 and 3 of the paper).
//!
//! `h: ε ↦ θ` gives `log q(θ) = log N(ε; 0, I) − log|det ∂h/∂ε|`; a [`Chain`] of these is `h`.
mod conditioner;
mod coupling;
mod elementwise;
mod iaf;
mod kink;
mod lu;
mod permutation;
mod planar;

pub use conditioner::{Conditioner, Stabiliser};
pub use coupling::Coupling;
pub use elementwise::Elementwise;
pub use iaf::Iaf;
pub use kink::{Kink, KinkShape};
pub use lu::Lu;
pub use permutation::{Order, Permutation};
pub use planar::Planar;

use crate::autodiff::{Tensor, Var};
use crate::kernels::scalar::Scalar;
use crate::nn::BoundParams;

/// An invertible map of `[S, D]` to itself.
pub trait Bijector<T: Scalar>: Send + Sync {
    /// `x [S, D]` to `y [S, D]` and `ln|det ∂y/∂x| [S]`.
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>);

    /// `y [S, D]` to `x [S, D]` and `ln|det ∂x/∂y| [S]`.
    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>);

    /// Where each of `d` entries of `y` comes from: `y[i]` is what has become of `x[origins[i]]`, all
    /// but permutations leaving entries in their places.
    fn origins(&self, d: usize) -> Vec<usize> {
        (0..d).collect()
    }
}

/// Bijectors one after another: `y = fₙ(… f₁(x))`; log-determinants add.
///
/// ```
/// # use bhn::{flows::*, nn::{Init, Params}, autodiff::{Tape, gradcheck::randn}};
/// # use rand::{SeedableRng, rngs::ChaCha8Rng};
/// # let (mut params, tape) = (Params::<f64>::default(), Tape::default());
/// # let rng = &mut ChaCha8Rng::seed_from_u64(0);
/// let h = Chain::default()
///     .then(Coupling::new(&mut params, "first", 4, Conditioner::default(), rng))
///     .then(Permutation::reversal(4))
///     .then(Coupling::new(&mut params, "second", 4, Conditioner::default(), rng));
/// let p = params.freeze(&tape);
/// let x = tape.constant(randn(&[3, 4], 0));
/// let (y, log_det) = h.forward(&p, x);
/// let (back, inverse_log_det) = h.inverse(&p, y);
/// assert!((back - x).abs().sum().item() < 1e-12);
/// assert!((log_det + inverse_log_det).abs().sum().item() < 1e-12);
/// ```
#[derive(Default)]
pub struct Chain<T>(Vec<Box<dyn Bijector<T>>>);

impl<T> Chain<T> {
    /// This chain, and then `map`.
    pub fn then(mut self, map: impl Bijector<T> + 'static) -> Self
    where
        T: Scalar,
    {
        self.0.push(Box::new(map));
        self
    }

    /// Its first `n` maps forward.
    pub(crate) fn first<'t>(&self, n: usize, p: &BoundParams<'t, T>, x: Var<'t, T>) -> Var<'t, T>
    where
        T: Scalar,
    {
        through(x, self.0[..n].iter(), |f, x| f.forward(p, x)).0
    }

    /// All but its first `n` maps backwards.
    pub(crate) fn back_to<'t>(&self, n: usize, p: &BoundParams<'t, T>, y: Var<'t, T>) -> Var<'t, T>
    where
        T: Scalar,
    {
        through(y, self.0[n..].iter().rev(), |f, y| f.inverse(p, y)).0
    }
}

impl<T: Scalar> Bijector<T> for Chain<T> {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        through(x, self.0.iter(), |f, x| f.forward(p, x))
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        through(y, self.0.iter().rev(), |f, y| f.inverse(p, y))
    }

    fn origins(&self, d: usize) -> Vec<usize> {
        let mut from: Vec<_> = (0..d).collect();
        for f in &self.0 {
            from = f.origins(d).into_iter().map(|i| from[i]).collect();
        }
        from
    }
}

fn through<'a, 't, T: Scalar>(
    x: Var<'t, T>,
    mut maps: impl Iterator<Item = &'a Box<dyn Bijector<T>>>,
    map: impl Fn(&'a dyn Bijector<T>, Var<'t, T>) -> (Var<'t, T>, Var<'t, T>),
) -> (Var<'t, T>, Var<'t, T>) {
    let Some(first) = maps.next() else { return (x, no_change(x)) };
    maps.fold(map(&**first, x), |(x, sum), f| {
        let (y, log_det) = map(&**f, x);
        (y, sum + log_det)
    })
}

impl<T: Scalar> Bijector<T> for Box<dyn Bijector<T>> {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        (**self).forward(p, x)
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        (**self).inverse(p, y)
    }

    fn origins(&self, d: usize) -> Vec<usize> {
        (**self).origins(d)
    }
}

/// A bijector read backwards.
///
/// ```
/// use bhn::{flows::{Bijector, Inverse, Permutation}, autodiff::{Tape, gradcheck::randn}, nn::Params};
/// let (params, tape) = (Params::<f64>::default(), Tape::default());
/// let (p, x) = (params.freeze(&tape), tape.constant(randn(&[1, 3], 0)));
/// let there = Permutation::new(vec![2, 0, 1]).forward(&p, x).0;
/// let back = Inverse(Permutation::new(vec![2, 0, 1])).forward(&p, there).0;
/// assert_eq!(back.value(), x.value());
/// ```
pub struct Inverse<B>(pub B);

impl<T: Scalar, B: Bijector<T>> Bijector<T> for Inverse<B> {
    fn forward<'t>(&self, p: &BoundParams<'t, T>, x: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        self.0.inverse(p, x)
    }

    fn inverse<'t>(&self, p: &BoundParams<'t, T>, y: Var<'t, T>) -> (Var<'t, T>, Var<'t, T>) {
        self.0.forward(p, y)
    }

    fn origins(&self, d: usize) -> Vec<usize> {
        let mut back = vec![0; d];
        self.0.origins(d).into_iter().enumerate().for_each(|(i, from)| back[from] = i);
        back
    }
}

/// `x` is `[S, D]`: NumPy's broadcasting, or an index within range, would hide that it is not.
fn check_shape<T: Scalar>(name: &str, x: Var<'_, T>, d: usize) {
    let shape = x.shape();
    assert!(shape.len() == 2 && shape[1] == d, "{name}: {shape:?} is not [S, {d}]");
}

/// The log-determinant of a map that moves entries about: zero for each of `S` samples.
fn no_change<'t, T: Scalar>(x: Var<'t, T>) -> Var<'t, T> {
    x.tape().constant(Tensor::zeros(&x.shape()[..1]))
}
