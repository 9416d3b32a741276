//! The book as HTML, without a warning, a missing include or a broken link.
use crate::{figures::Figures, include::Include, links, math::Math, names, warnings};
use anyhow::{Context, Result, ensure};
use mdbook_driver::MDBook;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The folder of the book's manifest.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Builds the book and returns its folder.
///
/// # Errors
/// If a source cannot be read, an include or a formula is wrong, mdBook warns, or a link is broken.
pub fn book() -> Result<PathBuf> {
    let folder = Path::new(ROOT).join("book");
    into(&folder)?;
    Ok(folder)
}

/// Builds the book into `folder`.
///
/// # Errors
/// As for [`book`].
pub fn into(folder: &Path) -> Result<()> {
    if let Err(error) = fs::remove_dir_all(folder) {
        ensure!(error.kind() == io::ErrorKind::NotFound, "{}: {error}", folder.display());
    }
    let built = warnings::collect(|| {
        let mut book = MDBook::load(ROOT)?;
        book.config.build.build_dir = folder.to_path_buf();
        book.with_preprocessor(Include).with_preprocessor(Math).with_preprocessor(Figures);
        book.build()
    });
    let (result, warnings) = built;
    result.context("mdBook")?;
    ensure!(warnings.is_empty(), "mdBook warns:\n{}", warnings.join("\n"));
    let wrong = [links::broken(folder)?, names::missing()?].concat();
    ensure!(wrong.is_empty(), "broken links and references:\n{}", wrong.join("\n"));
    Ok(())
}

/// The text of every chapter, with the name of its file.
///
/// # Errors
/// If a file cannot be read.
pub fn chapters() -> Result<Vec<(String, String)>> {
    let mut found = vec![];
    for entry in fs::read_dir(Path::new(ROOT).join("src"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            let name = path.file_name().context("a file without a name")?;
            found.push((name.to_string_lossy().into_owned(), fs::read_to_string(&path)?));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn book_builds_without_warnings_and_broken_links() {
        super::book().unwrap();
    }
}
