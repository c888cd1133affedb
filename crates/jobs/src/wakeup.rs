//! Live messages between processes through Redis. The only file that knows fred.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use belvedere_kernel::{Clock, InProcessBus, LiveBus, LiveMessage, Tasks};
use belvedere_storage::Id;
use fred::clients::{Client, SubscriberClient};
use fred::interfaces::{ClientLike, EventInterface, PubsubInterface};
use fred::types::Builder;
use fred::types::config::{Config, ReconnectPolicy};
use serde::{Deserialize, Serialize};
use tokio::sync::{broadcast, mpsc};

use crate::JobsError;

/// Messages that wait for Redis before new ones are dropped.
const OUTGOING_MAX: usize = 1_024;
/// The largest message, as JSON text; live messages are a few hundred bytes.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// How often the bus sends something to itself, to notice a connection that is dead without having ended.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Heartbeats that may be missing before the connection is made anew.
const HEARTBEATS_MISSED_MAX: u64 = 3;

/// A [`LiveBus`] across processes: Redis publish/subscribe beside an [`InProcessBus`].
///
/// Subscribers in this process get a message at once, whether Redis is there or not, and exactly once: what comes
/// back from Redis with this bus's own mark is ignored. While Redis is away messages to other processes are
/// dropped, which is what [`LiveMessage`] allows, and the connection is made again by itself.
pub struct RedisBus {
    local: InProcessBus,
    origin: String,
    outgoing: mpsc::Sender<String>,
    is_connected: Arc<AtomicBool>,
    dropped: Arc<AtomicU64>,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    origin: String,
    /// Absent in a heartbeat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<LiveMessage>,
}

impl RedisBus {
    /// A bus through the server at `url` (`redis://[user:password@]host[:port][/db]`) on the channel
    /// `<channel_prefix>.live`. It need not be reachable yet; the loops of the bus run among `tasks`.
    ///
    /// # Errors
    /// [`JobsError::RedisAddress`] when the address makes no sense.
    pub fn connect(
        url: &str,
        channel_prefix: &str,
        clock: &dyn Clock,
        tasks: &Tasks,
    ) -> Result<Self, JobsError> {
        let address = |error: fred::error::Error| JobsError::RedisAddress(error.details().to_owned());
        let builder = builder(url).map_err(address)?;
        let publisher = builder.build().map_err(address)?;
        let subscriber = builder.build_subscriber_client().map_err(address)?;
        let (outgoing, queue) = mpsc::channel(OUTGOING_MAX);
        let bus = Self {
            local: InProcessBus::default(),
            origin: Id::<()>::generate(clock.now()).to_string(),
            outgoing,
            is_connected: Arc::default(),
            dropped: Arc::default(),
        };
        let channel = format!("{channel_prefix}.live");
        let incoming = Incoming {
            subscriber,
            channel: channel.clone(),
            origin: bus.origin.clone(),
            local: bus.local.clone(),
            heartbeats_missed: AtomicU64::new(0),
            is_connected: Arc::clone(&bus.is_connected),
        };
        let heartbeat = Wire { origin: bus.origin.clone(), message: None };
        let heartbeat = serde_json::to_string(&heartbeat).unwrap_or_default();
        tasks.spawn("redis publisher", publish_all(publisher, channel, queue, heartbeat, tasks.clone()));
        tasks.spawn("redis subscriber", incoming.run(tasks.clone()));
        Ok(bus)
    }

    /// Whether messages of other processes are arriving at the moment, for `/readyz` and metrics.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.is_connected.load(Ordering::Relaxed)
    }

    /// Messages that were not sent to other processes because too many waited already.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl LiveBus for RedisBus {
    fn publish(&self, message: LiveMessage) {
        let wire = Wire { origin: self.origin.clone(), message: Some(message.clone()) };
        self.local.publish(message);
        let sent = match serde_json::to_string(&wire) {
            Ok(text) if text.len() <= MESSAGE_BYTES_MAX => self.outgoing.try_send(text).is_ok(),
            _ => false,
        };
        if !sent {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn subscribe(&self) -> broadcast::Receiver<LiveMessage> {
        self.local.subscribe()
    }
}

fn builder(url: &str) -> Result<Builder, fred::error::Error> {
    let mut config = Config::from_url(url)?;
    // The first connection is retried like every later one.
    config.fail_fast = false;
    let mut builder = Builder::from_config(config);
    builder.set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2));
    builder.with_performance_config(|performance| {
        performance.default_command_timeout = Duration::from_secs(2);
        performance.broadcast_channel_capacity = 1_024;
    });
    builder.with_connection_config(|connection| {
        connection.connection_timeout = Duration::from_secs(5);
        connection.internal_command_timeout = Duration::from_secs(5);
        connection.max_command_attempts = 1;
        connection.max_command_buffer_len = OUTGOING_MAX;
    });
    Ok(builder)
}

/// Sends what is in `queue`, and a heartbeat now and then, until the tasks stop.
async fn publish_all(
    client: Client,
    channel: String,
    mut queue: mpsc::Receiver<String>,
    heartbeat: String,
    tasks: Tasks,
) {
    let mut connection = client.connect();
    let mut heartbeats = tokio::time::interval(HEARTBEAT);
    let mut is_failing = false;
    loop {
        if connection.is_finished() {
            connection = client.connect();
        }
        let text = tokio::select! {
            () = tasks.stopped() => break,
            _ = heartbeats.tick() => heartbeat.clone(),
            text = queue.recv() => match text {
                Some(text) => text,
                None => break,
            },
        };
        let sent = tokio::select! {
            () = tasks.stopped() => break,
            sent = client.publish::<i64, _, _>(channel.as_str(), text) => sent,
        };
        if is_failing != sent.is_err() {
            is_failing = sent.is_err();
            match sent {
                Err(error) => {
                    tracing::warn!(%error, "redis takes no messages, other processes are not told until it does")
                }
                Ok(_) => tracing::info!("redis takes messages again"),
            }
        }
    }
    let _ended = tokio::time::timeout(Duration::from_secs(1), client.quit()).await;
    connection.abort();
}

struct Incoming {
    subscriber: SubscriberClient,
    channel: String,
    origin: String,
    local: InProcessBus,
    heartbeats_missed: AtomicU64,
    is_connected: Arc<AtomicBool>,
}

impl Incoming {
    async fn run(self, tasks: Tasks) {
        let mut messages = self.subscriber.message_rx();
        let mut reconnections = self.subscriber.reconnect_rx();
        let mut errors = self.subscriber.error_rx();
        let mut connection = self.subscriber.connect();
        let mut heartbeats = tokio::time::interval(HEARTBEAT);
        loop {
            tokio::select! {
                () = tasks.stopped() => break,
                error = errors.recv() => match error {
                    Ok((error, _)) => self.note_lost(&error.to_string()),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => break,
                },
                reconnected = reconnections.recv() => match reconnected {
                    Ok(_) | Err(broadcast::error::RecvError::Lagged(_)) => self.subscribe().await,
                    Err(broadcast::error::RecvError::Closed) => break,
                },
                message = messages.recv() => match message {
                    Ok(message) => self.deliver(message.value.as_bytes().unwrap_or_default()),
                    Err(broadcast::error::RecvError::Lagged(missed)) => {
                        tracing::warn!(missed, "live messages from redis were missed");
                    }
                    Err(broadcast::error::RecvError::Closed) => break,
                },
                _ = heartbeats.tick() => {
                    // It ends by itself when the server refuses the credentials, which can be put right there.
                    if connection.is_finished() {
                        connection = self.subscriber.connect();
                    }
                    self.check_heartbeat().await;
                }
            }
        }
        self.is_connected.store(false, Ordering::Relaxed);
        let _ended = tokio::time::timeout(Duration::from_secs(1), self.subscriber.quit()).await;
        connection.abort();
    }

    async fn subscribe(&self) {
        match self.subscriber.subscribe(self.channel.as_str()).await {
            Ok(()) => {
                self.heartbeats_missed.store(0, Ordering::Relaxed);
                self.local.publish(LiveMessage::missed());
                if !self.is_connected.swap(true, Ordering::Relaxed) {
                    tracing::info!(channel = self.channel, "live messages arrive through redis");
                }
            }
            Err(error) => {
                self.is_connected.store(false, Ordering::Relaxed);
                tracing::warn!(%error, channel = self.channel, "redis refused the subscription");
            }
        }
    }

    fn deliver(&self, bytes: &[u8]) {
        self.heartbeats_missed.store(0, Ordering::Relaxed);
        if bytes.len() > MESSAGE_BYTES_MAX {
            return;
        }
        match serde_json::from_slice::<Wire>(bytes) {
            Ok(wire) if wire.origin == self.origin => {}
            Ok(Wire { message: Some(message), .. }) => self.local.publish(message),
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(%error, channel = self.channel, "a message on the channel is not ours")
            }
        }
    }

    fn note_lost(&self, why: &str) {
        if self.is_connected.swap(false, Ordering::Relaxed) {
            tracing::warn!(why, "live messages of other processes do not arrive, connecting to redis again");
        }
    }

    async fn check_heartbeat(&self) {
        if self.heartbeats_missed.fetch_add(1, Ordering::Relaxed) < HEARTBEATS_MISSED_MAX {
            return;
        }
        self.heartbeats_missed.store(0, Ordering::Relaxed);
        self.note_lost("heartbeats are missing");
        // An error means that it is connecting already.
        let _refused = self.subscriber.force_reconnection().await;
    }
}
