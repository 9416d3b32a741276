//! Defends: a folder of pictures trains and is predicted by one command each, and pictures unlike
//! those of training are noticed.
use crate::common::Folder;
use crate::refused;
use image::{GrayImage, Luma, RgbImage};
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use std::fs;
use std::path::Path;

/// A picture of 9 × 9 pixels: a bright bar on black, horizontal or vertical, with noise.
fn bar(is_vertical: bool, rng: &mut ChaCha8Rng) -> GrayImage {
    let at = rng.random_range(2..7);
    GrayImage::from_fn(9, 9, |x, y| {
        let is_bar = if is_vertical { x == at } else { y == at };
        Luma([rng.random_range(0..40) + if is_bar { 200 } else { 0 }])
    })
}

/// `count` pictures of each class below `root`; every fifth is a JPEG.
fn write(root: &Path, count: usize, seed: u64) {
    let rng = &mut ChaCha8Rng::seed_from_u64(seed);
    for (class, is_vertical) in [("horizontal", false), ("vertical", true)] {
        fs::create_dir_all(root.join(class)).unwrap();
        for i in 0..count {
            let kind = if i % 5 == 0 { "jpg" } else { "png" };
            bar(is_vertical, rng).save(root.join(class).join(format!("{i}.{kind}"))).unwrap();
        }
    }
}

fn rows(out: &[u8]) -> Vec<Vec<String>> {
    let rows = csv::Reader::from_reader(out).into_records();
    rows.map(|row| row.unwrap().iter().map(String::from).collect()).collect()
}

#[test]
fn folder_of_pictures_is_trained_and_predicted() {
    let folder = Folder::new();
    write(&folder.path("bars"), 100, 1);
    write(&folder.path("new"), 20, 2);
    folder.write("bars/notes.txt", "not a picture");
    let train = ["train", "bars", "--hidden", "32", "--epochs", "20", "--out", "run"];
    let output = folder.bhn().args(train).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{text}");
    for part in ["200 pictures of 9×9 pixels in grey", "1 other files in the folders are ignored"]
    {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    let found = folder.bhn().args(["predict", "run", "new"]).output().unwrap();
    assert!(found.status.success());
    let right = |row: &&Vec<String>| row[1].contains(&row[2]);
    let found = rows(&found.stdout);
    assert_eq!(found.len(), 40);
    let count = found.iter().filter(right).count();
    assert!(count >= 36, "{count} of 40: {:?}", found[0]);
    folder.bhn().args(["eval", "run"]).assert().success();
    let acquire = ["acquire", "run", "--pool", "new", "--k", "3"];
    let chosen = folder.bhn().args(acquire).assert().success();
    assert_eq!(rows(&chosen.get_output().stdout).len(), 3);
}

/// A dark bar on white is noticed, and predicted with `--invert` as the bright bar on black.
#[test]
fn inverted_pictures_are_noticed() {
    let folder = Folder::new();
    write(&folder.path("bars"), 60, 1);
    let train = ["train", "bars", "--hidden", "16", "--epochs", "5", "--out", "run"];
    folder.bhn().args(train).assert().success();
    let bright = bar(true, &mut ChaCha8Rng::seed_from_u64(9));
    let dark = GrayImage::from_fn(9, 9, |x, y| Luma([255 - bright.get_pixel(x, y)[0]]));
    bright.save(folder.path("bright.png")).unwrap();
    dark.save(folder.path("dark.png")).unwrap();
    let of = |args: &[&str]| {
        let output = folder.bhn().args(["predict", "run"]).args(args).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{text}");
        (rows(&output.stdout).remove(0), text)
    };
    let ((plain, said), (odd, noticed)) = (of(&["bright.png"]), of(&["dark.png"]));
    assert!(!said.contains("invert") && plain.last().unwrap() == "0", "{said}");
    for part in ["dark.png", "far brighter than the training images", "--invert"] {
        assert!(noticed.contains(part), "{part:?} is not in {noticed}");
    }
    assert_eq!(odd.last().unwrap(), "1");
    let (inverted, said) = of(&["dark.png", "--invert"]);
    assert!(!said.contains("far"), "{said}");
    // `low + high − x` rounds, so numbers of order one differ by rounding in single precision.
    let is_near = |a: &str, b: &str| match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() < 1e-5,
        _ => a == b,
    };
    assert!(plain[2..].iter().zip(&inverted[2..]).all(|(a, b)| is_near(a, b)), "{inverted:?}");
    let score = |args: &[&str]| {
        let acquire = ["acquire", "run", "--k", "1", "--score", "max-entropy", "--pool"];
        let output = folder.bhn().args(acquire).args(args).output().unwrap();
        rows(&output.stdout).remove(0).remove(3)
    };
    assert!(is_near(&score(&["bright.png"]), &score(&["dark.png", "--invert"])));
    assert!(!is_near(&score(&["bright.png"]), &score(&["dark.png"])));
}

/// Pictures of several sizes and colours need a size; a folder of parts is divided as it says.
#[test]
fn sizes_colours_and_parts() {
    let folder = Folder::new();
    for (part, count) in [("train", 30), ("val", 10), ("test", 10)] {
        write(&folder.path("bars").join(part), count, 3);
    }
    RgbImage::from_fn(20, 12, |x, _| image::Rgb([x as u8, 0, 90]))
        .save(folder.path("bars/train/vertical/large.png"))
        .unwrap();
    let train = ["train", "bars", "--hidden", "8", "--epochs", "2", "--out", "run"];
    refused(folder.bhn().args(train), &["large.png", "20×12 pixels", "9×9", "--size 28x28"]);
    let output = folder.bhn().args(train).args(["--size", "10x8", "--json"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("101 pictures of 8×10 pixels in colour"), "{text}");
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["test"]["examples"], 20);
    refused(folder.bhn().args(train).args(["--size", "0"]), &["--size", "such as 28x28"]);
    fs::create_dir(folder.path("empty")).unwrap();
    refused(folder.bhn().args(["train", "empty"]), &["empty", "CLASS/*.png"]);
    refused(folder.bhn().args(["predict", "run", "empty"]), &["empty", "without pictures"]);
    fs::write(folder.path("broken.png"), b"\x89PNG broken").unwrap();
    refused(folder.bhn().args(["predict", "run", "broken.png"]), &["broken.png", "Export it"]);
}
