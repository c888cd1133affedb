//! How statements lie in the database: texts compressed where that is smaller, numbers in few bytes.

use std::cell::RefCell;
use std::sync::LazyLock;

use belvedere_storage::StorageError;
use zstd::bulk::{Compressor, Decompressor};
use zstd::dict::{DecoderDictionary, EncoderDictionary};

/// What statements have in common. It is part of the format: a changed one needs another flag.
const COMMON: &[u8] = br#"{"id":"00000000-0000-4000-8000-000000000000","actor":,"verb":{"id":"http://adlnet.gov/expapi/verbs/experienced","display":{"en-US":"experienced"}},"http://adlnet.gov/expapi/verbs/initialized","display":{"en":"initialized"}},"http://adlnet.gov/expapi/verbs/terminated","http://adlnet.gov/expapi/verbs/attempted","http://adlnet.gov/expapi/verbs/passed","http://adlnet.gov/expapi/verbs/failed","http://adlnet.gov/expapi/verbs/progressed","http://adlnet.gov/expapi/verbs/interacted","http://adlnet.gov/expapi/verbs/launched","http://adlnet.gov/expapi/verbs/voided","https://w3id.org/xapi/video/verbs/played","https://w3id.org/xapi/adl/verbs/satisfied","object":{"objectType":"SubStatement","objectType":"StatementRef","objectType":"Activity","definition":{"interactionType":"choice","correctResponsesPattern":["[,]"],"choices":[{"id":"","description":{"en":""}}],"type":"http://adlnet.gov/expapi/activities/cmi.interaction","moreInfo":"https://","http://adlnet.gov/expapi/activities/assessment","http://adlnet.gov/expapi/activities/question","http://adlnet.gov/expapi/activities/module","http://adlnet.gov/expapi/activities/lesson","http://adlnet.gov/expapi/activities/course","name":{"en-US":""},"description":{"en-US":""},"extensions":{"https://w3id.org/xapi/cmi5/context/extensions/sessionid":""}}},"result":{"extensions":{"https://w3id.org/xapi/video/extensions/time":},"response":"","score":{"scaled":0.,"raw":,"min":0,"max":100},"success":true,"completion":true,"success":false,"completion":false,"duration":"PT0H0M0S"},"context":{"registration":"","instructor":{"revision":"","platform":"","language":"en-US","contextActivities":{"other":[],"category":[{"id":"https://w3id.org/xapi/cmi5/context/categories/cmi5","objectType":"Activity"}],"grouping":[{"objectType":"Activity","id":"https://"}],"parent":[{"objectType":"Activity","id":"http://","definition":{"type":"http://adlnet.gov/expapi/activities/course"}}]}},"timestamp":"2026-01-01T00:00:00.000Z","version":"1.0.3"}{"id":"","actor":1,"verb":{"id":"http://adlnet.gov/expapi/verbs/completed","display":{"en-US":"completed"}},"object":{"objectType":"Activity","id":"https://"},"timestamp":"2026-11-28T12:00:00.000Z","version":"2.0.0"}{"id":"","actor":{"verb":{"id":"http://adlnet.gov/expapi/verbs/answered","display":{"en-US":"answered"}},"object":{"id":"http://"#;

const LEVEL: i32 = 3;

/// The largest text that is taken for possible when it is read.
const TEXT_BYTES_MAX: usize = 64 << 20;

static ENCODER: LazyLock<EncoderDictionary<'static>> =
    LazyLock::new(|| EncoderDictionary::copy(COMMON, LEVEL));
static DECODER: LazyLock<DecoderDictionary<'static>> = LazyLock::new(|| DecoderDictionary::copy(COMMON));

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> =
        RefCell::new(Compressor::with_prepared_dictionary(&ENCODER).ok());
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> =
        RefCell::new(Decompressor::with_prepared_dictionary(&DECODER).ok());
}

/// The text in few bytes, and whether they are compressed.
pub(crate) fn pack(text: &str) -> (Vec<u8>, bool) {
    let compressed =
        COMPRESSOR.with_borrow_mut(|compressor| compressor.as_mut()?.compress(text.as_bytes()).ok());
    match compressed {
        Some(bytes) if bytes.len() < text.len() => (bytes, true),
        _ => (text.as_bytes().to_vec(), false),
    }
}

pub(crate) fn unpack(bytes: Vec<u8>, is_compressed: bool) -> Result<String, StorageError> {
    let corrupt = || StorageError::corrupt("xapi_statement.body");
    let bytes = if is_compressed {
        let length = zstd::zstd_safe::get_frame_content_size(&bytes).ok().flatten();
        let length =
            length.and_then(|length| usize::try_from(length).ok()).filter(|it| *it <= TEXT_BYTES_MAX);
        let length = length.ok_or_else(corrupt)?;
        DECOMPRESSOR
            .with_borrow_mut(|decompressor| decompressor.as_mut()?.decompress(&bytes, length).ok())
            .ok_or_else(corrupt)?
    } else {
        bytes
    };
    String::from_utf8(bytes).map_err(|_| corrupt())
}

/// 16 bytes of a column.
pub(crate) fn bytes16(bytes: Vec<u8>, column: &str) -> Result<[u8; 16], StorageError> {
    bytes.try_into().map_err(|_| StorageError::corrupt(format!("{column} has not 16 bytes")))
}

/// Appends a number in groups of seven bits, the lowest first.
pub(crate) fn put_varint(mut number: u64, out: &mut Vec<u8>) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// The numbers that [`put_varint`] wrote.
pub(crate) fn varints(bytes: &[u8]) -> Option<Vec<u64>> {
    let (mut numbers, mut number, mut shift) = (Vec::new(), 0_u64, 0);
    for byte in bytes {
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            numbers.push(number);
            (number, shift) = (0, 0);
        } else {
            shift += 7;
            if shift > 63 {
                return None;
            }
        }
    }
    (shift == 0).then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_survives_and_takes_less() {
        for text in [
            "",
            "x",
            &"statement ".repeat(100),
            r#"{"verb":{"id":"http://adlnet.gov/expapi/verbs/answered","display":{"en-US":"answered"}}}"#,
        ] {
            let (bytes, is_compressed) = pack(text);
            assert!(bytes.len() <= text.len());
            assert_eq!(unpack(bytes, is_compressed).unwrap(), text);
        }
        assert!(
            pack(
                r#"{"verb":{"id":"http://adlnet.gov/expapi/verbs/answered","display":{"en-US":"answered"}}}"#
            )
            .0
            .len()
                < 40
        );
        assert!(unpack(vec![1, 2, 3], true).is_err());
    }
}
