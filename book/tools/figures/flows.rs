//! What flows can bend.
use bhn::autodiff::{Tape, Tensor, Var};
use bhn::bayes::{Hypernet, HypernetConfig, Place, Posterior};
use bhn::flows::Bijector;
use bhn::nn::Params;
use bhn::nn::optim::{Clip, Optimiser, Update};
use bhn::random::{Purpose, stream};
use bhn::report::chart::{Axis, Chart, Ink, Layer, Mark, Panel};
use ndarray::arr2;

/// `ln p(θ)` of the banana `N(θ₁; 0, 1) N(θ₂; θ₁² − 1, 0.5²)`, `[S]` for `θ [S, 2]`.
fn banana<'t>(theta: Var<'t, f64>) -> Var<'t, f64> {
    let constant = |x| theta.tape().constant(arr2(&[[x]]).into_dyn());
    let (first, second) = (theta.slice(1, 0..1), theta.slice(1, 1..2));
    let ln_first = first.normal_log_prob(constant(0.), constant(0.));
    let ln_second = second.normal_log_prob(first * first - 1., constant(4_f64.ln()));
    (ln_first + ln_second).sum_axis(1)
}

/// A grid of noise after flows that were trained on the banana.
pub fn bend() -> Chart {
    let panel = |couplings: usize| {
        let config = HypernetConfig {
            couplings,
            hidden: 32,
            log_scale: 0.,
            shift: 0.,
            elementwise: Place::Last,
            ..HypernetConfig::default()
        };
        let mut params = Params::<f64>::default();
        let q = Hypernet::new(&mut params, "q", 2, &config, &mut stream(0, Purpose::Init, 0));
        let mut adam = Optimiser::new(Update::default(), &params);
        let steps = 1500;
        for step in 0..steps {
            let tape = Tape::default();
            let p = params.bind(&tape);
            let draw = q.draw(&p, 128, &mut stream(0, Purpose::Noise, step));
            let loss = (draw.log_q().expect("a density") - banana(draw.theta)).mean();
            let gradients = p.gradients(loss.backward());
            let rate = 0.01 * (1. - step as f64 / steps as f64);
            adam.step(&mut params, &gradients, rate, Clip::default());
        }
        let line = |at: &dyn Fn(f64) -> [f64; 2]| {
            let points: Vec<f64> = (-30..=30).flat_map(|i| at(f64::from(i) / 12.)).collect();
            let tape = Tape::default();
            let noise = Tensor::from_shape_vec(vec![61, 2], points).expect("61 points");
            let (theta, _) = q.flow().forward(&params.freeze(&tape), tape.constant(noise));
            Mark::Line(theta.value().as_slice().chunks(2).map(|p| (p[0], p[1])).collect())
        };
        let lines = (-5..=5).flat_map(|i| {
            let c = f64::from(i) / 2.;
            let [first, second] = [line(&|t| [c, t]), line(&|t| [t, c])];
            [
                Layer::new("ε₁ constant", Ink::Series(0), first),
                Layer::new("ε₂ constant", Ink::Series(1), second),
            ]
        });
        let title = match couplings {
            0 => "no coupling".to_string(),
            1 => "one coupling".to_string(),
            n => format!("{n} couplings"),
        };
        let (x, y) = (Axis::new("θ₁").range(-3., 3.), Axis::new("θ₂").range(-3., 7.));
        Panel { title, x, y, layers: lines.collect() }
    };
    Chart { columns: 2, size: (380., 330.), panels: [0, 1, 2, 8].map(panel).into() }
}
