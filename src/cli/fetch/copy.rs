//! Data sets from local files, which may be compressed by xz.
use super::{PUBLISHED, STAND_IN, fill, most};
use crate::data::sources::{File, Set};
use crate::error::{Error, Result};
use crate::run::atomic;
use lzma_rust2::XzReader;
use std::fs;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Copy the files of a set from a local folder, as it was downloaded or unpacked, or from a single
/// file, and return what they are; `None` if there are none of them.
pub fn copy(set: &Set, from: &Path, to: &Path) -> Result<Option<&'static str>> {
    let own = set.name.rsplit('/').next().unwrap_or(set.name);
    let folders = ["", own, set.name].map(|name| from.join(name));
    let folders = folders.iter().flat_map(|folder| [folder.clone(), folder.join("data")]);
    let folders: Vec<PathBuf> = folders.collect();
    let find = |file: &File| {
        let names = [file.name.to_owned(), format!("{}.xz", file.name)];
        let all = folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
        let itself = names.iter().any(|name| from.ends_with(name)).then(|| from.to_owned());
        itself.into_iter().chain(all).find(|path| path.is_file())
    };
    if !from.exists() {
        let expected = "a folder or a file";
        return Err(Error::invalid(from.display(), "nothing there", expected, "Correct it."));
    }
    let kinds = [(&set.files, PUBLISHED), (&set.stand_ins, STAND_IN)];
    let Some((files, kind)) =
        kinds.into_iter().find(|(files, _)| files.iter().any(|f| find(f).is_some()))
    else {
        return Ok(None);
    };
    let path = |file: &File| {
        find(file).ok_or_else(|| {
            let found = format!("no file {} for {}", file.name, set.name);
            Error::invalid(from.display(), found, "all of its files", "Add it.")
        })
    };
    let paths = files.iter().map(path).collect::<Result<Vec<_>>>()?;
    fill(to, || {
        for (file, path) in files.iter().zip(paths) {
            let reader = fs::File::open(&path).map(BufReader::new).map_err(Error::io(&path))?;
            let reader: Box<dyn Read> = match path.extension().is_some_and(|end| end == "xz") {
                true => Box::new(XzReader::new(reader, true)),
                false => Box::new(reader),
            };
            let mut bytes = vec![];
            reader.take(most(file)).read_to_end(&mut bytes).map_err(Error::io(&path))?;
            set.whole(file, &path.display().to_string(), &*bytes)?;
            atomic::write(&to.join(file.name), &bytes)?;
        }
        Ok(())
    })?;
    Ok(Some(kind))
}
