//! One delivery over HTTP.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use sentry::types::Dsn;
use ureq::http::{HeaderMap, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body, Proxy};

use crate::{ClientConfig, ClientError};

/// Bodies below this size are sent as they are.
const COMPRESSED_FROM_BYTES: usize = 1 << 10;
/// As much of an answer is read, so that its connection can be used again.
const ANSWER_BYTES_MAX: u64 = 64 << 10;

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The server has it.
    Delivered(Advice),
    /// The server will never take it: 400, 411, 413, 415, 422.
    Refused(u16),
    /// The server does not want it now: 429.
    Limited(Advice),
    /// The server was not reached or is not itself; another try may succeed.
    Failed {
        /// What happened.
        why: String,
        /// The pause that the server asked for.
        retry_after: Option<Duration>,
        /// Whether a server answered: then it may be the payload that it cannot take.
        has_answered: bool,
    },
}

/// What an answer says about limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Advice {
    pub(super) rate_limits: Option<String>,
    pub(super) retry_after: Option<Duration>,
}

/// Where deliveries go and how.
#[derive(Debug)]
pub(super) struct Sender {
    agent: Agent,
    user_agent: String,
}

impl Sender {
    pub(super) fn new(config: &ClientConfig) -> Result<Self, ClientError> {
        let proxy = match &config.proxy {
            Some(proxy) => Some(Proxy::new(proxy).map_err(|error| ClientError::Proxy(error.to_string()))?),
            None => None,
        };
        let roots = match &config.root_certificates {
            Some(path) => roots(path)?,
            None => RootCerts::WebPki,
        };
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_connect(Some(config.timeout.min(Duration::from_secs(5))))
            .timeout_global(Some(config.timeout))
            .proxy(proxy)
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .build()
            .new_agent();
        Ok(Self { agent, user_agent: format!("belvedere-error-client/{}", env!("CARGO_PKG_VERSION")) })
    }

    /// Sends an envelope to `dsn`.
    pub(super) fn send(&self, dsn: &Dsn, envelope: &[u8]) -> Outcome {
        let mut request = self
            .agent
            .post(dsn.envelope_api_url().as_str())
            .header("user-agent", &self.user_agent)
            .header("content-type", "application/x-sentry-envelope")
            .header("x-sentry-auth", dsn.to_auth(Some(&self.user_agent)).to_string());
        let compressed = if envelope.len() >= COMPRESSED_FROM_BYTES { compress(envelope) } else { None };
        if compressed.is_some() {
            request = request.header("content-encoding", "gzip");
        }
        match request.send(compressed.as_deref().unwrap_or(envelope)) {
            Ok(mut response) => {
                let outcome = judge(&response);
                // Only read so that the connection can be used again.
                let _ = response.body_mut().with_config().limit(ANSWER_BYTES_MAX).read_to_vec();
                outcome
            }
            Err(error) => Outcome::Failed { why: error.to_string(), retry_after: None, has_answered: false },
        }
    }
}

fn roots(path: &Path) -> Result<RootCerts, ClientError> {
    let unusable = |why: String| ClientError::RootCertificates { path: path.to_owned(), why };
    let pem = std::fs::read(path).map_err(|error| unusable(error.to_string()))?;
    let mut certificates = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| unusable(error.to_string()))? {
            certificates.push(certificate);
        }
    }
    if certificates.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn compress(envelope: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(envelope.len() / 4), Compression::fast());
    encoder.write_all(envelope).ok()?;
    encoder.finish().ok()
}

fn judge(response: &Response<Body>) -> Outcome {
    let status = response.status().as_u16();
    let advice = advice(response.headers());
    match status {
        200..=299 => Outcome::Delivered(advice),
        429 => Outcome::Limited(advice),
        // The fault of the payload. Any other refusal (an unknown key, a proxy without its server) is one of the way,
        // and may be repaired.
        400 | 411 | 413 | 415 | 422 => Outcome::Refused(status),
        _ => Outcome::Failed {
            why: format!("the server answers {status}"),
            retry_after: advice.retry_after,
            has_answered: true,
        },
    }
}

fn advice(headers: &HeaderMap) -> Advice {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let seconds = text("retry-after").and_then(|value| value.trim().parse::<f64>().ok());
    Advice {
        rate_limits: text("x-sentry-rate-limits").map(str::to_owned),
        retry_after: seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
    }
}
