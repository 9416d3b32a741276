//! Defends: a configuration that cannot be trained, or not be saved, is refused by the name of its key.
use bhn::config::Config;
use bhn::data::{Options, load};
use rstest::rstest;

#[rstest]
#[case("kl_anneal_epochs = inf", "train.kl_anneal_epochs")]
#[case("kl_anneal_epochs = nan", "train.kl_anneal_epochs")]
#[case("optimiser = { adam = { beta1 = 1.0, beta2 = 0.999, epsilon = 1e-8 } }", "beta1")]
#[case("optimiser = { adam = { beta1 = 0.9, beta2 = -0.1, epsilon = 1e-8 } }", "beta2")]
#[case("optimiser = { adam = { beta1 = 0.9, beta2 = 0.999, epsilon = 0.0 } }", "epsilon")]
#[case("optimiser = { sgd = { momentum = nan } }", "momentum")]
fn numbers_out_of_range_are_refused(#[case] line: &str, #[case] key: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("line.csv");
    let rows: String = (0..40).map(|i| format!("{i},{}.5\n", 3 * i)).collect();
    std::fs::write(&file, format!("x,y\n{rows}")).unwrap();
    let data = load(file.to_str().unwrap(), &Options::default(), None).unwrap();
    Config::default().resolve(&data).unwrap();
    let config: Config = toml::from_str(&format!("[train]\n{line}")).unwrap();
    let said = config.resolve(&data).unwrap_err().to_string();
    assert!(said.contains(key), "{said}");
}

/// What `config.toml` and a checkpoint's header say is read back the same.
#[test]
fn every_seed_is_read_back() {
    let config = Config { seed: u64::MAX, ..Config::default() };
    assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
}
