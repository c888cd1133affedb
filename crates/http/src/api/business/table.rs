//! Answers as JSON, or as a file of CSV or Parquet.

use axum::Json;
use axum::response::{IntoResponse, Response};
use belvedere_business_intelligence::table::Table;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::Serialize;

use crate::problem::Problem;

/// What an answer comes as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api) enum Format {
    Json,
    Csv,
    Parquet,
}

impl Format {
    pub(in crate::api) fn find(word: Option<&str>) -> Result<Self, Problem> {
        match word {
            None | Some("json") => Ok(Self::Json),
            Some("csv") => Ok(Self::Csv),
            Some("parquet") => Ok(Self::Parquet),
            Some(_) => Err(Problem::invalid("format", "must be json, csv or parquet")),
        }
    }

    /// The answer, or the table as a file of that name.
    pub(in crate::api) fn answer<T: Serialize>(self, answer: &T, table: &Table, name: &str) -> Response {
        let (body, content_type, ending) = match self {
            Self::Json => return Json(answer).into_response(),
            Self::Csv => (table.csv().into_bytes(), "text/csv; charset=utf-8; header=present", "csv"),
            Self::Parquet => match table.parquet() {
                Ok(bytes) => (bytes, "application/vnd.apache.parquet", "parquet"),
                Err(error) => return Problem::internal(&error).into_response(),
            },
        };
        let mut response = body.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.{ending}\"")) {
            headers.insert(CONTENT_DISPOSITION, value);
        }
        response
    }
}
