//! NPZ: `x` and `y`, and perhaps `x_test` and `y_test`, in a zip archive.
use super::preprocess::moments;
use super::split::{Rows, divide};
use super::{Dataset, Options, Preprocess, Task, TaskKind, files, npy};
use crate::error::{Error, Result};
use std::io::{Cursor, Read, Seek};
use std::path::Path;
use zip::ZipArchive;

/// Reads, divides, and standardises the values of a regression.
pub(super) fn load(path: &Path, file: impl Read + Seek, options: &Options) -> Result<Dataset> {
    let mut archive = Archive::open(path.display().to_string(), file)?;
    let (example, mut rows, mut whole) = archive.rows("x", "y")?;
    let held_out = if archive.keys.iter().any(|key| key == "x_test" || key == "y_test") {
        let (test_example, test, test_whole) = archive.rows("x_test", "y_test")?;
        if test_example != example {
            return Err(Error::invalid(
                archive.key("x_test"),
                format!("examples of shape {test_example:?}"),
                format!("{example:?}, as in x"),
                "Save both with the same shape.",
            ));
        }
        whole &= test_whole;
        Some(test)
    } else {
        None
    };
    let guess = if whole { TaskKind::Classification } else { TaskKind::Regression };
    let task = match options.task.unwrap_or(guess) {
        TaskKind::Regression => Task::Regression,
        TaskKind::Classification => {
            let test = held_out.iter().flat_map(|test| &test.y);
            let all: Vec<f64> = rows.y.iter().chain(test).copied().collect();
            Task::Classification { classes: classes(&archive.key("y"), &all)? }
        }
    };
    let what = archive.path.as_str();
    let (train, validation, test) = match held_out {
        None => {
            let (train, [validation, test]) = divide(what, rows.y.len(), options)?;
            (train, validation, test)
        }
        Some(held_out) => {
            let n = rows.y.len();
            let (train, [validation]) = divide(what, n, options)?;
            rows.x.append(ndarray::Axis(0), held_out.x.view()).expect("the same shape");
            rows.y.extend(held_out.y);
            (train, validation, (n..rows.y.len()).collect())
        }
    };
    let y_scale = (task == Task::Regression).then(|| moments(train.iter().map(|&row| rows.y[row])));
    Ok(Dataset {
        name: files::name(path, false),
        task,
        image: match *example {
            [h, w] => Some([1, h, w]),
            [c, h, w] => Some([c, h, w]),
            _ => None,
        },
        preprocess: Preprocess { inputs: rows.x.ncols(), y: y_scale, ..Preprocess::default() },
        train: rows.split(what, &train, y_scale)?,
        validation: rows.split(what, &validation, y_scale)?,
        test: rows.split(what, &test, y_scale)?,
    })
}

/// The names `0..K` of the classes in `y`, whose numbers must be below the number of rows.
fn classes(what: &str, y: &[f64]) -> Result<Vec<String>> {
    let wrong = |&&class: &&f64| class.fract() != 0.0 || class < 0.0 || class >= y.len() as f64;
    let last = y.iter().copied().fold(0.0, f64::max);
    let found = match y.iter().find(wrong) {
        Some(class) => format!("the class {class}"),
        None if last == 0.0 => "only the class 0".into(),
        None => return Ok((0..=last as usize).map(|class| class.to_string()).collect()),
    };
    let expected = "at least two classes, whole numbers from 0 up and fewer than rows";
    Err(Error::invalid(what, found, expected, "Renumber the classes, or force regression."))
}

/// An open archive and the names of its arrays.
pub(super) struct Archive<R> {
    path: String,
    zip: ZipArchive<R>,
    keys: Vec<String>,
}

impl<R: Read + Seek> Archive<R> {
    pub fn open(path: String, reader: R) -> Result<Self> {
        let zip = ZipArchive::new(reader).map_err(|error| {
            let advice = "Save it again with numpy.savez.";
            Error::invalid(&path, error, "an NPZ archive", advice)
        })?;
        let key = |name: &str| name.strip_suffix(".npy").unwrap_or(name).to_owned();
        let mut keys: Vec<String> = zip.file_names().map(key).collect();
        keys.sort();
        Ok(Self { path, zip, keys })
    }

    /// What to call an array in a message.
    fn key(&self, key: &str) -> String {
        format!("{}, {key:?}", self.path)
    }

    /// The shape of one example, its rows, and whether their targets are integers.
    fn rows(&mut self, x: &str, y: &str) -> Result<(Vec<usize>, Rows, bool)> {
        let (example, inputs) = self.array(x)?;
        let inputs = inputs.inputs(&self.key(x), 0)?;
        let (whole, targets) = self.array(y)?.1.targets(&self.key(y))?;
        if targets.len() != inputs.nrows() {
            return Err(Error::invalid(
                self.key(y),
                format!("{} targets", targets.len()),
                format!("{}, one for each row of {x:?}", inputs.nrows()),
                "Save arrays that belong together.",
            ));
        }
        Ok((example, Rows { x: inputs, y: targets }, whole))
    }

    /// The shape of one example, and all of them.
    pub fn array(&mut self, key: &str) -> Result<(Vec<usize>, npy::Npy)> {
        let what = self.key(key);
        let entry = self.zip.by_name(&format!("{key}.npy")).map_err(|error| {
            let found = format!("the arrays {:?} ({error})", &self.keys[..self.keys.len().min(20)]);
            Error::invalid(&what, found, format!("an array {key:?}"), "Save it under that name.")
        })?;
        let size = entry.size().min(files::LIMIT);
        npy::Array::whole(&what, Cursor::new(files::bounded(&what, entry, size)?))
    }
}
