//! `cargo run --release -p bhn-book [figures | pdf]`: builds the book, draws its figures, or prints
//! the book as one PDF.
use anyhow::{Result, bail};
use bhn_book::{build, figures, pdf};

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => println!("{}", build::book()?.join("index.html").display()),
        ["figures"] => figures::write()?,
        ["pdf"] => println!("{}", pdf::print(&build::book()?)?.display()),
        _ => bail!("{args:?}: expected nothing, which builds the book, or figures, or pdf"),
    }
    Ok(())
}
