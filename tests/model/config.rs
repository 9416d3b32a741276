//! Defends: a configuration that cannot be trained or saved is refused, and the error names its
//! key.
use bhn::bayes::Model;
use bhn::data::{Options, load};
use bhn::run::config::{Config, MethodKind};
use rstest::rstest;

#[rstest]
#[case("kl_anneal_epochs = inf", "train.kl_anneal_epochs")]
#[case("kl_anneal_epochs = nan", "train.kl_anneal_epochs")]
#[case("optimiser = { adam = { beta1 = 1.0, beta2 = 0.999, epsilon = 1e-8 } }", "beta1")]
#[case("optimiser = { adam = { beta1 = 0.9, beta2 = -0.1, epsilon = 1e-8 } }", "beta2")]
#[case("optimiser = { adam = { beta1 = 0.9, beta2 = 0.999, epsilon = 0.0 } }", "epsilon")]
#[case("optimiser = { sgd = { momentum = nan } }", "momentum")]
fn out_of_range_values_are_rejected_by_key(#[case] line: &str, #[case] key: &str) {
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

/// TOML requires integers only up to `i64::MAX`.
#[test]
fn largest_seed_round_trips_through_toml() {
    let config = Config { seed: u64::MAX, ..Config::default() };
    assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
}

/// Every file of `networks/`.
#[test]
fn network_files_fit_their_data_and_methods() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/networks");
    let mut names = vec![];
    for file in std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()) {
        let config = Config::read(&file).unwrap();
        let (channels, side) = if config.data == "mnist" { (1, 28) } else { (3, 32) };
        let mut data = load("mnist", &Options::default(), None).unwrap();
        data.image = Some([channels, side, side]);
        data.preprocess.inputs = channels * side * side;
        for method in [MethodKind::Bhn, MethodKind::McDropout, MethodKind::Bbb, MethodKind::Mle] {
            let config = Config { method, ..config.clone() }.resolve(&data).unwrap();
            let model: Model = config.build(data.shape(), &data.task);
            assert!(model.primary.dim() > 0 && config.primary.layers.unwrap().len() > 5);
        }
        names.push(file.file_name().unwrap().to_string_lossy().into_owned());
    }
    names.sort();
    assert_eq!(names, ["active-first.toml", "active.toml", "cifar-10.toml", "lenet.toml"]);
}
