//! `p(g | D, V, b)`: the posterior over the scales of a classifier whose directions and biases are
//! held fixed.
use crate::autodiff::{Tape, Tensor, Var};
use crate::bayes::{Hessian, Model, Prior, Targets, hessian};
use crate::data::Split;
use crate::experiments::fit::Joint;
use crate::nn::Frozen;
use ndarray::Array2;

/// `ln p(g, D | V, b)` of a network with a dense first layer, over all examples of a data set.
///
/// The first layer's product `V₁ x [N, H]` is computed once.
pub struct FixedDirections {
    model: Model<f64>,
    params: Frozen<f64>,
    product: Tensor<f64>,
    targets: Targets<f64>,
}

impl FixedDirections {
    /// The posterior over the `θ` of `model`, given the examples of `data`.
    ///
    /// # Panics
    /// If the first layer is not dense, or the data do not fit the network.
    pub fn new(model: Model<f64>, data: &Split) -> Self {
        let params = Frozen::new(&model.params, |_| true);
        let product = {
            let tape = Tape::default();
            let x = tape.constant(data.x.mapv(f64::from));
            let p = params.bind(&model.params, &tape);
            let product = model.primary.first_product(&p, x);
            product.expect("FixedDirections: the first layer is not dense").value()
        };
        Self { model, params, product, targets: data.y.cast() }
    }
}

impl FixedDirections {
    /// The generalised Gauss-Newton approximation of `−∂²ln p(θ, D)/∂θ² [D, D]` at `theta [D]`,
    /// for the examples `data`.
    pub(super) fn ggn(&self, theta: &[f64], data: &Split) -> Array2<f64> {
        hessian(Hessian::Ggn, &self.model, theta, data.x.view(), &data.y)
    }
}

impl Joint for FixedDirections {
    fn dim(&self) -> usize {
        self.model.primary.dim()
    }

    fn examples(&self) -> usize {
        self.targets.len()
    }

    fn prior(&self) -> Prior {
        self.model.prior
    }

    fn log_likelihood<'t>(&self, theta: Var<'t, f64>) -> Var<'t, f64> {
        let p = self.params.bind(&self.model.params, theta.tape());
        let product = theta.tape().constant(self.product.clone());
        let outputs = self.model.primary.forward_from(&p, theta, product);
        self.model.likelihood.log_prob(&p, outputs, &self.targets)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Task;
    use crate::experiments::fit::evaluate;
    use crate::primary::Layer;
    use crate::random::{Purpose, stream};
    use crate::run::config::Config;
    use rand::RngExt;

    /// The log-likelihood of the model in single precision, to its rounding, for random scales.
    #[test]
    fn log_likelihood_equals_that_of_the_model() {
        let mut config = Config::default();
        config.primary.layers = Some(Layer::mlp(&[5, 4], 3));
        let task = Task::Classification { classes: ["a", "b", "c"].map(String::from).to_vec() };
        let model = config.build::<f32>(7, &task);
        let rng = &mut stream(0, Purpose::Toy, 0);
        let x = Array2::from_shape_simple_fn((6, 7), || rng.random_range(-1. ..1.));
        let y = Targets::Classes(vec![0, 1, 2, 0, 1, 2]);
        let theta = Array2::from_shape_simple_fn((2, 12), || rng.random_range(-2. ..2.));
        let data = Split { x: x.clone(), y: y.clone() };
        let joint = FixedDirections::new(config.precise(&model, 7, &task), &data);
        let found = evaluate(theta.clone(), |theta| joint.log_likelihood(theta).sum_axis(1));

        let tape = Tape::default();
        let p = model.params.freeze(&tape);
        let theta = tape.constant(theta.mapv(|g| g as f32));
        let outputs = model.primary.forward(&p, theta, tape.constant(x));
        let expected = model.likelihood.log_prob(&p, outputs, &y).sum_axis(1).value();
        for (found, expected) in found.iter().zip(expected.iter()) {
            assert!((found - f64::from(*expected)).abs() < 1e-4, "{found} {expected}");
        }
    }
}
