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

/// A configuration is read back unchanged from `config.toml` and from a checkpoint's header.
#[test]
fn every_seed_is_read_back() {
    let config = Config { seed: u64::MAX, ..Config::default() };
    assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
}

/// Every network in `networks/` fits its data and every method that it may be trained with.
#[test]
fn the_networks_described_in_files_fit_their_data() {
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
