//! MNIST: four files, verified before the `mnist` crate may see them.
use super::files;
use super::{Dataset, Options, Preprocess, Split, Targets, Task, TaskKind};
use crate::error::{Error, Result};
use ndarray::Array2;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// One published file: its copy in the program, and what it unpacks to.
pub(super) struct File {
    name: &'static str,
    packed: &'static [u8],
    bytes: u64,
    sha256: &'static str,
}

macro_rules! file {
    ($name:literal, $bytes:literal, $sha256:literal) => {
        File {
            name: $name,
            packed: include_bytes!(concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/datasets/mnist/",
                $name,
                ".gz"
            )),
            bytes: $bytes,
            sha256: $sha256,
        }
    };
}

pub(super) static FILES: [File; 4] = [
    file!(
        "train-images-idx3-ubyte",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    file!(
        "train-labels-idx1-ubyte",
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    file!(
        "t10k-images-idx3-ubyte",
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    file!(
        "t10k-labels-idx1-ubyte",
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
];

/// The user's folder of MNIST files, if there is one; else the copy in the program is used.
pub(super) fn folder(data_dir: Option<&Path>) -> Result<Option<PathBuf>> {
    match data_dir {
        Some(dir) if !dir.is_dir() => Err(Error::invalid(
            dir.display(),
            "no such folder",
            "the data folder",
            "Correct it, or leave it out to use the copy inside the program.",
        )),
        _ => Ok(data_dir.map(|dir| dir.join("mnist")).filter(|dir| dir.exists())),
    }
}

impl File {
    /// Where it is, for messages.
    pub fn place(&self, folder: Option<&Path>) -> String {
        match folder {
            Some(folder) => folder.join(format!("{}.gz", self.name)).display().to_string(),
            None => format!("{}.gz (inside the program)", self.name),
        }
    }

    /// The size of its copy in the program.
    pub fn packed_bytes(&self) -> u64 {
        self.packed.len() as u64
    }

    /// The unpacked bytes, no more than it should have.
    pub fn unpack(&self, folder: Option<&Path>) -> Result<Vec<u8>> {
        let packed: Box<dyn BufRead> = match folder {
            Some(folder) => Box::new(files::open(&folder.join(format!("{}.gz", self.name)))?),
            None => Box::new(self.packed),
        };
        files::gunzip(&self.place(folder), packed, self.bytes)
    }

    /// Whether these bytes are the published ones, to the bit.
    pub fn verify(&self, folder: Option<&Path>, bytes: &[u8]) -> Result<()> {
        let (size, sum) = (bytes.len() as u64, files::sha256(bytes));
        let (found, expected) = if size != self.bytes {
            (format!("{size} bytes unpacked"), self.bytes.to_string())
        } else if sum != self.sha256 {
            (format!("SHA-256 {sum}"), self.sha256.to_owned())
        } else {
            return Ok(());
        };
        Err(Error::invalid(
            self.place(folder),
            found,
            expected,
            "Put the published file back, or remove the folder to use the copy inside the program.",
        ))
    }
}

/// 50 000 images to train on, 10 000 to validate with and 10 000 to test with.
pub(super) fn load(options: &Options, data_dir: Option<&Path>) -> Result<Dataset> {
    if options.task == Some(TaskKind::Regression) {
        return Err(Error::invalid(
            "task",
            "regression",
            "classification, the task of MNIST",
            "Leave the task out.",
        ));
    }
    let kept = options.keep(50_000)?;
    let folder = folder(data_dir)?;
    let copies = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
    for file in &FILES {
        let bytes = file.unpack(folder.as_deref())?;
        file.verify(folder.as_deref(), &bytes)?;
        let path = copies.path().join(file.name);
        std::fs::write(&path, bytes).map_err(Error::io(&path))?;
    }
    let base = copies.path().to_str().ok_or_else(|| {
        Error::invalid(
            copies.path().display(),
            "a folder whose name is not UTF-8",
            "one for temporary files that is",
            "Set TMPDIR to another folder.",
        )
    })?;
    let raw = ::mnist::MnistBuilder::new()
        .label_format_digit()
        .training_set_length(50_000)
        .validation_set_length(10_000)
        .test_set_length(10_000)
        .base_path(base)
        .finalize();
    Ok(Dataset {
        name: "mnist".into(),
        task: Task::Classification { classes: (0..10).map(|digit| digit.to_string()).collect() },
        image: Some([1, 28, 28]),
        preprocess: Preprocess { inputs: 784, ..Preprocess::default() },
        train: split(&raw.trn_img[..kept * 784], &raw.trn_lbl[..kept]),
        validation: split(&raw.val_img, &raw.val_lbl),
        test: split(&raw.tst_img, &raw.tst_lbl),
    })
}

fn split(pixels: &[u8], labels: &[u8]) -> Split {
    let x = Array2::from_shape_fn((labels.len(), 784), |(row, pixel)| {
        f32::from(pixels[row * 784 + pixel]) / 255.0
    });
    Split { x, y: Targets::Classes(labels.iter().map(|&label| usize::from(label)).collect()) }
}
