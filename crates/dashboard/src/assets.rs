//! The style sheet, the script and the icon: part of the binary, compressed once, named by their content.

use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};
use sha2::{Digest as _, Sha256};

const CSS: &[u8] = include_bytes!("../assets/belvedere.css");
const JS: &[u8] = include_bytes!("../assets/belvedere.js");
const ICON: &[u8] = include_bytes!("../assets/belvedere.svg");

/// Where pages find the assets.
#[derive(Debug)]
pub(crate) struct AssetPaths {
    pub(crate) css: String,
    pub(crate) js: String,
    pub(crate) icon: String,
}

struct Asset {
    name: String,
    content_type: &'static str,
    identity: &'static [u8],
    brotli: Bytes,
}

static ASSETS: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    [
        Asset::new("css", "text/css; charset=utf-8", CSS),
        Asset::new("js", "text/javascript; charset=utf-8", JS),
        Asset::new("svg", "image/svg+xml", ICON),
    ]
});

static PATHS: LazyLock<AssetPaths> = LazyLock::new(|| {
    let [css, js, icon] = &*ASSETS;
    let path = |asset: &Asset| format!("/assets/{}", asset.name);
    AssetPaths { css: path(css), js: path(js), icon: path(icon) }
});

/// The addresses of the assets; the first call compresses them.
pub(crate) fn paths() -> &'static AssetPaths {
    &PATHS
}

impl Asset {
    fn new(extension: &str, content_type: &'static str, identity: &'static [u8]) -> Self {
        let hash = Sha256::digest(identity);
        let short: String = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let name = format!("belvedere-{short}.{extension}");
        Self { name, content_type, identity, brotli: compress(identity, 11) }
    }
}

/// Brotli's window: 128 KiB, no smaller than any page or asset, and no memory for more.
const WINDOW_BITS: u32 = 17;

/// `bytes` compressed with brotli (RFC 7932); quality 4 for what is made per request, 11 for what is made once.
pub(crate) fn compress(bytes: &[u8], quality: u32) -> Bytes {
    let mut compressed = Vec::with_capacity(bytes.len() / 3);
    let mut writer = brotli::CompressorWriter::new(&mut compressed, 16 << 10, quality, WINDOW_BITS);
    // Writing into memory cannot fail.
    let _ = writer.write_all(bytes);
    drop(writer);
    compressed.into()
}

/// Whether the client takes brotli (RFC 9110, section 12.5.3).
pub(crate) fn takes_brotli(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(ACCEPT_ENCODING).iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|coding| {
        let mut parts = coding.split(';').map(str::trim);
        let is_named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("br"));
        let is_refused = parts.any(|part| part.strip_prefix("q=").is_some_and(|q| q.parse() == Ok(0.0_f32)));
        is_named && !is_refused
    })
}

/// `GET /assets/{name}`
pub(crate) async fn serve(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        // An old name after an update: the page that asks for it is old as well.
        return (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "text/plain")], "no such asset").into_response();
    };
    let (body, encoding) = if takes_brotli(&headers) {
        (asset.brotli.clone(), Some("br"))
    } else {
        (Bytes::from_static(asset.identity), None)
    };
    let mut response = body.into_response();
    let answer = response.headers_mut();
    answer.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    answer.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    answer.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if let Some(encoding) = encoding {
        answer.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brotli_is_used_when_it_is_named_and_not_refused() {
        let takes =
            |value: &str| takes_brotli(&HeaderMap::from_iter([(ACCEPT_ENCODING, value.parse().unwrap())]));
        assert!(takes("gzip, deflate, br, zstd"));
        assert!(takes("BR;q=0.5"));
        assert!(!takes("br;q=0, gzip"));
        assert!(!takes("gzip"));
        assert!(!takes("brx"));
    }

    #[test]
    fn names_change_with_the_content_and_compression_pays() {
        let a = Asset::new("css", "text/css", CSS);
        let b = Asset::new("css", "text/css", JS);
        assert_ne!(a.name, b.name);
        assert_eq!(a.name.len(), "belvedere-.css".len() + 12);
        assert!(a.brotli.len() * 3 < CSS.len(), "{} of {}", a.brotli.len(), CSS.len());
    }

    /// The relative luminance of `#rrggbb` (WCAG 2.2).
    fn luminance(colour: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    /// The token's colours in the light and in the dark scheme.
    fn token(name: &str) -> [&'static str; 2] {
        let css = std::str::from_utf8(CSS).unwrap();
        let start = format!("--{name}: light-dark(");
        let (_, rest) = css.split_once(&start).unwrap_or_else(|| panic!("no token {name}"));
        let (light, rest) = rest.split_once(", ").unwrap();
        [light, rest.split_once(')').unwrap().0]
    }

    #[test]
    fn text_has_enough_contrast_in_both_schemes() {
        let pairs = [
            ("text", ["bg", "surface", "raised", "bad-soft"].as_slice()),
            ("muted", &["bg", "surface", "raised", "accent-soft"]),
            ("accent", &["bg", "surface"]),
            ("accent-strong", &["surface", "accent-soft"]),
            ("on-accent", &["accent", "accent-strong"]),
            ("good", &["surface"]),
            ("warn", &["surface", "warn-soft"]),
            ("bad", &["surface", "bad-soft"]),
        ];
        for (text, grounds) in pairs {
            for ground in grounds {
                for scheme in 0..2 {
                    let (a, b) = (luminance(token(text)[scheme]), luminance(token(ground)[scheme]));
                    let ratio = (a.max(b) + 0.05) / (a.min(b) + 0.05);
                    assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
                }
            }
        }
    }
}
