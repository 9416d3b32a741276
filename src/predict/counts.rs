//! Small whole numbers in little space: compressed (zlib) and encoded in base64.
use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::ZlibDecoder, write::ZlibEncoder};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};

/// A whole number below 256 for each of `N` inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Counts(Vec<u8>);

/// Largest accepted number of inputs.
const MOST: u64 = 1 << 24;

impl Counts {
    /// The given counts.
    ///
    /// # Panics
    /// If there are more than 2²⁴.
    pub fn of(counts: Vec<u8>) -> Self {
        assert!(counts.len() as u64 <= MOST, "Counts::of: {} counts", counts.len());
        Self(counts)
    }

    /// The counts `[N]`, each divided by `by`.
    pub fn shares(&self, by: usize) -> Vec<f64> {
        self.0.iter().map(|&count| f64::from(count) / by as f64).collect()
    }
}

impl From<Counts> for String {
    fn from(counts: Counts) -> Self {
        let mut encoder = ZlibEncoder::new(vec![], Compression::best());
        encoder.write_all(&counts.0).expect("memory");
        STANDARD.encode(encoder.finish().expect("memory"))
    }
}

impl TryFrom<String> for Counts {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let packed = STANDARD.decode(text).map_err(|e| format!("counts: {e}"))?;
        let mut bytes = vec![];
        let read = ZlibDecoder::new(&*packed).take(MOST + 1).read_to_end(&mut bytes);
        read.map_err(|e| format!("counts: {e}"))?;
        match bytes.len() as u64 {
            ..=MOST => Ok(Self(bytes)),
            _ => Err(format!("counts: more than {MOST}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_as_written_and_damage_is_refused() {
        let counts = Counts::of((0..9000).map(|n| (n % 21) as u8).collect());
        let text = serde_json::to_string(&counts).unwrap();
        assert!(text.len() < 500, "{} bytes", text.len());
        assert_eq!(serde_json::from_str::<Counts>(&text).unwrap(), counts);
        assert_eq!(counts.shares(20)[..3], [0., 0.05, 0.1]);
        for bad in [text.replacen('"', "\"!", 1), "\"AAAA\"".into()] {
            let error = serde_json::from_str::<Counts>(&bad).unwrap_err().to_string();
            assert!(error.contains("counts: "), "{error}");
        }
    }
}
