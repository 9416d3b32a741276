//! A folder of pictures: a subfolder for each class.
use super::dataset::{Dataset, Options, TaskKind};
use super::examples::{Examples, Parts, divide};
use super::preprocess::Preprocess;
use super::target::Targets;
use super::training_range::TrainingRange;
use super::{files, pictures};
use crate::error::{Error, Result};
use ndarray::Array2;
use std::fs;
use std::path::{Path, PathBuf};

/// Names of the folders of validation and test pictures, beside `train`.
const VALIDATION: [&str; 4] = ["validation", "valid", "val", "dev"];
const TEST: &str = "test";

/// Reads `path/CLASS/*.png` (or jpg), or the same below `path/train`, `path/validation` and
/// `path/test`. All pictures have the size of the first, or are resampled to `options.size`; they
/// are grey if all are.
pub(super) fn load(path: &Path, options: &Options) -> Result<Dataset> {
    let what = path.display().to_string();
    options.only_classes(&what)?;
    let [train, test] = ["train", TEST].map(|name| path.join(name));
    let validation = VALIDATION.map(|name| path.join(name)).into_iter().find(|p| p.is_dir());
    let (mut files, mut parts) = (vec![], Parts::default());
    let mut others = 0;
    let mut add = |folder: &Path, rows: &mut Vec<usize>| -> Result<()> {
        let first = files.len();
        others += labelled(folder, &mut files)?;
        rows.extend(first..files.len());
        Ok(())
    };
    if train.is_dir() {
        add(&train, &mut parts.pool)?;
        validation.iter().try_for_each(|folder| add(folder, &mut parts.validation))?;
        if test.is_dir() {
            add(&test, &mut parts.test)?;
        }
    } else {
        add(path, &mut parts.pool)?;
    }
    if files.is_empty() {
        let expected = format!("folders of pictures, {what}/CLASS/*.png or *.jpg");
        let advice = "Make a folder for each class, with its pictures.";
        return Err(Error::invalid(&what, "no pictures in folders", expected, advice));
    }
    let (x, image) = pixels(&files, options.size)?;
    let labels: Vec<String> = files.iter().map(|(_, label)| label.clone()).collect();
    let targets = Targets {
        what: format!("{what}, folders"),
        labels,
        values: Err((what.clone(), "".into())),
    };
    let chosen = targets.choose(Some(TaskKind::Classification))?;
    let (parts, small) = divide(&what, parts, options)?;
    let [c, h, w] = image;
    let colours = if c == 1 { "grey" } else { "colour" };
    let shape = format!("{} pictures of {w}×{h} pixels in {colours}", files.len());
    let ignored = (others > 0).then(|| format!("{others} other files in the folders are ignored"));
    let notes = [Some(shape), ignored, small].into_iter().flatten().collect();
    let preprocess = Preprocess { seen: Some(TrainingRange::bytes()), ..Preprocess::default() };
    let name = files::name(path, true);
    Examples { what: &what, name, image: Some(image), x, chosen, notes, preprocess }.split(&parts)
}

/// Adds the pictures in the subfolders of `folder` with their class, in the order of their names;
/// returns the number of other files.
fn labelled(folder: &Path, found: &mut Vec<(PathBuf, String)>) -> Result<usize> {
    let mut others = 0;
    for class in entries(folder)? {
        if !class.is_dir() {
            others += 1;
            continue;
        }
        let label = files::name(&class, true);
        for file in entries(&class)? {
            match is_named_picture(&file) {
                true => found.push((file, label.clone())),
                false => others += 1,
            }
        }
    }
    Ok(others)
}

/// The pictures in `folder` and in its subfolders, in the order of their paths.
///
/// # Errors
/// If there are none, or a folder cannot be read.
pub fn pictures_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (vec![], vec![folder.to_path_buf()]);
    while let Some(next) = folders.pop() {
        for entry in entries(&next)? {
            match entry.is_dir() {
                true => folders.push(entry),
                false if is_named_picture(&entry) => found.push(entry),
                false => {}
            }
        }
    }
    found.sort();
    match found.is_empty() {
        false => Ok(found),
        true => {
            let (found, expected) = ("a folder without pictures", "*.png or *.jpg in it");
            Err(Error::invalid(folder.display(), found, expected, "Name another folder."))
        }
    }
}

fn is_named_picture(path: &Path) -> bool {
    pictures::EXTENSIONS.contains(&&*files::extension(path))
}

/// The entries of a folder in the order of their names, without hidden ones.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let all = fs::read_dir(folder).map_err(Error::io(folder))?;
    let mut paths = all
        .map(|entry| entry.map(|entry| entry.path()).map_err(Error::io(folder)))
        .collect::<Result<Vec<_>>>()?;
    paths.retain(|path| !files::name(path, true).starts_with('.'));
    paths.sort();
    Ok(paths)
}

/// The pixels `[N, C·H·W]` of all pictures, and `[C, H, W]`.
fn pixels(
    files: &[(PathBuf, String)],
    size: Option<[usize; 2]>,
) -> Result<(Array2<f32>, [usize; 3])> {
    let mut all = vec![];
    let mut is_coloured = false;
    let mut expected: Option<(u32, u32)> = None;
    for (path, _) in files {
        let picture = pictures::decode(&path.display().to_string(), files::open(path)?)?;
        let (width, height) = (picture.width(), picture.height());
        let first = *expected.get_or_insert((width, height));
        if size.is_none() && (width, height) != first {
            let found = format!("{width}×{height} pixels");
            let as_first = format!("{}×{}, as {}", first.0, first.1, files[0].0.display());
            let advice = "Resample all pictures with --size, such as --size 28x28.";
            return Err(Error::invalid(path.display(), found, as_first, advice));
        }
        is_coloured |= picture.color().has_color();
        all.push(picture);
    }
    let (width, height) = expected.expect("a picture");
    let [h, w] = size.unwrap_or([height as usize, width as usize]);
    let image = [if is_coloured { 3 } else { 1 }, h, w];
    let length: usize = image.iter().product();
    let bytes = (length * files.len() * size_of::<f32>()) as u64;
    let folder = files[0].0.parent().unwrap_or(Path::new(".")).display().to_string();
    files::within(&folder, bytes, files::LIMIT)?;
    let x = all.iter().flat_map(|picture| pictures::pixels(picture, image)).collect();
    Ok((Array2::from_shape_vec((all.len(), length), x).expect("pictures of one size"), image))
}
