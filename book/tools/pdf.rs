//! The book as one PDF, printed by Chromium.
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const BROWSERS: [&str; 4] =
    ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// Prints `print.html` of the book in `folder`, and returns the file.
///
/// # Errors
/// If there is no Chromium, or it fails.
pub fn print(folder: &Path) -> Result<PathBuf> {
    let Some(browser) = browser() else {
        bail!(
            "no Chromium on PATH: looked for {}. Install the package chromium.",
            BROWSERS.join(", ")
        )
    };
    let file = folder.join("bhn-book.pdf");
    let page = folder.join("print.html").canonicalize().context("print.html")?;
    let run = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"])
        .arg("--generate-pdf-document-outline")
        .arg(format!("--print-to-pdf={}", file.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .with_context(|| browser.to_string())?;
    ensure!(
        run.status.success() && file.exists(),
        "{browser} wrote no PDF: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    Ok(file)
}

/// The first of the browsers that runs.
pub fn browser() -> Option<&'static str> {
    let runs = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
    BROWSERS.iter().find(runs).copied()
}
