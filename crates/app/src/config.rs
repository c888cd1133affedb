use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use belvedere_error_client::ClientConfig;
use belvedere_event_store::RollupLimits;
use belvedere_event_store::columns::Dimension;
use belvedere_xapi::Limits as XapiLimits;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

/// What names of environment variables begin with: `server.address` is `BELVEDERE_SERVER_ADDRESS`.
const ENVIRONMENT_PREFIX: &str = "BELVEDERE_";

/// Everything an operator can decide. `belvedere.example.toml` explains each key and shows its default.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The listening socket and the limits of requests.
    pub server: ServerSection,
    /// Where files live.
    pub data: DataSection,
    /// Where state lives.
    pub database: DatabaseSection,
    /// The durable queue of accepted payloads.
    pub spool: SpoolSection,
    /// The way from the queue to the slices.
    pub intake: IntakeSection,
    /// Events in columns.
    pub events: EventsSection,
    /// The xAPI record store.
    pub xapi: XapiSection,
    /// What is told to others.
    pub alerting: AlertingSection,
    /// Live messages between processes.
    pub redis: RedisSection,
    /// Keys.
    pub privacy: PrivacySection,
    /// Where people are.
    pub geo: GeoSection,
    /// What is logged, and how.
    pub log: LogSection,
    /// Which slices are switched on.
    pub features: FeaturesSection,
    /// Where Belvedere's own errors go.
    pub self_report: SelfReportSection,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSection {
    /// IP address and port to listen on.
    pub address: SocketAddr,
    /// The address under which people and SDKs reach the server; empty for `http://` and `address`.
    pub public_url: String,
    /// Addresses or CIDR ranges whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<String>,
    /// The most open connections.
    pub connections_max: usize,
    /// How long a client may take to send a request's head.
    pub header_timeout_seconds: u64,
    /// How long a client may take to send a request's body.
    pub body_timeout_seconds: u64,
    /// How long requests in flight may take to end at shutdown.
    pub shutdown_timeout_seconds: u64,
    /// The largest body as sent.
    pub body_bytes_max: usize,
    /// The largest body after decompression.
    pub decompressed_bytes_max: usize,
    /// All bodies in memory at one time; further ones wait.
    pub bodies_in_memory_bytes_max: usize,
    /// Bearer token for `/metrics`; empty: only from this machine.
    pub metrics_token: String,
}

impl Default for ServerSection {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 8000)),
            public_url: String::new(),
            trusted_proxies: Vec::new(),
            connections_max: 4_096,
            header_timeout_seconds: 10,
            body_timeout_seconds: 30,
            shutdown_timeout_seconds: 10,
            body_bytes_max: 20 << 20,
            decompressed_bytes_max: 20 << 20,
            bodies_in_memory_bytes_max: 48 << 20,
            metrics_token: String::new(),
        }
    }
}

/// `[geo]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GeoSection {
    /// A file in the MaxMind DB format with countries; empty for none.
    pub database: PathBuf,
}

/// `[data]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataSection {
    /// Holds the embedded database, the spool and the master key.
    pub directory: PathBuf,
}

impl Default for DataSection {
    fn default() -> Self {
        Self { directory: PathBuf::from("data") }
    }
}

/// `[database]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DatabaseSection {
    /// `postgres://..` or `sqlite://..`; empty for `belvedere.db` in the data directory.
    pub url: String,
    /// The most connections of one process.
    pub connections_max: u32,
    /// How long to wait for a free connection.
    pub acquire_timeout_seconds: u64,
}

impl Default for DatabaseSection {
    fn default() -> Self {
        Self { url: String::new(), connections_max: 8, acquire_timeout_seconds: 5 }
    }
}

/// `[spool]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SpoolSection {
    /// How much may wait; beyond it the door answers 503.
    pub bytes_max: u64,
    /// The size of one file of the spool.
    pub segment_bytes: u64,
    /// The longest that an answer waits for others to share its fsync.
    pub linger_microseconds: u64,
}

impl Default for SpoolSection {
    fn default() -> Self {
        Self { bytes_max: 2 << 30, segment_bytes: 64 << 20, linger_microseconds: 1_000 }
    }
}

/// `[intake]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IntakeSection {
    /// The most requests digested in one transaction.
    pub batch_records_max: usize,
    /// Their most bytes as they lie in the spool; a single larger request is digested alone.
    pub batch_bytes_max: usize,
    /// How often a delivery is tried before it is set aside.
    pub tries_max: u32,
    /// How often a worker looks for shared batches when no live message wakes it.
    pub poll_seconds: u64,
}

impl Default for IntakeSection {
    fn default() -> Self {
        Self { batch_records_max: 500, batch_bytes_max: 512 << 10, tries_max: 3, poll_seconds: 1 }
    }
}

/// `[events]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsSection {
    /// Where sealed events lie; empty for `events` in the data directory. Processes that share a database share it too.
    pub directory: PathBuf,
    /// The most bytes of decoded events that are kept in memory for the next question; 0 for a sixteenth of the machine's
    /// or container's memory, 256 MiB to 2 GiB.
    pub cache_bytes_max: usize,
    /// How long events are kept; they go by whole months.
    pub kept_days: u32,
    /// Whether counts are kept with events, so that common questions need not read them.
    pub rollups: bool,
    /// The dimensions that are counted by day and name.
    pub rollup_dimensions: Vec<String>,
}

impl Default for EventsSection {
    /// Two years to compare with, and the month that has begun.
    fn default() -> Self {
        Self {
            directory: PathBuf::new(),
            cache_bytes_max: 0,
            kept_days: 775,
            rollups: true,
            rollup_dimensions: ["course", "country", "plan"].map(str::to_owned).to_vec(),
        }
    }
}

impl EventsSection {
    /// What is rolled up, or what is no dimension.
    pub(crate) fn rollup_limits(&self) -> Result<RollupLimits, String> {
        let found =
            self.rollup_dimensions.iter().map(|name| Dimension::find(name).ok_or_else(|| name.clone()));
        let dimensions = found.collect::<Result<Vec<_>, _>>()?;
        Ok(RollupLimits { is_on: self.rollups, ..RollupLimits::of(&dimensions) })
    }
}

fn dimensions() -> String {
    Dimension::ALL.map(Dimension::as_str).join(", ")
}

/// `[xapi]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct XapiSection {
    /// The most statements of one request.
    pub statements_max: usize,
    /// How deep JSON may be nested.
    pub depth_max: usize,
    /// The most files attached to the statements of one request.
    pub attachments_max: usize,
    /// The largest attached file.
    pub attachment_bytes_max: usize,
    /// The largest document.
    pub document_bytes_max: usize,
    /// The most statements of one answer.
    pub page_max: usize,
    /// How often one key may ask in a minute; 0: as often as it likes.
    pub requests_per_minute: u32,
}

impl Default for XapiSection {
    fn default() -> Self {
        let limits = XapiLimits::default();
        Self {
            statements_max: limits.statements_max,
            depth_max: limits.depth_max,
            attachments_max: limits.attachments_max,
            attachment_bytes_max: limits.attachment_bytes_max,
            document_bytes_max: limits.document_bytes_max,
            page_max: limits.page_max,
            requests_per_minute: limits.requests_per_minute.unwrap_or(0),
        }
    }
}

impl XapiSection {
    /// The same as the record store takes them.
    #[must_use]
    pub fn limits(&self) -> XapiLimits {
        XapiLimits {
            statements_max: self.statements_max,
            depth_max: self.depth_max,
            attachments_max: self.attachments_max,
            attachment_bytes_max: self.attachment_bytes_max,
            document_bytes_max: self.document_bytes_max,
            page_max: self.page_max,
            requests_per_minute: Some(self.requests_per_minute).filter(|limit| *limit > 0),
        }
    }
}

/// `[alerting]`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlertingSection {
    /// Whether webhooks may lead to addresses that are not public, and to plain HTTP.
    pub private_targets: bool,
}

/// `[redis]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSection {
    /// `redis://host:6379`; empty: live messages stay within the process.
    pub url: String,
}

/// `[privacy]`
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrivacySection {
    /// 64 hexadecimal digits; empty: the file `master.key` in the data directory, made at the first start.
    pub master_key: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogSection {
    /// Levels by target, as `tracing_subscriber::EnvFilter` reads them.
    pub filter: String,
    /// Text or JSON.
    pub format: LogFormat,
}

impl Default for LogSection {
    fn default() -> Self {
        Self { filter: "info,sea_orm_migration=warn".to_owned(), format: LogFormat::Text }
    }
}

/// `[features]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FeaturesSection {
    /// Receive and show errors.
    pub error_tracking: bool,
    /// The xAPI record store.
    pub xapi: bool,
    /// Receive and show what learners do.
    pub learning: bool,
    /// Receive what people do in the product, and show what it earns.
    pub business_intelligence: bool,
}

impl Default for FeaturesSection {
    fn default() -> Self {
        Self { error_tracking: true, xapi: true, learning: true, business_intelligence: true }
    }
}

/// `[self_report]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SelfReportSection {
    /// Report panics and log lines of level error.
    pub enabled: bool,
    /// Where to; empty: into a project of this installation.
    pub dsn: String,
    /// Shown with every report.
    pub environment: String,
}

impl Default for SelfReportSection {
    fn default() -> Self {
        Self { enabled: true, dsn: String::new(), environment: "production".to_owned() }
    }
}

/// A configuration that cannot be used, and the key at fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{} is not valid TOML: {source}", .path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value has the wrong type, or a key does not exist.
    #[error("configuration: {0}")]
    Shape(String),
    /// A value is of the right type and still makes no sense.
    #[error("{key}: {why}")]
    Value {
        /// The key, as `section.key`.
        key: &'static str,
        /// What is wrong with it.
        why: String,
    },
}

impl Config {
    /// Reads `file`, if there is one, and lets the environment's variables override it.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key at fault.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?,
        };
        let table = text.parse::<Table>().map_err(|source| ConfigError::Syntax {
            path: file.unwrap_or(Path::new("configuration")).to_owned(),
            source: Box::new(source),
        })?;
        let environment = std::env::vars().filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).collect();
        Self::from_parts(table, &environment)
    }

    /// The configuration of `table` with `environment` laid over it.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key at fault.
    pub fn from_parts(mut table: Table, environment: &BTreeMap<String, String>) -> Result<Self, ConfigError> {
        let shape =
            |error: &dyn std::fmt::Display| ConfigError::Shape(error.to_string().trim_end().to_owned());
        let defaults = Table::try_from(Self::default()).map_err(|error| shape(&error))?;
        let mut keys = BTreeMap::new();
        for (section, defaults) in &defaults {
            for (key, default) in defaults.as_table().into_iter().flatten() {
                let name = format!("{ENVIRONMENT_PREFIX}{}_{}", section.to_uppercase(), key.to_uppercase());
                keys.insert(name, (section, key, default));
            }
        }
        for (name, text) in environment {
            let Some((section, key, default)) = keys.get(name) else {
                return Err(ConfigError::Shape(format!("unknown environment variable {name}")));
            };
            let value = value_like(default, text)
                .map_err(|why| ConfigError::Shape(format!("environment variable {name}: {why}")))?;
            let section = table.entry(*section).or_insert_with(|| Value::Table(Table::new()));
            if let Some(section) = section.as_table_mut() {
                section.insert((*key).clone(), value);
            }
        }
        let config: Self = table.try_into().map_err(|error| shape(&error))?;
        config.check()?;
        Ok(config)
    }

    /// The address for links and DSNs, without a slash at its end.
    #[must_use]
    pub fn public_url(&self) -> String {
        if self.server.public_url.is_empty() {
            return format!("http://{}", self.server.address);
        }
        self.server.public_url.trim_end_matches('/').to_owned()
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why: &str| Err(ConfigError::Value { key, why: why.to_owned() });
        let url = &self.server.public_url;
        if !url.is_empty() && !url.starts_with("http://") && !url.starts_with("https://") {
            return refuse("server.public_url", "must begin with http:// or https://");
        }
        if self.server.connections_max == 0 {
            return refuse("server.connections_max", "must be at least 1");
        }
        if self.server.bodies_in_memory_bytes_max < self.server.decompressed_bytes_max {
            return refuse(
                "server.bodies_in_memory_bytes_max",
                "must hold at least one body of server.decompressed_bytes_max",
            );
        }
        let url = &self.database.url;
        if !url.is_empty()
            && !["sqlite:", "postgres:", "postgresql:"].iter().any(|scheme| url.starts_with(scheme))
        {
            return refuse("database.url", "must begin with sqlite: or postgres:");
        }
        if self.database.connections_max < 2 {
            return refuse("database.connections_max", "must be at least 2");
        }
        if self.spool.segment_bytes < 1 << 20 || self.spool.segment_bytes > self.spool.bytes_max {
            return refuse("spool.segment_bytes", "must be at least 1 MiB and at most spool.bytes_max");
        }
        if !(1..=1_000).contains(&self.intake.batch_records_max) {
            return refuse("intake.batch_records_max", "must be from 1 to 1,000");
        }
        if !(1 << 10..=64 << 20).contains(&self.intake.batch_bytes_max) {
            return refuse("intake.batch_bytes_max", "must be from 1 KiB to 64 MiB");
        }
        if self.intake.tries_max == 0 {
            return refuse("intake.tries_max", "must be at least 1");
        }
        if !(1..=3_600).contains(&self.intake.poll_seconds) {
            return refuse("intake.poll_seconds", "must be from 1 to 3,600");
        }
        if self.events.kept_days < 31 {
            return refuse("events.kept_days", "must be at least 31");
        }
        if let Err(unknown) = self.events.rollup_limits() {
            return refuse("events.rollup_dimensions", &format!("{unknown:?} is none of {}", dimensions()));
        }
        if !(8..=256).contains(&self.xapi.depth_max) {
            return refuse("xapi.depth_max", "must be from 8 to 256");
        }
        if !(1..=10_000).contains(&self.xapi.page_max) {
            return refuse("xapi.page_max", "must be from 1 to 10,000");
        }
        if !(1..=10_000).contains(&self.xapi.statements_max) {
            return refuse("xapi.statements_max", "must be from 1 to 10,000");
        }
        let key = &self.privacy.master_key;
        if !key.is_empty() && (key.len() != 64 || !key.bytes().all(|byte| byte.is_ascii_hexdigit())) {
            return refuse("privacy.master_key", "must be 64 hexadecimal digits");
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&self.log.filter) {
            return refuse("log.filter", &error.to_string());
        }
        let report = &self.self_report;
        if !report.dsn.is_empty()
            && let Err(error) = ClientConfig::new(&report.dsn, &report.environment).check()
        {
            return refuse("self_report.dsn", &error.to_string());
        }
        Ok(())
    }
}

/// Reads `text` as a value of the type that `default` has; lists are separated by commas.
fn value_like(default: &Value, text: &str) -> Result<Value, String> {
    Ok(match default {
        Value::Integer(_) => {
            Value::Integer(text.parse().map_err(|_| format!("not a whole number: {text:?}"))?)
        }
        Value::Boolean(_) => {
            Value::Boolean(text.parse().map_err(|_| format!("not true or false: {text:?}"))?)
        }
        Value::Array(_) => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Array(items.map(|item| Value::String(item.to_owned())).collect())
        }
        _ => Value::String(text.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_text(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let environment =
            environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::from_parts(text.parse().unwrap(), &environment).map_err(|error| error.to_string())
    }

    #[test]
    fn environment_overrides_the_file_for_every_type() {
        let config = from_text(
            "[server]\naddress = \"127.0.0.1:1\"\n[spool]\nbytes_max = 67108864",
            &[
                ("BELVEDERE_SERVER_ADDRESS", "0.0.0.0:9000"),
                ("BELVEDERE_SERVER_TRUSTED_PROXIES", "10.0.0.0/8, ::1"),
                ("BELVEDERE_INTAKE_TRIES_MAX", "5"),
                ("BELVEDERE_FEATURES_ERROR_TRACKING", "false"),
                ("BELVEDERE_SELF_REPORT_ENABLED", "false"),
                ("BELVEDERE_SELF_REPORT_DSN", "https://key@errors.example/4"),
            ],
        )
        .unwrap();
        assert_eq!(config.server.address, SocketAddr::from(([0, 0, 0, 0], 9000)));
        assert_eq!(config.server.trusted_proxies, ["10.0.0.0/8", "::1"]);
        assert_eq!(config.spool.bytes_max, 67_108_864);
        assert_eq!(config.intake.tries_max, 5);
        assert!(!config.features.error_tracking);
        assert!(!config.self_report.enabled);
        assert_eq!(config.self_report.dsn, "https://key@errors.example/4");
    }

    #[test]
    fn a_bad_value_is_named() {
        for (text, environment, expected) in [
            ("[server]\nadress = \"x\"", ("", ""), "unknown field `adress`"),
            ("[server]\naddress = \"somewhere\"", ("", ""), "invalid socket address"),
            ("[spool]\nsegment_bytes = 10", ("", ""), "spool.segment_bytes: must be at least 1 MiB"),
            (
                "[database]\nurl = \"mysql://\"",
                ("", ""),
                "database.url: must begin with sqlite: or postgres:",
            ),
            (
                "[privacy]\nmaster_key = \"abc\"",
                ("", ""),
                "privacy.master_key: must be 64 hexadecimal digits",
            ),
            ("[self_report]\ndsn = \"elsewhere\"", ("", ""), "self_report.dsn: destination: "),
            ("", ("BELVEDERE_SERVER_ADRESS", "x"), "unknown environment variable BELVEDERE_SERVER_ADRESS"),
            (
                "",
                ("BELVEDERE_INTAKE_TRIES_MAX", "many"),
                "BELVEDERE_INTAKE_TRIES_MAX: not a whole number: \"many\"",
            ),
        ] {
            let environment: &[_] = if environment.0.is_empty() { &[] } else { &[environment] };
            let error = from_text(text, environment).unwrap_err();
            assert!(error.contains(expected), "{error:?} does not say {expected:?}");
        }
    }

    #[test]
    fn the_example_file_shows_every_key_with_its_default() {
        let example = include_str!("../../../belvedere.example.toml");
        let table: Table = example.parse().unwrap();
        assert_eq!(table, Table::try_from(Config::default()).unwrap());
        let lines: Vec<&str> = example.lines().collect();
        for pair in lines.windows(2).filter(|pair| pair[1].contains(" = ") && !pair[1].starts_with('#')) {
            assert!(pair[0].starts_with('#'), "{:?} has no comment above it", pair[1]);
        }
    }
}
