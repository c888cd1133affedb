//! One delivery over HTTP: the addresses of its host are looked up, checked and connected to, in this order and once.

use std::io::Read;
use std::time::Duration;

use http::Uri;
use http::header::RETRY_AFTER;
use ureq::config::{AutoHeaderValue, Config};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use ureq::{Agent, Error};

use crate::target::is_public;

/// How long connecting may take, the handshake of TLS included.
const CONNECT_MAX: Duration = Duration::from_secs(3);

/// How long all of it may take.
const TOTAL_MAX: Duration = Duration::from_secs(10);

/// How much of an answer is read.
const ANSWER_BYTES_MAX: u64 = 8 << 10;

/// How much of an answer is kept.
const ANSWER_CHARS_MAX: usize = 500;

/// What is sent.
pub(crate) struct Message {
    pub(crate) url: Uri,
    pub(crate) id: String,
    /// When, in seconds since 1970.
    pub(crate) timestamp: i64,
    pub(crate) signature: String,
    pub(crate) body: String,
}

/// What came back.
pub(crate) struct Answer {
    /// None where nobody answered.
    pub(crate) status: Option<u16>,
    pub(crate) retry_after: Option<Duration>,
    /// The beginning of the body, or why there was no answer; at most 500 characters, none of them of control.
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn none(why: impl AsRef<str>) -> Self {
        Self { status: None, retry_after: None, text: legible(why.as_ref()) }
    }

    pub(crate) fn is_success(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }
}

fn legible(text: &str) -> String {
    let letters = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    letters.take(ANSWER_CHARS_MAX).collect::<String>().trim().to_owned()
}

/// Looks names up and lets addresses of the public network pass.
#[derive(Debug, Default)]
struct PublicResolver(DefaultResolver);

impl Resolver for PublicResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = self.0.resolve(uri, config, timeout)?;
        // One that is not public is reason enough: whoever answers for the name is not to be trusted.
        if found.iter().all(|address| is_public(address.ip())) {
            Ok(found)
        } else {
            Err(Error::Other("the host leads to an address that is not public".into()))
        }
    }
}

/// Sends deliveries, each on a thread of its own: those for blocking work are few and meant for the disk.
pub(crate) struct Sender {
    agent: Agent,
}

impl Sender {
    pub(crate) fn new(private_targets: bool) -> Self {
        let config = Agent::config_builder()
            .https_only(!private_targets)
            .http_status_as_error(false)
            .max_redirects(0)
            // Not that of the environment, which would connect for us to addresses that nobody checked.
            .proxy(None)
            .user_agent("Belvedere")
            .accept_encoding(AutoHeaderValue::None)
            .timeout_connect(Some(CONNECT_MAX))
            .timeout_global(Some(TOTAL_MAX))
            .build();
        let connector = DefaultConnector::default();
        let agent = if private_targets {
            Agent::with_parts(config, connector, DefaultResolver::default())
        } else {
            Agent::with_parts(config, connector, PublicResolver::default())
        };
        Self { agent }
    }

    pub(crate) async fn post(&self, message: Message) -> Answer {
        let agent = self.agent.clone();
        let (tell, told) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().name("webhook".to_owned()).spawn(move || {
            // Whoever waited may be gone.
            let _ = tell.send(post(&agent, &message));
        });
        if let Err(error) = thread {
            return Answer::none(format!("no thread to send with: {error}"));
        }
        told.await.unwrap_or_else(|_| Answer::none("the thread that sent has failed"))
    }
}

fn post(agent: &Agent, message: &Message) -> Answer {
    let sent = agent
        .post(message.url.clone())
        .header("content-type", "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", message.timestamp.to_string())
        .header("webhook-signature", &message.signature)
        .send(message.body.as_bytes());
    let mut response = match sent {
        Ok(response) => response,
        Err(error) => return Answer::none(error.to_string()),
    };
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let mut start = Vec::new();
    // What cannot be read of an answer does not change what its status says.
    let _ = response.body_mut().as_reader().take(ANSWER_BYTES_MAX).read_to_end(&mut start);
    Answer {
        status: Some(response.status().as_u16()),
        retry_after,
        text: legible(&String::from_utf8_lossy(&start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_to_this_machine_or_its_network_are_not_connected_to() {
        let sender = Sender::new(false);
        for url in
            ["https://localhost:1/", "https://127.0.0.1:1/", "https://[::1]:1/", "https://169.254.169.254/"]
        {
            let message = Message {
                url: url.parse().unwrap(),
                id: "msg_1".to_owned(),
                timestamp: 1,
                signature: String::new(),
                body: "{}".to_owned(),
            };
            let answer = post(&sender.agent, &message);
            assert_eq!(answer.status, None);
            assert!(answer.text.contains("not public"), "{url}: {}", answer.text);
        }
    }

    #[test]
    fn answers_are_cut_and_made_legible() {
        assert_eq!(legible(" a\u{1b}[31m\r\nb\0 "), "a [31m  b");
        assert_eq!(legible(&"\u{e9}".repeat(600)).chars().count(), ANSWER_CHARS_MAX);
    }
}
