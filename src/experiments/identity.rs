//! Which experiment, version and tier a folder belongs to.
use super::tier::Tier;
use crate::data::files;
use crate::error::{Error, Result};
use crate::run::atomic;
use crate::run::lock::Lock;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Version of the folder's layout.
const FORMAT: u32 = 1;

/// Largest accepted size of a `lab.json`, in bytes.
const BYTES: u64 = 1 << 16;

/// `lab.json`.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Identity {
    format: u32,
    experiment: String,
    version: u32,
    tier: Tier,
}

impl Identity {
    /// The identity of a folder of this program.
    pub fn new(experiment: &str, version: u32, tier: Tier) -> Self {
        Self { format: FORMAT, experiment: experiment.into(), version, tier }
    }

    /// Whether the two differ at most in the version of the protocol.
    fn is_like(&self, other: &Self) -> bool {
        let of = |id: &Self| (id.format, id.experiment.clone(), id.tier);
        of(self) == of(other)
    }
}

/// Lock `dir`, and return the version of its cells. If it is empty, write `own` to `lab.json`;
/// otherwise check that `lab.json` is equal to `own`, or of a `readable` version if nothing is
/// computed.
pub(super) fn identify(
    dir: &Path,
    own: &Identity,
    readable: u32,
    computes: bool,
) -> Result<(Lock, u32)> {
    let path = dir.join("lab.json");
    let words = |of: &Identity| {
        let Identity { format, experiment, version, tier } = of;
        format!("experiment `{experiment}` (version {version}.{format}) at tier {tier}")
    };
    let refuse =
        |found: String, advice: &str| Err(Error::invalid(dir.display(), found, words(own), advice));
    let advice = "Choose another folder with --out, or remove it.";
    if path.exists() {
        let text = files::regular_text(&path, BYTES)?;
        let Ok(found) = serde_json::from_str::<Identity>(&text) else {
            return refuse("a lab.json of another kind".into(), advice);
        };
        let version = found.version;
        let is_readable = (readable..=own.version).contains(&version) && found.is_like(own);
        return match is_readable {
            true if version == own.version || !computes => Ok((Lock::take(dir)?, version)),
            true => {
                let advice = "Choose another folder with --out, or draw its page with --cached.";
                refuse(words(&found), advice)
            }
            false => refuse(words(&found), advice),
        };
    }
    if !Lock::is_vacant(dir)? {
        return refuse("a folder with other files".into(), advice);
    }
    let lock = Lock::take(dir)?;
    let json = serde_json::to_string_pretty(own).expect("numbers and text") + "\n";
    atomic::write(&path, json.as_bytes())?;
    Ok((lock, own.version))
}
