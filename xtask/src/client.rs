//! A small HTTP/1.1 client for loads and demonstrations: one connection, kept alive, no dependency to build.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// An answer.
pub(crate) struct Response {
    pub(crate) status: u16,
    /// The first cookie that it sets, without its attributes.
    pub(crate) cookie: Option<String>,
    pub(crate) body: Vec<u8>,
}

impl Response {
    /// The body as JSON.
    pub(crate) fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("status {}: {}", self.status, String::from_utf8_lossy(&self.body)))
    }
}

/// One open connection to a server.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    host: String,
    request: Vec<u8>,
}

impl Client {
    /// Connects to `host:port`.
    pub(crate) fn connect(host: &str) -> Result<Self> {
        let stream = TcpStream::connect(host).with_context(|| format!("nothing listens on {host}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            stream: BufReader::with_capacity(4 << 10, stream),
            host: host.to_owned(),
            request: Vec::new(),
        })
    }

    /// Sends a request whose `headers` are whole lines, each ending in CR LF, and waits for its answer.
    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &str, body: &[u8]) -> Result<Response> {
        self.request.clear();
        let length = body.len();
        write!(
            self.request,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\n{headers}content-length: {length}\r\n\r\n",
            self.host
        )?;
        self.request.extend_from_slice(body);
        self.stream.get_mut().write_all(&self.request)?;
        self.receive()
    }

    /// Calls the HTTP API with a token.
    pub(crate) fn api(
        &mut self,
        method: &str,
        path: &str,
        token: &str,
        body: Option<&Value>,
    ) -> Result<Value> {
        let headers = format!("authorization: Bearer {token}\r\ncontent-type: application/json\r\n");
        let body = body.map(Value::to_string).unwrap_or_default();
        let response = self.send(method, path, &headers, body.as_bytes())?;
        if !(200..300).contains(&response.status) {
            bail!("{method} {path}: {} {}", response.status, String::from_utf8_lossy(&response.body));
        }
        response.json()
    }

    fn receive(&mut self) -> Result<Response> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status =
            line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("not an HTTP answer")?;
        let mut length = 0;
        let mut cookie = None;
        let mut is_chunked = false;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("set-cookie")
                && cookie.is_none()
            {
                cookie = value.split(';').next().map(|pair| pair.trim().to_owned());
            }
            let header = line.trim_end().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(value) = header.strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
            is_chunked |= header.starts_with("transfer-encoding:") && header.ends_with("chunked");
        }
        let mut body = Vec::new();
        if !is_chunked {
            body.resize(length, 0);
            self.stream.read_exact(&mut body)?;
            return Ok(Response { status, cookie, body });
        }
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let size = usize::from_str_radix(line.trim(), 16).context("bad chunk size")?;
            let start = body.len();
            body.resize(start + size, 0);
            self.stream.read_exact(&mut body[start..])?;
            self.stream.read_line(&mut line)?;
            if size == 0 {
                return Ok(Response { status, cookie, body });
            }
        }
    }
}

/// Splits a DSN `http://key@host:port/project` into key, `host:port` and project.
pub(crate) fn parse_dsn(dsn: &str) -> Result<(String, String, String)> {
    let rest = dsn.strip_prefix("http://").context("only DSNs of http:// are supported here")?;
    let (key, rest) = rest.split_once('@').context("the DSN has no key")?;
    let (host, project) = rest.rsplit_once('/').context("the DSN has no project")?;
    Ok((key.to_owned(), host.to_owned(), project.to_owned()))
}
