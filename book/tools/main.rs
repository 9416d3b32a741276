//! `cargo run --release -p bhn-book`: builds the book into `book/book`.
mod math;

use anyhow::Result;
use mdbook_driver::MDBook;
use std::path::Path;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut book = MDBook::load(root)?;
    book.with_preprocessor(math::Math);
    book.build()
}
