//! `bhn data list|check`.
use super::{Context, show};
use crate::data;
use anyhow::Result;
use serde_json::json;

/// What was typed.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Subcommand)]
enum Verb {
    /// What there is, from where, under which licence
    List,
    /// Compare the files of a data set with their published checksums
    Check {
        /// The data set
        #[arg(default_value = "mnist")]
        name: String,
    },
}

/// A table, or JSON.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let dir = context.data_dir.as_deref();
    match args.verb {
        Verb::List => {
            let all = data::list(dir);
            let place = |l: &data::Listing| l.present.clone().unwrap_or("not here".into());
            let rows = all.iter().map(|l| {
                let text = format!(
                    "{}; {}; {}; {} bytes; {}",
                    l.what,
                    l.source,
                    l.licence,
                    l.bytes,
                    place(l)
                );
                (l.name.to_string(), text)
            });
            let value: Vec<_> = all
                .iter()
                .map(|l| {
                    json!({
                        "name": l.name, "what": l.what, "source": l.source, "licence": l.licence,
                        "bytes": l.bytes, "present": l.present,
                    })
                })
                .collect();
            show::print(context, &value, &show::table(&rows.collect::<Vec<_>>()))
        }
        Verb::Check { name } => {
            let checked = data::check(&name, dir)?;
            let rows: Vec<_> = checked
                .iter()
                .map(|c| {
                    let state = c.problem.clone().unwrap_or("ok".into());
                    (c.file.clone(), format!("{} bytes  sha256 {}  {state}", c.bytes, c.sha256))
                })
                .collect();
            let value: Vec<_> = checked
                .iter()
                .map(|c| {
                    json!({
                        "file": c.file, "bytes": c.bytes, "sha256": c.sha256, "problem": c.problem,
                    })
                })
                .collect();
            show::print(context, &value, &show::table(&rows))?;
            let bad = checked.iter().filter(|c| !c.ok()).count();
            anyhow::ensure!(
                bad == 0,
                "{name}: {bad} of {} files are not as published. Replace them.",
                checked.len()
            );
            Ok(())
        }
    }
}
