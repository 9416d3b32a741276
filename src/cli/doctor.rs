//! `bhn doctor`: what a report of a fault needs to say about the machine.
use super::data::cache;
use super::{Context, show};
use crate::autodiff::profile;
use crate::data;
use crate::run::machine::Machine;
use crate::run::{memory, summary};
use anyhow::Result;
use serde::Serialize;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {}

/// The output of `--json`.
#[derive(Serialize)]
struct Found {
    version: &'static str,
    commit: &'static str,
    system: String,
    processor: String,
    cores: usize,
    threads: usize,
    machine: Machine,
    multiplies_bfloat16: bool,
    /// The peak rates of all threads.
    rates: profile::Machine,
    free_memory_bytes: Option<u64>,
    data_dir: Option<PathBuf>,
    data_sets: Vec<&'static str>,
}

pub fn run(_: Args, context: &Context) -> Result<()> {
    let data_dir = context.data_dir.clone().or_else(cache);
    let sets = data::sets().into_iter();
    let present = sets.filter(|set| set.present(data_dir.as_deref()).is_some());
    let data_sets = present.map(|set| set.name).collect();
    let found = Found {
        version: env!("CARGO_PKG_VERSION"),
        commit: env!("BHN_COMMIT"),
        system: format!("{} on {}", system(), std::env::consts::ARCH),
        processor: summary::cpu(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        threads: rayon::current_num_threads(),
        machine: Machine::here(),
        multiplies_bfloat16: crate::kernels::multiplies_bf16(),
        rates: profile::Machine::measure(),
        free_memory_bytes: memory::free(),
        data_dir,
        data_sets,
    };
    let Found { machine, rates, .. } = &found;
    let bfloat16 = if found.multiplies_bfloat16 { ", AVX512-BF16" } else { "" };
    let memory = found.free_memory_bytes.map_or("unknown".into(), |b| format!("{} MB", b >> 20));
    let folder = match &found.data_dir {
        Some(dir) if dir.is_dir() => dir.display().to_string(),
        Some(dir) => format!("{} (does not exist)", dir.display()),
        None => "none".into(),
    };
    let rows = [
        ("bhn", format!("{}, commit {}", found.version, found.commit)),
        ("system", found.system.clone()),
        ("processor", found.processor.clone()),
        ("cores", format!("{}, of which {} are used", found.cores, found.threads)),
        ("kernels", format!("{}{bfloat16}", machine.kernels)),
        ("libm", machine.functions.clone()),
        (
            "peak rates, measured now",
            format!("{:.0} GFLOP/s in f32, {:.0} GB/s", rates.flops / 1e9, rates.bandwidth / 1e9),
        ),
        ("free memory", memory),
        ("data folder", folder),
        ("data sets", found.data_sets.join(", ")),
    ];
    context.print(&found, &show::table(rows))
}

/// The name of the operating system, with its version if the system reports it.
fn system() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map_or(std::env::consts::OS.into(), |name| name.trim_matches('"').to_string())
}
