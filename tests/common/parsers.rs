//! Each parser returns an error or a valid value for arbitrary bytes. Used by `fuzz/`, and by the
//! test that replays its seeds.
use base64::{Engine, engine::general_purpose::STANDARD};
use bhn::bayes::Targets;
use bhn::data::published::{Drawings, add, check, unpack};
use bhn::data::{Column, Dataset, Encoding, Options, Preprocess, Split, Task, TaskKind};
use bhn::data::{inputs_from, load_from};
use bhn::nn::Params;
use bhn::predict::Compact;
use bhn::primary::{Layer, Placed, Shape};
use bhn::run::checkpoint::Checkpoint;
use bhn::run::config::Config;
use bhn::run::train::Trainer;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use ndarray::Array2;
use safetensors::tensor::{Dtype, TensorView};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::io::{Cursor, Write};
use std::path::Path;

type Image = Option<[usize; 3]>;

/// Reads inputs as `predict` does, and asserts that rows are finite and as wide as the model.
fn predicted(name: &str, bytes: &[u8], preprocess: &Preprocess, image: Image) {
    let file = Cursor::new(bytes.to_vec());
    let Ok(blocks) = inputs_from(Path::new(name), file, preprocess, image, 3) else { return };
    for block in blocks.map_while(Result::ok) {
        assert_eq!(block.x.dim(), (block.names.len(), preprocess.inputs));
        assert!(block.x.iter().all(|x| x.is_finite()));
    }
}

/// Reads a data set as `train` does, and asserts that rows are finite and as many as targets.
fn trained_on(name: &str, bytes: &[u8]) {
    for task in [None, Some(TaskKind::Classification), Some(TaskKind::Regression)] {
        let options = Options { task, ..Options::default() };
        let Ok(data) = load_from(Path::new(name), Cursor::new(bytes), &options) else { continue };
        for Split { x, y } in [&data.train, &data.validation, &data.test] {
            assert_eq!(x.ncols(), data.shape().len());
            assert!(x.iter().all(|x| x.is_finite()));
            match y {
                Targets::Classes(y) => {
                    assert!(y.len() == x.nrows() && y.iter().all(|&y| y < data.task.outputs()));
                }
                Targets::Values(y) => {
                    assert!(y.len() == x.nrows() && y.iter().all(|y| y.is_finite()), "{y:?}");
                }
            }
        }
    }
}

fn model(inputs: usize) -> Preprocess {
    Preprocess { inputs, ..Preprocess::default() }
}

pub fn idx(bytes: &[u8]) {
    predicted("a", bytes, &model(4), None);
    predicted("a", bytes, &model(4), Some([1, 2, 2]));
}

pub fn npy(bytes: &[u8]) {
    predicted("a", bytes, &model(2), None);
    predicted("a", bytes, &model(4), Some([2, 1, 2]));
}

pub fn npz(bytes: &[u8]) {
    trained_on("a.npz", bytes);
}

pub fn csv(bytes: &[u8]) {
    trained_on("a.csv", bytes);
    let columns = Some(["a", "b"].map(String::from).to_vec());
    let plain = Preprocess { columns, ..model(2) };
    predicted("a.csv", bytes, &plain, None);
    let number = Encoding::Number { median: Some(1.), missing: 1, decimal_comma: false };
    let levels = ["x", "y"].map(String::from).to_vec();
    let words = Encoding::Categories { levels, missing: Some(1) };
    let column = |name: &str, encoding| Column { name: name.into(), encoding };
    let table = Some(vec![column("a", number), column("b", words)]);
    let columns = Some(["a", "a missing", "b=x", "b=y", "b missing"].map(String::from).to_vec());
    predicted("a.csv", bytes, &Preprocess { columns, table, ..model(5) }, None);
}

pub fn png(bytes: &[u8]) {
    predicted("a", bytes, &model(12), Some([1, 4, 3]));
    predicted("a", bytes, &model(12), Some([3, 2, 2]));
}

pub fn cifar(bytes: &[u8]) {
    let rows = bytes.len() / 3073;
    if let Ok(records) = check("a", bytes.to_vec(), rows) {
        assert!(records.len() == rows * 3073);
        assert!(records.iter().step_by(3073).all(|&label| label < 10));
    }
}

/// The bytes as they are, and compressed as the archive is published.
pub fn tar(bytes: &[u8]) {
    let mut packed = GzEncoder::new(vec![], Compression::fast());
    packed.write_all(bytes).unwrap();
    for bytes in [bytes, &packed.finish().unwrap()] {
        if let Ok(found) = unpack("a", bytes, &["test_batch.bin"]) {
            assert!(found.keys().eq(["test_batch.bin"]));
        }
    }
}

pub fn omniglot(bytes: &[u8]) {
    let mut drawings = Drawings::new();
    if add(&mut drawings, "a", bytes).is_ok() {
        assert!(drawings.values().all(|drawing| drawing.dimensions() == (105, 105)));
    }
}

/// Seeds have zeros in place of the checksum, which would hide faults that are found after it is
/// verified.
pub fn checkpoint(bytes: &[u8]) {
    let mut sealed = bytes.to_vec();
    if let Some(at) = bytes.windows(64).position(|text| text == [b'0'; 64]) {
        let sum: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        sealed[at..at + 64].copy_from_slice(sum.as_bytes());
    }
    if let Ok(found) = Checkpoint::read("a", Cursor::new(sealed)) {
        let fits = found.restore(&mut Params::default()).is_ok();
        assert_eq!(fits, found.buffers().is_empty());
    }
}

/// The bytes as the JSON of a header, under a valid checksum, in a file of a few small tensors: no
/// header crashes the program or makes it build a model that the file cannot hold.
pub fn header(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let blank = "0".repeat(64);
    let text = format!("{{\"format\":3,\"sha256\":\"{blank}\",\"header\":{text}}}");
    let data = [0; 4 * 64];
    let tensors = (0..16).map(|i| {
        (format!("w{i}"), TensorView::new(Dtype::F32, vec![64], &data).expect("64 numbers"))
    });
    let metadata = HashMap::from([("bhn".to_string(), text)]);
    let mut file = safetensors::serialize(tensors, Some(metadata)).expect("valid tensors");
    let at = file.windows(64).position(|text| text == blank.as_bytes()).expect("a placeholder");
    let sum: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    file[at..at + 64].copy_from_slice(sum.as_bytes());
    if let Ok(found) = Checkpoint::read("a", Cursor::new(file)) {
        assert!(found.model().is_err(), "no model has these tensors");
    }
}

fn dataset(image: Image) -> Dataset {
    let split = || Split { x: Array2::from_elem((4, 12), 0.5), y: Targets::Classes(vec![0; 4]) };
    Dataset {
        name: "a".into(),
        task: Task::Classification { classes: vec!["a".into(), "b".into()] },
        image,
        preprocess: model(12),
        notes: vec![],
        train: split(),
        validation: split(),
        test: split(),
    }
}

/// An accepted configuration is written as it was read, can be built, and takes a step or diverges.
pub fn config(bytes: &[u8]) {
    let Ok(config) =
        std::str::from_utf8(bytes).map_or(Err(()), |text| Config::parse("a", text).map_err(drop))
    else {
        return;
    };
    for image in [None, Some([3, 2, 2])] {
        let data = dataset(image);
        let Ok(config) = config.clone().resolve(&data) else { continue };
        assert_eq!(Config::parse("a", &config.to_toml()).unwrap(), config);
        if is_small(&config, data.shape()) && config.warm_start.is_none() {
            let mut trainer = Trainer::new(&config, data.shape(), &data.task, data.train.len());
            let (x, y) = data.train.batch(&[0, 1, 2]);
            trainer.step(x, &y).ok();
        }
    }
}

fn is_small(config: &Config, inputs: Shape) -> bool {
    let placed = Layer::place(config.primary.layers.as_ref().unwrap(), inputs).unwrap();
    let weights: usize = placed.iter().filter_map(Placed::weights).map(|[n, k]| n * k).sum();
    let flow = &config.flow;
    let sizes = [flow.hidden, flow.layers, flow.couplings, config.ensemble.members];
    let sizes = sizes.into_iter().chain([config.train.samples, placed.len()]);
    weights < 2000 && Placed::widest(&placed) < 500 && sizes.max().unwrap() <= 8
}

pub fn layers(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let layers: Vec<Layer> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for layer in &layers {
        assert_eq!(layer.to_string().parse::<Layer>().unwrap(), *layer);
    }
    for inputs in [Shape::Flat(5), Shape::Image([3, 8, 7]), Shape::Image([1, 1 << 20, 1 << 20])] {
        for layers in [layers.clone(), Layer::with_dropout(&layers, 0.5)] {
            let Ok(placed) = Layer::place(&layers, inputs) else { continue };
            for place in &placed {
                place.weights();
                place.mask();
                place.units();
            }
            Placed::widest(&placed);
        }
    }
}

/// The bytes as the predictions in a cell, and as the columns of predictions: what is accepted is
/// written as it was read.
pub fn compact(bytes: &[u8]) {
    let mut packed = ZlibEncoder::new(vec![], Compression::fast());
    packed.write_all(bytes).unwrap();
    let base64 = STANDARD.encode(packed.finish().unwrap());
    let columns = [(false, 11), (true, 12)].map(|(labelled, width)| {
        let inputs = bytes.len() / width;
        format!(
            "{{\"format\":1,\"inputs\":{inputs},\"samples\":7,\"classes\":256,\
             \"labelled\":{labelled},\"base64\":\"{base64}\"}}"
        )
    });
    for text in [String::from_utf8_lossy(bytes).into(), columns[0].clone(), columns[1].clone()] {
        let Ok(found) = serde_json::from_str::<Compact>(&text) else { continue };
        if !found.is_empty() && !found.labels().is_empty() {
            assert_eq!(found.right().len(), found.len());
            assert_eq!(found.log_loss().len(), found.len());
        }
        let again = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Compact>(&again).unwrap(), found);
    }
}
