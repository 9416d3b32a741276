//! Checkpoints: one safetensors file each, written whole or not at all, resumed to the bit.
//!
//! Tensors are the parameters under their names and the optimiser's moments under
//! `optimiser.KIND.NAME`. One metadata key, `bhn`, holds the [`Header`] as JSON. There is no
//! generator state: random numbers follow from the seed and the position (see [`crate::random`]).
use crate::config::Config;
use crate::data::{Preprocess, Task};
use crate::error::{Error, Result};
use crate::nn::Params;
use crate::optim::Optimiser;
use crate::primary::Shape;
use crate::record::Scores;
use crate::tape::Tensor;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{BufWriter, Write};
use std::path::Path;

/// The version of the format.
const FORMAT: u32 = 1;

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
    /// SHA-256 of the tensors' bytes, by name, and of the header.
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
    let mut tensors: Vec<(String, &Tensor<f32>)> =
        params.iter().map(|(name, w)| (name.to_string(), w)).collect();
    for (kind, moments) in optimiser.iter().flat_map(|o| o.moments()) {
        let names = params.iter().map(|(name, _)| format!("optimiser.{kind}.{name}"));
        tensors.extend(names.zip(moments));
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    let bytes = |w: &'_ Tensor<f32>| -> Vec<u8> {
        bytemuck::cast_slice(w.as_slice().expect("row-major")).to_vec()
    };
    let data: Vec<_> = tensors.iter().map(|(_, w)| bytes(w)).collect();
    let views = tensors.iter().zip(&data).map(|((name, w), data)| {
        let view = TensorView::new(Dtype::F32, w.shape().to_vec(), data);
        (name.as_str(), view.expect("bytes fit the shape"))
    });
    let sha256 = digest(data.iter().map(Vec::as_slice), header);
    let metadata = Metadata { format: FORMAT, sha256, header: header.clone() };
    let metadata = serde_json::to_string(&metadata).expect("finite numbers and text");
    let metadata = HashMap::from([("bhn".to_string(), metadata)]);
    let file = safetensors::serialize(views, Some(metadata)).expect("valid tensors");
    write(path, &file)
}

/// A checkpoint as read from a file, whole and intact.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// What it says of itself.
    pub header: Header,
    tensors: HashMap<String, Tensor<f32>>,
}

impl Checkpoint {
    /// Read and verify.
    ///
    /// # Errors
    /// If there is no such file, or it is damaged or of another format.
    pub fn load(path: &Path) -> Result<Self> {
        let advice = "Use another checkpoint of the run, or train again.";
        let bad = |found: String| {
            Error::invalid(path.display(), found, "a whole checkpoint of bhn", advice)
        };
        let bytes = std::fs::read(path).map_err(Error::io(path))?;
        let file = SafeTensors::deserialize(&bytes)
            .map_err(|e| bad(format!("a damaged or truncated file ({e})")))?;
        let (_, outer) = SafeTensors::read_metadata(&bytes).map_err(|e| bad(e.to_string()))?;
        let text = outer.metadata().as_ref().and_then(|m| m.get("bhn"));
        let text = text.ok_or_else(|| bad("a safetensors file without bhn's metadata".into()))?;
        let metadata: Metadata = serde_json::from_str(text)
            .map_err(|e| bad(format!("metadata of another kind ({e})")))?;
        if metadata.format != FORMAT {
            return Err(bad(format!("format {}, this version reads {FORMAT}", metadata.format)));
        }
        let mut tensors: Vec<_> = file.tensors();
        tensors.sort_by(|a, b| a.0.cmp(&b.0));
        if digest(tensors.iter().map(|(_, t)| t.data()), &metadata.header) != metadata.sha256 {
            return Err(bad("contents that do not match their checksum".into()));
        }
        let tensors = tensors.into_iter().map(|(name, view)| {
            let entries: Vec<f32> = bytemuck::pod_collect_to_vec(view.data());
            let tensor = Tensor::from_shape_vec(view.shape(), entries);
            Ok((name, tensor.map_err(|e| bad(e.to_string()))?))
        });
        Ok(Self { header: metadata.header, tensors: tensors.collect::<Result<_>>()? })
    }

    /// Put the parameters into a model's store.
    ///
    /// # Errors
    /// If they are those of another architecture.
    pub fn restore(&self, params: &mut Params) -> Result<()> {
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
                let expected = format!("shape {:?}", into.shape());
                let advice = "The checkpoint is of another architecture.";
                return Err(Error::invalid(format!("tensor `{name}`"), found, expected, advice));
            }
        }
        Ok(())
    }
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
        let path = entry.map_err(Error::io(folder))?.path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PARTIAL)) {
            std::fs::remove_file(&path).map_err(Error::io(&path))?;
        }
    }
    Ok(())
}

fn digest<'a>(tensors: impl Iterator<Item = &'a [u8]>, header: &Header) -> String {
    let mut hash = Sha256::new();
    tensors.for_each(|tensor| hash.update(tensor));
    hash.update(serde_json::to_string(header).expect("finite numbers and text"));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
