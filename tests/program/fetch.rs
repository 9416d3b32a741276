//! Defends: published data sets are fetched, checked and trained on; a missing one is an error with
//! the command to fetch it.
use crate::common::{Folder, TINY};
use crate::refused;
use crate::test_data::test_data;
use predicates::prelude::*;
use predicates::str::contains;
use rstest::rstest;
use std::fs;
use std::net::TcpListener;

/// `bhn data …` in a folder, with the data folder `data`.
fn data(folder: &Folder, args: &[&str]) -> assert_cmd::Command {
    let mut command = folder.bhn();
    command.arg("data").args(args).args(["--data-dir", "data"]);
    command
}

#[test]
fn unknown_set_error_lists_known_sets() {
    let folder = Folder::new();
    let parts = ["\"imagenet\"", "mnist, fashion-mnist, kmnist", "uci/yacht", "uci or all"];
    refused(&mut data(&folder, &["fetch", "imagenet"]), &parts);
    refused(&mut data(&folder, &["check", "imagenet"]), &parts);
    refused(&mut data(&folder, &["fetch"]), &["<NAME>"]);
    assert!(!folder.path("data").exists());
}

#[test]
fn mnist_needs_no_fetching() {
    let folder = Folder::new();
    data(&folder, &["fetch", "mnist"]).assert().success().stdout(contains("inside the program"));
    assert!(!folder.path("data").exists());
}

#[test]
fn failed_download_names_address_and_alternative() {
    let folder = Folder::new();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let from = format!("http://{closed}");
    let parts = [&from, "kmnist-test-imgs.npz", "refused", "Run the command again", "--from PATH"];
    refused(&mut data(&folder, &["fetch", "kmnist", "--from", &from]), &parts);
    assert!(!folder.path("data/kmnist/kmnist-test-imgs.npz").exists());
    // Each of several sets is reported.
    let parts = ["images_background_small1.zip", "t10k-images-idx3-ubyte.gz"];
    refused(&mut data(&folder, &["fetch", "omniglot", "notmnist", "--from", &from]), &parts);
}

#[test]
fn files_that_differ_from_published_are_rejected() {
    let folder = Folder::new();
    folder.write("kmnist-test-imgs.npz", "not it");
    let found = ["kmnist-test-imgs.npz", "6 bytes", "expected 3079479"];
    refused(&mut data(&folder, &["fetch", "kmnist", "--from", "."]), &found);
    folder.write("kmnist-test-imgs.npz", vec![7; 3_079_479]);
    let found = ["SHA-256", "692d824896bec8f3c357ebf7a0fe904ed67ac632ce953d0b58f7fbef7bb27d87"];
    refused(&mut data(&folder, &["fetch", "kmnist", "--from", "kmnist-test-imgs.npz"]), &found);
    // An empty folder would look like a part of the set.
    assert!(!folder.path("data/kmnist").exists());
    let found = ["omniglot", "none of its files", "images_background_small1.zip"];
    refused(&mut data(&folder, &["fetch", "omniglot", "--from", "."]), &found);
    refused(&mut data(&folder, &["fetch", "omniglot", "--from", "nowhere"]), &["nowhere"]);
}

#[rstest]
#[case("fashion-mnist")]
#[case("cifar-10")]
#[case("uci/yacht")]
fn missing_set_error_names_fetch_command(#[case] name: &str) {
    let folder = Folder::new();
    let get = format!("`bhn data fetch {name}");
    fs::create_dir(folder.path("data")).unwrap();
    let train = ["train", name, "--data-dir", "data"];
    refused(folder.bhn().args(train), &[&get, "no folder", "data"]);
    refused(&mut data(&folder, &["check", name]), &[&get]);
    refused(folder.bhn().args(["train", name]), &[&get]);
    fs::create_dir_all(folder.path("data").join(name)).unwrap();
    refused(folder.bhn().args(train), &[&get, "only some of its files"]);
    assert!(!folder.path("runs").exists());
}

#[test]
fn every_set_is_listed_with_its_licence() {
    let folder = Folder::new();
    let listed = data(&folder, &["list"]).assert().success();
    let text = String::from_utf8(listed.get_output().stdout.clone()).unwrap();
    for part in ["kmnist", "cifar-10", "uci/yacht", "CC BY-NC 4.0", "not here"] {
        assert!(text.contains(part), "{part:?} is not in: {text}");
    }
}

#[test]
fn fetched_set_trains_and_damage_is_detected() {
    let Some(source) = test_data("uci/yacht") else { return };
    let folder = Folder::new();
    let from = source.to_str().unwrap();
    let fetch = ["fetch", "uci/yacht", "--from", from];
    data(&folder, &fetch).assert().success().stdout(contains("as published"));
    data(&folder, &fetch).assert().success().stdout(contains("there already"));
    let check = data(&folder, &["check"]).assert().success();
    check.stdout(contains("inside the program").and(contains("index_test_19.txt")));
    let train = ["train", "uci/yacht/3", "--data-dir", "data"];
    folder.bhn().args(train).args(TINY).assert().success();
    let eval = ["eval", "runs/uci-yacht-3-bhn-0", "--data-dir", "data"];
    folder.bhn().args(eval).assert().success().stdout(contains("RMSE"));
    let parts = ["split of uci/yacht", "\"20\"", "0 to 19"];
    refused(folder.bhn().args(["train", "uci/yacht/20", "--data-dir", "data"]), &parts);

    let path = "data/uci/yacht/data.txt";
    let text = fs::read_to_string(folder.path(path)).unwrap();
    folder.write(path, text.replacen("3.17", "3.18", 1));
    refused(folder.bhn().args(eval), &["data.txt", "SHA-256", "bhn data fetch uci/yacht"]);
    data(&folder, &["check", "uci/yacht"]).assert().code(1).stdout(contains("SHA-256"));
    data(&folder, &fetch).assert().success().stdout(contains("as published"));
    folder.bhn().args(eval).assert().success();
}
