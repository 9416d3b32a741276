//! Which source file uses which, by the paths in `use` items and in code.
use std::collections::{BTreeMap, BTreeSet};

/// A module's path below the crate.
type Path = Vec<String>;
/// For each file, the files that it uses.
type Uses = BTreeMap<String, BTreeSet<String>>;

/// The uses among `sources`: names below `src`, and texts without comments and tests. An item that
/// a `mod.rs` re-exports belongs to the file that defines it; a re-export is not a use.
pub fn uses(sources: &[(String, String)]) -> Uses {
    let modules: BTreeMap<Path, _> = sources.iter().map(|s| (module(&s.0), s)).collect();
    let mut all = Uses::new();
    for (own, (file, text)) in &modules {
        let (mut imports, mut code) = (vec![], String::new());
        for statement in text.split_inclusive(';') {
            match statement.rfind("use ").map(|at| statement.split_at(at)) {
                Some((before, import)) if before.is_empty() || before.ends_with(['\n', ' ']) => {
                    code += before;
                    let is_export = before.ends_with("pub ") || before.ends_with(") ");
                    if !(is_export && file.ends_with("mod.rs")) {
                        expand(
                            "",
                            &import[4..import.len() - 1].replace(['\n', ' '], ""),
                            &mut imports,
                        );
                    }
                }
                _ => code += statement,
            }
        }
        let absolute = |path: &str| absolute(own, path);
        let mut paths: Vec<Path> = imports.iter().filter_map(|path| absolute(path)).collect();
        for base in ["crate::", "super::"] {
            paths.extend(
                code.split(base).skip(1).filter_map(|at| absolute(&(base.to_string() + at))),
            );
        }
        for import in paths.clone().iter().filter(|path| modules.contains_key(*path)) {
            let name = import.last().map_or(String::new(), |name| format!("{name}::"));
            for (at, _) in code.match_indices(&name) {
                let begins =
                    !code[..at].ends_with(|c: char| c.is_alphanumeric() || "_:".contains(c));
                let path = format!("crate::{}::{}", import.join("::"), &code[at + name.len()..]);
                paths.extend(absolute(&path).filter(|_| begins));
            }
        }
        let used = paths.iter().filter_map(|path| defining(&modules, path));
        all.insert(file.clone(), used.filter(|used| used != file).collect());
    }
    all
}

/// The shortest cycle through each file that is on one, beginning with its least name.
pub fn cycles(uses: &Uses) -> BTreeSet<Vec<String>> {
    let cycle = |start: &String| {
        let (mut ways, mut seen) = (vec![vec![start.clone()]], BTreeSet::new());
        while !ways.is_empty() {
            let next = |way: &Vec<String>| {
                let ends = uses[way.last().unwrap()].iter();
                ends.map(|end| [&way[..], std::slice::from_ref(end)].concat()).collect::<Vec<_>>()
            };
            ways = ways.iter().flat_map(next).collect();
            ways.retain(|way| seen.insert(way.last().unwrap().clone()));
            if let Some(way) = ways.iter_mut().find(|way| way.last() == Some(start)) {
                way.pop();
                let least = (0..way.len()).min_by_key(|&i| way[i].clone()).unwrap();
                way.rotate_left(least);
                return Some(way.clone());
            }
        }
        None
    };
    uses.keys().filter_map(cycle).collect()
}

fn module(file: &str) -> Path {
    let name = file.trim_end_matches(".rs").trim_end_matches("/mod");
    name.split('/').filter(|name| *name != "lib").map(String::from).collect()
}

/// The paths of a `use` tree.
fn expand(base: &str, tree: &str, to: &mut Vec<String>) {
    let Some((before, inside)) = tree.split_once('{') else {
        return to.push(format!("{base}{tree}"));
    };
    let (mut depth, mut start) = (0, 0);
    for (i, c) in inside.char_indices() {
        if depth == 0 && (c == ',' || c == '}') && i > start {
            expand(&format!("{base}{before}"), &inside[start..i], to);
        }
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => start = i + 1,
            _ => {}
        }
    }
}

/// A path of the module `own`, from the crate on, up to the first character that cannot be in a
/// path.
fn absolute(own: &[String], path: &str) -> Option<Path> {
    let end = path.find(|c: char| !c.is_alphanumeric() && !"_:".contains(c)).unwrap_or(path.len());
    let mut names: Vec<_> = path[..end].split("::").filter(|name| !name.is_empty()).collect();
    names.pop_if(|last| *last == "self");
    let ups = names.iter().take_while(|name| **name == "super").count();
    let base = match *names.first()? {
        "crate" => &own[..0],
        "super" => &own[..own.len().checked_sub(ups)?],
        _ => return None,
    };
    let below = names[ups.max(1)..].iter().map(|name| name.to_string());
    Some(base.iter().cloned().chain(below).collect())
}

/// The file that defines an item: its module's, or one in its module's folder.
fn defining(modules: &BTreeMap<Path, &(String, String)>, path: &[String]) -> Option<String> {
    let at = (0..=path.len()).rev().find(|&k| modules.contains_key(&path[..k]))?;
    let own = &modules[&path[..at]].0;
    let Some(name) = path.get(at) else { return Some(own.clone()) };
    let defines = |text: &str| {
        text.lines().any(|line| {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
            let kinds = ["fn", "struct", "enum", "trait", "type", "const", "static", "macro_rules"];
            let names = words.windows(2).any(|pair| kinds.contains(&pair[0]) && pair[1] == name);
            names && !line.starts_with(' ')
        })
    };
    let inside = modules.iter().filter(|(module, _)| module.starts_with(&path[..at]));
    let mut files = inside.map(|(_, source)| source).filter(|(_, text)| defines(text));
    Some(files.next().map_or(own, |(file, _)| file).clone())
}
