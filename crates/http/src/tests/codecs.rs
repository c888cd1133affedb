//! The encodings that SDKs use.

use std::io::{Read, copy, repeat};

/// So many zeroes.
pub(crate) fn zeroes(bytes: u64) -> impl Read {
    repeat(0).take(bytes)
}

fn gzip(plain: &mut dyn Read) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    copy(plain, &mut encoder).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &mut dyn Read) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    copy(plain, &mut encoder).unwrap();
    encoder.finish().unwrap()
}

fn br(plain: &mut dyn Read) -> Vec<u8> {
    let mut encoded = Vec::new();
    copy(plain, &mut brotli::CompressorWriter::new(&mut encoded, 4_096, 1, 18)).unwrap();
    encoded
}

fn zstd(plain: &mut dyn Read) -> Vec<u8> {
    ::zstd::encode_all(plain, 1).unwrap()
}

type Encode = fn(&mut dyn Read) -> Vec<u8>;

/// Content-Encoding tokens and their encoders.
pub(crate) const CODECS: [(&str, Encode); 4] =
    [("gzip", gzip), ("deflate", zlib), ("br", br), ("zstd", zstd)];
