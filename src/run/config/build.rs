//! The model that a configuration describes.
use super::choices::NoiseLevel;
use super::method::{DropoutKind, Method, Theta};
use super::schema::{Config, EnsembleConfig, LaplaceConfig, MeanFieldConfig, Train};
use crate::bayes::{
    Dropout, Ensemble, Hypernet, Laplace, Likelihood, MeanField, Mnf, Model, Noise, Point,
    PointPrior, Posterior, Prior, Rates, Swag,
};
use crate::data::Task;
use crate::kernels::scalar::Scalar;
use crate::nn::{Buffers, Init, Params};
use crate::primary::{AllWeights, PrimaryNet, Shape, WeightNormed};
use crate::random::{Purpose, stream};
use rand::rngs::ChaCha8Rng;

impl Config {
    /// The initial model for `task` and for inputs of the shape `inputs`.
    ///
    /// # Panics
    /// If the configuration is not resolved.
    pub fn build<T: Scalar + 'static>(&self, inputs: impl Into<Shape>, task: &Task) -> Model<T> {
        self.build_with(inputs, task, Buffers::new())
    }

    /// The model of [`Config::build`] with the `buffers` of a checkpoint. A buffer that the
    /// checkpoint does not have is drawn from the seed.
    ///
    /// # Panics
    /// If the configuration is not resolved.
    pub fn build_with<T: Scalar + 'static>(
        &self,
        inputs: impl Into<Shape>,
        task: &Task,
        buffers: Buffers,
    ) -> Model<T> {
        let method = Method::from(self);
        let rng = &mut stream(self.seed, Purpose::Init, 0);
        let mut params = Params::with_buffers(buffers);
        let layers = self.primary.layers.as_ref().expect("a resolved configuration");
        let primary: Box<dyn PrimaryNet<T>> = match method.theta() {
            Theta::Weights => Box::new(AllWeights::new(inputs, layers)),
            Theta::Scales => {
                Box::new(WeightNormed::new(&mut params, "primary", inputs, layers, rng))
            }
        };
        let posterior = posterior(&method, self.prior, &mut params, &*primary, rng);
        let likelihood = match (task, self.likelihood.precision, self.likelihood.noise) {
            (Task::Classification { .. }, ..) => {
                Likelihood::Categorical { clip: self.likelihood.clip }
            }
            (Task::Regression, _, NoiseLevel::Input) => Likelihood::InputGaussian,
            (Task::Regression, Some(precision), _) => Likelihood::Gaussian { precision },
            (Task::Regression, None, _) => {
                let start = Init::Constant(0.).sample(&[1], rng);
                Likelihood::LearnedGaussian(params.add("likelihood.log_precision", start))
            }
        };
        let noise = self.train.noise.unwrap_or(match method {
            Method::Dropout(..) => Noise::PerExample,
            _ => Noise::Shared,
        });
        let prior = self.prior;
        let Train { kappa, bias_precision, gradient, precision, .. } = self.train;
        let point_prior = PointPrior { kappa, bias_precision };
        let mut model = Model {
            params,
            primary,
            posterior,
            prior,
            point_prior,
            likelihood,
            noise,
            gradient,
            precision,
        };
        model.centre_point_prior();
        model
    }

    /// `model`, which this configuration describes, in double precision.
    ///
    /// # Panics
    /// If the configuration is not resolved.
    pub(crate) fn precise(
        &self,
        model: &Model,
        inputs: impl Into<Shape>,
        task: &Task,
    ) -> Model<f64> {
        let buffers = model.params.buffers().clone();
        Model { params: model.params.cast(), ..self.build_with(inputs, task, buffers) }
    }
}

fn posterior<T: Scalar + 'static>(
    method: &Method,
    prior: Prior,
    params: &mut Params<T>,
    primary: &dyn PrimaryNet<T>,
    rng: &mut ChaCha8Rng,
) -> Box<dyn Posterior<T>> {
    let (name, start) = ("posterior", primary.start(rng));
    match *method {
        Method::Point => Box::new(Point::new(params, name, &start)),
        Method::Dropout(kind, _) => {
            let rates = match (kind, prior) {
                (DropoutKind::Plain | DropoutKind::Mc, _) => Rates::Fixed,
                (DropoutKind::Concrete, Prior::Gaussian { precision }) => {
                    Rates::Learned { precision }
                }
                _ => panic!("concrete dropout needs a Gaussian prior: resolve the configuration"),
            };
            let scaled = kind == DropoutKind::Plain;
            Box::new(Dropout::new(params, name, &start, &primary.masks(), rates, scaled))
        }
        Method::Ensemble(EnsembleConfig { members }) => {
            let others = (1..members).map(|_| primary.start(rng));
            let points: Vec<_> = [start.clone()].into_iter().chain(others).collect();
            Box::new(Ensemble::new(params, name, &points))
        }
        Method::MeanField(MeanFieldConfig { log_std, local }) => {
            Box::new(MeanField::new(params, name, &start, log_std, local))
        }
        Method::Laplace(LaplaceConfig { hessian }) => {
            Box::new(Laplace::new(params, name, &start, prior, hessian))
        }
        Method::Swag(config) => Box::new(Swag::new(params, name, &start, prior, config)),
        Method::Mnf(mnf) => Box::new(Mnf::new(params, name, &start, &primary.blocks(), &mnf, rng)),
        Method::Hypernet(theta, flow) => {
            let hypernet = Hypernet::new(params, name, start.len(), &flow, rng);
            if theta == Theta::Weights {
                hypernet.recentre(params, &start);
            }
            Box::new(hypernet)
        }
    }
}
