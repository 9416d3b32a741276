//! `bhn data list|fetch|check`: published data sets and their files.
use super::fetch::{Fetched, fetch};
use super::url::without_password;
use super::{Context, show, signals};
use crate::data;
use crate::data::sources;
use anyhow::{Context as _, Result};
use etcetera::BaseStrategy;
use serde_json::json;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

/// The template of the progress bar of a download.
const DOWNLOAD: &str = "{msg:20} {bar:30} {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left";

#[derive(clap::Subcommand)]
enum Verb {
    /// List data sets, their sources and licences
    List,
    /// Download data sets into the data folder
    Fetch {
        /// Names of data sets, a family such as uci, or all
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Local folder, local file or other URL that has the published files
        #[arg(long, value_name = "PATH")]
        from: Option<OsString>,
    },
    /// Compare the files of data sets with their published checksums
    Check {
        /// Name of a data set, or a family such as uci [default: all that are present]
        name: Option<String>,
    },
}

/// The folder `bhn` in the user's cache folder.
pub fn cache() -> Option<PathBuf> {
    let strategy = etcetera::base_strategy::choose_native_strategy().ok()?;
    Some(strategy.cache_dir().join("bhn"))
}

/// List, fetch or check.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let dir = context.data_dir.as_deref();
    match args.verb {
        Verb::List => {
            let sets = data::sets();
            let rows = sets.iter().map(|set| {
                let place = set.present(dir).unwrap_or("not here".into());
                let (data::Set { what, source, licence, .. }, packed) = (set, set.packed());
                (set.name, format!("{what}; {source}; {licence}; {packed} bytes; {place}"))
            });
            let json = |set: &data::Set| {
                json!({
                    "name": set.name, "what": set.what, "source": set.source,
                    "licence": set.licence, "bytes": set.packed(), "present": set.present(dir),
                })
            };
            let value: Vec<_> = sets.iter().map(json).collect();
            context.print(&value, &show::table(rows))
        }
        Verb::Fetch { names, from } => get(&names, from.as_deref(), context),
        Verb::Check { name } => {
            let present = data::sets().into_iter().filter(|set| set.present(dir).is_some());
            let names =
                name.map_or_else(|| present.map(|set| set.name.to_string()).collect(), |n| vec![n]);
            let checked = names.iter().map(|name| data::check(name, dir));
            let checked = checked.collect::<Result<Vec<_>, _>>()?.concat();
            let rows = checked.iter().map(|c| {
                let state = if c.stand_in { "ok, a stand-in" } else { "ok" };
                let state = c.problem.as_deref().unwrap_or(state);
                (&c.file, format!("{} bytes  sha256 {}  {state}", c.bytes, c.sha256))
            });
            context.print(&checked, &show::table(rows))?;
            let bad = checked.iter().filter(|c| !c.ok()).count();
            anyhow::ensure!(
                bad == 0,
                "{}: {bad} of {} files are not as published. Replace them.",
                names.join(", "),
                checked.len()
            );
            Ok(())
        }
    }
}

/// Fetch every data set that can be fetched, then return an error with the faults of the others.
fn get(names: &[String], from: Option<&OsStr>, context: &Context) -> Result<()> {
    signals::advise("Continue with the same command.".into());
    let dir = context.data_dir.clone().or_else(cache);
    let dir = dir.context("found no cache folder of this user. Give a folder with --data-dir.")?;
    let (mut fetched, mut wrong): (Vec<Fetched>, Vec<String>) = (vec![], vec![]);
    let place = Path::new(from.unwrap_or_default()).display().to_string();
    let place = without_password(&place);
    let selected =
        names.iter().map(|name| Ok(sources::select(name)?)).collect::<Result<Vec<_>>>()?;
    for sets in &selected {
        for set in sets {
            let bar = context.bar(set.packed(), DOWNLOAD).with_message(set.name);
            let result = fetch(set, &dir, from, &bar);
            bar.finish_and_clear();
            match result {
                Ok(Some(set)) => fetched.push(set),
                Ok(None) if sets.len() > 1 => {
                    context.say(format!("{}: no files of it in {place}", set.name));
                }
                Ok(None) => wrong.push(format!(
                    "{}: found none of its files in {place}, expected {}",
                    set.name,
                    set.files.iter().map(|file| file.name).collect::<Vec<_>>().join(", ")
                )),
                Err(error) => wrong.push(error.to_string()),
            }
        }
    }
    let rows = fetched.iter().map(|set| {
        let folder = set.folder.as_ref().map_or(String::new(), |f| format!("{f}: "));
        (set.name, format!("{folder}{}", set.files))
    });
    if wrong.is_empty() || !fetched.is_empty() {
        context.print(&fetched, &show::table(rows))?;
    }
    anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}
