//! Defends: no file reaches a network unchecked. Valid files give the same rows for the same seed
//! in every format; invalid files give an error that names the fault, and never a panic.
use bhn::data::{Dataset, Inputs, Options, Preprocess, Split, Targets, Task, TaskKind};
use bhn::data::{check, inputs, load, sets};
use bhn::error::{Error, Result as Outcome};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use ndarray::{Array1, Array2, Array3, Array4, ArrayD, Axis, ShapeBuilder, array, s};
use ndarray_npy::{NpzWriter, WritableElement, write_npy};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Folder(pub TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub fn load(
        &self,
        name: &str,
        bytes: impl AsRef<[u8]>,
        options: &Options,
    ) -> Result<Dataset, String> {
        load(self.write(name, bytes).to_str().unwrap(), options, None).map_err(|e| e.to_string())
    }
}

#[track_caller]
pub fn fails<T>(result: Result<T, impl ToString>, parts: &[&str]) {
    let message = result.err().expect("an error").to_string();
    for part in parts {
        assert!(message.contains(part), "{part:?} is not in: {message}");
    }
}

pub fn values(split: &Split) -> &[f32] {
    match &split.y {
        Targets::Values(y) => y,
        Targets::Classes(_) => panic!("classes"),
    }
}

pub fn classes(split: &Split) -> &[usize] {
    match &split.y {
        Targets::Classes(y) => y,
        Targets::Values(_) => panic!("values"),
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gz = GzEncoder::new(Vec::new(), Compression::fast());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

#[test]
fn mnist_is_the_published_one() {
    let data = load("mnist", &Options::default(), None).unwrap();
    assert_eq!(
        [data.train.len(), data.validation.len(), data.test.len()],
        [50_000, 10_000, 10_000]
    );
    let sum = |split: &Split| split.x.iter().map(|&p| f64::from(p)).sum::<f64>();
    let mean = (sum(&data.train) + sum(&data.validation)) / (60_000.0 * 784.0);
    assert!((mean - 0.1307).abs() < 5e-5, "{mean}");
    let mut labels = [0; 10];
    for &y in classes(&data.train).iter().chain(classes(&data.validation)) {
        labels[y] += 1;
    }
    assert_eq!(labels, [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]);
    let mut labels = [0; 10];
    classes(&data.test).iter().for_each(|&y| labels[y] += 1);
    assert_eq!(labels, [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]);
    assert_eq!(classes(&data.train)[..5], [5, 0, 4, 1, 9]);
    assert_eq!(classes(&data.test)[..5], [7, 2, 1, 0, 4]);
    assert_eq!(data.image, Some([1, 28, 28]));
    assert!(data.test.x.iter().all(|p| (p * 255.0).fract() == 0.0 && (0.0..=1.0).contains(p)));

    let few = Options { train_subset: Some(100), ..Options::default() };
    let subset = load("mnist", &few, None).unwrap();
    assert_eq!((&subset.train, &subset.test), (&data.train.subset(100), &data.test));
    let (x, y) = subset.train.batch(&[7, 3]);
    assert_eq!(x.row(0), data.train.x.row(7));
    assert_eq!(y, Targets::Classes(vec![classes(&data.train)[7], classes(&data.train)[3]]));
}

#[test]
fn mnist_refuses_options_that_do_not_fit() {
    let with = |options| load("mnist", &options, None);
    for n in [0, 50_001] {
        let options = Options { train_subset: Some(n), ..Options::default() };
        fails(with(options), &[&format!("found {n}"), "1 to 50000"]);
    }
    let task = Some(TaskKind::Regression);
    fails(with(Options { task, ..Options::default() }), &["regression"]);
    fails(with(Options { target: Some("y".into()), ..Options::default() }), &["target", "CSV"]);
    fails(load("minst", &Options::default(), None), &["minst", "mnist", ".csv", ".npz"]);
    fails(load("mnist", &Options::default(), Some(Path::new("/no/such"))), &["/no/such"]);
}

/// A data folder with the four files, one of them changed.
fn damaged(name: &str, change: impl Fn(Vec<u8>) -> Option<Vec<u8>>) -> Folder {
    let folder = Folder::new();
    std::fs::create_dir(folder.0.path().join("mnist")).unwrap();
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets/mnist");
    for entry in std::fs::read_dir(shipped).unwrap() {
        let entry = entry.unwrap();
        let file = format!("mnist/{}", entry.file_name().to_str().unwrap());
        let bytes = std::fs::read(entry.path()).unwrap();
        let changed = if file.contains(name) { change(bytes) } else { Some(bytes) };
        changed.map(|bytes| folder.write(&file, bytes));
    }
    folder
}

fn repack(bytes: &[u8], change: impl Fn(&mut Vec<u8>)) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    change(&mut plain);
    Some(gzip(&plain))
}

#[test]
fn damaged_mnist_is_refused_before_the_mnist_crate_sees_it() {
    let name = "t10k-labels-idx1-ubyte";
    type Change = fn(Vec<u8>) -> Option<Vec<u8>>;
    let cases: [(Change, &str); 9] = [
        (|_| None, "no such file"),
        (|bytes| Some(bytes[..bytes.len() / 2].to_vec()), "cannot be read"),
        (|_| Some(Vec::new()), "cannot be read"),
        (|_| Some(b"not gzip".to_vec()), "cannot be read"),
        (
            |mut bytes| {
                bytes.extend(*b"extra");
                Some(bytes)
            },
            "cannot be read",
        ),
        (
            |mut bytes| {
                bytes[2000] ^= 16;
                Some(bytes)
            },
            name,
        ),
        (|bytes| repack(&bytes, |plain| plain[3] = 3), "SHA-256"),
        (|bytes| repack(&bytes, |plain| plain.truncate(9_000)), "9000 bytes"),
        (|bytes| repack(&bytes, |plain| plain.resize(1 << 24, 0)), "more than 10008 bytes"),
    ];
    for (change, part) in cases {
        let folder = damaged(name, change);
        fails(load("mnist", &Options::default(), Some(folder.0.path())), &[name, part]);
        let checked = check("mnist", Some(folder.0.path())).unwrap();
        let bad: Vec<_> = checked.iter().filter(|file| !file.ok()).collect();
        assert_eq!(bad.len(), 1);
        assert!(bad[0].problem.as_ref().unwrap().contains(part), "{bad:?}");
    }
}

#[test]
fn mnist_of_a_folder_is_the_embedded_one() {
    let folder = damaged("none", Some);
    let few = Options { train_subset: Some(10), ..Options::default() };
    let there = load("mnist", &few, Some(folder.0.path())).unwrap();
    assert_eq!(there.test, load("mnist", &few, None).unwrap().test);
    assert!(check("mnist", None).unwrap().iter().all(|file| file.ok() && file.sha256.len() == 64));
    fails(check("imagenet", None), &["imagenet", "mnist"]);
    assert_eq!(sets()[0].present(None).as_deref(), Some("inside the program"));
    let place = sets()[0].present(Some(folder.0.path())).unwrap();
    assert!(Path::new(&place).is_dir());
}

// CSV

/// `rows` lines `id, id², id mod 3`, so that the id identifies a row.
pub fn table(rows: usize) -> String {
    let line = |i: usize| format!("{i},{},{}\n", i * i, i % 3);
    let body: String = (0..rows).map(line).collect();
    format!("id,square,class\n{body}")
}

/// The ids of a split, with the standardisation undone.
pub fn ids(data: &Dataset, split: &Split) -> Vec<usize> {
    let scale = data.preprocess.x.as_ref().unwrap();
    let id = |&x: &f32| (f64::from(x) * scale.std[0] + scale.mean[0]).round() as usize;
    split.x.column(0).iter().map(id).collect()
}

#[test]
fn csv_is_divided_into_disjoint_parts_and_standardised_on_train() {
    let folder = Folder::new();
    let with = |seed| folder.load("t.csv", table(203), &Options { seed, ..Options::default() });
    let data = with(7).unwrap();
    let parts = [&data.train, &data.validation, &data.test].map(|split| ids(&data, split));
    assert_eq!(parts.each_ref().map(Vec::len), [163, 20, 20]);
    let mut all = parts.concat();
    all.sort_unstable();
    assert_eq!(all, (0..203).collect::<Vec<_>>());
    for (split, ids) in [&data.train, &data.validation, &data.test].into_iter().zip(&parts) {
        assert_eq!(classes(split), ids.iter().map(|id| id % 3).collect::<Vec<_>>());
    }
    for column in data.train.x.columns() {
        let n = column.len() as f64;
        let mean = column.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
        let variance = column.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n;
        assert!(mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-6, "{mean} {variance}");
    }
    assert_eq!(data.train, with(7).unwrap().train);
    assert_ne!(data.train, with(8).unwrap().train);
    let few = Options { seed: 7, train_subset: Some(30), ..Options::default() };
    let few = folder.load("t.csv", table(203), &few).unwrap();
    assert_eq!(ids(&few, &few.train), parts[0][..30]);
    assert_eq!(ids(&few, &few.test), parts[2]);
}

#[test]
fn csv_task_is_guessed_and_can_be_forced() {
    let folder = Folder::new();
    let read = |target: &dyn Fn(usize) -> String, task| {
        let body: String = (0..60).map(|i| format!("{i},{}\n", target(i))).collect();
        let options = Options { task, ..Options::default() };
        folder.load("t.csv", format!("\u{feff}x,y\r\n{body}"), &options).inspect(|data| {
            assert_eq!(data.preprocess.columns.as_deref(), Some(&["x".to_owned()][..]));
        })
    };
    let names = |data: &Dataset| match &data.task {
        Task::Classification { classes } => classes.clone(),
        Task::Regression => Vec::new(),
    };
    let pets = |i: usize| ["dog", "cat", "ant"][i % 3].to_owned();
    assert_eq!(names(&read(&pets, None).unwrap()), ["ant", "cat", "dog"]);
    let numbers = |i: usize| ["10", "9", "-1"][i % 3].to_owned();
    assert_eq!(names(&read(&numbers, None).unwrap()), ["-1", "9", "10"]);
    assert_eq!(read(&|i| format!("{}", i % 20), None).unwrap().task.outputs(), 20);
    assert_eq!(read(&|i| format!("{}", i % 21), None).unwrap().task, Task::Regression);
    assert_eq!(names(&read(&|i| format!("{}.5", i % 2), None).unwrap()), ["0.5", "1.5"]);
    let kind = Some(TaskKind::Classification);
    assert_eq!(names(&read(&|i| format!("{}.5", i % 40), kind).unwrap()).len(), 40);
    let kind = Some(TaskKind::Regression);
    let data = read(&|i| format!("{}", 1_700_000_000 + i % 2), kind).unwrap();
    assert!(values(&data.train).iter().all(|v| (v.abs() - 1.0).abs() < 0.2));
    let back = data.preprocess.in_units(f64::from(values(&data.test)[0]));
    assert!([0.0, 1.0].iter().any(|d| (back - 1_700_000_000.0 - d).abs() < 1e-5), "{back}");
    fails(read(&pets, kind), &["line 2", "\"y\"", "\"dog\"", "force classification"]);
    fails(read(&|_| "1".into(), None), &["only the class \"1\""]);
    fails(read(&|i| if i == 3 { String::new() } else { pets(i) }, None), &["line 5", "\"y\""]);
}

#[test]
fn csv_errors_name_line_and_column() {
    let folder = Folder::new();
    let read = |text: &str| folder.load("t.csv", text, &Options::default());
    for bad in ["NaN", "inf", "-inf", "", "one", "1e309", "0x10"] {
        let text = table(20).replace("\n7,49,", &format!("\n\n7,{bad},"));
        let line = 10; // the header, ids 0 to 6, an empty line
        let quoted = format!("found {bad:?}");
        for text in [text.replace('\n', "\r\n"), text] {
            fails(read(&text), &["t.csv", &format!("line {line}"), "\"square\"", &quoted]);
        }
    }
    fails(read(&table(20).replace("7,49,", "7,49,50,")), &["4 cells in line 9", "3 distinct"]);
    fails(read("a,b\n"), &["no rows"]);
    fails(read(""), &["t.csv", "header"]);
    fails(read("1,2\n3,4\n"), &["numbers in the first line"]);
    fails(read("5.1,3.5,setosa\n4.9,3.0,setosa\n"), &["numbers in the first line"]);
    fails(read("a,a,b\n1,2,3\n"), &["\"a\" twice"]);
    fails(read(&"a;b\n1;2\n".repeat(20)), &["commas"]);
    fails(read(&table(9)), &["9 rows", "at least 10"]);
    fails(folder.load("t.csv", b"a,b\n\xff,1\n", &Options::default()), &["line 2", "UTF-8"]);
    let options = Options { target: Some("klass".into()), ..Options::default() };
    fails(folder.load("t.csv", table(20), &options), &["klass", "square", "\"class\""]);
    let options = Options { target: Some("square".into()), ..Options::default() };
    let data = folder.load("t.csv", table(20), &options).unwrap();
    assert_eq!(data.preprocess.columns.unwrap(), ["id", "class"]);
    fails(load("/no/such.csv", &Options::default(), None), &["/no/such.csv", "no such file"]);
}

#[test]
fn a_constant_feature_stays_harmless() {
    let body: String = (0..20).map(|i| format!("0.1,{}\n", i % 2)).collect();
    let data = Folder::new().load("t.csv", format!("x,y\n{body}"), &Options::default()).unwrap();
    assert!(data.train.x.iter().chain(&data.test.x).all(|&v| v == 0.0));
    assert_eq!(data.preprocess.x.unwrap().std, [1.0]);
}

// NPZ

struct Npz(NpzWriter<Cursor<Vec<u8>>>);

impl Npz {
    fn new() -> Self {
        Self(NpzWriter::new_compressed(Cursor::default()))
    }

    fn with<T: WritableElement + Clone>(mut self, key: &str, array: impl Into<ArrayD<T>>) -> Self {
        self.0.add_array(key, &array.into()).unwrap();
        self
    }

    fn bytes(self) -> Vec<u8> {
        self.0.finish().unwrap().into_inner()
    }
}

fn rows(n: usize) -> Array2<f32> {
    Array2::from_shape_fn((n, 2), |(i, j)| if j == 0 { i as f32 } else { -(i as f32) })
}

/// [`rows`] as images `[1, 2]`.
fn pictures(n: usize) -> Array3<f32> {
    rows(n).insert_axis(Axis(1))
}

fn labels(n: usize) -> Array1<i64> {
    Array1::from_shape_fn(n, |i| i as i64 % 3)
}

#[test]
fn npz_rows_come_back_with_their_targets() {
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
    assert_eq!(data.preprocess, Preprocess { inputs: 2, seen, ..Preprocess::default() });

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
fn npz_images_keep_their_shape_and_bytes_become_fractions() {
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
fn npz_errors_name_the_array() {
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
fn npy(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16 + 1).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.push(b'\n');
    bytes.extend(data);
    bytes
}

fn model(inputs: usize) -> Preprocess {
    Preprocess { inputs, ..Preprocess::default() }
}

#[test]
fn a_wrong_header_is_an_error_and_allocates_nothing() {
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
    /// Damage never causes a panic, and in an archive it never changes values unnoticed.
    #[test]
    fn damaged_bytes_never_panic(at in 0_usize..4096, byte: u8, cut in 0_usize..4096) {
        let folder = Folder::new();
        let good = Npz::new().with("x", rows(20).into_dyn());
        let good = good.with("y", labels(20).into_dyn()).bytes();
        let path = folder.write("a.npy", b"");
        write_npy(&path, &rows(20)).unwrap();
        let array = std::fs::read(&path).unwrap();
        let idx = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2][..], &[9; 4]].concat();
        let (npz, gz) = (good.clone(), gzip(&idx));
        for (name, bytes) in [("a.npz", npz), ("a.npy", array), ("a.idx", idx), ("a.gz", gz)] {
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

// Inputs for prediction

/// Reads a file in one block.
fn whole(path: &Path, preprocess: &Preprocess, image: Option<[usize; 3]>) -> Outcome<Inputs> {
    let mut blocks = inputs(path, preprocess, image, usize::MAX)?;
    let all = blocks.next().expect("a row")?;
    assert!(blocks.next().is_none());
    Ok(all)
}

#[test]
fn blocks_of_any_size_are_the_whole_file() {
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

/// The first error when a file is read in blocks of 5 rows, and the number of rows before it.
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
fn errors_in_later_blocks_name_the_row_of_the_file() {
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
    // The size of compressed data is known at its end only.
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
fn the_same_digit_by_png_idx_and_npy() {
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
    fail(&folder.write("i.jpg", b"\xff\xd8\xff\xe0"), &["i.jpg", "PNG", "IDX", "NPY", "csv"]);
    fail(&folder.write("i.png", b"\x89PNG broken"), &["i.png", "PNG"]);
    fail(&folder.write("i.csv", "a,b\n1,2\n"), &["CSV"]);
    fails(whole(&png, &model(784), None), &["no image"]);
    fails(whole(&png, &model(783), image), &["784", "783"]);
}

#[test]
fn a_picture_is_resized_and_its_channels_come_first() {
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
fn predict_treats_a_table_as_training_did() {
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
    fails(read("id,square\n1,2\n1,NaN\n"), &["line 3", "\"square\"", "NaN"]);
    fails(read("id,square\n"), &["no rows"]);
    let mut damaged = preprocess.clone();
    damaged.x.as_mut().unwrap().std.pop();
    fails(whole(&npy, &damaged, None), &["saved model", "1 inputs"]);
}
