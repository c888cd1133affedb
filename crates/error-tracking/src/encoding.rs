use std::borrow::Cow;
use std::io::Read;

use libdeflater::Decompressor;
use memchr::memmem;

/// The largest window that a zstd frame may ask for, as a power of two: 8 MiB, which every decoder must support
/// (RFC 8878, section 3.1.1.1.2). A frame can ask for up to 2 GiB, whatever its size.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// The most bytes that are made of a body at once, rather than piece by piece.
const AT_ONCE_BYTES_MAX: usize = 1 << 20;

/// The most bytes that deflate makes of one (RFC 1951: a length of 258 in two bits).
const DEFLATE_RATIO_MAX: usize = 1_032;

/// Why a body could not be decoded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// It decodes to more than is accepted.
    #[error("body decodes to more than {limit} bytes")]
    TooLarge {
        /// The most bytes that were accepted.
        limit: usize,
    },
    /// It is not what its encoding says, or it ends early.
    #[error("body is not valid {encoding}")]
    Corrupt {
        /// The encoding as a word: `gzip`, `deflate`, `br`, `zstd`.
        encoding: &'static str,
    },
}

/// Undoes a Content-Encoding, within `limit` bytes of output.
///
/// Understands `gzip` (`x-gzip`), `deflate` (zlib as RFC 9110 says, or a bare deflate stream as some clients send),
/// `br` and `zstd`; anything else counts as identity, because clients invent tokens. Beside the output, which grows
/// as it is written, at most 16 MiB (brotli's window) are in use at once.
///
/// # Errors
/// [`DecodeError`] when the output would exceed `limit` or the body is damaged.
pub fn decode_body<'a>(
    encoding: Option<&str>,
    body: &'a [u8],
    limit: usize,
) -> Result<Cow<'a, [u8]>, DecodeError> {
    let token = encoding.map(|token| token.trim().to_ascii_lowercase());
    let decoded = match token.as_deref() {
        Some("gzip" | "x-gzip") => match gunzip_at_once(body, limit) {
            Some(decoded) => decoded,
            None => read_all("gzip", flate2::bufread::MultiGzDecoder::new(body), body.len(), limit)?,
        },
        Some("deflate") => inflate(body, limit)?,
        Some("br") => read_all("br", brotli::Decompressor::new(body, 4_096), body.len(), limit)?,
        Some("zstd") => {
            let corrupt = |_| DecodeError::Corrupt { encoding: "zstd" };
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(corrupt)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(corrupt)?;
            read_all("zstd", decoder, body.len(), limit)?
        }
        _ if body.len() > limit => return Err(DecodeError::TooLarge { limit }),
        _ => return Ok(Cow::Borrowed(body)),
    };
    Ok(Cow::Owned(decoded))
}

/// Undoes gzip in one go if the body is a single member that says how long it is, of at most 1 MiB and `limit` bytes:
/// in two thirds of the time that pieces take. Whatever else it may be is for [`decode_body`] to find out.
pub fn gunzip_at_once(body: &[u8], limit: usize) -> Option<Vec<u8>> {
    // RFC 1952, section 2.3.1: a checksum and the length modulo 2^32 end a member.
    let (rest, length) = body.split_last_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let checksum = u32::from_le_bytes(*rest.last_chunk()?);
    if length > limit.min(AT_ONCE_BYTES_MAX) || length / DEFLATE_RATIO_MAX > body.len() {
        return None;
    }
    // A second member would begin like the first.
    if memmem::find(body.get(1..)?, &[0x1f, 0x8b, 0x08]).is_some() {
        return None;
    }
    let mut decoded = vec![0; length];
    let count = Decompressor::new().gzip_decompress(body, &mut decoded).ok()?;
    // What may follow the member is passed over by the decoder, and has another checksum.
    (count == length && crc32fast::hash(&decoded) == checksum).then_some(decoded)
}

fn inflate(body: &[u8], limit: usize) -> Result<Vec<u8>, DecodeError> {
    // RFC 1950, section 2.2: compression method 8, and the first two bytes a multiple of 31.
    let has_header =
        matches!(body, [cmf, flg, ..] if cmf & 0x0f == 8 && u16::from_be_bytes([*cmf, *flg]) % 31 == 0);
    if has_header {
        match read_all("deflate", flate2::bufread::ZlibDecoder::new(body), body.len(), limit) {
            Err(DecodeError::Corrupt { .. }) => {}
            decided => return decided,
        }
    }
    read_all("deflate", flate2::bufread::DeflateDecoder::new(body), body.len(), limit)
}

fn read_all(
    encoding: &'static str,
    reader: impl Read,
    compressed: usize,
    limit: usize,
) -> Result<Vec<u8>, DecodeError> {
    // Text compresses to about a fifth; one byte more than allowed tells "full" from "too large".
    let mut decoded = Vec::with_capacity(compressed.saturating_mul(5).min(limit).min(1 << 20));
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    reader.take(most).read_to_end(&mut decoded).map_err(|_| DecodeError::Corrupt { encoding })?;
    if decoded.len() > limit {
        return Err(DecodeError::TooLarge { limit });
    }
    Ok(decoded)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_deflate(plain: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn br(plain: &[u8]) -> Vec<u8> {
        let mut encoded = Vec::new();
        brotli::CompressorWriter::new(&mut encoded, 4_096, 4, 22).write_all(plain).unwrap();
        encoded
    }

    fn zstd(plain: &[u8]) -> Vec<u8> {
        zstd::bulk::compress(plain, 1).unwrap()
    }

    type Encode = fn(&[u8]) -> Vec<u8>;

    const CODECS: [(&str, Encode); 6] = [
        ("gzip", gzip),
        ("x-gzip", gzip),
        ("deflate", zlib),
        ("deflate", raw_deflate),
        ("br", br),
        ("zstd", zstd),
    ];

    #[test]
    fn every_codec_decodes_up_to_the_limit_and_refuses_one_byte_more() {
        let plain = vec![b'a'; 70_000];
        for (token, encode) in CODECS {
            let body = encode(&plain);
            assert_eq!(decode_body(Some(token), &body, 70_000).unwrap(), plain, "{token}");
            let refused = decode_body(Some(token), &body, 69_999);
            assert_eq!(refused, Err(DecodeError::TooLarge { limit: 69_999 }), "{token}");
        }
    }

    #[test]
    fn only_one_whole_member_is_undone_at_once() {
        let (one, two) = (gzip(b"{}"), gzip(b"[]"));
        assert_eq!(gunzip_at_once(&one, 2).unwrap(), b"{}");
        let both = [one.clone(), two].concat();
        assert_eq!(decode_body(Some("gzip"), &both, 10).unwrap(), b"{}[]".as_slice());
        let mut lies = one.clone();
        lies[one.len() - 4] = 200;
        let mut damaged = one.clone();
        damaged[one.len() - 8] ^= 1;
        let followed = [one.as_slice(), &[2, 0, 0, 0]].concat();
        for body in [&both[..], &lies[..], &damaged[..], &one[..one.len() - 1], &[], &gzip(&[0; 2 << 20])[..]]
        {
            assert_eq!(gunzip_at_once(body, 1 << 30), None, "{body:?}");
        }
        assert_eq!(gunzip_at_once(&one, 1), None);
        assert!(decode_body(Some("gzip"), &followed, 10).is_err());
    }

    #[test]
    fn a_body_cut_short_is_corrupt_in_every_codec() {
        let plain: Vec<u8> = (0..5_000_u32).flat_map(|n| n.to_string().into_bytes()).collect();
        for (token, encode) in CODECS {
            let body = encode(&plain);
            let cut = decode_body(Some(token), &body[..body.len() / 2], 1 << 20);
            assert!(matches!(cut, Err(DecodeError::Corrupt { .. })), "{token}: {cut:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let zeroes = vec![0_u8; 64 << 20];
        for (token, encode) in CODECS {
            let body = encode(&zeroes);
            let refused = decode_body(Some(token), &body, 1 << 20);
            assert_eq!(refused, Err(DecodeError::TooLarge { limit: 1 << 20 }), "{token}");
        }
    }

    #[test]
    fn a_zstd_frame_with_a_giant_window_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.write_all(b"small").unwrap();
        let body = encoder.finish().unwrap();
        assert_eq!(decode_body(Some("zstd"), &body, 1_000), Err(DecodeError::Corrupt { encoding: "zstd" }));
    }

    #[test]
    fn unknown_encodings_are_identity_and_tokens_ignore_case() {
        assert!(matches!(decode_body(Some("snappy"), b"{}", 10), Ok(Cow::Borrowed(b"{}"))));
        assert!(matches!(decode_body(None, b"{}", 10), Ok(Cow::Borrowed(b"{}"))));
        assert_eq!(decode_body(None, b"{}{}", 3), Err(DecodeError::TooLarge { limit: 3 }));
        assert_eq!(decode_body(Some(" GZIP "), &gzip(b"x"), 10).unwrap(), b"x".as_slice());
    }

    proptest! {
        #[test]
        fn gzip_at_once_is_gzip_piece_by_piece(
            plain in proptest::collection::vec(any::<u8>(), 0..2_000),
            at in any::<proptest::sample::Index>(),
            flip in any::<u8>(),
        ) {
            let mut body = gzip(&plain);
            let at = at.index(body.len());
            body[at] ^= flip;
            if let Some(decoded) = gunzip_at_once(&body, 10_000) {
                let pieces = read_all("gzip", flate2::bufread::MultiGzDecoder::new(&*body), body.len(), 10_000);
                prop_assert_eq!(pieces, Ok(decoded));
            }
        }

        #[test]
        fn any_bytes_get_an_answer_within_the_limit(
            body in proptest::collection::vec(any::<u8>(), 0..2_000),
            token in proptest::sample::select(vec!["gzip", "deflate", "br", "zstd", "other"]),
        ) {
            if let Ok(decoded) = decode_body(Some(token), &body, 10_000) {
                prop_assert!(decoded.len() <= 10_000);
            }
        }
    }
}
