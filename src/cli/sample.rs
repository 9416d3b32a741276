//! `bhn sample DIR`: posterior samples as safetensors.
use super::context::Context;
use super::flags::{samples, seed};
use crate::autodiff::Tensor;
use crate::predict::draw;
use crate::random::{Purpose, stream};
use crate::run::config::check_samples;
use crate::run::{Method, Target, Trained, atomic, checkpoint};
use anyhow::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
#[command(allow_negative_numbers = true)]
pub struct Args {
    /// Run folder
    dir: PathBuf,
    /// Number of posterior samples
    #[arg(long, default_value_t = 100, value_name = "S", value_parser = samples)]
    samples: usize,
    /// Random seed [default: 0]
    #[arg(long, value_name = "N", value_parser = seed)]
    seed: Option<u64>,
    /// Draw the samples that `bhn predict` uses for the same --samples
    #[arg(long, conflicts_with = "seed")]
    as_predict: bool,
    /// Output file; - is standard output [default: DIR/samples.safetensors]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Write `theta [S, D]`, `log_q [S]` if the posterior has a density, and one tensor per layer with
/// its slice of `θ`.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let Trained { model, header, .. } = Trained::load(&args.dir)?;
    let out = match args.out {
        Some(out) => Target::of_flag(Some(&out))?,
        None => Target::own(&args.dir.join("samples.safetensors"))?,
    };
    if args.seed.is_some() && Method::from(&header.config).networks().is_some() {
        let why = format!("samples of {} are its trained networks", header.config.method);
        context.note_no_effect("--seed", why);
    }
    let samples = check_samples(args.samples, model.primary.dim())?;
    let rng = &mut match args.as_predict {
        true => stream(header.config.seed, Purpose::Evaluation, 0),
        false => stream(args.seed.unwrap_or(0), Purpose::Sample, 0),
    };
    let (theta, log_q) = draw(&model, samples, rng);
    let mut tensors = vec![("theta".to_string(), theta.clone())];
    tensors.extend(log_q.map(|q| ("log_q".to_string(), q)));
    let mut start = 0;
    for (name, length) in model.primary.parts() {
        let part = theta.slice_axis(ndarray::Axis(1), (start..start + length).into());
        tensors.push((name, part.to_shared().into()));
        start += length;
    }
    let views = tensors.iter().map(|(name, x)| (name, checkpoint::view(x)));
    let file = safetensors::serialize(views, None)?;
    atomic::write_to(&out, &file)?;
    let shape = |(name, x): &(String, Tensor<f32>)| format!("{name} {:?}", x.shape());
    let shapes: Vec<_> = tensors.iter().map(shape).collect();
    context.say(format!("{}: {}", out.name().display(), shapes.join(", ")));
    Ok(())
}
