//! Checksums of files that contain their own checksum: the SHA-256 of the file, with zeros in place
//! of the checksum.
use crate::data::files::hex;
use sha2::{Digest, Sha256};

/// The placeholder of a checksum while it is computed.
pub(crate) const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// How errors describe a file that was changed after it was written.
pub(crate) const DAMAGED: &str = "contents that do not match their checksum";

/// A file with its [`BLANK`] replaced by the checksum.
pub(crate) fn seal(mut file: Vec<u8>) -> Vec<u8> {
    let (at, sum) = sum(&file, BLANK).expect("a placeholder");
    file[at..at + BLANK.len()].copy_from_slice(sum.as_bytes());
    file
}

/// Whether `written` is the checksum of `file`, which contains it.
pub(crate) fn is_intact(file: &[u8], written: &str) -> bool {
    sum(file, written).is_some_and(|(_, sum)| sum == written)
}

/// The position of the checksum `written` in a file, and the checksum that the file should have;
/// `None` if the file does not contain `written`.
fn sum(file: &[u8], written: &str) -> Option<(usize, String)> {
    let at = file.windows(BLANK.len()).position(|text| text == written.as_bytes())?;
    let mut hash = Sha256::new();
    hash.update(&file[..at]);
    hash.update(BLANK);
    hash.update(&file[at + BLANK.len()..]);
    Some((at, hex(&hash.finalize())))
}
