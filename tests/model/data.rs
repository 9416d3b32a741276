//! Defends: no input reaches a network unchecked. MNIST and CSV files give the same rows for the
//! same seed; invalid ones give an error that names the fault, never a panic.
use crate::mnist::PUBLISHED;
pub use crate::mnist::gzip;
use bhn::data::{Dataset, Missing, Options, Split, Targets, Task, TaskKind, check, load, sets};
use flate2::read::GzDecoder;
use std::io::Read;
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

#[test]
fn mnist_matches_published_statistics() {
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
fn mnist_rejects_invalid_options() {
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
    for (file, bytes) in &*PUBLISHED {
        let (file, bytes) = (format!("mnist/{file}"), bytes.clone());
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
fn damaged_mnist_errors_name_file_and_fault() {
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
fn mnist_from_folder_equals_embedded_copy() {
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

/// `rows` lines `id, id², id mod 3`, so that a row is identified by its id.
pub fn table(rows: usize) -> String {
    let line = |i: usize| format!("{i},{},{}\n", i * i, i % 3);
    let body: String = (0..rows).map(line).collect();
    format!("id,square,class\n{body}")
}

/// The ids of a split, converted from standardised values back to whole numbers.
pub fn ids(data: &Dataset, split: &Split) -> Vec<usize> {
    let scale = data.preprocess.x.as_ref().unwrap();
    let id = |&x: &f32| (f64::from(x) * scale.std[0] + scale.mean[0]).round() as usize;
    split.x.column(0).iter().map(id).collect()
}

#[test]
fn csv_splits_are_disjoint_and_standardised_on_train() {
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
fn csv_task_is_inferred_and_can_be_overridden() {
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
}

#[test]
fn csv_errors_name_line_and_column() {
    let folder = Folder::new();
    let refuse = Options { missing: Missing::Refuse, ..Options::default() };
    let read = |text: &str| folder.load("t.csv", text, &refuse);
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
    fails(read(""), &["t.csv", "no text", "a header and rows"]);
    fails(read(&table(20).replace("7,49,", "7,x,").replace('\n', "\r")), &["line 9", "\"x\""]);
    fails(folder.load("t.tsv", "a\tb\n", &Options::default()), &["t.tsv", "no rows"]);
    fails(folder.load("t.xlsx", "PK", &Options::default()), &["t.xlsx", "Convert"]);
    fails(read("1,2\n3,4\n"), &["numbers in the first line"]);
    fails(read("5.1,3.5,setosa\n4.9,3.0,setosa\n"), &["numbers in the first line"]);
    fails(read("a,a,b\n1,2,3\n"), &["\"a\" twice"]);
    fails(read(&format!("a b\n{}", "1 2\n".repeat(20))), &["a single column", "commas"]);
    fails(read(&table(9)), &["9 rows", "at least 10"]);
    fails(folder.load("t.csv", b"a,b\n\xff,1\n", &Options::default()), &["line 2", "UTF-8"]);
    let options = Options { target: Some("klass".into()), ..Options::default() };
    fails(folder.load("t.csv", table(20), &options), &["klass", "square", "\"class\""]);
    let options = Options { target: Some("square".into()), ..Options::default() };
    let data = folder.load("t.csv", table(20), &options).unwrap();
    assert_eq!(data.preprocess.columns.unwrap(), ["id", "class"]);
    fails(load("/no/such.csv", &Options::default(), None), &["/no/such.csv", "no such file"]);
}

/// The line of an error is right however lines end, also where a buffer ends between `\r` and `\n`.
#[test]
fn lines_are_counted_for_every_line_ending() {
    let folder = Folder::new();
    for rows in [2_000, 2_001, 2_002, 2_003] {
        for end in ["\n", "\r", "\r\n"] {
            let mut text = format!("x,y{end}");
            text.extend((0..rows).map(|i| format!("{i},{}{end}", i % 50)));
            text += &format!("{},what{end}", 3);
            let found = folder.load(
                "t.csv",
                text,
                &Options { task: Some(TaskKind::Regression), ..Options::default() },
            );
            fails(found, &[&format!("line {}", rows + 2), "\"what\""]);
        }
    }
}

#[test]
fn doubtful_headers_are_noted() {
    let folder = Folder::new();
    let notes = |header: &str| {
        let rows: String =
            (0..20).map(|i| format!("{i},{},{}\n", 2 * i, ["a", "b"][i % 2])).collect();
        let data = folder.load("t.csv", format!("{header}\n{rows}"), &Options::default()).unwrap();
        (data.preprocess.columns.unwrap().join(" "), data.notes.join("; "))
    };
    assert_eq!(notes("x,z,kind"), ("x z".into(), String::new()));
    assert_eq!(notes("inf,nan,kind"), ("inf nan".into(), String::new()));
    let (columns, note) = notes(",z,kind");
    assert_eq!(columns, "z");
    assert!(note.contains("first column, without a name, is left out"), "{note}");
    for (header, odd) in [("7,14,kind", "\"7\""), ("x,z,b", "\"b\"")] {
        let (_, note) = notes(header);
        assert!(note.contains(odd) && note.contains("is it data?"), "{note}");
    }
}

#[test]
fn constant_feature_becomes_zero() {
    let body: String = (0..20).map(|i| format!("0.1,{}\n", i % 2)).collect();
    let data = Folder::new().load("t.csv", format!("x,y\n{body}"), &Options::default()).unwrap();
    assert!(data.train.x.iter().chain(&data.test.x).all(|&v| v == 0.0));
    assert_eq!(data.preprocess.x.unwrap().std, [1.0]);
}
