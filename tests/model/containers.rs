//! Defends: equal numbers give equal inputs in every file format and element type, or an error.
use crate::npz::NpzWriter;
use bhn::data::{Dataset, Inputs, Options, Targets, Task, inputs, load};
use bhn::error::Result;
use ndarray::{Array1, Array2, ArrayD, Axis, array, s};
use ndarray_npy::{WritableElement, write_npy};
use rstest::rstest;
use std::fs::File;
use std::path::PathBuf;
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A CSV file of `x [N, D]` and optional targets.
    fn csv(&self, name: &str, x: &Array2<f64>, y: Option<&[String]>) -> PathBuf {
        let cells = |row: usize| {
            let numbers = x.row(row).to_vec().into_iter().map(|v| v.to_string());
            let cells = numbers.chain(y.map(|y| y[row].clone()));
            cells.collect::<Vec<_>>().join(",")
        };
        let names = (0..x.ncols()).map(|i| format!("x{i}")).chain(y.map(|_| "y".to_string()));
        let header = names.collect::<Vec<_>>().join(",");
        let lines: Vec<String> = (0..x.nrows()).map(cells).collect();
        std::fs::write(self.path(name), format!("{header}\n{}\n", lines.join("\n"))).unwrap();
        self.path(name)
    }

    fn npz<X: WritableElement + Clone, Y: WritableElement + Clone>(
        &self,
        name: &str,
        x: impl Into<ArrayD<X>>,
        y: Vec<Y>,
    ) -> PathBuf {
        let mut npz = NpzWriter::new(File::create(self.path(name)).unwrap());
        npz.add_array("x", &x.into()).unwrap();
        npz.add_array("y", &Array1::from(y)).unwrap();
        npz.finish().unwrap();
        self.path(name)
    }

    fn npy<X: WritableElement>(&self, name: &str, x: &ArrayD<X>) -> PathBuf {
        write_npy(self.path(name), x).unwrap();
        self.path(name)
    }
}

fn read(path: PathBuf) -> Dataset {
    load(path.to_str().unwrap(), &Options::default(), None).unwrap()
}

fn whole(path: PathBuf, data: &Dataset) -> Result<Inputs> {
    let mut blocks = inputs(&path, &data.preprocess, data.image, usize::MAX)?;
    blocks.next().expect("a row")
}

#[track_caller]
fn refused(found: Result<Inputs>, parts: &[&str]) {
    let text = found.map(|_| ()).expect_err("an error").to_string();
    parts.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in: {text}"));
}

#[track_caller]
fn assert_equal(data: &Dataset, other: &Dataset) {
    assert_eq!(data.task, other.task);
    for (a, b) in [
        (&data.train, &other.train),
        (&data.validation, &other.validation),
        (&data.test, &other.test),
    ] {
        assert_eq!(a, b);
    }
    let (a, b) = (&data.preprocess, &other.preprocess);
    assert_eq!((&a.x, a.y, &a.seen), (&b.x, b.y, &b.seen));
}

const N: usize = 60;

/// Whole numbers below 256, which every type can represent; the last column is constant.
fn whole_numbers() -> Array2<f64> {
    Array2::from_shape_fn((N, 3), |(n, i)| if i == 2 { 7. } else { (n * (i + 3) % 251) as f64 })
}

#[test]
fn table_training_data_are_format_independent() {
    let (folder, x) = (Folder::new(), whole_numbers());
    let y: Vec<i64> = (0..N as i64).map(|n| n % 3).collect();
    let text: Vec<String> = y.iter().map(i64::to_string).collect();
    let data = read(folder.csv("a.csv", &x, Some(&text)));
    assert_eq!(data.task.outputs(), 3);
    let d = x.clone().into_dyn();
    assert_equal(&data, &read(folder.npz("f8.npz", d.clone(), y.clone())));
    assert_equal(&data, &read(folder.npz("f4.npz", d.mapv(|v| v as f32), y.clone())));
    assert_equal(&data, &read(folder.npz("u1.npz", d.mapv(|v| v as u8), y.clone())));
    assert_equal(&data, &read(folder.npz("i8.npz", d.mapv(|v| v as i64), y.clone())));
    assert_equal(&data, &read(folder.npz("u2.npz", d.mapv(|v| v as u16), y.clone())));
    let targets = |v: i64| v as f32;
    let floats: Vec<f32> = y.iter().copied().map(targets).collect();
    assert_equal(&data, &read(folder.npz("y.npz", d.clone(), floats)));
    assert_equal(
        &data,
        &read(folder.npz("y.npz", d, y.iter().map(|&v| v as u8).collect::<Vec<_>>())),
    );
    // Real targets are equal to the last bit, too.
    let real: Vec<f64> = x.column(0).iter().map(|v| 1.7e9 + v / 3.).collect();
    let text: Vec<String> = real.iter().map(f64::to_string).collect();
    let data = read(folder.csv("r.csv", &x, Some(&text)));
    assert_eq!(data.task, Task::Regression);
    assert_equal(&data, &read(folder.npz("r.npz", x.into_dyn(), real)));
}

#[test]
fn table_test_split_may_have_another_dtype() {
    let (folder, x) = (Folder::new(), whole_numbers());
    let write = |name: &str, test: ArrayD<f32>| {
        let mut npz = NpzWriter::new(File::create(folder.path(name)).unwrap());
        npz.add_array("x", &x.mapv(|v| v as u8)).unwrap();
        npz.add_array("y", &Array1::from_shape_fn(N, |n| n as u8 % 3)).unwrap();
        npz.add_array("x_test", &test).unwrap();
        npz.add_array("y_test", &array![0_u8, 1]).unwrap();
        npz.finish().unwrap();
        folder.path(name)
    };
    let data = read(write("a.npz", x.slice(s![..2, ..]).mapv(|v| v as f32).into_dyn()));
    let own = inputs(&folder.npy("x.npy", &x.into_dyn()), &data.preprocess, None, usize::MAX);
    let own = own.unwrap().next().unwrap().unwrap();
    assert_eq!(data.test.x, own.x.slice(s![..2, ..]));
}

#[test]
fn table_inputs_are_format_independent() {
    let folder = Folder::new();
    // Values differ by 2, where single precision has steps of 128.
    let t = Array2::from_shape_fn((N, 1), |(n, _)| 1.7e9 + 2. * n as f64);
    let y: Vec<String> = (0..N).map(|n| if n < N / 2 { "a" } else { "b" }.into()).collect();
    let data = read(folder.csv("t.csv", &t, Some(&y)));
    let expected = whole(folder.csv("new.csv", &t, None), &data).unwrap();
    let d = t.into_dyn();
    assert_eq!(whole(folder.npy("f8.npy", &d), &data).unwrap().x, expected.x);
    assert_eq!(whole(folder.npy("i8.npy", &d.mapv(|v| v as i64)), &data).unwrap().x, expected.x);
    assert_eq!(whole(folder.npy("u4.npy", &d.mapv(|v| v as u32)), &data).unwrap().x, expected.x);
    let distinct: std::collections::BTreeSet<u32> =
        expected.x.iter().map(|v| v.to_bits()).collect();
    assert_eq!(distinct.len(), N);

    let x = whole_numbers();
    let data = read(folder.csv("w.csv", &x, Some(&y)));
    let expected = whole(folder.csv("new.csv", &x, None), &data).unwrap().x;
    let d = x.into_dyn();
    assert_eq!(whole(folder.npy("u1.npy", &d.mapv(|v| v as u8)), &data).unwrap().x, expected);
    assert_eq!(whole(folder.npy("f4.npy", &d.mapv(|v| v as f32)), &data).unwrap().x, expected);
    assert_eq!(whole(folder.npy("i2.npy", &d.mapv(|v| v as i16)), &data).unwrap().x, expected);
    let bytes: Vec<u8> = d.iter().map(|&v| v as u8).collect();
    let header = [0, 0, 8, 3, 0, 0, 0, N as u8, 0, 0, 0, 1, 0, 0, 0, 3];
    std::fs::write(folder.path("idx"), [&header[..], &bytes].concat()).unwrap();
    assert_eq!(whole(folder.path("idx"), &data).unwrap().x, expected);
}

/// Images of 4 × 5 pixels with values up to `most`.
fn pictures(most: u8) -> ArrayD<u8> {
    ArrayD::from_shape_fn(vec![N, 4, 5], |at| {
        ((at[0] * 31 + at[1] * 7 + at[2] * 3) % (usize::from(most) + 1)) as u8
    })
}

fn labels() -> Vec<u8> {
    (0..N).map(|n| (n % 2) as u8).collect()
}

/// `[N, pixels]`.
fn flat(x: ArrayD<f32>) -> Array2<f32> {
    x.into_shape_with_order((N, 20)).unwrap()
}

#[test]
fn byte_images_reject_unscaled_floats_and_integers() {
    let (folder, x) = (Folder::new(), pictures(255));
    let data = read(folder.npz("a.npz", x.clone(), labels()));
    let expected = flat(x.mapv(|v| f32::from(v) / 255.));
    assert_eq!(whole(folder.npy("u1.npy", &x), &data).unwrap().x, expected);
    let fractions = x.mapv(|v| f32::from(v) / 255.);
    assert_eq!(whole(folder.npy("f4.npy", &fractions), &data).unwrap().x, expected);
    let header = [0, 0, 8, 3, 0, 0, 0, N as u8, 0, 0, 0, 4, 0, 0, 0, 5];
    let bytes: Vec<u8> = x.iter().copied().collect();
    std::fs::write(folder.path("idx"), [&header[..], &bytes].concat()).unwrap();
    assert_eq!(whole(folder.path("idx"), &data).unwrap().x, expected);
    // A pixel of 200 must not become 200 times white.
    let floats = x.mapv(f32::from);
    refused(whole(folder.npy("f4.npy", &floats), &data), &["whole numbers", "x / 255"]);
    refused(whole(folder.npy("f8.npy", &floats.mapv(f64::from)), &data), &["whole numbers"]);
    refused(whole(folder.npy("i8.npy", &x.mapv(i64::from)), &data), &["integers", "uint8"]);
}

#[rstest]
#[case::fractions(1. / 255., true)]
#[case::unscaled(1., false)]
#[case::standardised(1. / 64., false)]
fn float_images_are_not_rescaled(#[case] unit: f32, #[case] fractions: bool) {
    let (folder, x) = (Folder::new(), pictures(255));
    let shift = if unit == 1. / 64. { -2. } else { 0. };
    let floats = x.mapv(|v| f32::from(v) * unit + shift);
    let data = read(folder.npz("a.npz", floats.clone(), labels()));
    let expected = flat(floats.clone());
    assert_eq!(whole(folder.npy("f4.npy", &floats), &data).unwrap().x, expected);
    assert_eq!(whole(folder.npy("f8.npy", &floats.mapv(f64::from)), &data).unwrap().x, expected);
    let bytes = whole(folder.npy("u1.npy", &x), &data);
    image::GrayImage::new(5, 4).save(folder.path("a.png")).unwrap();
    let picture = whole(folder.path("a.png"), &data);
    if fractions {
        refused(bytes, &["uint8", "floats from 0 to 1", "/ 255"]);
        assert!(picture.is_ok());
    } else {
        assert_eq!(bytes.unwrap().x, flat(x.mapv(f32::from)));
        refused(picture, &["a picture", "floats from"]);
    }
}

/// Masks of 0 and 1 are not rescaled in any type.
#[test]
fn binary_images_are_not_rescaled() {
    let (folder, x) = (Folder::new(), pictures(1));
    let data = read(folder.npz("a.npz", x.clone(), labels()));
    assert_equal(&data, &read(folder.npz("b.npz", x.mapv(f32::from), labels())));
    let expected = flat(x.mapv(f32::from));
    assert_eq!(whole(folder.npy("u1.npy", &x), &data).unwrap().x, expected);
    assert_eq!(whole(folder.npy("f8.npy", &x.mapv(f64::from)), &data).unwrap().x, expected);
}

#[test]
fn test_images_must_have_training_image_dtype() {
    let folder = Folder::new();
    let mut npz = NpzWriter::new(File::create(folder.path("a.npz")).unwrap());
    npz.add_array("x", &pictures(255)).unwrap();
    npz.add_array("y", &Array1::from(labels())).unwrap();
    npz.add_array("x_test", &pictures(255).mapv(f32::from)).unwrap();
    npz.add_array("y_test", &Array1::from(labels())).unwrap();
    npz.finish().unwrap();
    let path = folder.path("a.npz");
    let found = load(path.to_str().unwrap(), &Options::default(), None).map(|_| ());
    let text = found.unwrap_err().to_string();
    assert!(text.contains("x_test") && text.contains("uint8") && text.contains("floats"), "{text}");
}

/// A feature that is constant in training is ignored, and a new value of it is reported.
#[test]
fn new_value_of_constant_feature_is_ignored_and_reported() {
    let folder = Folder::new();
    let x = whole_numbers();
    let y: Vec<String> = (0..N).map(|n| ["a", "b"][n % 2].into()).collect();
    let data = read(folder.csv("a.csv", &x, Some(&y)));
    assert!(data.notes.iter().any(|note| note.contains("constant") && note.contains("\"x2\"")));
    let mut new = x.clone();
    new[[4, 2]] = 5000.;
    let (before, after) = (
        whole(folder.csv("n.csv", &x, None), &data).unwrap(),
        whole(folder.csv("n.csv", &new, None), &data).unwrap(),
    );
    assert_eq!(after.x, before.x);
    assert_eq!(before.outside, None);
    let outside = after.outside.unwrap();
    assert_eq!(outside.rows, 1);
    for part in ["row 4", "x2 = 5000", "7 alone"] {
        assert!(outside.first.contains(part), "{part}: {}", outside.first);
    }
    // Another feature is far outside its range; a value outside by less than the range's width is
    // not reported.
    new.assign(&x);
    (new[[1, 0]], new[[2, 0]]) = (340., 600.);
    let found = whole(folder.csv("n.csv", &new, None), &data).unwrap().outside.unwrap();
    assert!(found.rows == 1 && found.first.contains("row 2, x0 = 600"), "{found:?}");
    assert!(found.first.contains("in training from 3 to 177"), "{found:?}");
}

/// Standard deviations of values whose squares under- or overflow.
#[rstest]
#[case(1e-200)]
#[case(1e200)]
fn standardisation_is_stable_at_extreme_magnitudes(#[case] unit: f64) {
    let folder = Folder::new();
    let x = Array2::from_shape_fn((N, 1), |(n, _)| unit * (n as f64 - 20.));
    let y: Vec<String> = (0..N).map(|n| (unit * (n as f64 + 0.5)).to_string()).collect();
    let data = read(folder.csv("a.csv", &x, Some(&y)));
    let plain = x.mapv(|v| v / unit);
    let text: Vec<String> = (0..N).map(|n| (n as f64 + 0.5).to_string()).collect();
    let expected = read(folder.csv("b.csv", &plain, Some(&text)));
    // The sums are rounded differently.
    let close = |a: f32, b: f32| assert!((a - b).abs() <= 4. * f32::EPSILON * b.abs().max(1.));
    data.train.x.iter().zip(&expected.train.x).for_each(|(&a, &b)| close(a, b));
    let (Targets::Values(a), Targets::Values(b)) = (&data.test.y, &expected.test.y) else {
        panic!("a regression")
    };
    a.iter().zip(b).for_each(|(&a, &b)| close(a, b));
    let (mean, std) = data.preprocess.y.unwrap();
    let (m, s) = expected.preprocess.y.unwrap();
    assert!((mean / unit / m - 1.).abs() < 1e-14 && (std / unit / s - 1.).abs() < 1e-14);
    assert_eq!(data.train.x.len_of(Axis(1)), 1);
}

#[test]
fn arrays_of_other_types_are_refused_with_advice() {
    let folder = Folder::new();
    for (kind, width, parts) in [
        ("<U3", 12, ["text", "return_inverse"]),
        ("|S4", 4, ["text", "return_inverse"]),
        ("|O", 8, ["Python objects", "float32"]),
        ("<f2", 2, ["floats of another size", "float32"]),
        ("<c8", 8, ["other elements", "float32"]),
    ] {
        let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': (20,), }}");
        header += &" ".repeat(117 - header.len());
        let mut bytes = b"\x93NUMPY\x01\x00\x76\x00".to_vec();
        bytes.extend(header.as_bytes());
        bytes.push(b'\n');
        bytes.extend(vec![0; 20 * width]);
        let mut zip = zip::ZipWriter::new(File::create(folder.path("t.npz")).unwrap());
        zip.start_file("x.npy", zip::write::SimpleFileOptions::default()).unwrap();
        std::io::Write::write_all(&mut zip, &bytes).unwrap();
        zip.finish().unwrap();
        let path = folder.path("t.npz");
        let said = load(path.to_str().unwrap(), &Options::default(), None).unwrap_err().to_string();
        assert!(parts.iter().all(|part| said.contains(part)), "{kind}: {said}");
    }
}

#[test]
fn images_with_channels_last_are_refused() {
    let folder = Folder::new();
    let labels: Vec<u8> = (0..20).map(|n| n % 3).collect();
    let images = |shape: [usize; 4]| ArrayD::<u8>::from_elem(shape.to_vec(), 7);
    let read = |shape| {
        let path = folder.npz("t.npz", images(shape), labels.clone());
        load(path.to_str().unwrap(), &Options::default(), None).map_err(|e| e.to_string())
    };
    for channels in [1, 3, 4] {
        let said = read([20, 8, 8, channels]).unwrap_err();
        assert!(said.contains("channels first") && said.contains("transpose"), "{said}");
        assert_eq!(read([20, channels, 8, 8]).unwrap().image, Some([channels, 8, 8]));
    }
    assert_eq!(read([20, 2, 6, 5]).unwrap().image, Some([2, 6, 5]));
}
