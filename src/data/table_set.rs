//! A data set from a table, or from one table for each part.
use super::columns::{Column, Encoding, Replaced};
use super::dataset::{Dataset, Missing, Options};
use super::examples::{Examples, Parts, divide, left_out};
use super::files;
use super::kinds::Kind;
use super::preprocess::Preprocess;
use super::table::{Encoded, Table};
use super::target::Targets;
use crate::error::{Error, Result, list};
use ndarray::{Array2, Axis};
use std::io::BufRead;
use std::path::Path;

/// The name that pandas gives to a column without a name.
const UNNAMED: &str = "Unnamed: 0";

/// Reads a table, recognises the kinds of its columns, guesses the task if it is not given, splits
/// the rows, and fits encodings and standardisation to the training rows.
pub(super) fn load(path: &Path, file: impl BufRead, options: &Options) -> Result<Dataset> {
    let mut table = Table::open(path, file, files::LIMIT)?;
    table.next(usize::MAX)?;
    table.check_names()?;
    if table.columns.len() == 1 {
        let expected = "a target and at least one feature, with commas, semicolons, tabs or | \
                        between them";
        let advice = "Write the file with one of these, or add columns.";
        return Err(Error::invalid(&table.path, "a single column", expected, advice));
    }
    let target = match &options.target {
        Some(name) => table.find([name])?[0],
        // Lines that end with a separator have a last column without a name.
        None => table.columns.iter().rposition(|name| !name.is_empty()).unwrap_or(0),
    };
    let mut dropped = drop_missing(&mut table, &[target], options);
    if table.rows.is_empty() {
        let advice = "Name another column: --target COLUMN.";
        let found = format!("no value of the target {:?}", table.columns[target]);
        return Err(Error::invalid(&table.path, found, "a value in some rows", advice));
    }
    let mut notes: Vec<String> = table.note.take().into_iter().collect();
    let kinds = kinds(&table, target, options, &mut notes)?;
    let used: Vec<usize> = kinds.iter().filter(|(_, k)| is_used(k)).map(|(i, _)| *i).collect();
    if options.missing == Missing::Drop {
        dropped += table.drop_missing(&used);
    }
    let mut parts = given_parts(&table, options)?;
    let mut sources = vec![Source { table, at: used, target }];
    let others = [(&options.validation, &mut parts.validation), (&options.test, &mut parts.test)];
    for (path, part) in others {
        let Some(path) = path else { continue };
        let (source, count) = Source::open(path, &sources[0], options)?;
        notes.extend(source.table.note.clone());
        dropped += count;
        let first = sources.iter().map(|source| source.table.rows.len()).sum::<usize>();
        part.extend(first..first + source.table.rows.len());
        sources.push(source);
    }
    let table = &sources[0].table;
    let (parts, small) = divide(&table.path, parts, options)?;
    let column = |(i, kind): (usize, Kind)| {
        let cells = parts[0].iter().map(|&row| &table.rows[row].cells[i]);
        let encoding = kind.fit(cells, options.missing == Missing::Refuse);
        Column { name: table.columns[i].clone(), encoding }
    };
    let columns: Vec<Column> = kinds.into_iter().map(column).collect();
    let is_input = |column: &&Column| !matches!(column.encoding, Encoding::LeftOut { .. });
    let used: Vec<&Column> = columns.iter().filter(is_input).collect();
    let (x, unseen, y) = encode(&sources, &used)?;
    notes.extend(table.doubt(target, &y.labels[..table.rows.len()]));
    notes.extend(unseen.map(|Replaced { cells, first }| {
        format!("values that do not occur in the training rows: {cells}; the first: {first}")
    }));
    notes.extend(left_out(dropped, options.missing).into_iter().chain(small));
    let chosen = y.choose(options.task)?;
    let (x, fitted) = Preprocess::fit_transform(&table.path, &x, &parts[0])?;
    let names = used.iter().flat_map(|column| column.inputs()).collect();
    let preprocess = Preprocess {
        columns: Some(names),
        target: Some(table.columns[target].clone()),
        table: Some(columns),
        ..fitted
    };
    let (what, name) = (&*table.path, files::name(path, false));
    Examples { what, name, image: None, x, chosen, notes, preprocess }.split(&parts)
}

/// The inputs, the words that did not occur in training, and the targets of all tables.
fn encode(
    sources: &[Source<'_>],
    columns: &[&Column],
) -> Result<(Array2<f64>, Option<Replaced>, Targets)> {
    let encode = |Source { table, at, target }: &Source<'_>| -> Result<_> {
        Ok((table.encode(at, columns)?, table.targets(*target)?))
    };
    let (Encoded { mut x, mut unseen, .. }, mut y) = encode(&sources[0])?;
    for source in &sources[1..] {
        let (next, targets) = encode(source)?;
        x.append(Axis(0), next.x.view()).expect("the same columns");
        unseen = Replaced::chain(unseen, next.unseen);
        y.extend(targets);
    }
    Ok((x, unseen, y))
}

fn is_used(kind: &Kind) -> bool {
    !matches!(kind, Kind::LeftOut(_))
}

/// Removes the rows without a value in one of these columns, unless they are refused later; returns
/// their number.
fn drop_missing(table: &mut Table<'_>, columns: &[usize], options: &Options) -> usize {
    if options.missing == Missing::Refuse { 0 } else { table.drop_missing(columns) }
}

/// The kind of each column but the target, and notes on those that are left out.
///
/// # Errors
/// If a cell contradicts the kind of its column, or all columns are left out.
fn kinds(
    table: &Table<'_>,
    target: usize,
    options: &Options,
    notes: &mut Vec<String>,
) -> Result<Vec<(usize, Kind)>> {
    let dropped = table.find(&options.drop)?;
    let split = options.split.as_ref().map(|name| table.find([name])).transpose()?;
    if dropped.contains(&target) || split.as_ref().is_some_and(|split| split[0] == target) {
        let found = format!("the target {:?}", table.columns[target]);
        let advice = "Name another column, or another target with --target.";
        return Err(Error::invalid("--drop or --split", found, "another column", advice));
    }
    let kind = |i: usize| {
        let name = &table.columns[i];
        let left_out = |why: &str| Ok(Kind::LeftOut(why.to_owned()));
        match i {
            _ if dropped.contains(&i) => left_out("by --drop"),
            _ if split.as_ref().is_some_and(|split| split[0] == i) => left_out("by --split"),
            0 if name.is_empty() => left_out("an index"),
            0 if name == UNNAMED => left_out("an index"),
            _ => Kind::of(table, i),
        }
    };
    let others = (0..table.columns.len()).filter(|&i| i != target);
    let kinds = others.map(|i| Ok((i, kind(i)?))).collect::<Result<Vec<_>>>()?;
    let mut own = vec![];
    for (i, kind) in &kinds {
        match kind {
            Kind::LeftOut(why) if why == "an index" && table.columns[*i].is_empty() => {
                notes.push("the first column, without a name, is left out".into());
            }
            Kind::LeftOut(why) if !why.starts_with("by --") => {
                own.push(format!("{:?} ({why})", table.columns[*i]));
            }
            _ => {}
        }
    }
    if !kinds.iter().any(|(_, kind)| is_used(kind)) {
        let found = format!("no column to predict from: left out are {}", list(own));
        let expected = "at least one of numbers or categories";
        let advice = "Add such a column, or name another target with --target.";
        return Err(Error::invalid(&table.path, found, expected, advice));
    }
    notes.extend((!own.is_empty()).then(|| format!("columns left out: {}", list(own))));
    Ok(kinds)
}

/// The rows of the main table by the column that tells their part; all are to be divided if there
/// is none.
///
/// # Errors
/// If a cell names no part.
fn given_parts(table: &Table<'_>, options: &Options) -> Result<Parts> {
    let Some(name) = &options.split else { return Ok(Parts::of(table.rows.len())) };
    let (column, mut parts) = (table.find([name])?[0], Parts::default());
    for (i, row) in table.rows.iter().enumerate() {
        let cell = &row.cells[column];
        let part = match &*cell.to_lowercase() {
            "train" | "training" => &mut parts.pool,
            "validation" | "valid" | "val" | "dev" => &mut parts.validation,
            "test" => &mut parts.test,
            _ => {
                let (what, found) = (table.place(row, column), format!("{cell:?}"));
                let expected = "train, validation or test";
                return Err(Error::invalid(what, found, expected, "Correct the line."));
            }
        };
        part.push(i);
    }
    Ok(parts)
}

/// A table, and where its columns are.
struct Source<'a> {
    table: Table<'a>,
    /// Indices of the columns that become inputs.
    at: Vec<usize>,
    /// Index of the target.
    target: usize,
}

impl Source<'_> {
    /// Opens a table of validation or test rows, whose columns are found by their names in the main
    /// table; also returns the number of rows left out for missing values.
    fn open(path: &Path, main: &Source<'_>, options: &Options) -> Result<(Self, usize)> {
        if !files::is_table(path) {
            let expected = "a table, as the training file is";
            let advice = "Convert it to CSV.";
            return Err(Error::invalid(path.display(), "another format", expected, advice));
        }
        let mut file = files::open(path)?;
        let what = path.display().to_string();
        files::within(&what, files::left(&mut file).unwrap_or(0), files::LIMIT)?;
        let mut table = Table::open(path, file, files::LIMIT)?;
        table.next(usize::MAX)?;
        let at = table.find(main.at.iter().map(|&i| &main.table.columns[i]))?;
        let target = table.find([&main.table.columns[main.target]])?[0];
        let mut dropped = drop_missing(&mut table, &[target], options);
        if options.missing == Missing::Drop {
            dropped += table.drop_missing(&at);
        }
        if table.rows.is_empty() {
            let advice = "Add rows, or leave the file out.";
            return Err(Error::invalid(what, "no row with all values", "at least one", advice));
        }
        Ok((Self { table, at, target }, dropped))
    }
}
