//! Defends: a checkpoint has all that a density depends on, so that other programs compute the same
//! density from it.
use crate::common::{Folder, animals};
use crate::refused;
use rstest::rstest;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;
use std::process::Command;

type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

/// A checkpoint with its tensors changed, and with the checksum of the changed file.
fn rewritten(file: &[u8], change: impl FnOnce(&mut Tensors)) -> Vec<u8> {
    let found = SafeTensors::deserialize(file).unwrap();
    let mut tensors: Tensors = found
        .tensors()
        .into_iter()
        .map(|(name, t)| (name, (t.dtype(), t.shape().to_vec(), t.data().to_vec())))
        .collect();
    change(&mut tensors);
    let (_, metadata) = SafeTensors::read_metadata(file).unwrap();
    let text = metadata.metadata().as_ref().unwrap()["bhn"].clone();
    let at = text.find("\"sha256\":\"").unwrap() + 10;
    let blank = text.replacen(&text[at..at + 64], &"0".repeat(64), 1);
    let views = tensors.iter().map(|(name, (dtype, shape, data))| {
        (name.as_str(), TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    let metadata = HashMap::from([("bhn".to_string(), blank)]);
    let mut bytes = safetensors::serialize(views, Some(metadata)).unwrap();
    let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let at = bytes.windows(64).position(|text| text == [b'0'; 64]).unwrap();
    bytes[at..at + 64].copy_from_slice(sum.as_bytes());
    bytes
}

fn indices(tensors: &mut Tensors, name: &str, change: impl FnOnce(&mut Vec<u32>)) {
    let (_, shape, data) = tensors.get_mut(name).unwrap();
    let mut of: Vec<u32> = decoded(data);
    change(&mut of);
    *shape = vec![of.len()];
    *data = of.iter().flat_map(|i| i.to_le_bytes()).collect();
}

fn decoded(data: &[u8]) -> Vec<u32> {
    data.chunks_exact(4).map(|b| u32::from_le_bytes(b.try_into().unwrap())).collect()
}

const PERMUTATION: &str = "buffer.posterior.permutation.1";

/// A run on `animals.csv` in `run`.
fn train(folder: &Folder, flags: &str, toml: &str) {
    folder.write("animals.csv", animals());
    folder.write("some.toml", toml);
    let train = ["train", "animals.csv", "--out", "run", "--config", "some.toml", "--epochs", "5"];
    folder.bhn().args(train).args(flags.split_whitespace()).assert().success();
}

/// What `bhn sample` writes.
fn samples(folder: &Folder) -> Vec<u8> {
    folder.bhn().args(["sample", "run", "--samples", "5", "--out", "five"]).assert().success();
    fs::read(folder.path("five")).unwrap()
}

/// A Python with NumPy; if there is none, prints so and returns `None`.
fn python() -> Option<String> {
    let python = std::env::var("BHN_TEST_PYTHON").unwrap_or("python3".into());
    let found = Command::new(&python).args(["-c", "import numpy"]).output();
    if found.is_ok_and(|output| output.status.success()) {
        return Some(python);
    }
    eprintln!("skipped: {python} (BHN_TEST_PYTHON) has no numpy");
    None
}

/// Whether `docs/rebuild.py` agrees with the run, and its output.
fn rebuilt(folder: &Folder, python: &str) -> (bool, String) {
    let sample = ["sample", "run", "--as-predict", "--samples", "20", "--out", "drawn"];
    folder.bhn().args(sample).assert().success();
    let predict = ["predict", "run", "animals.csv", "--samples", "20", "--out", "predicted.csv"];
    folder.bhn().args(predict).assert().success();
    compared(folder, python)
}

fn compared(folder: &Folder, python: &str) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rebuild.py");
    let mut python = Command::new(python);
    python.current_dir(folder.path("")).arg(script);
    let output = python.args(["run", "drawn", "animals.csv", "predicted.csv"]).output().unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.success(), out + &err)
}

/// `ln q(θ)` and probabilities from NumPy alone, within the script's bounds of rounding.
#[rstest]
#[case("--hidden 8,8", "", PERMUTATION)]
#[case("--hidden 8 --couplings 0", "", "")]
#[case(
    "--hidden 8 --couplings 3",
    "[flow]\nstabiliser = 'tanh'\nweight_norm = false\n",
    PERMUTATION
)]
#[case("--hidden 6", "[flow]\nstabiliser = 'sigmoid'\npermutation = 'reversal'\n", PERMUTATION)]
#[case("--hidden 8 --flow iaf --couplings 2", "", "buffer.posterior.iaf.1.order")]
#[case(
    "--hidden 6 --flow iaf --couplings 2",
    "[flow]\nweight_norm = false\n[flow.base.mixture]\ncomponents = 3\ndistance = 2.0\n",
    "buffer.posterior.iaf.0.order"
)]
#[case("--hidden 8 --method mle", "", "")]
fn numpy_reproduces_density_and_predictions(
    #[case] flags: &str,
    #[case] toml: &str,
    #[case] buffer: &str,
) {
    let Some(python) = python() else { return };
    let folder = Folder::new();
    train(&folder, flags, toml);
    let (agrees, text) = rebuilt(&folder, &python);
    eprintln!("{flags}: {text}");
    assert!(agrees, "{text}");
    let lines = if flags.contains("mle") { 1 } else { 2 };
    assert_eq!(text.lines().count(), lines, "{text}");
    if buffer.is_empty() {
        return;
    }
    // With another order the script does not agree.
    let best = fs::read(folder.path("run/best.safetensors")).unwrap();
    let other = rewritten(&best, |tensors| indices(tensors, buffer, |order| order.rotate_left(1)));
    folder.write("run/best.safetensors", other);
    let (agrees, text) = compared(&folder, &python);
    assert!(!agrees && text.contains("ln q(theta)") && text.contains("TOO FAR"), "{text}");
}

/// Categories, medians and indicators are those of the checkpoint.
#[test]
fn numpy_reproduces_predictions_from_words_and_missing_values() {
    let Some(python) = python() else { return };
    let folder = Folder::new();
    let line = |i: usize| {
        let length = if i.is_multiple_of(7) { "NA".into() } else { format!("{}.5", i * i % 31) };
        let colour = if i.is_multiple_of(11) { "" } else { ["red", "blue", "grey"][i % 3] };
        format!("{i},{length},{colour},name {i},{}\n", ["cat", "dog"][i / 3 % 2])
    };
    let body: String = (0..100).map(line).collect();
    folder.write("animals.csv", format!(",length,colour,name,kind\n{body}"));
    let train = ["train", "animals.csv", "--out", "run", "--epochs", "5", "--hidden", "8"];
    folder.bhn().args(train).assert().success();
    let (agrees, text) = rebuilt(&folder, &python);
    assert!(agrees, "{text}");
}

/// The permutation in a file is used, and not the seed's; if there is none in the file, the seed
/// determines it.
#[test]
fn stored_buffers_override_the_seed() {
    let folder = Folder::new();
    train(&folder, "--hidden 8 --couplings 2", "");
    let (best, before) = (fs::read(folder.path("run/best.safetensors")).unwrap(), samples(&folder));
    let turned = rewritten(&best, |tensors| indices(tensors, PERMUTATION, |of| of.rotate_left(1)));
    folder.write("run/best.safetensors", &turned);
    assert_ne!(samples(&folder), before);
    if let Some(python) = python() {
        let (agrees, text) = rebuilt(&folder, &python);
        assert!(agrees, "{text}");
    }
    folder.bhn().args(["verify", "run", "--only", "checkpoints"]).assert().success();
    let older = rewritten(&best, |tensors| tensors.retain(|name, _| !name.starts_with("buffer.")));
    folder.write("run/best.safetensors", older);
    assert_eq!(samples(&folder), before);
    // A resumed run continues with the order in its file.
    folder.write("run/best.safetensors", &best);
    let last = fs::read(folder.path("run/last.safetensors")).unwrap();
    let turned = rewritten(&last, |tensors| indices(tensors, PERMUTATION, |of| of.rotate_left(1)));
    folder.write("run/last.safetensors", &turned);
    let resumed = bhn::run::Run::resume(&folder.path("run"), None).unwrap();
    let saved = SafeTensors::deserialize(&turned).unwrap();
    let order = decoded(saved.tensor(PERMUTATION).unwrap().data());
    let used = &resumed.trainer.model.params.buffers()["posterior.permutation.1"];
    assert_eq!(*used, bhn::nn::Buffer::Indices(order));
}

#[test]
fn invalid_buffers_are_rejected() {
    let folder = Folder::new();
    train(&folder, "--hidden 8 --couplings 2", "");
    let best = fs::read(folder.path("run/best.safetensors")).unwrap();
    let bad = |change: &dyn Fn(&mut Tensors), parts: &[&str]| {
        folder.write("run/best.safetensors", rewritten(&best, change));
        for command in [&["sample", "run"][..], &["predict", "run", "animals.csv"]] {
            refused(folder.bhn().args(command), parts);
        }
    };
    let twice = |tensors: &mut Tensors| indices(tensors, PERMUTATION, |of| of[0] = of[1]);
    bad(&twice, &[PERMUTATION, "10 indices", "another architecture"]);
    let short = |tensors: &mut Tensors| indices(tensors, PERMUTATION, |of| of.truncate(9));
    bad(&short, &[PERMUTATION, "9 indices", "10 indices"]);
    let renamed = |tensors: &mut Tensors| {
        let order = tensors.remove(PERMUTATION).unwrap();
        tensors.insert("buffer.posterior.permutation.2".into(), order);
    };
    bad(&renamed, &[PERMUTATION, "nothing", "10 indices"]);
    let signed = |tensors: &mut Tensors| tensors.get_mut(PERMUTATION).unwrap().0 = Dtype::I32;
    bad(&signed, &["buffer `posterior.permutation.1` of I32", "a whole checkpoint"]);
    // A tensor of another type, which an earlier version read as single precision.
    let whole = |tensors: &mut Tensors| tensors.get_mut("primary.0.b").unwrap().0 = Dtype::I32;
    bad(&whole, &["tensor `primary.0.b` of I32", "F32"]);
}
