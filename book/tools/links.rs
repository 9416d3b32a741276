//! Links of the built pages: every file and every anchor on this machine exists.
use anyhow::Result;
use std::collections::HashMap;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// Every link in the HTML files of `folder` whose target does not exist.
///
/// # Errors
/// If a page cannot be read.
pub fn broken(folder: &Path) -> Result<Vec<String>> {
    let (mut pages, mut found) = (HashMap::new(), vec![]);
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "html") {
            pages.insert(path.clone(), fs::read_to_string(path)?);
        }
    }
    let ids: HashMap<_, Vec<String>> =
        pages.iter().map(|(path, page)| (path, attributes(page, "id"))).collect();
    for (path, page) in &pages {
        for link in [attributes(page, "href"), attributes(page, "src")].concat() {
            let is_elsewhere = ["http:", "https:", "data:", "mailto:"];
            if link.is_empty() || is_elsewhere.iter().any(|scheme| link.starts_with(scheme)) {
                continue;
            }
            let (file, id) = link.split_once('#').unwrap_or((&link, ""));
            let target = match file {
                "" => path.clone(),
                // The page for missing pages has the root of the site as its base.
                _ => joined(folder, decoded(file).trim_start_matches('/')),
            };
            let has_id = match ids.get(&target) {
                Some(ids) => id.is_empty() || ids.contains(&decoded(id)),
                None => target.exists(),
            };
            if !has_id {
                found.push(format!("{}: {link}", path.file_name().unwrap_or_default().display()));
            }
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// The values of all attributes `name` of a page.
fn attributes(page: &str, name: &str) -> Vec<String> {
    let start = format!(" {name}=\"");
    let values = page.split(&start).skip(1).filter_map(|rest| rest.split('"').next());
    values.map(|value| value.replace("&amp;", "&")).collect()
}

/// `path` below `folder`, with `..` resolved.
fn joined(folder: &Path, path: &str) -> PathBuf {
    let mut found = folder.to_path_buf();
    for part in Path::new(path).components() {
        match part {
            Component::ParentDir => drop(found.pop()),
            Component::CurDir => {}
            part => found.push(part),
        }
    }
    found
}

/// `%CC%82` as the character it encodes.
fn decoded(link: &str) -> String {
    let mut bytes = vec![];
    let mut rest = link;
    while let Some(first) = rest.chars().next() {
        let code = rest.strip_prefix('%').and_then(|hex| hex.get(..2));
        match code.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &rest[3..];
            }
            None => {
                bytes.extend(first.to_string().bytes());
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_links_are_found() {
        let folder = std::env::temp_dir().join(format!("bhn-book-links-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let page = r##"<h1 id="k̂">a</h1> <a href="#k%CC%82"> <a href="b.html#y"> <a href="b.html">
            <a href="#z"> <img src="c.svg"> <a href="https://example.org">"##;
        fs::write(folder.join("a.html"), page).unwrap();
        fs::write(folder.join("b.html"), r#"<p id="x">"#).unwrap();
        let found = broken(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found, ["a.html: #z", "a.html: b.html#y", "a.html: c.svg"]);
    }
}
