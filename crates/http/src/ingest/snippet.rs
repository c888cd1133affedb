//! The script that a page loads to send its views, its own events and how fast it was: one small file, no cookies.

use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use super::answer::allow_reading;
use crate::routes::{Access, Routes};

const SNIPPET: &str = include_str!("b.js");

pub(super) fn routes(routes: Routes) -> Routes {
    routes.get("/b.js", Access::Public("a script that is the same for everybody"), snippet)
}

async fn snippet() -> Response {
    let mut response = SNIPPET.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
    allow_reading(headers);
    response
}

#[cfg(test)]
mod tests {
    use super::SNIPPET;

    #[test]
    fn the_script_is_small_and_uses_no_cookie() {
        assert!(SNIPPET.len() < 4_000, "{} bytes", SNIPPET.len());
        assert!(!SNIPPET.contains("document.cookie") && !SNIPPET.contains("sessionStorage"));
        // Storage is touched where consent is given or was given, nowhere else.
        assert_eq!(SNIPPET.matches("localStorage").count(), 1);
    }
}
