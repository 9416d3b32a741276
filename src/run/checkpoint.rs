//! Checkpoints: one safetensors file each. From a file with the optimiser's moments, training
//! resumes with bitwise identical results.
//!
//! The tensors are the parameters under their names, the optimiser's moments as
//! `optimiser.KIND.NAME`, and the constants that densities depend on as `buffer.NAME`: permutations
//! and the orders and degrees of an IAF (U32), the centres of a mixture, and the initial directions
//! around which directions have a prior (F32).
//! `docs/rebuild.py` computes predictions and `ln q(θ)` from such a file. The metadata key `bhn`
//! holds the [`Header`] and the checksum of the file as JSON. There is no generator state: random
//! numbers are functions of the seed and the position (see [`crate::random`]).
use crate::autodiff::Tensor;
use crate::bayes::Model;
use crate::data::{Dataset, Preprocess, Task, files};
use crate::error::{Error, Result};
use crate::nn::optim::Optimiser;
use crate::nn::{Buffer, Buffers, Params};
use crate::predict::evaluate::Scores;
use crate::primary::Shape;
use crate::run::config::Problem;
use crate::run::machine::Machine;
use crate::run::seal::{self, BLANK, DAMAGED};
use crate::run::{Config, atomic};
use bytemuck::{cast_slice, pod_collect_to_vec};
use safetensors::tensor::{Dtype, Metadata as Outer, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::fmt::Display;
use std::io::{Read, Seek};
use std::path::Path;

/// The version of the format. Versions 1 and 2 can also be read. They have no [`Machine`], no
/// ranges of the training data and no buffers, and the checksum of version 1 covers less of the
/// file (see [`digest`]).
const FORMAT: u32 = 3;

/// The maximum size of the header of a safetensors file, in bytes.
const HEADER: u64 = 100_000_000;

/// The prefix of the names of buffers.
const BUFFER: &str = "buffer.";

/// The prefix of the names of the optimiser's moments.
const MOMENT: &str = "optimiser.";

/// The metadata of a checkpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The configuration of the run, with every value.
    pub config: Config,
    /// The task of the model.
    pub task: Task,
    /// The shape `[C, H, W]` of the inputs if they are images.
    pub image: Option<[usize; 3]>,
    /// The preprocessing of inputs and targets.
    pub preprocess: Preprocess,
    /// `N`, the number of training examples.
    pub examples: usize,
    /// The [`fingerprint`](Dataset::fingerprint) of the data.
    pub data_sha256: String,
    /// Steps taken.
    pub steps: u64,
    /// Epochs finished.
    pub epoch: usize,
    /// The best epoch by validation so far, and its scores.
    pub best: Option<(usize, Scores)>,
    /// The machine that trained last; `None` in checkpoints of formats 1 and 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

impl Header {
    /// The header of an untrained model, to be trained by this machine.
    pub fn new(config: Config, data: &Dataset, data_sha256: String) -> Self {
        Self {
            config,
            task: data.task.clone(),
            image: data.image,
            preprocess: data.preprocess.clone(),
            examples: data.train.len(),
            data_sha256,
            steps: 0,
            epoch: 0,
            best: None,
            machine: Some(Machine::here()),
        }
    }

    /// The shape of the network's inputs.
    pub fn shape(&self) -> Shape {
        Shape::of(self.preprocess.inputs, self.image)
    }
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    format: u32,
    sha256: String,
    header: Header,
}

/// Write `header`, `params` and the moments of `optimiser`, if given, to `path`. Training can
/// resume only from a file with moments.
///
/// # Errors
/// If a file operation fails.
#[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
pub fn save(
    path: &Path,
    header: &Header,
    params: &Params,
    optimiser: Option<&Optimiser>,
) -> Result<()> {
    let mut tensors: Vec<_> = params.iter().map(|(name, w)| (name.to_string(), view(w))).collect();
    for (kind, moments) in optimiser.iter().flat_map(|o| o.moments()) {
        let names = params.iter().map(|(name, _)| format!("{MOMENT}{kind}.{name}"));
        tensors.extend(names.zip(moments.iter().map(view)));
    }
    tensors.extend(params.buffers().iter().map(|(name, buffer)| {
        let view = match buffer {
            Buffer::Indices(of) => TensorView::new(Dtype::U32, vec![of.len()], cast_slice(of)),
            Buffer::Numbers(of) => TensorView::new(Dtype::F32, vec![of.len()], cast_slice(of)),
        };
        (format!("{BUFFER}{name}"), view.expect("bytes fit the shape"))
    }));
    let metadata = Metadata { format: FORMAT, sha256: BLANK.into(), header: header.clone() };
    let metadata = serde_json::to_string(&metadata).expect("finite numbers and text");
    let metadata = HashMap::from([("bhn".to_string(), metadata)]);
    let file = safetensors::serialize(tensors, Some(metadata)).expect("valid tensors");
    atomic::write(path, &seal::seal(file))
}

/// The shape and bytes of a tensor for [`safetensors::serialize`].
pub(crate) fn view(w: &Tensor<f32>) -> TensorView<'_> {
    let view = TensorView::new(Dtype::F32, w.shape().to_vec(), cast_slice(w.as_slice()));
    view.expect("bytes fit the shape")
}

/// A checkpoint that was read from a file and verified.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// The metadata.
    pub header: Header,
    /// The name of the file, for messages.
    name: String,
    tensors: HashMap<String, Tensor<f32>>,
    buffers: Buffers,
}

impl Checkpoint {
    /// Read and verify a checkpoint.
    ///
    /// # Errors
    /// If the file does not exist, is damaged or has another format.
    pub fn load(path: &Path) -> Result<Self> {
        let file = files::regular(path)?;
        Self::read(&path.display().to_string(), file)
    }

    /// As [`Checkpoint::load`] from an open file, which errors refer to by the name `what`.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn read(what: &str, mut file: impl Read + Seek) -> Result<Self> {
        let bad = |found: String| bad(what, found);
        let broken = |e: &dyn Display| bad(format!("a damaged or truncated file ({e})"));
        // The length that the header implies is compared with that of the file before the rest is
        // read.
        let present = files::left(&mut file);
        let mut bytes = files::bounded(what, file.by_ref().take(8), 8)?;
        let length = <[u8; 8]>::try_from(&bytes[..]).map_or(0, u64::from_le_bytes).min(HEADER);
        bytes.extend(files::bounded(what, file.by_ref().take(length), length)?);
        let outer = &bytes[bytes.len().min(8)..];
        let outer: Outer = serde_json::from_slice(outer).map_err(|e| broken(&e))?;
        let stated = outer.data_len().saturating_add(bytes.len()) as u64;
        if let Some(present) = present.filter(|&present| present != stated) {
            return Err(broken(&format!("{present} bytes where its header says {stated}")));
        }
        bytes.extend(files::exactly(what, file, outer.data_len() as u64)?);
        let file = SafeTensors::deserialize(&bytes).map_err(|e| broken(&e))?;
        let text = outer.metadata().as_ref().and_then(|m| m.get("bhn"));
        let text = text.ok_or_else(|| bad("a safetensors file without bhn's metadata".into()))?;
        let metadata: Metadata = serde_json::from_str(text)
            .map_err(|e| bad(format!("metadata of another kind ({e})")))?;
        let mut tensors: Vec<_> = file.tensors();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let is_intact = match metadata.format {
            1 => digest(&tensors, &metadata.header) == metadata.sha256,
            2 | FORMAT => seal::is_intact(&bytes, &metadata.sha256),
            other => return Err(bad(format!("format {other}, this version reads 1 to {FORMAT}"))),
        };
        if !is_intact {
            return Err(bad(DAMAGED.into()));
        }
        let mut found = Self {
            header: metadata.header,
            name: what.into(),
            tensors: HashMap::new(),
            buffers: Buffers::new(),
        };
        for (name, view) in tensors {
            let numbers = || pod_collect_to_vec::<u8, f32>(view.data());
            let (dtype, shape) = (view.dtype(), view.shape());
            if let Some(name) = name.strip_prefix(BUFFER) {
                let buffer = match (dtype, shape) {
                    (Dtype::U32, [_]) => Buffer::Indices(pod_collect_to_vec(view.data())),
                    (Dtype::F32, [_]) => Buffer::Numbers(numbers()),
                    _ => return Err(bad(format!("buffer `{name}` of {dtype:?} {shape:?}"))),
                };
                found.buffers.insert(name.to_string(), buffer);
                continue;
            }
            if dtype != Dtype::F32 {
                return Err(bad(format!("tensor `{name}` of {dtype:?}, where F32 was saved")));
            }
            let tensor = Tensor::from_shape_vec(shape, numbers());
            found.tensors.insert(name, tensor.map_err(|e| bad(e.to_string()))?);
        }
        Ok(found)
    }

    /// The buffers; none in files of older versions, for which the seed determines them.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// Check, before a model is built, that the header describes one and that the file is large
    /// enough to hold its parameters. Nothing is allocated.
    ///
    /// # Errors
    /// If the header contradicts itself or the file, or a parameter is not finite.
    pub(super) fn check(&self) -> Result<()> {
        let Header { config, task, image, preprocess, examples, .. } = &self.header;
        let broken = |found: String| Err(bad(&self.name, found));
        let impossible = |e: Error| bad(&self.name, format!("a header of no model ({e})"));
        let counts = [
            ("inputs", preprocess.inputs),
            ("outputs", task.outputs()),
            ("training examples", *examples),
        ];
        if let Some((what, _)) = counts.into_iter().find(|(_, n)| *n == 0) {
            return broken(format!("a header with 0 {what}"));
        }
        preprocess.check(*image).map_err(impossible)?;
        let problem = Problem {
            name: &config.data,
            task,
            inputs: preprocess.inputs,
            image: *image,
            examples: *examples,
        };
        if config.clone().resolve_for(&problem).map_err(impossible)? != *config {
            return broken("a header whose configuration is not resolved".into());
        }
        let sizes = config.sizes(&problem).map_err(impossible)?;
        let parameters = || self.tensors.iter().filter(|(name, _)| !name.starts_with(MOMENT));
        let stored: usize = parameters().map(|(_, w)| w.len()).sum();
        // A flow of linear layers has half of the estimated weights.
        let fits = sizes.weights / 2 <= stored && sizes.entries <= stored;
        if !fits || sizes.maps > self.tensors.len() {
            let (weights, entries) = (sizes.weights, sizes.entries);
            let found = format!(
                "a header of a model with {weights} weights and {entries} entries of θ, and \
                 {stored} numbers in {} tensors",
                self.tensors.len()
            );
            return broken(found);
        }
        let bad = parameters().filter(|(_, w)| w.iter().any(|w| !w.is_finite()));
        match bad.map(|(name, _)| name).min() {
            Some(name) => broken(format!("tensor `{name}` with a number that is not finite")),
            None => Ok(()),
        }
    }

    /// The saved model.
    ///
    /// # Errors
    /// If the header describes no model that this file can hold, or parameters or buffers do not
    /// fit the architecture of the header.
    pub fn model(&self) -> Result<Model> {
        self.check()?;
        let Header { config, task, .. } = &self.header;
        let mut model = config.build_with(self.header.shape(), task, self.buffers.clone());
        self.restore(&mut model.params)?;
        Ok(model)
    }

    /// Copy the saved parameters into `params`, whose buffers must equal the saved buffers.
    ///
    /// # Errors
    /// If parameters or buffers are those of another architecture.
    pub fn restore(&self, params: &mut Params) -> Result<()> {
        if !self.buffers.is_empty() {
            let names: BTreeSet<_> = self.buffers.keys().chain(params.buffers().keys()).collect();
            for name in names {
                let [found, expected] = [&self.buffers, params.buffers()].map(|all| all.get(name));
                if found != expected {
                    let [found, expected] = [found, expected].map(describe);
                    return Err(mismatch(format!("{BUFFER}{name}"), found, expected));
                }
            }
        }
        params.iter_mut().try_for_each(|(name, w)| self.copy(name, w))
    }

    /// Copy the saved moments and the number of steps into an optimiser of `params`.
    ///
    /// # Errors
    /// If the moments are missing, as in `best.safetensors`, or are those of another architecture.
    pub fn restore_optimiser(&self, params: &Params, optimiser: &mut Optimiser) -> Result<()> {
        optimiser.set_steps(self.header.steps);
        for (kind, moments) in optimiser.moments_mut() {
            for ((name, _), moment) in params.iter().zip(moments) {
                self.copy(&format!("{MOMENT}{kind}.{name}"), moment)?;
            }
        }
        Ok(())
    }

    /// Copy the tensor `name`.
    fn copy(&self, name: &str, into: &mut Tensor<f32>) -> Result<()> {
        let found = self.tensors.get(name);
        match found.filter(|w| w.shape() == into.shape()) {
            Some(w) => *into = w.clone(),
            None => {
                let found = found.map_or("nothing".into(), |w| format!("shape {:?}", w.shape()));
                return Err(mismatch(name.into(), found, format!("shape {:?}", into.shape())));
            }
        }
        Ok(())
    }
}

/// The error of a checkpoint that cannot be used.
fn bad(what: &str, found: String) -> Error {
    let advice = "Use another checkpoint of the run, or train again.";
    Error::invalid(what, found, "a whole checkpoint of bhn", advice)
}

fn mismatch(name: String, found: String, expected: String) -> Error {
    let advice = "The checkpoint is of another architecture.";
    Error::invalid(format!("tensor `{name}`"), found, expected, advice)
}

fn describe(buffer: Option<&Buffer>) -> String {
    match buffer {
        None => "nothing".into(),
        Some(Buffer::Indices(of)) => format!("{} indices {}", of.len(), first(of)),
        Some(Buffer::Numbers(of)) => format!("{} numbers {}", of.len(), first(of)),
    }
}

/// The first five entries, as text.
fn first<T: Display>(of: &[T]) -> String {
    let first: Vec<_> = of.iter().take(5).map(T::to_string).collect();
    format!("({}{})", first.join(", "), if of.len() > 5 { ", …" } else { "" })
}

/// The checksum of version 1: SHA-256 of the tensors' bytes, in the order of their names, and of
/// the header, whose keys were those of that version.
fn digest(tensors: &[(String, TensorView<'_>)], header: &Header) -> String {
    let mut hash = Sha256::new();
    tensors.iter().for_each(|(_, tensor)| hash.update(tensor.data()));
    let header = serde_json::to_string(header).expect("finite numbers and text");
    hash.update(header.replacen(r#","missing":"drop","#, r#","drop_missing":true,"#, 1));
    files::hex(&hash.finalize())
}
