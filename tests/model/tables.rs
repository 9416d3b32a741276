//! Defends: a table is read as it is, whatever its separator, encoding and kinds of columns: its
//! inputs are those computed by hand, or it is refused in one sentence with the way out.
use super::arrays::whole;
use super::data::{Folder, fails, gzip};
use bhn::data::{Column, Dataset, Encoding, Missing, Options, Preprocess};
use bhn::run::config::Config;
use bhn::run::{Checkpoint, Run};
use ndarray::{Array2, array};
use rstest::rstest;
use std::time::{Duration, Instant};

/// Sixty rows of two measures, a colour and a target.
fn rows() -> Vec<[String; 4]> {
    let row = |i: usize| {
        let (a, b) = (format!("{}.25", i % 17), format!("{}", i * i));
        [a, b, ["red", "green", "blue, dark"][i % 3].into(), ["x", "y"][i / 2 % 2].into()]
    };
    (0..60).map(row).collect()
}

/// The rows with this separator; a cell that contains it, or a space, is quoted.
fn text(separator: &str, end: &str) -> String {
    let quoted = |cell: &String| match cell.contains(separator) || cell.contains(' ') {
        true => format!("\"{cell}\""),
        false => cell.clone(),
    };
    let header = ["first measure", "second", "colour", "kind"].map(String::from);
    let line = |row: &[String; 4]| row.each_ref().map(quoted).join(separator) + end;
    [header].iter().chain(&rows()).map(line).collect()
}

#[track_caller]
fn assert_equal(a: &Dataset, b: &Dataset) {
    assert_eq!((&a.train, &a.validation, &a.test), (&b.train, &b.validation, &b.test));
    assert_eq!(a.preprocess.columns, b.preprocess.columns);
}

#[test]
fn every_format_gives_the_same_inputs() {
    let folder = Folder::new();
    let read = |name: &str, bytes: Vec<u8>| folder.load(name, bytes, &Options::default()).unwrap();
    let plain = read("a.csv", text(",", "\n").into());
    let names = ["first measure", "second", "colour=blue, dark", "colour=green", "colour=red"];
    assert_eq!(plain.preprocess.columns.as_deref().unwrap(), names);
    assert_eq!(plain.notes, Vec::<String>::new());
    let comma = text(";", "\n").replace(".25", ",25");
    for (name, bytes, note) in [
        ("a.csv", text(",", "\r\n").into_bytes(), ""),
        ("a.csv", ("\u{feff}".to_string() + &text(",", "\n")).into(), ""),
        ("a.csv", text(";", "\n").into(), "semicolons"),
        ("a.csv", ("\u{feff}".to_string() + &text(";", "\r\n")).into(), "semicolons"),
        ("a.csv", comma.clone().into(), "semicolons"),
        ("a.tsv", text("\t", "\n").into(), "tabs"),
        ("a.txt", text("|", "\n").into(), "vertical bars"),
        ("a.csv.gz", gzip(text(",", "\n").as_bytes()), ""),
        ("a.tsv.gz", gzip(text("\t", "\r\n").as_bytes()), "tabs"),
    ] {
        let data = read(name, bytes);
        assert_equal(&data, &plain);
        assert_eq!(data.name, "a");
        match note {
            "" => assert_eq!(data.notes, Vec::<String>::new()),
            _ => assert!(data.notes.iter().any(|n| n.contains(note)), "{note}: {:?}", data.notes),
        }
    }
    let data = read("a.csv", comma.into());
    let first = &data.preprocess.table.as_ref().unwrap()[0];
    assert_eq!(first.encoding.to_string(), "number, decimal comma");
    // New files may be written in another way.
    let new =
        |name: &str, bytes: Vec<u8>| whole(&folder.write(name, bytes), &plain.preprocess, None);
    let x = new("n.csv", text(",", "\n").into()).unwrap().x;
    assert_eq!(new("n.tsv.gz", gzip(text("\t", "\n").as_bytes())).unwrap().x, x);
    assert_eq!(new("n.csv", text(";", "\r\n").replace(".25", ",25").into()).unwrap().x, x);
}

/// A table whose column `part` tells the training rows, so that what is fitted to them can be
/// computed by hand.
const BY_HAND: &str = "\
id,x,word,part,y
0,1,b,train,1
1,2,a,train,2
2,NA,b,train,1
3,3,,train,2
4,10,a,train,1
5,4,b,train,2
6,?,b,train,1
7,6,a,train,2
8,5,b,train,1
9,7,b,train,2
10,,c,test,1
11,100,,test,2
12,8,a,val,1
";

fn by_hand() -> Options {
    Options { split: Some("part".into()), ..Options::default() }
}

/// Inputs before standardisation, by row of the file.
fn raw(preprocess: &Preprocess, x: &Array2<f32>) -> Vec<Vec<f32>> {
    let x = preprocess.inverse_transform(x.view());
    let round = |v: &f32| (v * 1e4).round() / 1e4;
    let mut rows: Vec<Vec<f32>> =
        x.rows().into_iter().map(|r| r.iter().map(round).collect()).collect();
    rows.sort_by(|a, b| a[0].total_cmp(&b[0]));
    rows
}

#[test]
fn medians_and_categories_are_those_computed_by_hand() {
    let folder = Folder::new();
    let data = folder.load("t.csv", BY_HAND, &by_hand()).unwrap();
    let preprocess = &data.preprocess;
    let names = ["id", "x", "x missing", "word=a", "word=b", "word missing"];
    assert_eq!(preprocess.columns.as_deref().unwrap(), names);
    // The training values of x are 1 2 3 4 5 6 7 10, with the median 4.5.
    let said: Vec<_> = preprocess.table.iter().flatten().map(|c| c.encoding.to_string()).collect();
    let expected = [
        "number",
        "number, 2 missing → median 4.5 + indicator",
        "3 categories: a, b, missing (1)",
        "left out: by --split",
    ];
    assert_eq!(said, expected);
    let train = raw(preprocess, &data.train.x);
    let row = |x: [f32; 6]| x.to_vec();
    assert_eq!(train[0], row([0., 1., 0., 0., 1., 0.]));
    assert_eq!(train[2], row([2., 4.5, 1., 0., 1., 0.]));
    assert_eq!(train[3], row([3., 3., 0., 0., 0., 1.]));
    assert_eq!(train[7], row([7., 6., 0., 1., 0., 0.]));
    let test = raw(preprocess, &data.test.x);
    assert_eq!(test, [row([10., 4.5, 1., 0., 0., 0.]), row([11., 100., 0., 0., 0., 1.])]);
    assert_eq!(raw(preprocess, &data.validation.x), [row([12., 8., 0., 1., 0., 0.])]);
    let unseen = data.notes.iter().find(|note| note.contains("do not occur")).unwrap();
    assert!(unseen.contains("line 12, column \"word\", \"c\""), "{unseen}");
    // x of the training rows has mean 4.7, the indicator 0.2 and standard deviation 0.4.
    let scale = preprocess.x.as_ref().unwrap();
    assert!((scale.mean[1] - 4.7).abs() < 1e-12 && (scale.mean[2] - 0.2).abs() < 1e-12);
    assert!((scale.std[2] - 0.4).abs() < 1e-12);
}

#[test]
fn prediction_encodes_as_training_did() {
    let folder = Folder::new();
    let data = folder.load("t.csv", BY_HAND, &by_hand()).unwrap();
    let new = "y,note,word,x,id\n1,hello,b,3,20\n,,zebra,,21\n2,,NA,1,22\n";
    let found = whole(&folder.write("new.csv", new), &data.preprocess, None).unwrap();
    let expected = [
        vec![20., 3., 0., 0., 1., 0.],
        vec![21., 4.5, 1., 0., 0., 0.],
        vec![22., 1., 0., 0., 0., 1.],
    ];
    assert_eq!(raw(&data.preprocess, &found.x), expected);
    let (missing, unseen) = (found.missing.unwrap(), found.unseen.unwrap());
    assert_eq!((missing.cells, unseen.cells), (2, 1));
    assert!(missing.first.contains("line 3, column \"x\", \"\""), "{missing:?}");
    assert!(unseen.first.contains("line 3, column \"word\", \"zebra\""), "{unseen:?}");
    let error = whole(&folder.write("new.csv", "id,x,word\n1,two,a\n"), &data.preprocess, None);
    fails(error, &["new.csv, line 2, column \"x\"", "\"two\"", "a finite number", "Correct"]);
    fails(
        whole(&folder.write("new.csv", "id,x\n1,2\n"), &data.preprocess, None),
        &["also [\"word\"]"],
    );
}

#[test]
fn rows_with_missing_values_are_dropped_or_refused() {
    let folder = Folder::new();
    // Twice, as ten rows are needed.
    let text = BY_HAND.to_string() + BY_HAND.split_once('\n').unwrap().1;
    let with = |missing| folder.load("t.csv", &text, &Options { missing, ..Options::default() });
    let data = with(Missing::Drop).unwrap();
    assert_eq!(data.train.len() + data.validation.len() + data.test.len(), 16);
    assert!(data.notes.iter().any(|note| note.contains("10 rows with missing values left out")));
    assert_eq!(data.preprocess.table.unwrap()[1].encoding.to_string(), "number");
    fails(with(Missing::Refuse), &["t.csv, line 4, column \"x\"", "\"NA\"", "--missing drop"]);
}

#[test]
fn encodings_survive_a_checkpoint() {
    let folder = Folder::new();
    let path = folder.write("t.csv", BY_HAND);
    let config = Config {
        data: path.display().to_string(),
        split: Some("part".into()),
        ..Config::default()
    };
    let data = bhn::run::load_data(&config, None).unwrap();
    let (dir, before) = (folder.0.path().join("run"), data.preprocess.clone());
    drop(Run::create(&dir, config.resolve(&data).unwrap(), data).unwrap());
    let header = Checkpoint::load(&dir.join("last.safetensors")).unwrap().header;
    assert_eq!(header.preprocess, before);
    assert_eq!(header.config.split.as_deref(), Some("part"));
    let text = serde_json::to_string(&before).unwrap();
    assert!(
        text.contains(r#"{"number":{"median":4.5,"missing":2,"decimal_comma":false}}"#),
        "{text}"
    );
}

#[test]
fn old_configurations_are_read() {
    let read = |text: &str| Config::parse("config.toml", text).map(|config| config.missing);
    assert_eq!(read("drop_missing = true").unwrap(), Missing::Drop);
    assert_eq!(read("drop_missing = false").unwrap(), Missing::Refuse);
    assert_eq!(read("data = 'a.csv'").unwrap(), Missing::Impute);
    fails(read("missing = 'median'"), &["impute", "drop", "refuse"]);
    for missing in [Missing::Impute, Missing::Drop, Missing::Refuse] {
        let config = Config {
            missing,
            drop: vec!["a".into()],
            test: Some("b.csv".into()),
            validation_rows: 30,
            ..Config::default()
        };
        assert_eq!(Config::parse("a", &config.to_toml()).unwrap(), config);
    }
}

/// Forty rows of a number, this column and a target.
fn with_column(cell: impl Fn(usize) -> String) -> String {
    let line = |i: usize| format!("{},\"{}\",{}\n", i % 7, cell(i), ["x", "y"][i % 2]);
    format!("n,c,kind\n{}", (0..40).map(line).collect::<String>())
}

#[test]
fn kinds_of_columns_are_recognised() {
    let folder = Folder::new();
    let load = |text: String| folder.load("t.csv", text, &Options::default());
    let kind = |cell: &dyn Fn(usize) -> String| {
        let data = load(with_column(cell)).unwrap();
        let said = data.preprocess.table.unwrap()[1].encoding.to_string();
        (said, data.notes.join("; "))
    };
    assert_eq!(kind(&|i| format!("{}", i % 2)).0, "number");
    let truth = kind(&|i| ["True", "False"][i / 3 % 2].into());
    assert_eq!(truth, ("2 categories: False, True".into(), String::new()));
    let (said, note) = kind(&|i| format!("Mr. {i}"));
    assert_eq!(said, "left out: 40 different words in 40 rows");
    assert!(note.contains("columns left out: \"c\" (40 different words in 40 rows)"), "{note}");
    assert_eq!(kind(&|i| format!("{} kg", i % 20)).0, "left out: 20 different words in 40 rows");
    assert!(kind(&|i| format!("{} kg", i % 19)).0.contains(" categories: 0 kg, "));
    assert_eq!(kind(&|_| String::new()).0, "left out: no values");
    // 36 of 40 numbers are 90 %, 35 are not.
    let words = |most| move |i: usize| if i < most { i.to_string() } else { "many".into() };
    let expected = ["t.csv, line 38, column \"c\"", "\"many\"", "finite number", "--drop \"c\""];
    fails(load(with_column(words(36))), &expected);
    assert!(kind(&words(35)).0.starts_with("left out: 36 different words"));
    for date in ["2020-01-31", "31.12.2020", "12/31/2020", "2020-01-31 10:00"] {
        let error = load(with_column(|_| date.into()));
        fails(
            error,
            &["line 2, column \"c\"", &format!("the date {date:?}"), "days", "--drop \"c\""],
        );
    }
    let line = |i: usize| format!("{};{};x\n", i % 7, if i == 7 { "1.5" } else { "1,5" });
    let mixed = format!("n;c;kind\n{}", (0..40).map(line).collect::<String>());
    fails(load(mixed), &["line 9, column \"c\"", "\"1.5\"", "decimal commas", "--drop \"c\""]);
}

#[test]
fn columns_are_left_out_on_request_and_if_they_are_an_index() {
    let folder = Folder::new();
    let text = with_column(|i| format!("{i}"));
    let drop = |names: &[&str]| Options {
        drop: names.iter().map(|name| name.to_string()).collect(),
        ..Options::default()
    };
    let data = folder.load("t.csv", &text, &drop(&["c"])).unwrap();
    assert_eq!(data.preprocess.columns.as_deref().unwrap(), ["n"]);
    fails(folder.load("t.csv", &text, &drop(&["d"])), &["also [\"d\"]"]);
    fails(folder.load("t.csv", &text, &drop(&["kind"])), &["the target \"kind\"", "--drop"]);
    fails(folder.load("t.csv", &text, &drop(&["n", "c"])), &["no column to predict from"]);
    for name in ["", "Unnamed: 0"] {
        let text = text.replacen("n,c,kind", &format!("{name},c,kind"), 1);
        let data = folder.load("t.csv", &text, &Options::default()).unwrap();
        assert_eq!(data.preprocess.columns.as_deref().unwrap(), ["c"]);
        assert!(data.notes.iter().any(|note| note.contains("left out")), "{:?}", data.notes);
    }
    fails(folder.load("a.npz", "", &drop(&["c"])), &["columns to drop", "a table"]);
    fails(
        bhn::data::load("mnist", &drop(&["c"]), None).map(|_| ()),
        &["columns to drop", "\"mnist\""],
    );
}

#[rstest]
#[case::latin_1(b"a,b\ncaf\xe9,1\n", &["line 2", "UTF-8", "iconv -f windows-1252"])]
#[case::utf_16(b"\xff\xfea\0,\0b\0", &["UTF-16", "iconv -f utf-16"])]
#[case::duplicate(b"a,b,a\n1,2,3\n", &["the column \"a\" twice", "Correct the file"])]
#[case::ragged(b"a;b\n1;2\n1;2;3\n", &["3 cells in line 3", "a header of 2 distinct names"])]
#[case::empty(b"", &["no text", "a header and rows"])]
#[case::mark_alone(b"\xef\xbb\xbf", &["no text"])]
#[case::header_alone(b"a;b\n", &["no rows below the header"])]
#[case::numbers(b"1;2\n3;4\n", &["numbers in the first line", "such as `x1,x2`"])]
#[case::decimals(b"5.1\t3\tsetosa\n4.9\t3\tsetosa\n", &["numbers in the first line", "`x1,x2,x3`"])]
#[case::words(
    b"39, State-gov, Bachelors, <=50K\n50, Private, HS, >50K\n38, State-gov, HS, <=50K\n",
    &["the value \"State-gov\" in the first line", "a header", "such as `x1,x2,…,x4`"]
)]
#[case::not_gzip(b"\x1f\x8b\x08broken", &["cannot be read"])]
fn messy_files_are_refused_with_the_way_out(#[case] bytes: &[u8], #[case] parts: &[&str]) {
    let folder = Folder::new();
    let error = folder.load("t.csv", bytes, &Options::default()).map(drop).unwrap_err();
    fails(Err::<(), _>(&error), parts);
    assert!(error.contains("t.csv") && error.contains("expected"), "{error}");
}

#[test]
#[cfg(not(feature = "parquet"))]
fn parquet_needs_a_feature() {
    let error = Folder::new().load("t.parquet", "PAR1", &Options::default());
    fails(error, &["t.parquet", "--features parquet", "convert"]);
}

#[test]
#[cfg(feature = "parquet")]
fn parquet_gives_the_inputs_of_csv() {
    use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, FloatType};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;
    let schema = "message t {
        REQUIRED DOUBLE a; OPTIONAL FLOAT b; REQUIRED BYTE_ARRAY word (UTF8);
        REQUIRED BYTE_ARRAY y (UTF8);
    }";
    let (rows, folder) = (40, Folder::new());
    let word = |i: usize| ["red", "green"][i % 2];
    let class = |i: usize| ["x", "y"][i / 2 % 2];
    let has_b = |i: &usize| !i.is_multiple_of(7);
    let text = |words: &dyn Fn(usize) -> &'static str| -> Vec<ByteArray> {
        (0..rows).map(|i| ByteArray::from(words(i))).collect()
    };
    let schema = std::sync::Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder();
    let properties = properties.set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut file = SerializedFileWriter::new(vec![], schema, properties.into()).unwrap();
    let mut group = file.next_row_group().unwrap();
    let a: Vec<f64> = (0..rows).map(|i| i as f64 / 3.).collect();
    let b: Vec<f32> = (0..rows).filter(has_b).map(|i| i as f32 / 3.).collect();
    let levels: Vec<i16> = (0..rows).map(|i| i16::from(has_b(&i))).collect();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<DoubleType>().write_batch(&a, None, None).unwrap();
    column.close().unwrap();
    let mut column = group.next_column().unwrap().unwrap();
    column.typed::<FloatType>().write_batch(&b, Some(&levels), None).unwrap();
    column.close().unwrap();
    for words in [text(&word), text(&class)] {
        let mut column = group.next_column().unwrap().unwrap();
        column.typed::<ByteArrayType>().write_batch(&words, None, None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    let parquet = file.into_inner().unwrap();
    let cell = |i: usize| match has_b(&i) {
        true => f64::from(i as f32 / 3.).to_string(),
        false => String::new(),
    };
    let line = |i: usize| format!("{},{},{},{}\n", a[i], cell(i), word(i), class(i));
    let csv = format!("a,b,word,y\n{}", (0..rows).map(line).collect::<String>());
    let read = |name: &str, bytes: &[u8]| folder.load(name, bytes, &Options::default());
    let (data, expected) =
        (read("t.parquet", &parquet).unwrap(), read("t.csv", csv.as_bytes()).unwrap());
    assert_equal(&data, &expected);
    assert_eq!(data.preprocess, expected.preprocess);
    let path = folder.write("new.parquet", &parquet);
    let x = whole(&folder.write("new.csv", &csv), &data.preprocess, None).unwrap().x;
    assert_eq!(whole(&path, &data.preprocess, None).unwrap().x, x);
    fails(read("t.parquet", &parquet[..parquet.len() / 2]), &["t.parquet", "intact Parquet file"]);
    fails(read("t.parquet", b"PAR1"), &["t.parquet", "intact Parquet file"]);
}

#[test]
fn twenty_thousand_columns_are_read_in_seconds() {
    const WIDTH: usize = 20_000;
    let cell = |i: usize, j: usize| match j {
        _ if j.is_multiple_of(100) => ["red", "blue"][(i + j) % 2].to_string(),
        _ if j.is_multiple_of(7) && i.is_multiple_of(5) => String::new(),
        _ => format!("{}.5", (i * j) % 101),
    };
    let line = |i: usize| {
        let cells: Vec<_> = (0..WIDTH).map(|j| cell(i, j)).collect();
        format!("{},{}\n", cells.join(","), ["x", "y"][i % 2])
    };
    let names: Vec<_> = (0..WIDTH).map(|j| format!("x{j}")).collect();
    let body: String = (0..40).map(line).collect();
    let text = format!("{},y\n{body}", names.join(","));
    let (folder, start) = (Folder::new(), Instant::now());
    let data = folder.load("t.csv", text, &Options::default()).unwrap();
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(data.preprocess.inputs > WIDTH);
    let table = data.preprocess.table.as_ref().unwrap();
    assert_eq!(table[100].encoding.to_string(), "2 categories: blue, red");
    assert!(matches!(&table[7], Column { encoding: Encoding::Number { missing: 1.., .. }, .. }));
}

#[test]
fn last_named_column_is_the_target() {
    let line = |i: usize| format!("{},{},\n", i, ["x", "y"][i % 2]);
    let text = format!("a,kind,\n{}", (0..20).map(line).collect::<String>());
    let data = Folder::new().load("t.csv", text, &Options::default()).unwrap();
    assert_eq!(data.preprocess.target.as_deref(), Some("kind"));
    assert_eq!(data.preprocess.columns.as_deref().unwrap(), ["a"]);
    assert_eq!(array![data.train.len(), data.test.len()], array![16, 2]);
}
