//! Checkpoints: one safetensors file each, written whole or not at all, resumed to the bit.
//!
//! Tensors are the parameters under their names, the optimiser's moments under
//! `optimiser.KIND.NAME`, and under `buffer.NAME` what densities depend on beside them:
//! permutations, an IAF's orders and degrees (U32), a mixture's centres. `docs/rebuild.py` computes
//! predictions and `ln q(θ)` from them. One metadata key, `bhn`, holds the [`Header`] and the
//! checksum of the whole file as JSON. There is no generator state: random numbers follow from the
//! seed and the position (see [`crate::random`]).
use crate::autodiff::Tensor;
use crate::bayes::Model;
use crate::data::{Preprocess, Task, files};
use crate::error::{Error, Result};
use crate::nn::optim::Optimiser;
use crate::nn::{Buffer, Buffers, Params};
use crate::predict::evaluate::Scores;
use crate::primary::Shape;
use crate::run::config::Config;
use crate::run::machine::Machine;
use safetensors::tensor::{Dtype, Metadata as Outer, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::fmt::Display;
use std::io::{BufWriter, Read, Seek, Write};
use std::path::Path;

/// The version of the format. Version 2, which is read too, has no [`Machine`], ranges of the
/// training rows or buffers; version 1, besides, a checksum of less: see [`digest`].
const FORMAT: u32 = 3;

/// What stands for the checksum while it is computed.
pub(crate) const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What is said of a file that changed after it was written.
pub(crate) const DAMAGED: &str = "contents that do not match their checksum";

/// The most bytes that the header of a safetensors file may have.
const HEADER: u64 = 100_000_000;

/// How the names of buffers begin.
const BUFFER: &str = "buffer.";

/// How the names of files begin that are not complete yet.
const PARTIAL: &str = ".partial-";

/// What a checkpoint says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The run's configuration, every value.
    pub config: Config,
    /// What the model does.
    pub task: Task,
    /// `[C, H, W]` of its inputs if they are images.
    pub image: Option<[usize; 3]>,
    /// How its inputs are made.
    pub preprocess: Preprocess,
    /// Training examples, `N`.
    pub examples: usize,
    /// [`fingerprint`](crate::data::Dataset::fingerprint) of the data.
    pub data_sha256: String,
    /// Steps taken.
    pub steps: u64,
    /// Epochs finished.
    pub epoch: usize,
    /// The best validation so far and its epoch.
    pub best: Option<(usize, Scores)>,
    /// Where it was computed, in its last sitting; none in a checkpoint of format 2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Machine>,
}

impl Header {
    /// What goes into its network.
    pub fn shape(&self) -> Shape {
        Shape::of(self.preprocess.inputs, self.image)
    }
}

#[derive(Serialize, Deserialize)]
struct Metadata {
    format: u32,
    /// SHA-256 of the file with this [`BLANK`].
    sha256: String,
    header: Header,
}

/// Write `header`, `params` and, to be resumed, the optimiser's moments to `path`.
///
/// The file is complete under another name before it takes its own: a crash, a full disk or a
/// killed process leaves the old file or the new one.
///
/// # Errors
/// If the file system refuses.
#[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
pub fn save(
    path: &Path,
    header: &Header,
    params: &Params,
    optimiser: Option<&Optimiser>,
) -> Result<()> {
    let of = |name: String, w: &Tensor<f32>| {
        let data = bytemuck::cast_slice(w.as_slice()).to_vec();
        (name, Dtype::F32, w.shape().to_vec(), data)
    };
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> =
        params.iter().map(|(name, w)| of(name.to_string(), w)).collect();
    for (kind, moments) in optimiser.iter().flat_map(|o| o.moments()) {
        let names = params.iter().map(|(name, _)| format!("optimiser.{kind}.{name}"));
        tensors.extend(names.zip(moments).map(|(name, w)| of(name, w)));
    }
    tensors.extend(params.buffers().iter().map(|(name, buffer)| {
        let (dtype, count, data) = match buffer {
            Buffer::Indices(of) => (Dtype::U32, of.len(), bytemuck::cast_slice(of)),
            Buffer::Numbers(of) => (Dtype::F32, of.len(), bytemuck::cast_slice(of)),
        };
        (format!("{BUFFER}{name}"), dtype, vec![count], data.to_vec())
    }));
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let views = tensors.iter().map(|(name, dtype, shape, data)| {
        let view = TensorView::new(*dtype, shape.clone(), data);
        (name.as_str(), view.expect("bytes fit the shape"))
    });
    let metadata = Metadata { format: FORMAT, sha256: BLANK.into(), header: header.clone() };
    let metadata = serde_json::to_string(&metadata).expect("finite numbers and text");
    let metadata = HashMap::from([("bhn".to_string(), metadata)]);
    let mut file = safetensors::serialize(views, Some(metadata)).expect("valid tensors");
    let (at, sum) = sum(&file, BLANK).expect("written above");
    file[at..at + BLANK.len()].copy_from_slice(sum.as_bytes());
    write(path, &file)
}

/// A checkpoint as read from a file, whole and intact.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What it says of itself.
    pub header: Header,
    tensors: HashMap<String, Tensor<f32>>,
    buffers: Buffers,
}

impl Checkpoint {
    /// Read and verify.
    ///
    /// # Errors
    /// If there is no such file, or it is damaged or of another format.
    pub fn load(path: &Path) -> Result<Self> {
        let file = std::fs::File::open(path).map_err(Error::io(path))?;
        Self::read(&path.display().to_string(), file)
    }

    /// The same of what is in `file`, called `what`.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn read(what: &str, mut file: impl Read + Seek) -> Result<Self> {
        let advice = "Use another checkpoint of the run, or train again.";
        let bad = |found: String| Error::invalid(what, found, "a whole checkpoint of bhn", advice);
        let broken = |e: &dyn Display| bad(format!("a damaged or truncated file ({e})"));
        // What the header says of the file's length is compared with it before the rest is read.
        let present = files::left(&mut file);
        let mut bytes = files::bounded(what, file.by_ref().take(8), 8)?;
        let length = <[u8; 8]>::try_from(&bytes[..]).map_or(0, u64::from_le_bytes).min(HEADER);
        bytes.extend(files::bounded(what, file.by_ref().take(length), length)?);
        let outer = &bytes[bytes.len().min(8)..];
        let outer: Outer = serde_json::from_slice(outer).map_err(|e| broken(&e))?;
        let said = outer.data_len().saturating_add(bytes.len()) as u64;
        if let Some(present) = present.filter(|&present| present != said) {
            return Err(broken(&format!("{present} bytes where its header says {said}")));
        }
        bytes.extend(files::exactly(what, file, outer.data_len() as u64)?);
        let file = SafeTensors::deserialize(&bytes).map_err(|e| broken(&e))?;
        let text = outer.metadata().as_ref().and_then(|m| m.get("bhn"));
        let text = text.ok_or_else(|| bad("a safetensors file without bhn's metadata".into()))?;
        let metadata: Metadata = serde_json::from_str(text)
            .map_err(|e| bad(format!("metadata of another kind ({e})")))?;
        let mut tensors: Vec<_> = file.tensors();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        let found = match metadata.format {
            1 => Some(digest(tensors.iter().map(|(_, t)| t.data()), &metadata.header)),
            2 | FORMAT => sum(&bytes, &metadata.sha256).map(|(_, sum)| sum),
            other => return Err(bad(format!("format {other}, this version reads 1 to {FORMAT}"))),
        };
        if found.is_none_or(|found| found != metadata.sha256) {
            return Err(bad(DAMAGED.into()));
        }
        let mut found =
            Self { header: metadata.header, tensors: HashMap::new(), buffers: Buffers::new() };
        for (name, view) in tensors {
            let numbers = || bytemuck::pod_collect_to_vec::<u8, f32>(view.data());
            let (dtype, shape) = (view.dtype(), view.shape());
            if let Some(name) = name.strip_prefix(BUFFER) {
                let buffer = match (dtype, shape) {
                    (Dtype::U32, [_]) => Buffer::Indices(bytemuck::pod_collect_to_vec(view.data())),
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

    /// What densities depend on beside parameters; empty in older files, where the seed draws it.
    pub fn buffers(&self) -> &Buffers {
        &self.buffers
    }

    /// The model that was saved, with its buffers and its parameters.
    ///
    /// # Errors
    /// If they are those of another architecture.
    pub fn model(&self) -> Result<Model> {
        let Header { config, task, .. } = &self.header;
        let mut model = config.build_with(self.header.shape(), task, self.buffers.clone());
        self.restore(&mut model.params)?;
        Ok(model)
    }

    /// Put the parameters into the store of a model with these buffers.
    ///
    /// # Errors
    /// If parameters or buffers are those of another architecture.
    pub fn restore(&self, params: &mut Params) -> Result<()> {
        if !self.buffers.is_empty() {
            let names: BTreeSet<_> = self.buffers.keys().chain(params.buffers().keys()).collect();
            for name in names {
                let [found, expected] = [&self.buffers, params.buffers()].map(|all| all.get(name));
                if found != expected {
                    return Err(other(format!("{BUFFER}{name}"), words(found), words(expected)));
                }
            }
        }
        params.iter_mut().try_for_each(|(name, w)| self.put(name, w))
    }

    /// Put moments and position into an optimiser of these parameters.
    ///
    /// # Errors
    /// If they are missing, as in `best.safetensors`, or those of another architecture.
    pub fn restore_optimiser(&self, params: &Params, optimiser: &mut Optimiser) -> Result<()> {
        optimiser.set_steps(self.header.steps);
        for (kind, moments) in optimiser.moments_mut() {
            for ((name, _), moment) in params.iter().zip(moments) {
                self.put(&format!("optimiser.{kind}.{name}"), moment)?;
            }
        }
        Ok(())
    }

    fn put(&self, name: &str, into: &mut Tensor<f32>) -> Result<()> {
        let found = self.tensors.get(name);
        match found.filter(|w| w.shape() == into.shape()) {
            Some(w) => *into = w.clone(),
            None => {
                let found = found.map_or("nothing".into(), |w| format!("shape {:?}", w.shape()));
                return Err(other(name.into(), found, format!("shape {:?}", into.shape())));
            }
        }
        Ok(())
    }
}

fn other(name: String, found: String, expected: String) -> Error {
    let advice = "The checkpoint is of another architecture.";
    Error::invalid(format!("tensor `{name}`"), found, expected, advice)
}

fn words(buffer: Option<&Buffer>) -> String {
    match buffer {
        None => "nothing".into(),
        Some(Buffer::Indices(of)) => format!("{} indices {}", of.len(), start(of)),
        Some(Buffer::Numbers(of)) => format!("{} numbers {}", of.len(), start(of)),
    }
}

fn start<T: Display>(of: &[T]) -> String {
    let first: Vec<_> = of.iter().take(5).map(T::to_string).collect();
    format!("({}{})", first.join(", "), if of.len() > 5 { ", …" } else { "" })
}

/// Write a whole file or none: to a temporary beside it, flushed to the disk, then renamed.
///
/// # Errors
/// If the file system refuses.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    stream(path, |file| file.write_all(bytes).map_err(Error::io(path)))
}

/// As [`write()`], for what is made piece by piece and may fail on the way.
///
/// # Errors
/// If the file system refuses, or `fill` does; then nothing is left behind.
pub fn stream<E: From<Error>>(
    path: &Path,
    fill: impl FnOnce(&mut BufWriter<&std::fs::File>) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(PARTIAL);
    // A temporary file is private by default; a checkpoint should be as readable as any file.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let file = builder.tempfile_in(folder).map_err(Error::io(folder))?;
    let mut writer = BufWriter::new(file.as_file());
    fill(&mut writer)?;
    writer.flush().and_then(|()| file.as_file().sync_all()).map_err(Error::io(path))?;
    drop(writer);
    file.persist(path).map_err(|e| Error::io(path)(e.error))?;
    // The rename itself reaches the disk with the folder; elsewhere than on unix it needs no help.
    #[cfg(unix)]
    std::fs::File::open(folder).and_then(|f| f.sync_all()).map_err(Error::io(folder))?;
    Ok(())
}

/// Remove what a killed process left half written.
///
/// # Errors
/// If the file system refuses.
pub fn sweep(folder: &Path) -> Result<()> {
    for entry in std::fs::read_dir(folder).map_err(Error::io(folder))? {
        let entry = entry.map_err(Error::io(folder))?;
        if is_partial(&entry.file_name()) {
            std::fs::remove_file(entry.path()).map_err(Error::io(entry.path()))?;
        }
    }
    Ok(())
}

/// Whether a file of this name is one that is not complete yet.
pub(crate) fn is_partial(name: &OsStr) -> bool {
    name.to_string_lossy().starts_with(PARTIAL)
}

/// `json`, which has [`BLANK`] for its checksum, with that.
pub(crate) fn seal(json: &str) -> String {
    let (at, sum) = sum(json.as_bytes(), BLANK).expect("a place for it");
    format!("{}{sum}{}", &json[..at], &json[at + BLANK.len()..])
}

/// Whether `file` is what was sealed with the checksum that it holds, `written`.
pub(crate) fn is_intact(file: &[u8], written: &str) -> bool {
    sum(file, written).is_some_and(|(_, sum)| sum == written)
}

/// Where a file holds the checksum `written`, and what it should be.
fn sum(file: &[u8], written: &str) -> Option<(usize, String)> {
    let at = file.windows(BLANK.len()).position(|text| text == written.as_bytes())?;
    let mut hash = Sha256::new();
    hash.update(&file[..at]);
    hash.update(BLANK);
    hash.update(&file[at + BLANK.len()..]);
    Some((at, hexadecimal(hash)))
}

/// The checksum of version 1: of the tensors' bytes by name, and of the header.
fn digest<'a>(tensors: impl Iterator<Item = &'a [u8]>, header: &Header) -> String {
    let mut hash = Sha256::new();
    tensors.for_each(|tensor| hash.update(tensor));
    hash.update(serde_json::to_string(header).expect("finite numbers and text"));
    hexadecimal(hash)
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
