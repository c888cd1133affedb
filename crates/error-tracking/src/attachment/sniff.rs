//! What a file is, by its bytes: nothing that a client says can make a browser run something.

use serde::de::IgnoredAny;

use super::{AttachmentFormat, SCRUBBED_BYTES_MAX};

/// How far control characters are looked for that no text has.
const LOOKED_AT_BYTES: usize = 64 << 10;

/// The format by signature (PNG: ISO/IEC 15948, 5.2; JPEG: ITU-T T.81, B.1.1.3; GIF89a, 17; WebP: RFC 9649, 2.4),
/// else whether it is text.
pub(super) fn sniff(bytes: &[u8]) -> AttachmentFormat {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => AttachmentFormat::Png,
        [0xff, 0xd8, 0xff, ..] => AttachmentFormat::Jpeg,
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => AttachmentFormat::Gif,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => AttachmentFormat::Webp,
        _ if is_text(bytes) && is_json(bytes) => AttachmentFormat::Json,
        _ if is_text(bytes) => AttachmentFormat::Text,
        _ => AttachmentFormat::Other,
    }
}

fn is_text(bytes: &[u8]) -> bool {
    let looked_at = &bytes[..bytes.len().min(LOOKED_AT_BYTES)];
    // Colours of terminals begin with an escape.
    let is_control = |byte: &u8| *byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0c | 0x1b);
    !looked_at.iter().any(is_control) && std::str::from_utf8(bytes).is_ok()
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.len() <= SCRUBBED_BYTES_MAX
        && matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'['))
        && serde_json::from_slice::<IgnoredAny>(bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_told_by_their_first_bytes_and_by_nothing_else() {
        for (bytes, format) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], AttachmentFormat::Png),
            (b"\xff\xd8\xff\xe0..", AttachmentFormat::Jpeg),
            (b"GIF89a..", AttachmentFormat::Gif),
            (b"GIF87a..", AttachmentFormat::Gif),
            (b"RIFF\x10\x00\x00\x00WEBPVP8 ", AttachmentFormat::Webp),
            (b"RIFF\x10\x00\x00\x00WAVEfmt ", AttachmentFormat::Other),
            (b"<svg onload='alert(1)'/>", AttachmentFormat::Text),
            (b"<html><script>alert(1)</script>", AttachmentFormat::Text),
            (b"{\"a\":[1]}", AttachmentFormat::Json),
            (b"{\"a\":", AttachmentFormat::Text),
            (b"7", AttachmentFormat::Text),
            (b"", AttachmentFormat::Text),
            (b"caf\xe9", AttachmentFormat::Other),
            (b"a\0b", AttachmentFormat::Other),
            (b"\x1b[31mred\x1b[0m\n", AttachmentFormat::Text),
        ] {
            assert_eq!(sniff(bytes), format, "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
