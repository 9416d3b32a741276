//! Defends: `predict` reads the same rows from every format, in blocks of any size, and prepares
//! them as training did; a fault is reported with its row in the file.
use super::arrays::{model, rows, whole};
use super::data::{Folder, fails, gzip, ids, table};
use bhn::data::{Options, Preprocess, inputs, load};
use bhn::error::Error;
use ndarray::{Array2, Array3, ArrayD, Axis, ShapeBuilder, array, s};
use ndarray_npy::write_npy;
use std::path::Path;

#[test]
fn blocks_of_any_size_equal_the_whole_file() {
    let folder = Folder::new();
    let bytes: Vec<u8> = (0..23 * 12).map(|i| (i * 7 % 256) as u8).collect();
    let idx = [&[0, 0, 8, 4, 0, 0, 0, 23, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2][..], &bytes].concat();
    let x = ArrayD::from_shape_vec(vec![23, 2, 3, 2], bytes).unwrap();
    let image = Some([2, 3, 2]);
    let halves = x.mapv(|v| f64::from(v) / 2.0);
    let mut fortran = ArrayD::<f64>::zeros(x.raw_dim().f());
    fortran.assign(&halves);
    let path = |name: &str| folder.0.path().join(name);
    write_npy(path("bytes.npy"), &x).unwrap();
    write_npy(path("rows.npy"), &halves).unwrap();
    write_npy(path("columns.npy"), &fortran).unwrap();
    folder.write("plain", &idx);
    folder.write("packed", gzip(&idx));
    let text = |i: usize| format!("{},\"a\n{i}\",{}\r\n\n", i * i, i);
    let text: String = (0..23).map(text).collect();
    folder.write("t.csv", format!("square,note,id\n{text}"));
    image::GrayImage::new(3, 4).save(path("a.png")).unwrap();
    let columns = Some(["id", "square"].map(String::from).to_vec());
    let table = Preprocess { columns, ..model(2) };

    let expected = x.mapv(|v| f32::from(v) / 255.0).into_shape_with_order((23, 12)).unwrap();
    for name in ["bytes.npy", "plain", "packed"] {
        assert_eq!(whole(&path(name), &model(12), image).unwrap().x, expected);
    }
    let expected = halves.mapv(|v| v as f32).into_shape_with_order((23, 12)).unwrap();
    for name in ["rows.npy", "columns.npy"] {
        assert_eq!(whole(&path(name), &model(12), image).unwrap().x, expected);
    }
    let files = ["bytes.npy", "rows.npy", "columns.npy", "plain", "packed"];
    let cases = files.map(|name| (name, model(12), image)).into_iter();
    let cases = cases.chain([("t.csv", table, None), ("a.png", model(12), Some([1, 4, 3]))]);
    for (name, preprocess, image) in cases {
        let all = whole(&path(name), &preprocess, image).unwrap();
        for rows in [1, 7, 23] {
            let blocks = inputs(&path(name), &preprocess, image, rows).unwrap();
            let blocks: Vec<_> = blocks.map(Result::unwrap).collect();
            assert!(blocks[..blocks.len() - 1].iter().all(|block| block.x.nrows() == rows));
            let views: Vec<_> = blocks.iter().map(|block| block.x.view()).collect();
            assert_eq!(ndarray::concatenate(Axis(0), &views).unwrap(), all.x, "{name} by {rows}");
            let names: Vec<_> = blocks.into_iter().flat_map(|block| block.names).collect();
            assert_eq!(names, all.names, "{name} by {rows}");
        }
    }
}

/// The first error when the file is read in blocks of 5 rows, and the number of rows read before
/// it.
fn fault(path: &Path, preprocess: &Preprocess) -> (usize, Error) {
    let mut before = 0;
    for block in inputs(path, preprocess, None, 5).unwrap() {
        match block {
            Ok(block) => before += block.x.nrows(),
            Err(error) => return (before, error),
        }
    }
    panic!("no fault in {}", path.display())
}

#[test]
fn error_in_later_block_names_row_in_file() {
    let folder = Folder::new();
    let mut x = rows(23);
    x[[17, 1]] = f32::NAN;
    let npy = folder.0.path().join("a.npy");
    write_npy(&npy, &x).unwrap();
    let late = |path: &Path, preprocess: &Preprocess, rows, parts: &[&str]| {
        let (before, error) = fault(path, preprocess);
        assert_eq!(before, rows, "{error}");
        fails(Err::<(), _>(error), parts);
    };
    late(&npy, &model(2), 15, &["a.npy", "NaN at [17, 1]"]);
    let columns = Some(["id", "square"].map(String::from).to_vec());
    let (mean, std) = (vec![0.0; 2], vec![1.0, 1e-36]);
    let scale = bhn::data::StandardScaler { mean, std, constant: vec![] };
    let plain = Preprocess { columns, ..model(2) };
    let scaled = Preprocess { x: Some(scale), ..plain.clone() };
    let csv = folder.write("t.csv", table(23).replace("\n18,324,", "\n18,one,"));
    late(&csv, &plain, 15, &["t.csv", "line 20", "\"square\"", "\"one\""]);
    let csv = folder.write("t.csv", table(23).replace("\n18,324,", "\n18,"));
    late(&csv, &plain, 15, &["2 cells in line 20"]);
    let csv =
        folder.write("t.csv", table(23).replace("18,324,", "18,1e9,").replace(",1\n", ",0\n"));
    late(&csv, &scaled, 15, &["t.csv", "row 18, feature 1"]);
    let broken = table(23).replace("\n18,", "\n18,324,\u{7}");
    let broken: Vec<u8> = broken.bytes().map(|b| if b == 7 { 0xff } else { b }).collect();
    late(&folder.write("t.csv", broken), &plain, 15, &["line 20", "UTF-8"]);
    // Compressed data do not state their size: the fault is noticed at their end.
    let (mean, std) = (vec![0.0; 2], vec![1.0; 2]);
    let scale = bhn::data::StandardScaler { mean, std, constant: vec![] };
    let numbers = Preprocess { x: Some(scale), ..model(2) };
    let idx = [&[0, 0, 8, 3, 0, 0, 0, 23, 0, 0, 0, 1, 0, 0, 0, 2][..], &[9; 46]].concat();
    late(&folder.write("i", gzip(&idx[..61])), &numbers, 20, &["the end after 5 of the next 6"]);
    late(&folder.write("i", gzip(&[&idx[..], &[0]].concat())), &numbers, 20, &["more bytes"]);
    let mut packed = gzip(&idx);
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    late(&folder.write("i", packed), &numbers, 20, &["cannot be read"]);
}

#[test]
fn png_idx_and_npy_give_the_same_digit() {
    let folder = Folder::new();
    let few = Options { train_subset: Some(1), ..Options::default() };
    let digit = load("mnist", &few, None).unwrap().train;
    let pixels: Vec<u8> = digit.x.iter().map(|p| (p * 255.0).round() as u8).collect();
    let image = Some([1, 28, 28]);
    let read = |path: &Path| whole(path, &model(784), image).unwrap();

    let png = folder.0.path().join("five.png");
    image::GrayImage::from_raw(28, 28, pixels.clone()).unwrap().save(&png).unwrap();
    assert_eq!((read(&png).x, read(&png).names), (digit.x.clone(), vec!["five.png".to_owned()]));
    image::DynamicImage::from(image::GrayImage::from_raw(28, 28, pixels.clone()).unwrap())
        .to_rgba8()
        .save(&png)
        .unwrap();
    assert!(read(&png).x.iter().zip(&digit.x).all(|(a, b)| (a - b).abs() < 1e-6));

    let idx = [&[0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 28, 0, 0, 0, 28][..], &pixels].concat();
    for bytes in [idx.clone(), gzip(&idx)] {
        let found = read(&folder.write("digits-idx3-ubyte", bytes));
        assert_eq!(
            (found.x, found.names),
            (digit.x.clone(), vec!["digits-idx3-ubyte#0".to_owned()])
        );
    }
    let npy = folder.0.path().join("a.npy");
    for shape in [vec![1, 784], vec![1, 28, 28], vec![1, 1, 28, 28]] {
        write_npy(&npy, &ArrayD::from_shape_vec(shape, pixels.clone()).unwrap()).unwrap();
        assert_eq!(read(&npy).x, digit.x);
    }
    let fail = |path: &Path, parts: &[&str]| fails(whole(path, &model(784), image), parts);
    write_npy(&npy, &Array3::<u8>::zeros((2, 14, 56))).unwrap();
    fail(&npy, &["[14, 56]", "784", "[1, 28, 28]"]);
    write_npy(&npy, &Array2::<f32>::from_elem((1, 784), f32::INFINITY)).unwrap();
    fail(&npy, &["inf at [0, 0]"]);
    fail(&folder.write("i", &idx[..idx.len() - 1]), &["783 bytes"]);
    fail(&folder.write("i", [&idx[..], &[0]].concat()), &["785 bytes"]);
    fail(&folder.write("i", [0, 0, 8, 1, 0, 0, 0, 1, 7]), &["[0, 0, 8, 1]", "IDX"]);
    fail(&folder.write("i", [0, 0, 8, 3, 255, 255, 255, 255]), &["header"]);
    fail(&folder.write("i", [&[0, 0, 8, 4][..], &[255; 16]].concat()), &["0 bytes"]);
    fail(&folder.write("i.gif", b"GIF89a"), &["i.gif", "PNG", "JPEG", "IDX", "NPY", "csv"]);
    fail(&folder.write("i.jpg", b"\xff\xd8\xff\xe0"), &["i.jpg: found", "JPEG picture"]);
    fail(&folder.write("i.png", b"\x89PNG broken"), &["i.png", "PNG"]);
    fail(&folder.write("i.csv", "a,b\n1,2\n"), &["CSV"]);
    fails(whole(&png, &model(784), None), &["no image"]);
    fails(whole(&png, &model(783), image), &["784", "783"]);
}

#[test]
fn png_is_resized_to_channels_first_layout() {
    let folder = Folder::new();
    let path = folder.0.path().join("a.png");
    let colours = image::RgbImage::from_fn(8, 6, |_, _| image::Rgb([255, 51, 0]));
    colours.save(&path).unwrap();
    let read = |[c, h, w]: [usize; 3]| whole(&path, &model(c * h * w), Some([c, h, w])).unwrap().x;
    for shape in [[3, 6, 8], [3, 3, 2]] {
        let x = read(shape);
        let plane = shape[1] * shape[2];
        for (channel, value) in [1.0, 0.2, 0.0].into_iter().enumerate() {
            let part = x.slice(s![0, channel * plane..(channel + 1) * plane]);
            assert!(part.iter().all(|v: &f32| (v - value).abs() < 1e-6), "{shape:?} {part}");
        }
    }
    let ramp = image::GrayImage::from_fn(4, 1, |x, _| image::Luma([x as u8 * 60]));
    ramp.save(&path).unwrap();
    let x = read([1, 1, 8]);
    assert!(x.iter().zip(x.iter().skip(1)).all(|(a, b)| a <= b) && x[[0, 0]] < x[[0, 7]], "{x}");
}

#[test]
fn prediction_reuses_training_preprocessing() {
    let folder = Folder::new();
    let data = folder.load("t.csv", table(30), &Options::default()).unwrap();
    let saved = serde_json::to_string(&data.preprocess).unwrap();
    let preprocess: Preprocess = serde_json::from_str(&saved).unwrap();
    let read = |text: &str| whole(&folder.write("new.csv", text), &preprocess, None);
    let first = ids(&data, &data.test)[0];
    let found = read(&format!("note,square,id\nhello,{},{first}\n", first * first)).unwrap();
    assert_eq!(found.x, data.test.x.select(Axis(0), &[0]));
    assert_eq!(found.names, ["new.csv#0"]);
    let npy = folder.0.path().join("new.npy");
    write_npy(&npy, &array![[first as f32, (first * first) as f32]]).unwrap();
    assert_eq!(whole(&npy, &preprocess, None).unwrap().x, found.x);
    fails(read("id,cube\n1,2\n"), &["also [\"square\"]", "cube"]);
    let missing = read("id,square\n1,2\n1,NaN\n").unwrap().missing.unwrap();
    assert_eq!(missing.cells, 1);
    assert!(missing.first.contains("line 3, column \"square\", \"NaN\""), "{missing:?}");
    // A model of an older version has no medians.
    let older = Preprocess { table: None, ..preprocess.clone() };
    let path = folder.write("new.csv", "id,square\n1,2\n1,NaN\n");
    fails(whole(&path, &older, None), &["line 3", "\"square\"", "NaN"]);
    fails(read("id,square\n"), &["no rows"]);
    let mut damaged = preprocess.clone();
    damaged.x.as_mut().unwrap().std.pop();
    fails(whole(&npy, &damaged, None), &["saved model", "1 inputs"]);
}
