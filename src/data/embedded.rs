//! The copy of MNIST that is compiled into the program.

macro_rules! file {
    ($name:literal) => {
        ($name, include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/mnist/", $name)))
    };
}

static FILES: [(&str, &[u8]); 4] = [
    file!("train-images-idx3-ubyte.gz"),
    file!("train-labels-idx1-ubyte.gz"),
    file!("t10k-images-idx3-ubyte.gz"),
    file!("t10k-labels-idx1-ubyte.gz"),
];

/// The gzip-compressed bytes of an MNIST file.
///
/// # Panics
/// If MNIST has no file of that name.
pub(super) fn mnist(name: &str) -> &'static [u8] {
    FILES.iter().find(|file| file.0 == name).expect("one of the four files of MNIST").1
}
