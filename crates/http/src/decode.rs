//! Content-Encodings undone piece by piece: all of a body is checked while only its start is kept.

use std::cell::RefCell;
use std::io::{BufRead, Read};

use belvedere_error_tracking::envelope::{DecodeError, gunzip_at_once};

/// How much is decoded at a time.
const PIECE_BYTES: usize = 32 << 10;

/// The largest window that a zstd frame may ask for, as a power of two, as in
/// [`belvedere_error_tracking::envelope::decode_body`].
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

thread_local! {
    /// Made once per thread, because clearing a fresh one for every request costs more than a small body.
    static PIECE: RefCell<Vec<u8>> = RefCell::new(vec![0; PIECE_BYTES]);
}

/// The start of what a body decodes to.
pub(crate) struct Start {
    pub(crate) bytes: Vec<u8>,
    /// Whether that is all of it.
    pub(crate) is_whole: bool,
}

/// The encodings that are undone; any other token counts as none, because clients invent some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Encoding {
    pub(crate) fn parse(token: &str) -> Option<Self> {
        let token = token.trim();
        [
            ("gzip", Self::Gzip),
            ("x-gzip", Self::Gzip),
            ("deflate", Self::Deflate),
            ("br", Self::Brotli),
            ("zstd", Self::Zstd),
        ]
        .into_iter()
        .find_map(|(name, encoding)| token.eq_ignore_ascii_case(name).then_some(encoding))
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    /// Decodes `body` to its end, or to `limit` bytes, and keeps the first `keep` of them.
    ///
    /// Accepts and refuses what [`belvedere_error_tracking::envelope::decode_body`] accepts and refuses, which digests
    /// it later, with no more memory than a piece, what is kept and the codec's window.
    pub(crate) fn decode_start(self, body: &[u8], keep: usize, limit: usize) -> Result<Start, DecodeError> {
        let read = |reader: &mut dyn Read| {
            PIECE.with_borrow_mut(|piece| read_start(self.as_str(), reader, piece, body.len(), keep, limit))
        };
        match self {
            Self::Gzip => match gunzip_at_once(body, keep.min(limit)) {
                Some(bytes) => Ok(Start { bytes, is_whole: true }),
                None => read(&mut flate2::bufread::MultiGzDecoder::new(body)),
            },
            Self::Deflate => {
                // A zlib header (RFC 1950, section 2.2), unless a bare deflate stream happens to begin like one.
                let has_header = matches!(body, [cmf, flg, ..] if cmf & 0x0f == 8 && u16::from_be_bytes([*cmf, *flg]) % 31 == 0);
                if has_header {
                    match read(&mut flate2::bufread::ZlibDecoder::new(body)) {
                        Err(DecodeError::Corrupt { .. }) => {}
                        decided => return decided,
                    }
                }
                read(&mut flate2::bufread::DeflateDecoder::new(body))
            }
            Self::Brotli => read(&mut brotli::Decompressor::new(body, 4_096)),
            Self::Zstd => {
                let decoder = zstd_decoder(body).map_err(|_| DecodeError::Corrupt { encoding: "zstd" });
                read(&mut decoder?)
            }
        }
    }
}

fn zstd_decoder<'a, R: BufRead>(body: R) -> std::io::Result<zstd::stream::read::Decoder<'a, R>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(body)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG_MAX)?;
    Ok(decoder)
}

fn read_start(
    encoding: &'static str,
    reader: &mut dyn Read,
    piece: &mut [u8],
    compressed: usize,
    keep: usize,
    limit: usize,
) -> Result<Start, DecodeError> {
    let mut bytes = Vec::with_capacity(compressed.saturating_mul(5).min(keep));
    let mut length = 0_usize;
    loop {
        let count = match reader.read(piece) {
            Ok(0) => return Ok(Start { is_whole: length == bytes.len(), bytes }),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(DecodeError::Corrupt { encoding }),
        };
        length += count;
        if length > limit {
            return Err(DecodeError::TooLarge { limit });
        }
        bytes.extend_from_slice(&piece[..count.min(keep - bytes.len())]);
    }
}

#[cfg(test)]
mod tests {
    use belvedere_error_tracking::envelope::decode_body;

    use super::*;
    use crate::tests::codecs::CODECS;

    #[test]
    fn the_door_and_the_digestion_agree_on_what_decodes() {
        let plain: Vec<u8> = (0..20_000_u32).flat_map(|number| number.to_string().into_bytes()).collect();
        for (token, encode) in CODECS {
            let encoding = Encoding::parse(token).unwrap();
            let whole = encode(&mut plain.as_slice());
            let doubled = [whole.as_slice(), &whole].concat();
            let mut altered = whole.clone();
            altered[whole.len() / 2] ^= 1;
            let mut bodies = vec![whole.clone(), doubled, altered, Vec::new(), b"plain".to_vec()];
            bodies.extend((1..whole.len()).step_by(997).map(|length| whole[..length].to_vec()));
            for body in bodies {
                for limit in [plain.len() - 1, plain.len(), 10 * plain.len()] {
                    let digested = decode_body(Some(token), &body, limit);
                    let start = encoding.decode_start(&body, 1_000, limit);
                    match (digested, start) {
                        (Ok(digested), Ok(start)) => {
                            assert_eq!(start.bytes, digested[..digested.len().min(1_000)], "{token}");
                            assert_eq!(start.is_whole, digested.len() <= 1_000, "{token}");
                        }
                        (Err(digested), Err(start)) => assert_eq!(start, digested, "{token}"),
                        (digested, start) => panic!(
                            "{token}, {} bytes, limit {limit}: {:?} but {:?}",
                            body.len(),
                            digested.map(|bytes| bytes.len()),
                            start.map(|start| start.bytes.len())
                        ),
                    }
                }
            }
        }
    }

    #[test]
    fn tokens_ignore_case_and_unknown_ones_are_none() {
        assert_eq!(Encoding::parse(" GZip "), Some(Encoding::Gzip));
        assert_eq!(Encoding::parse("x-gzip"), Some(Encoding::Gzip));
        assert_eq!(Encoding::parse("snappy"), None);
        assert_eq!(Encoding::parse("gzip, br"), None);
    }
}
