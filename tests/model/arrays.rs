//! Defends: no array reaches a network unchecked. NPZ and NPY files give their rows and targets; an
//! invalid or damaged one gives an error that names the fault, never a panic or a huge allocation.
use super::data::{Folder, classes, fails, gzip, ids, values};
use crate::npz::NpzWriter;
use bhn::data::{Inputs, Options, Preprocess, Task, TaskKind, inputs, load};
use ndarray::{Array1, Array2, Array3, Array4, ArrayD, Axis, ShapeBuilder, array, s};
use ndarray_npy::{WritableElement, write_npy};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::io::{Cursor, Write};
use std::path::Path;

pub struct Npz(NpzWriter<Cursor<Vec<u8>>>);

impl Npz {
    pub fn new() -> Self {
        Self(NpzWriter::new_compressed(Cursor::default()))
    }

    pub fn with<T: WritableElement + Clone>(
        mut self,
        key: &str,
        array: impl Into<ArrayD<T>>,
    ) -> Self {
        self.0.add_array(key, &array.into()).unwrap();
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.finish().unwrap().into_inner()
    }
}

pub fn rows(n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, 2), |(i, j)| if j == 0 { i as f32 } else { -(i as f32) })
}

/// [`rows`] as images `[1, 2]`.
pub fn pictures(n: usize) -> Array3<f32> {
    rows(n).insert_axis(Axis(1))
}

pub fn labels(n: usize) -> Array1<i64> {
    Array1::from_shape_fn(n, |i| i as i64 % 3)
}

#[test]
fn npz_rows_keep_their_targets() {
    let folder = Folder::new();
    // As images, which are not standardised.
    let (x, y) = (pictures(50), labels(50));
    let read = |npz: Npz| folder.load("a.npz", npz.bytes(), &Options::default()).unwrap();
    let npz = || Npz::new().with("x", x.clone().into_dyn());
    let data = read(npz().with("y", y.clone().into_dyn()));
    let mut seen = Vec::new();
    for split in [&data.train, &data.validation, &data.test] {
        for (row, &class) in split.x.rows().into_iter().zip(classes(split)) {
            assert_eq!(row[1], -row[0]);
            assert_eq!(class, row[0] as usize % 3);
            seen.push(row[0] as usize);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..50).collect::<Vec<_>>());
    assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [40, 5, 5]);
    assert_eq!(data.task.outputs(), 3);
    let seen = data.preprocess.seen.clone();
    let appearance = data.preprocess.appearance;
    assert_eq!(
        data.preprocess,
        Preprocess { inputs: 2, seen, appearance, ..Preprocess::default() }
    );

    let mut fortran = Array3::<f64>::zeros((50, 1, 2).f());
    fortran.assign(&x.mapv(f64::from));
    let again = read(Npz::new().with("x", fortran.into_dyn()).with("y", y.clone().into_dyn()));
    assert_eq!(again.train, data.train);
    assert!(again.train.x.is_standard_layout());

    let real = read(npz().with("y", x.slice(s![.., 0, 0]).mapv(f64::from).into_dyn()));
    assert_eq!(real.task, Task::Regression);
    for (row, &value) in real.test.x.rows().into_iter().zip(values(&real.test)) {
        assert!((real.preprocess.in_units(f64::from(value)) - f64::from(row[0])).abs() < 1e-5);
    }

    let held = npz().with("y", y.into_dyn()).with("x_test", pictures(7).into_dyn());
    let data = read(held.with("y_test", labels(7).into_dyn()));
    assert_eq!([data.train.len(), data.validation.len(), data.test.len()], [45, 5, 7]);
    assert_eq!((&data.test.x, classes(&data.test)), (&rows(7), &[0, 1, 2, 0, 1, 2, 0][..]));
    let table = Npz::new().with("x", rows(50).into_dyn()).with("y", labels(50).into_dyn());
    let table = read(table);
    assert_eq!(ids(&table, &table.train).len(), 40);
    assert!(table.train.x.column(0).iter().all(|v| v.abs() < 2.0));
}

#[test]
fn npz_images_keep_shape_and_bytes_are_divided_by_255() {
    let folder = Folder::new();
    let read = |npz: Npz| {
        folder
            .load("a.npz", npz.with("y", labels(10).into_dyn()).bytes(), &Options::default())
            .unwrap()
    };
    let grey = read(Npz::new().with("x", Array3::<u8>::from_elem((10, 4, 5), 51).into_dyn()));
    assert_eq!((grey.image, grey.preprocess.inputs), (Some([1, 4, 5]), 20));
    assert!(grey.train.x.iter().all(|&v| v == 0.2));
    let colour =
        read(Npz::new().with("x", Array4::<f32>::from_elem((10, 3, 4, 5), 51.0).into_dyn()));
    assert_eq!(colour.image, Some([3, 4, 5]));
    assert!(colour.train.x.iter().all(|&v| v == 51.0));
}

#[test]
fn invalid_npz_errors_name_the_fault() {
    let folder = Folder::new();
    let read = |npz: Npz| folder.load("a.npz", npz.bytes(), &Options::default());
    let x = || Npz::new().with("x", rows(20).into_dyn());
    let good = || x().with("y", labels(20).into_dyn());
    fails(read(x().with("labels", labels(20).into_dyn())), &["a.npz", "\"y\"", "labels", "\"x\""]);
    fails(read(x().with("y", labels(19).into_dyn())), &["19 targets", "20"]);
    fails(read(good().with("x_test", rows(5).into_dyn())), &["y_test"]);
    let narrow = rows(5).slice(s![.., ..1]).to_owned();
    let test = good().with("x_test", narrow.into_dyn()).with("y_test", labels(5).into_dyn());
    fails(read(test), &["x_test", "[1]", "[2]"]);
    let mut holed = rows(20);
    holed[[3, 1]] = f32::NAN;
    fails(
        read(Npz::new().with("x", holed.into_dyn()).with("y", labels(20).into_dyn())),
        &["NaN at [3, 1]"],
    );
    let huge = pictures(20).mapv(|v| f64::from(v) * 1e38);
    fails(
        read(Npz::new().with("x", huge.into_dyn()).with("y", labels(20).into_dyn())),
        &["inf at"],
    );
    let sparse = read(x().with("y", ((labels(20) - 1) * 1_000_000_000_000).into_dyn())).unwrap();
    assert_eq!(sparse.task.outputs(), 3);
    fails(read(x().with("y", Array1::<i64>::zeros(20).into_dyn())), &["only the class \"0\""]);
    fails(read(x().with("y", Array2::<f32>::zeros((20, 3)).into_dyn())), &["shape [20, 3]"]);
    fails(
        read(
            Npz::new()
                .with("x", pictures(20).mapv(|v| v as i64).into_dyn())
                .with("y", labels(20).into_dyn()),
        ),
        &["integers", "float32"],
    );
    let task = Some(TaskKind::Classification);
    let halves = x().with("y", Array1::from_elem(20, 0.5).into_dyn()).bytes();
    let found = folder.load("a.npz", halves, &Options { task, ..Options::default() });
    fails(found, &["only the class \"0.5\""]);
    fails(folder.load("a.npz", b"PK not a zip", &Options::default()), &["NPZ archive"]);
}

/// An NPY file with the given header, followed by `data`.
pub fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16 + 1).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

pub fn model(inputs: usize) -> Preprocess {
    Preprocess { inputs, ..Preprocess::default() }
}

#[test]
fn false_npy_header_is_an_error_without_allocation() {
    let folder = Folder::new();
    let read = |bytes: Vec<u8>| whole(&folder.write("a.npy", bytes), &model(2), None);
    let header =
        |shape: &str| format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
    assert_eq!(read(npy(&header("(1, 2)"), &[0; 8])).unwrap().x, array![[0.0, 0.0]]);
    let shapes = [
        "(1000000, 1000000)",
        "(2, 2)",
        "(0, 1000000000000000000, 1000000000000000000)",
        "(18446744073709551615, 18446744073709551615)",
        "(1,)",
        "(99999999999999999999999,)",
        "(-1, 2)",
    ];
    for shape in shapes {
        fails(read(npy(&header(shape), &[0; 8])), &["a.npy"]);
    }
    for depth in [22, 2_000, 30_000] {
        for header in ["(".repeat(2 * depth), "[".repeat(depth) + &"]".repeat(depth)] {
            fails(read(npy(&header, &[0; 8])), &["nested"]);
        }
    }
    fails(read(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{}".to_vec()), &["cut short"]);
    fails(read(npy(&header("(1, 2)").replace("f4", "c8"), &[0; 16])), &["c8"]);

    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default();
    zip.start_file("x.npy", stored).unwrap();
    zip.write_all(&npy(&header("(1000000, 1000000)"), &[0; 8])).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    fails(folder.load("a.npz", bytes, &Options::default()), &["8 bytes", "[1000000, 1000000]"]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        rng_seed: RngSeed::Fixed(1),
        ..Default::default()
    })]
    /// Damage at any position never causes a panic, and damage in an archive never changes a value
    /// unnoticed.
    #[test]
    fn damaged_bytes_never_panic(at in 0_usize..4096, byte: u8, cut in 0_usize..4096) {
        let folder = Folder::new();
        let (x, y) = (rows(20).into_dyn(), labels(20).into_dyn());
        let good = Npz::new().with("x", x).with("y", y).bytes();
        let path = folder.write("a.npy", b"");
        write_npy(&path, &rows(20)).unwrap();
        let array = std::fs::read(&path).unwrap();
        let idx = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2][..], &[9; 4]].concat();
        let archive = gzip(&idx);
        let files =
            [("a.npz", good.clone()), ("a.npy", array), ("a.idx", idx), ("a.gz", archive)];
        for (name, bytes) in files {
            let mut flipped = bytes.clone();
            flipped[at % bytes.len()] = byte;
            for bytes in [flipped, bytes[..cut % bytes.len()].to_vec()] {
                let path = folder.write(name, bytes);
                if name == "a.npz" {
                    let whole = folder.load("good.npz", &good, &Options::default()).unwrap();
                    if let Ok(data) = load(path.to_str().unwrap(), &Options::default(), None) {
                        prop_assert_eq!(data.train, whole.train);
                    }
                } else {
                    let _ = whole(&path, &model(2), None);
                }
            }
        }
    }
}

/// Reads a file in one block.
pub fn whole(
    path: &Path,
    preprocess: &Preprocess,
    image: Option<[usize; 3]>,
) -> bhn::error::Result<Inputs> {
    let mut blocks = inputs(path, preprocess, image, usize::MAX)?;
    let all = blocks.next().expect("a row")?;
    assert!(blocks.next().is_none());
    Ok(all)
}
