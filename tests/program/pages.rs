//! Defends: a committed page is what one command draws from the cells beside it, byte for byte.
use crate::common::{Folder, contents};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Folders of earlier protocols: their cells stay until the experiment is computed again.
const EARLIER: [&str; 4] = ["active/paper", "cifar-10/paper", "mnist-5k/paper", "mnist/paper"];

/// The folders with cells, relative to the folder of results.
fn folders(results: &Path, below: &str) -> Vec<String> {
    let mut found = vec![];
    for entry in fs::read_dir(results.join(below)).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if name == "cells" {
            found.push(below.trim_end_matches('/').to_string());
        } else if entry.file_type().unwrap().is_dir() {
            found.extend(folders(results, &format!("{below}{name}/")));
        }
    }
    found.sort();
    found
}

#[test]
fn pages_are_drawn_from_their_cells() {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/results");
    let mut earlier = vec![];
    for name in folders(&results, "") {
        let committed = results.join(&name);
        let lab: Value =
            serde_json::from_slice(&fs::read(committed.join("lab.json")).unwrap()).unwrap();
        let (folder, word) = (Folder::new(), |key: &str| lab[key].as_str().unwrap().to_string());
        let cells = folder.path("page/cells");
        fs::create_dir_all(&cells).unwrap();
        fs::copy(committed.join("lab.json"), folder.path("page/lab.json")).unwrap();
        for (cell, bytes) in contents(&committed.join("cells")) {
            fs::write(cells.join(cell), bytes).unwrap();
        }
        let (experiment, tier) = (word("experiment"), word("tier"));
        let args = ["reproduce", &experiment, "--tier", &tier, "--cached", "--out", "page"];
        let found = folder.bhn().args(args).assert();
        if String::from_utf8_lossy(&found.get_output().stderr).contains("(version ") {
            earlier.push(name);
            continue;
        }
        found.success();
        let files = fs::read_dir(&committed).unwrap().map(|entry| entry.unwrap().path());
        for file in files.filter(|path| path.is_file()) {
            let drawn = folder.path("page").join(file.file_name().unwrap());
            let is_drawn = fs::read(drawn).is_ok_and(|drawn| drawn == fs::read(&file).unwrap());
            let file = file.display();
            assert!(is_drawn, "{file} is not what `bhn reproduce --cached` draws from the cells");
        }
    }
    assert_eq!(earlier, EARLIER);
}
