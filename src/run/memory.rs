//! Whether a training fits into the memory that is free, before any of it is allocated.
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::nn::optim::Update;
use crate::run::Config;
use std::fs;

/// Check that the parameters, the optimiser's moments and the activations of one layer fit into
/// the free memory. `config` must be resolved. This is a lower bound: training may need a few times
/// as much.
///
/// # Errors
/// If they do not fit.
pub fn check(config: &Config, data: &Dataset) -> Result<()> {
    let sizes = config.sizes(&data.into())?;
    let arrays = match config.train.optimiser {
        Update::Sgd { .. } => 2,
        Update::Adam { .. } => 3,
    };
    // A flow of linear layers has half of the estimated weights.
    let entries = (sizes.weights / 2).saturating_mul(arrays).saturating_add(sizes.step);
    let (need, free) = (entries.saturating_mul(size_of::<f32>()) as u64, free());
    match free.filter(|&free| need > free) {
        None => Ok(()),
        Some(free) => Err(Error::invalid(
            "memory",
            format!("a training that needs more than {} MB", need >> 20),
            format!("at most {} MB, which are free", free >> 20),
            "Make primary.layers (--hidden), train.batch (--batch) or train.samples smaller, or \
             free some memory.",
        )),
    }
}

/// The bytes that this process can still allocate, if the system reports them: the free memory of
/// the machine, within the limits of the process and of its container.
pub fn free() -> Option<u64> {
    let kilobytes = |file: &str, key: &str| {
        let text = fs::read_to_string(file).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.trim().trim_end_matches(" kB").parse::<u64>().ok()? * 1024)
    };
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let space = limits.lines().find_map(|line| line.strip_prefix("Max address space"));
    let space = space.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    let used = kilobytes("/proc/self/status", "VmSize:").unwrap_or(0);
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let all = [
        kilobytes("/proc/meminfo", "MemAvailable:"),
        space.map(|space| space.saturating_sub(used)),
        container.and_then(|text| text.trim().parse().ok()),
    ];
    all.into_iter().flatten().min()
}
