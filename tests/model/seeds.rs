//! Defends: no input crashes a parser, above all none that once did: every seed of `fuzz/`,
//! complete, truncated and with one byte changed.
use crate::parsers;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use rstest::rstest;
use std::fs;
use std::path::Path;

#[rstest]
#[case("checkpoint", parsers::checkpoint)]
#[case("cifar", parsers::cifar)]
#[case("compact", parsers::compact)]
#[case("config", parsers::config)]
#[case("csv", parsers::csv)]
#[case("header", parsers::header)]
#[case("idx", parsers::idx)]
#[case("layers", parsers::layers)]
#[case("npy", parsers::npy)]
#[case("npz", parsers::npz)]
#[case("omniglot", parsers::omniglot)]
#[case("png", parsers::png)]
#[case("tar", parsers::tar)]
fn parsers_survive_every_fuzz_seed(#[case] name: &str, #[case] parse: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
    let rng = &mut ChaCha8Rng::seed_from_u64(0);
    parse(b"");
    for seed in fs::read_dir(folder).unwrap() {
        let bytes = fs::read(seed.unwrap().path()).unwrap();
        parse(&bytes);
        for _ in 0..20 {
            parse(&bytes[..rng.random_range(0..bytes.len())]);
            let mut changed = bytes.clone();
            changed[rng.random_range(0..bytes.len())] = rng.random();
            parse(&changed);
        }
    }
}
