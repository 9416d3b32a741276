//! Defends: a configuration that cannot be trained or saved is refused, and the error names its
//! key.
use bhn::bayes::Model;
use bhn::data::{Options, load};
use bhn::run::config::{Config, MethodKind};
use rstest::rstest;

#[rstest]
#[case("kl_anneal_epochs = inf", "train.kl_anneal_epochs")]
#[case("kl_anneal_epochs = nan", "train.kl_anneal_epochs")]
#[case("kappa = -1.0", "train.kappa")]
#[case("bias_precision = inf", "train.bias_precision")]
#[case("kl_weight = 0.0", "train.kl_weight")]
#[case("kl_weight = nan", "train.kl_weight")]
#[case("posterior_rate = 0.0", "train.posterior_rate")]
#[case("posterior_rate = inf", "train.posterior_rate")]
#[case("optimiser = { adam = { beta1 = 1.0, beta2 = 0.999, epsilon = 1e-8 } }", "beta1")]
#[case("optimiser = { adam = { beta1 = 0.9, beta2 = -0.1, epsilon = 1e-8 } }", "beta2")]
#[case("optimiser = { adam = { beta1 = 0.9, beta2 = 0.999, epsilon = 0.0 } }", "epsilon")]
#[case("optimiser = { sgd = { momentum = nan } }", "momentum")]
fn out_of_range_values_are_rejected_by_key(#[case] line: &str, #[case] key: &str) {
    resolved("").unwrap();
    let said = resolved(&format!("[train]\n{line}")).unwrap_err().to_string();
    assert!(said.contains(key), "{said}");
}

/// A pattern of no parameter, all parameters, and estimators for which the density is missing or
/// slow.
#[rstest]
#[case("train.freeze = ['primray.*']", &["train.freeze", "`primray.*`", "primary.0.v, primary.0.b"])]
#[case("train.freeze = ['primary.0.v', 'primary.0']", &["`primary.0`", "posterior.elementwise.w"])]
#[case("train.freeze = ['*']", &["all parameters: primary.0.v", "left to train"])]
#[case("method = 'ensemble'\ntrain.freeze = ['post*', 'like*']", &["all parameters: posterior.theta"])]
#[case("method = 'mle'\ntrain.gradient = 'path'", &["train.gradient", "no density", "total"])]
#[case("method = 'concrete-dropout'\ntrain.gradient = 'path'", &["train.gradient", "no density"])]
#[case("method = 'bbb'\ntrain.gradient = 'path'", &["train.gradient", "mean_field.local is true"])]
#[case("method = 'mnf'\ntrain.gradient = 'path'", &["train.gradient", "no closed form"])]
#[case("method = 'laplace'\ntrain.gradient = 'path'", &["train.gradient", "trains a point"])]
#[case("flow.kind = 'iaf'\ntrain.gradient = 'path'", &["train.gradient", "a pass for each entry"])]
#[case("train.gradient = 'score'", &["`total` or `path`"])]
fn freeze_and_gradient_are_checked(#[case] text: &str, #[case] parts: &[&str]) {
    let said = resolved(text).unwrap_err().to_string();
    assert!(parts.iter().all(|part| said.contains(part)), "{said}");
}

#[rstest]
#[case("train.freeze = ['primary.*', 'likelihood.*']")]
#[case("method = 'mle'\ntrain.freeze = ['primary.*.v']")]
#[case("train.gradient = 'path'")]
#[case("flow.kind = 'planar'\ntrain.gradient = 'path'")]
#[case("method = 'full-bhn'\nflow.kind = 'linear'\ntrain.gradient = 'path'")]
#[case("method = 'bbb'\nmean_field.local = false\ntrain.gradient = 'path'")]
fn freeze_and_gradient_round_trip(#[case] text: &str) {
    let config = resolved(text).unwrap();
    assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
    assert_eq!(config.to_toml().contains("freeze = ["), text.contains("freeze"));
}

/// Keys of the recipe are always written, so that a file that was written by a run means the same
/// as `--config` of another. The files of former versions lack them: then they have the authors'
/// values.
#[test]
fn keys_of_the_recipe_are_always_written() {
    let text = resolved("").unwrap().to_toml();
    let authors = ["elementwise = \"first\"", "gradient = \"total\"", "posterior_rate = 1.0"];
    assert!(authors.iter().all(|line| text.contains(line)), "{text}");
    let rest = text.lines().filter(|line| !authors.contains(line)).collect::<Vec<_>>().join("\n");
    assert_eq!(toml::from_str::<Config>(&rest).unwrap(), resolved("").unwrap());
}

#[test]
fn newer_keys_are_written_unless_they_have_their_defaults() {
    let keys = ["freeze", "kl_weight", "kappa", "bias_precision"];
    let text = resolved("").unwrap().to_toml();
    assert!(keys.iter().all(|key| !text.contains(key)), "{text}");
    for line in ["posterior_rate = 8.0", "kl_weight = 0.5", "kappa = 3.0", "bias_precision = 2.0"] {
        let config = resolved(&format!("train.{line}")).unwrap();
        assert_eq!(toml::from_str::<Config>(&config.to_toml()).unwrap(), config);
        assert!(config.to_toml().contains(line));
    }
}

/// A posterior over all weights has no point estimates.
#[rstest]
#[case("method = 'bbb'\ntrain.kappa = 3.0", "train.kappa")]
#[case("method = 'ensemble'\ntrain.bias_precision = 2.0", "train.bias_precision")]
fn priors_of_point_estimates_need_point_estimates(#[case] text: &str, #[case] key: &str) {
    let said = resolved(text).unwrap_err().to_string();
    assert!([key, "weights as θ", "scales"].iter().all(|part| said.contains(part)), "{said}");
}

/// The Hessian of a Laplace approximation has the whole prior, and so must the loss.
#[test]
fn laplace_refuses_a_tempered_posterior() {
    let said = resolved("method = 'laplace'\ntrain.kl_weight = 0.5").unwrap_err().to_string();
    assert!(said.contains("train.kl_weight") && said.contains("1 with laplace"), "{said}");
}

/// The configuration `text`, resolved for a regression on one feature.
fn resolved(text: &str) -> Result<Config, bhn::error::Error> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("line.csv");
    let rows: String = (0..40).map(|i| format!("{i},{}.5\n", 3 * i)).collect();
    std::fs::write(&file, format!("x,y\n{rows}")).unwrap();
    let data = load(file.to_str().unwrap(), &Options::default(), None).unwrap();
    let short = "primary.layers = ['dense 4', 'relu', 'dense 1']\n";
    Config::parse("config.toml", &format!("{short}{text}"))?.resolve(&data)
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
