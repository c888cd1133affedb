//! The encodings that SDKs use.

use std::io::Write;

pub(super) fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn br(plain: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::new();
    brotli::CompressorWriter::new(&mut encoded, 4_096, 1, 22).write_all(plain).unwrap();
    encoded
}

pub(super) fn zstd(plain: &[u8]) -> Vec<u8> {
    ::zstd::bulk::compress(plain, 1).unwrap()
}

/// Content-Encoding tokens and their encoders.
pub(super) const CODECS: [(&str, fn(&[u8]) -> Vec<u8>); 4] =
    [("gzip", gzip), ("deflate", zlib), ("br", br), ("zstd", zstd)];
