//! `bhn explore [RUN]`: an interactive page, in one file.
use super::context::Context;
use super::flags::samples;
use crate::explore::{Explore, STEPS};
use crate::run::{Target, atomic};
use anyhow::Result;
use serde_json::json;
use std::path::{Path, PathBuf};

#[derive(clap::Args)]
#[command(
    after_help = "The page has three panels: a small regression, trained now, whose noise, scales \
                  and data points can be moved; the tape of a training step, node by node; and a \
                  classifier to draw for. It needs no server and no network."
)]
pub struct Args {
    /// Run folder of a classifier of grey images [default: a small one of MNIST is trained]
    run: Option<PathBuf>,
    /// Number of posterior samples of the classifier
    #[arg(long, default_value_t = 30, value_name = "S", value_parser = samples)]
    samples: usize,
    /// Train for a few seconds only: the posteriors are rough
    #[arg(long)]
    quick: bool,
    /// Output file; - is standard output
    #[arg(long, default_value = "explore.html", value_name = "FILE")]
    out: PathBuf,
}

/// Train, and write the page.
pub fn run(args: Args, context: &Context) -> Result<()> {
    let out = Target::of_flag(Some(&args.out))?;
    let data_dir = context.data_dir.as_deref();
    let explore = Explore::new(args.run.as_deref(), args.samples, args.quick, data_dir)?;
    context.say(format!(
        "training small regressions and sampling their posteriors takes {}",
        if args.quick { "a few seconds" } else { "less than a minute on one core" }
    ));
    let bar = context.bar(STEPS, "{bar:30} {pos}/{len} {elapsed}");
    bar.tick();
    let page = explore.page(&|| bar.inc(1))?;
    bar.finish_and_clear();
    atomic::write_to(&out, page.as_bytes())?;
    if out.is_stdout() {
        return Ok(());
    }
    let name = |path: &Path| path.display().to_string();
    let about = json!({ "page": name(out.name()), "bytes": page.len() });
    let size = page.len() as f64 / 1e6;
    context.print(&about, &format!("{}: {size:.1} MB; open it in a browser", name(out.name())))
}
