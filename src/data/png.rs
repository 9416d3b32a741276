//! Decoding of PNG pictures within a limit on their size.
use image::{DynamicImage, ImageFormat, ImageReader, ImageResult, Limits};
use std::io::Cursor;

/// Decodes a picture of at most `side` × `side` pixels.
pub(super) fn decode(bytes: Vec<u8>, side: u32) -> ImageResult<DynamicImage> {
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(side), Some(side));
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Png);
    reader.limits(limits);
    reader.decode()
}
