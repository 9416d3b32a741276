//! The book's tools: figures, mathematics, included source, and the checks that a build must pass.
pub mod build;
pub mod figures;
pub mod include;
pub mod links;
pub mod math;
pub mod names;
pub mod pdf;
pub mod warnings;

/// The Rust examples of the chapters as doctests.
#[cfg(doctest)]
mod chapters {
    macro_rules! chapters {
        ($($name:ident)*) => {$(
            #[doc = include_str!(concat!("../src/", stringify!($name), ".md"))]
            mod $name {}
        )*};
    }
    chapters! {
        introduction tensors tape gradcheck training flows inference gradients hypernet prediction
        right good tables speed glossary teachers
    }
}
