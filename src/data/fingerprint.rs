//! Is this the data a run was trained on?
use super::{Dataset, Split, Targets};
use sha2::{Digest, Sha256};

impl Dataset {
    /// SHA-256 of every number in the three splits, in order. Saved with a run, so that a file that
    /// changed under it is noticed and not silently trained on.
    #[expect(clippy::missing_panics_doc, reason = "invariants of this module")]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for Split { x, y } in [&self.train, &self.validation, &self.test] {
            hash.update(bytemuck::cast_slice(x.as_slice().expect("row-major")));
            match y {
                Targets::Classes(y) => {
                    y.iter().for_each(|&y| hash.update((y as u64).to_le_bytes()))
                }
                Targets::Values(y) => hash.update(bytemuck::cast_slice(y)),
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
