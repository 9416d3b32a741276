//! Defends: `predict` reads inputs of any size in blocks, and writes as it reads.
use crate::common::Folder;
use crate::npz::NpzWriter;
use crate::refused;
use bhn::data;
use bhn::predict::{Predictive, draw, predict};
use bhn::random::{Purpose, stream};
use bhn::run::Trained;
use ndarray::{Array1, Array2};
use ndarray_npy::write_npy;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

/// Rows for a model of [`Folder::trained`], a few more than three blocks.
fn rows(fault: &str) -> String {
    let row = |i: usize| format!("{}.5,{}\n", i % 7, i % 11);
    let text: String = (0..25_000).map(row).collect();
    format!("length,weight\n{text}{fault}")
}

/// Names of the files of a folder.
fn names(folder: &Folder) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn streamed_predictions_are_bitwise_identical() {
    let folder = Folder::new();
    let run = folder.trained();
    let path = folder.write("long.csv", rows(""));
    let few = Array2::from_shape_fn((3, 2), |(n, i)| (n + i) as f32);
    write_npy(folder.path("few.npy"), &few).unwrap();
    let Trained { model, header, .. } = Trained::load(&run).unwrap();
    let (theta, _) = draw(&model, 20, &mut stream(header.config.seed, Purpose::Evaluation, 0));
    let mut expected = "index,input,label,p_cat,p_dog,entropy,bald,mean_std,far\n".to_string();
    let mut index = 0;
    for path in [&folder.path("few.npy"), &path, &folder.path("few.npy")] {
        let mut whole = data::inputs(path, &header.preprocess, None, usize::MAX).unwrap();
        let input = whole.next().unwrap().unwrap();
        let found = predict(&model, &theta, input.x.view());
        let Predictive::Classes { p, entropy, bald, mean_std, .. } = found else {
            panic!("classes")
        };
        for (i, name) in input.names.iter().enumerate() {
            let (cat, dog) = (p[[i, 0]], p[[i, 1]]);
            let label = if cat >= dog { "cat" } else { "dog" };
            let numbers = [cat, dog, entropy[i], bald[i], mean_std[i]];
            let numbers = numbers.map(|x| serde_json::json!(x).to_string()).join(",");
            let far = input.outside.as_ref().is_some_and(|outside| outside.each[i]);
            expected += &format!("{index},{name},{label},{numbers},{}\n", u8::from(far));
            index += 1;
        }
    }
    let files = ["predict", "run", "few.npy", "long.csv", "few.npy"];
    let args = [&files[..], &["--samples", "20", "--digits", "17"]].concat();
    let output = folder.bhn().args(&args).assert().success().get_output().clone();
    assert!(output.stdout == expected.as_bytes(), "not the same bytes");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("25006 predictions with 20 samples"), "{told}");
    folder.bhn().args(&args).args(["--out", "p.csv"]).assert().success().stdout("");
    assert!(fs::read(folder.path("p.csv")).unwrap() == expected.as_bytes(), "not the same bytes");
}

#[test]
fn late_error_leaves_no_output_file() {
    let folder = Folder::new();
    folder.trained();
    folder.write("long.csv", rows("1,two\n"));
    folder.write("p.csv", "of old");
    let before = names(&folder);
    let predict = ["predict", "run", "long.csv", "--samples", "5"];
    let parts = ["long.csv", "line 25002", "\"weight\"", "\"two\"", "finite"];
    refused(folder.bhn().args(predict).args(["--out", "p.csv"]), &parts);
    assert_eq!(names(&folder), before);
    assert_eq!(fs::read(folder.path("p.csv")).unwrap(), b"of old");
    // Standard output has the blocks before the fault.
    let failed = folder.bhn().args(predict).assert().code(1).get_output().clone();
    assert!(failed.stdout.starts_with(b"index,input,") && failed.stdout.ends_with(b"\n"));
    // A fault at the start of a file is reported before anything is predicted.
    refused(folder.bhn().args(predict).arg("none.csv"), &["none.csv", "no such file"]);
}

#[test]
fn closed_stdout_ends_predict_silently() {
    let folder = Folder::new();
    folder.trained();
    folder.write("long.csv", rows(""));
    for json in [&[][..], &["--json"]] {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("bhn"))
            .current_dir(folder.path(""))
            .args(["predict", "run", "long.csv", "--samples", "5"])
            .args(json)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.contains("index"), "{line}");
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{:?}", output.status);
        assert!(output.stderr.is_empty(), "{:?}", String::from_utf8(output.stderr));
    }
}

/// The reader of standard error may close it: the run continues, and an error keeps its exit code.
#[test]
fn closed_stderr_keeps_exit_code() {
    let folder = Folder::new();
    let train = ["train", "mnist", "--subset", "300", "--hidden", "4", "--epochs", "2"];
    for (args, code) in
        [(&train[..], 0), (&["train", "--no-such-flag"], 2), (&["eval", "nowhere"], 1)]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut bhn = std::process::Command::new(assert_cmd::cargo::cargo_bin("bhn"));
        bhn.current_dir(folder.path("")).args(args).env("XDG_CACHE_HOME", "/nowhere");
        let status = bhn.stdout(Stdio::null()).stderr(writer).status().unwrap();
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}

/// A sparse file of 400 MB of zeros is read in less than a quarter of that memory.
#[test]
#[cfg(target_os = "linux")]
fn large_file_is_read_in_bounded_memory() {
    const ROWS: u64 = 25_000;
    const WIDTH: u64 = 16_000;
    let folder = Folder::new();
    let mut npz = NpzWriter::new_compressed(File::create(folder.path("a.npz")).unwrap());
    npz.add_array("x", &Array2::<u8>::zeros((20, WIDTH as usize))).unwrap();
    npz.add_array("y", &Array1::from_shape_fn(20, |n| (n % 2) as u8)).unwrap();
    npz.finish().unwrap();
    let train = ["train", "a.npz", "--hidden", "2", "--couplings", "0", "--epochs", "1"];
    folder.bhn().args(train).args(["--samples", "2", "--out", "run"]).assert().success();
    let header =
        format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({ROWS}, {WIDTH}), }}");
    let mut file = File::create(folder.path("large.npy")).unwrap();
    file.write_all(b"\x93NUMPY\x01\x00\x76\x00").unwrap();
    file.write_all(format!("{header:117}\n").as_bytes()).unwrap();
    file.set_len(128 + ROWS * WIDTH).unwrap();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("bhn"))
        .current_dir(folder.path(""))
        .args(["--threads", "2", "predict", "run", "large.npy", "--samples", "50", "--quiet"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let (mut lines, mut peak) = (0, 0);
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        line.unwrap();
        lines += 1;
        if lines % 100 == 0 {
            let status = fs::read_to_string(&status).unwrap_or_default();
            let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let kilobytes = kilobytes.and_then(|text| text.trim().strip_suffix(" kB"));
            peak = kilobytes.map_or(peak, |text| text.parse::<u64>().unwrap() << 10);
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!(lines, 1 + ROWS);
    println!("peak {} MB for a file of {} MB", peak >> 20, (ROWS * WIDTH) >> 20);
    assert!(peak > 0 && peak < ROWS * WIDTH / 4, "{peak} bytes of memory");
}

/// The output of another program can be read through a pipe.
#[test]
#[cfg(target_os = "linux")]
fn predict_reads_from_a_pipe() {
    let folder = Folder::new();
    folder.trained();
    write_npy(folder.path("a.npy"), &Array2::from_shape_fn((9, 2), |(n, i)| (n * i) as f32))
        .unwrap();
    let mut bytes = fs::read(folder.path("a.npy")).unwrap();
    let predict = |file: &str| {
        let mut command = folder.bhn();
        command.args(["predict", "run", file, "--samples", "5"]);
        command
    };
    let plain = predict("a.npy").assert().success().get_output().stdout.clone();
    let piped = predict("/dev/stdin").write_stdin(bytes.clone()).assert().success();
    let piped = String::from_utf8(piped.get_output().stdout.clone()).unwrap();
    assert_eq!(piped.replace("stdin#", "a.npy#"), String::from_utf8(plain).unwrap());
    bytes.pop();
    refused(predict("/dev/stdin").write_stdin(bytes), &["/dev/stdin", "the end after 71"]);
}
