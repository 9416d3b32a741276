//! Checkpoints: everything is restored bitwise, and damaged files are refused.
use super::suite::{Instance, Measurement, Property, Suite};
use super::threads::{classes, examples, trainer};
use crate::autodiff::Tensor;
use crate::data::Preprocess;
use crate::data::temporary::Folder;
use crate::error::Result;
use crate::nn::Params;
use crate::nn::optim::Optimiser;
use crate::run::checkpoint::{self, Checkpoint, Header};
use crate::run::config::Config;
use crate::run::train::Trainer;
use rand::{RngExt, SeedableRng, rngs::ChaCha8Rng};
use std::fs;
use std::path::Path;

/// Writes and reads checkpoints.
#[derive(Clone, Copy)]
pub struct Format {
    /// Writes parameters and an optimiser's moments to a file.
    pub save: fn(&Path, &Header, &Params, &Optimiser) -> Result<()>,
    /// Reads a file into parameters and an optimiser of the same shapes.
    pub load: fn(&Path, &mut Params, &mut Optimiser) -> Result<()>,
}

/// The format of [`checkpoint`].
pub(super) const ENGINE: Format = Format {
    save: |path, header, params, optimiser| checkpoint::save(path, header, params, Some(optimiser)),
    load: |path, params, optimiser| {
        let saved = Checkpoint::load(path)?;
        saved.restore(params)?;
        saved.restore_optimiser(params, optimiser)
    },
};

/// The suite of [`checkpoint`].
#[expect(clippy::missing_panics_doc, reason = "nowhere to write")]
pub fn suite() -> Suite<Format> {
    Suite {
        properties: vec![
            Property::new(
                "round trip",
                "parameters, moments and position come back to the bit",
                |format| {
                    saved(format, |path, before| {
                        let is_restored = restores(format, path, before) == Ok(true);
                        Measurement::holds(is_restored, "its numbers")
                    })
                },
            ),
            Property::new(
                "damage",
                "no file with a flipped bit or a cut is loaded with other numbers, nor panics",
                |format| {
                    saved(format, |path, before| {
                        let whole = fs::read(path).expect("it was written");
                        let rng = &mut ChaCha8Rng::seed_from_u64(3);
                        let mut accepted = 0;
                        for i in 0..200 {
                            let mut bytes = whole.clone();
                            let at = rng.random_range(0..bytes.len());
                            match i % 4 {
                                0 => bytes.truncate(at),
                                _ => bytes[at] ^= 1 << rng.random_range(0..8),
                            }
                            fs::write(path, bytes).expect("it was written before");
                            // A file may be accepted if the flipped bit changes no number.
                            accepted += u32::from(restores(format, path, before) == Ok(false));
                        }
                        let at = "damaged files of 200 that were loaded with other numbers";
                        Measurement::new(accepted.into(), 0., at)
                    })
                },
            ),
        ],
        instances: vec![Instance::new("Checkpoint", ENGINE)],
        faults: faults(),
    }
}

const LAYERS: &[&str] = &["dense 8", "relu", "dense 3"];

/// Calls `then` with a model trained for an epoch and its checkpoint, which is removed afterwards.
fn saved<R>(format: &Format, then: impl FnOnce(&Path, &Trainer) -> R) -> R {
    let mut trainer = trainer(LAYERS);
    trainer.epoch(&examples(), |_, _| {}).expect("it does not diverge");
    let folder = Folder::new().expect("a folder for temporary files");
    let path = folder.path().join("last.safetensors");
    let header = Header {
        config: Config::default(),
        task: classes(),
        image: Some([1, 10, 10]),
        preprocess: Preprocess { inputs: 100, ..Preprocess::default() },
        examples: 96,
        data_sha256: String::new(),
        steps: trainer.steps(),
        epoch: 1,
        best: None,
        machine: None,
    };
    let written = (format.save)(&path, &header, &trainer.model.params, &trainer.optimiser);
    written.expect("a folder for temporary files that can be written to");
    then(&path, &trainer)
}

/// Whether a new model, restored from `path`, has the numbers of `before`; an error if the file is
/// refused.
fn restores(format: &Format, path: &Path, before: &Trainer) -> std::result::Result<bool, ()> {
    let mut after = trainer(LAYERS);
    (format.load)(path, &mut after.model.params, &mut after.optimiser).map_err(drop)?;
    let numbers = |trainer: &Trainer| numbers(&trainer.model.params, &trainer.optimiser);
    Ok(numbers(before) == numbers(&after))
}

/// The bits of the parameters and the moments, and the number of steps.
pub(super) fn numbers(params: &Params, optimiser: &Optimiser) -> Vec<u32> {
    let bits = |w: &Tensor<f32>| w.iter().map(|w| w.to_bits()).collect::<Vec<_>>();
    let weights = params.iter().flat_map(|(_, w)| bits(w));
    let moments = optimiser.moments().flat_map(|(_, moments)| moments.iter().flat_map(bits));
    weights.chain(moments).chain([optimiser.steps() as u32]).collect()
}

/// Broken formats, each of which loses something. The format that loses the moments is included
/// only if `has_moments`.
pub(super) fn lossy(has_moments: bool) -> Vec<Instance<Format>> {
    let load = |name, load| Instance::new(name, Format { load, ..ENGINE });
    let save = |name, save| Instance::new(name, Format { save, ..ENGINE });
    let moments = load("the optimiser's moments are not restored", |path, params, optimiser| {
        let saved = Checkpoint::load(path)?;
        optimiser.set_steps(saved.header.steps);
        saved.restore(params)
    });
    let position = load("the position is not restored", |path, params, optimiser| {
        (ENGINE.load)(path, params, optimiser)?;
        optimiser.set_steps(0);
        Ok(())
    });
    let rounded =
        save("numbers are rounded to half precision", |path, header, params, optimiser| {
            let mut rounded = params.cast::<f32>();
            for (_, w) in rounded.iter_mut() {
                *w = w.mapv(|w| f32::from_bits(w.to_bits() & !0x1fff)).into();
            }
            (ENGINE.save)(path, header, &rounded, optimiser)
        });
    has_moments.then_some(moments).into_iter().chain([position, rounded]).collect()
}

fn faults() -> Vec<Instance<Format>> {
    let mut all = lossy(true);
    all.push(Instance::new("no checksum", Format { load: load_unchecked, ..ENGINE }));
    all
}

/// Reads the parameters alone, from the offsets in the header, without verifying the checksum.
fn load_unchecked(path: &Path, params: &mut Params, optimiser: &mut Optimiser) -> Result<()> {
    let bytes = fs::read(path).expect("it was written");
    let Ok(file) = safetensors::SafeTensors::deserialize(&bytes) else {
        return (ENGINE.load)(path, params, optimiser);
    };
    for (name, w) in params.iter_mut() {
        if let Ok(view) = file.tensor(name) {
            let entries: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            Tensor::from_shape_vec(view.shape(), entries).map(|found| *w = found).ok();
        }
    }
    Ok(())
}
