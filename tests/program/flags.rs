//! Defends: wrong flags and wrong values in `config.toml` are refused by name.
use crate::common::{Folder, animals};
use crate::refused;
use rstest::rstest;

#[rstest]
#[case("--epochs 0", &["--epochs", "'0'", "1 or more"])]
#[case("--batch 0", &["--batch", "'0'", "1 or more"])]
#[case("--hidden 0", &["--hidden", "'0'", "1 or more"])]
#[case("--hidden 16,0", &["--hidden", "'0'", "1 or more"])]
#[case("--hidden wide", &["--hidden", "'wide'", "a whole number"])]
#[case("--samples 0", &["--samples", "'0'", "1 to 10000"])]
#[case("--samples 99999999999999", &["--samples", "1 to 10000"])]
#[case("--threads 0", &["--threads", "'0'", "1 to 1024"])]
#[case("--threads 1000000", &["--threads", "1 to 1024"])]
#[case("--subset 0", &["--subset", "'0'", "1 or more"])]
#[case("--subset 81", &["subset", "81", "1 to 70"])]
#[case("--seed -1", &["--seed", "'-1'", "a whole number from 0"])]
#[case("--couplings -1", &["--couplings", "'-1'", "0 or more"])]
#[case("--learning-rate nan", &["--learning-rate", "'nan'", "a number above 0"])]
#[case("--learning-rate inf", &["--learning-rate", "'inf'", "a number above 0"])]
#[case("--learning-rate -1", &["--learning-rate", "'-1'", "a number above 0"])]
#[case("--learning-rate 0", &["--learning-rate", "'0'", "a number above 0"])]
#[case("--posterior-rate 0", &["--posterior-rate", "'0'", "a number above 0"])]
#[case("--hidden 100000000,100000000", &["weights", "at most", "--hidden"])]
#[case("--hidden 18446744073709551615,18446744073709551615", &["weights", "at most"])]
#[case("--couplings 99999999999", &["flow.couplings", "0 to 10000"])]
#[case("--hidden 200000000", &["weights", "at most"])]
#[case("--freeze primray.*", &["train.freeze", "`primray.*`", "primary.0.v"])]
#[case("--method bayes", &["--method", "bayes", "bhn, full-bhn"])]
#[case("--flow glow", &["--flow", "glow", "realnvp, iaf"])]
#[case("--task clustering", &["--task", "clustering", "classification, regression"])]
#[case("--task regression", &["line 2", "kind", "a finite number"])]
#[case("--target species", &["species", "length"])]
#[case("--config .", &["a folder", "a file"])]
#[case("--layers 3", &["--layers", "valid flags:", "--hidden", "--learning-rate", "--resume"])]
#[case("--resume run --batch 5", &["--resume", "--batch", "cannot be used with"])]
fn invalid_flags_are_rejected_by_name(#[case] flags: &str, #[case] parts: &[&str]) {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let data = if flags.contains("--resume") { None } else { Some("animals.csv") };
    refused(folder.bhn().arg("train").args(data).args(flags.split(' ')), parts);
    assert!(!folder.path("runs").exists());
}

/// A flag that has no effect is noted, unless `--quiet`; a flag that has an effect is not.
#[rstest]
#[case("train", "--couplings 2 --flow linear", &["--couplings has no effect: a linear flow"])]
#[case("train", "--couplings 2 --flow low-rank", &["--couplings has no effect: a low-rank flow"])]
#[case("train", "--couplings 2 --method mle", &["--couplings has no effect: mle has no flow"])]
#[case("train", "--couplings 1 --method mnf", &["--couplings has no effect: the flows of mnf"])]
#[case("train", "--flow iaf --method bbb", &["--flow has no effect: bbb has no flow"])]
#[case("train", "--samples 7 --method dropout", &["--samples has no effect: dropout predicts"])]
#[case("train", "--samples 7 --method ensemble", &["--samples has no effect: ensemble has 5"])]
#[case("train", "--couplings 2 --samples 7", &[])]
#[case("train", "--flow iaf --couplings 2", &[])]
#[case("train", "--samples 3 --method ensemble", &[])]
#[case("train", "--method mle", &[])]
#[case("eval", "--samples 7", &["--samples has no effect: mle predicts with one network"])]
#[case("predict", "animals.csv --samples 7", &["--samples has no effect: mle predicts"])]
#[case("acquire", "--pool animals.csv --samples 7", &["--samples has no effect: mle predicts"])]
#[case("sample", "--samples 7 --seed 3", &["--seed has no effect: samples of mle are"])]
#[case("verify", "--samples 50", &["--samples has no effect: mle has no density"])]
#[case("eval", "", &[])]
#[case("sample", "--samples 7", &[])]
fn flags_without_effect_print_a_note(
    #[case] command: &str,
    #[case] flags: &str,
    #[case] parts: &[&str],
) {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    let short = ["--hidden", "4", "--epochs", "1"];
    let train = |rest: &[&str]| {
        let mut bhn = folder.bhn();
        bhn.args(["train", "animals.csv"]).args(short).args(rest);
        bhn
    };
    let flags: Vec<_> = flags.split_whitespace().collect();
    let notes = |quiet: bool, out: &str| {
        let mut bhn = match command {
            "train" => train(&[&flags[..], &["--out", out]].concat()),
            _ => {
                let mut bhn = folder.bhn();
                bhn.args([command, "run"]).args(&flags);
                bhn
            }
        };
        let output = bhn.args(quiet.then_some("--quiet")).assert().success();
        let text = String::from_utf8(output.get_output().stderr.clone()).unwrap();
        let is_note = |line: &&str| line.starts_with("note: ") && !line.contains("for validation");
        text.lines().filter(is_note).map(String::from).collect::<Vec<_>>()
    };
    if command != "train" {
        train(&["--method", "mle", "--out", "run"]).assert().success();
    }
    let found = notes(false, "one");
    assert_eq!(found.len(), parts.len(), "{found:?}");
    assert!(found.iter().zip(parts).all(|(line, part)| line.contains(part)), "{found:?}");
    assert!(notes(true, "two").is_empty());
}

#[rstest]
#[case("epoch = 3", &["line 1", "unknown field `epoch`", "`train`"])]
#[case("seed = 0\n[train]\nepoch = 3", &["line 3", "unknown field `epoch`", "`epochs`"])]
#[case("seed = 0\nmethod = 'bayes'", &["line 2", "bayes", "`bhn`, `full-bhn`"])]
#[case("[flow]\nstabiliser = 'none'", &["line 2", "none", "`exp`, `tanh`"])]
#[case("seed = -1", &["line 1", "-1"])]
#[case("[primary]\nlayers = ['dense 0']", &["dense 0", "N at least 1"])]
#[case("[primary]\nlayers = ['conv 3']", &["line 2", "conv 3", "`relu`, `tanh`"])]
#[case("[primary]\nlayers = ['conv 8 3x3', 'dense 2']", &["`conv 8 3x3` on 2 numbers", "an image"])]
#[case("[primary]\nlayers = ['dense 3']", &["primary.layers", "`dense 3`", "`dense 2`"])]
#[case("[primary]\nlayers = []", &["primary.layers", "nothing", "`dense 2`"])]
#[case("[train]\nepochs = 0", &["train.epochs", "found 0", "above 0"])]
#[case("[train]\nbatch = 0", &["train.batch", "found 0", "above 0"])]
#[case("[train]\naugment = { flip = true }", &["train.augment", "rows of a table", "Leave it out"])]
#[case("[train]\nsamples = 0", &["train.samples", "found 0", "above 0"])]
#[case("[train]\nsamples = 1000000000000", &["train.samples", "at most"])]
#[case("[train]\nvalidation_samples = 0", &["train.validation_samples", "found 0"])]
#[case("[train]\nvalidation_samples = 1000000000000", &["train.validation_samples", "at most"])]
#[case("[train]\nlearning_rate = nan", &["train.learning_rate", "NaN", "above 0"])]
#[case("[train]\nlearning_rate = -1.0", &["train.learning_rate", "-1", "above 0"])]
#[case("[train]\nclip_norm = 0.0", &["train.clip_norm", "found 0", "above 0"])]
#[case("[train]\nkl_anneal_epochs = -1.0", &["train.kl_anneal_epochs", "-1", "0 or more"])]
#[case("[flow]\nhidden = 0", &["flow.hidden", "found 0"])]
#[case("[flow]\nhidden = 1000000000000", &["weights", "flow.hidden"])]
#[case("[flow]\nlayers = 0", &["flow.layers", "found 0"])]
#[case("[flow.base.mixture]\ncomponents = 0\ndistance = 1.0", &["flow.base", "found 0"])]
#[case("[flow.base.mixture]\ncomponents = 1000000000000\ndistance = 1.0", &["flow.base", "1 to 1000"])]
#[case("[flow]\nlog_scale = nan", &["flow.log_scale", "NaN"])]
#[case("[flow]\nshift = inf", &["flow.shift", "inf"])]
#[case("[prior.gaussian]\nprecision = 0.0", &["precision", "found 0", "above 0"])]
#[case("[likelihood]\nclip = 0.7", &["likelihood.clip", "0.7", "between 0 and 0.5"])]
#[case("subset = 0", &["subset", "found 0", "1 to 70"])]
#[case("seed 3", &["line 1"])]
fn invalid_configurations_are_rejected_by_key(#[case] toml: &str, #[case] parts: &[&str]) {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    folder.write("run.toml", toml);
    refused(folder.bhn().args(["train", "animals.csv", "--config", "run.toml"]), parts);
    assert!(!folder.path("runs").exists());
}

#[rstest]
#[case(&["train", "--config", "nowhere.toml"], &["nowhere.toml", "Check the name"])]
#[case(&["train", "nowhere.csv"], &["nowhere.csv", "no such file"])]
#[case(&["train", "nowhere.npz"], &["nowhere.npz", "no such file"])]
#[case(&["train", "imagenet"], &["imagenet", "FILE.csv or FILE.npz"])]
#[case(&["train", "kmnist"], &["kmnist", "`bhn reproduce anomaly`"])]
#[case(&["train", "uci"], &["uci/NAME", "Choose one of these"])]
#[case(&["train", "--data-dir", "nowhere"], &["nowhere", "no such folder", "leave it out"])]
#[case(&["train", "--resume", "nowhere"], &["nowhere", "no such folder", "`bhn train` printed"])]
#[case(&["train", "--resume", "."], &["no config.toml", "`bhn train` printed"])]
#[case(&["eval", "."], &["no config.toml", "`bhn train` printed"])]
#[case(&["eval", "nowhere"], &["nowhere", "no such folder"])]
#[case(&["predict", ".", "a.png"], &["no config.toml", "`bhn train` printed"])]
#[case(&["sample", "."], &["no config.toml", "`bhn train` printed"])]
#[case(&["data", "check", "imagenet"], &["imagenet", "mnist"])]
#[case(&["trian"], &["trian", "train"])]
fn missing_files_and_unknown_names_are_rejected(#[case] args: &[&str], #[case] parts: &[&str]) {
    refused(Folder::new().bhn().args(args), parts);
}

#[test]
fn existing_output_folder_is_left_unchanged() {
    let folder = Folder::new();
    folder.write("animals.csv", animals());
    std::fs::create_dir(folder.path("run")).unwrap();
    folder.write("run/precious", "work of years");
    let parts = ["run", "exists", "remove it", "--out"];
    refused(folder.bhn().args(["train", "animals.csv", "--out", "run"]), &parts);
    let left = crate::common::contents(&folder.path("run"));
    assert_eq!(left, [("precious".to_string(), b"work of years".to_vec())]);
}
