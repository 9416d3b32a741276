//! The table of a table's columns at the start of training.
use crate::cli::{Context, show};
use crate::data::{Dataset, Encoding};

/// The maximum number of columns that are shown.
const SHOWN: usize = 30;

/// The maximum number of characters of a name and of its description.
const CHARACTERS: usize = 60;

/// Print each column of a table, and what it becomes. Columns that are left out come first if not
/// all columns are shown.
pub fn introduce(data: &Dataset, context: &Context) {
    let Some(columns) = &data.preprocess.table else { return };
    let mut columns: Vec<_> = columns.iter().collect();
    if columns.len() > SHOWN {
        let rank = |encoding: &Encoding| match encoding {
            Encoding::LeftOut { .. } => 0,
            Encoding::Categories { .. } => 1,
            Encoding::Number { missing, .. } => {
                if *missing > 0 {
                    1
                } else {
                    2
                }
            }
        };
        columns.sort_by_key(|column| rank(&column.encoding));
    }
    let row = |name: &str, text: &str| (format!("  {}", cut(name)), cut(text));
    let shown = columns.iter().take(SHOWN);
    let mut rows: Vec<_> =
        shown.map(|column| row(&column.name, &column.encoding.to_string())).collect();
    if columns.len() > SHOWN {
        rows.push(row("…", &format!("and {} more", columns.len() - SHOWN)));
    }
    rows.extend(data.preprocess.target.as_ref().map(|name| row(name, "target")));
    context.say(format!("columns of {}:\n{}", data.name, show::table(rows)));
}

/// The first characters of a text.
fn cut(text: &str) -> String {
    let text = text.replace(['\n', '\r', '\t'], " ");
    match text.char_indices().nth(CHARACTERS) {
        None => text,
        Some((end, _)) => format!("{} …", &text[..end]),
    }
}
