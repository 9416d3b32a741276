//! Defends: the licence of every crate of the build is allowed by `deny.toml`.
use serde_json::Value;
use spdx::expression::Expression;
use spdx::{LicenseReq, ParseMode};
use std::process::Command;

fn said(program: &str, args: &[&str]) -> String {
    let found = Command::new(program).args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    let found = found.unwrap();
    assert!(found.status.success(), "{}", String::from_utf8_lossy(&found.stderr));
    String::from_utf8(found.stdout).unwrap()
}

/// The names of an array of strings.
fn names(value: &toml::Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_string()).collect()
}

#[test]
fn licences_of_all_crates_are_allowed() {
    let text = include_str!("../../deny.toml");
    let licences = &toml::from_str::<toml::Table>(text).unwrap()["licenses"];
    let allowed = names(&licences["allow"]);
    let exceptions: Vec<_> = licences["exceptions"].as_array().unwrap().iter().collect();
    let version = said("rustc", &["-vV"]);
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let args = ["metadata", "--format-version", "1", "--locked", "--offline"];
    let metadata = said(env!("CARGO"), &[&args[..], &["--filter-platform", host]].concat());
    let metadata: Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 100, "{} packages", packages.len());
    for package in packages {
        let name = package["name"].as_str().unwrap();
        let licence = package["license"].as_str().unwrap_or_else(|| panic!("{name}: no licence"));
        let own = exceptions.iter().filter(|exception| exception["crate"].as_str() == Some(name));
        let own: Vec<_> = own.flat_map(|exception| names(&exception["allow"])).collect();
        let is_allowed = |req: &LicenseReq| {
            let licence = req.to_string();
            allowed.contains(&licence) || own.contains(&licence)
        };
        let expression = Expression::parse_mode(licence, ParseMode::LAX).unwrap();
        assert!(expression.evaluate(is_allowed), "{name}: {licence} is not allowed by deny.toml");
    }
}
