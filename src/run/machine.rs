//! The properties of a machine that determine the bits of results.
use crate::data::files::hex;
use crate::kernels;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The instruction set of the kernels, and the mathematical functions of the system. The bits of a
/// result depend on both, in addition to the program, the data and the settings.
///
/// Kernels with AVX-512 and with AVX2 give bitwise identical results. The portable kernels and
/// other versions of libm may round differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The instruction set, as named by [`kernels::path`].
    pub kernels: String,
    /// A digest of values of `exp`, `ln`, `tanh` and others, in `f32` and `f64`.
    pub functions: String,
}

impl Machine {
    /// The machine that runs this program.
    pub fn here() -> Self {
        let mut hash = Sha256::new();
        for i in -500..=500 {
            let x = f64::from(i) / 50. + 0.003;
            let y = x as f32;
            let wide = [x.exp(), x.tanh(), x.abs().ln(), x.abs().ln_1p(), x.sin(), x.cos()];
            let narrow = [y.exp(), y.tanh(), y.abs().ln(), y.abs().ln_1p(), y.cosh()];
            wide.iter().for_each(|v| hash.update(v.to_bits().to_le_bytes()));
            narrow.iter().for_each(|v| hash.update(v.to_bits().to_le_bytes()));
        }
        Self { kernels: kernels::path().into(), functions: hex(&hash.finalize()[..8]) }
    }

    /// Whether results are bitwise identical on both machines.
    pub fn has_bits_of(&self, other: &Self) -> bool {
        let on_x86 = |machine: &Self| machine.kernels.starts_with("avx");
        self.functions == other.functions
            && (self.kernels == other.kernels || on_x86(self) && on_x86(other))
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} kernels, libm {}", self.kernels, self.functions)
    }
}
