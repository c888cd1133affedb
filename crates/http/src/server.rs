//! The accept loop: what stands between the internet and the router.
//!
//! An own loop, because `axum::serve` installs no timer, and without one hyper's header timeout does nothing.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use belvedere_kernel::Tasks;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tower::Service;

use crate::address::{ClientAddress, Peer, TrustedProxies};
use crate::stalling::WriteDeadline;

/// How long to wait after a failed accept (most likely out of file descriptors) before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Limits of connections; those of bodies are in [`crate::HttpLimits`].
#[derive(Debug, Clone)]
pub struct ServerLimits {
    /// The most open connections; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// How long a client may take to send a request's head, and how long an idle connection stays open.
    pub header_timeout: Duration,
    /// The most bytes of a request's head, and of what is read ahead of a body; at least 8,192.
    pub header_bytes_max: usize,
    /// The most header lines of a request.
    pub headers_max: usize,
    /// How long a client may refuse to take any byte of an answer.
    pub write_timeout: Duration,
    /// How long requests in flight may take to end at shutdown.
    pub shutdown_timeout: Duration,
    /// The reverse proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: TrustedProxies,
}

impl Default for ServerLimits {
    fn default() -> Self {
        Self {
            connections_max: 4_096,
            header_timeout: Duration::from_secs(10),
            header_bytes_max: 16 << 10,
            headers_max: 100,
            write_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(10),
            trusted_proxies: TrustedProxies::default(),
        }
    }
}

/// Serves `router` on `listener` as a background task, until `tasks` are told to stop.
///
/// Then nothing is accepted any more, idle connections are closed, and requests in flight have
/// [`ServerLimits::shutdown_timeout`] to end. Every request carries a [`Peer`] and a [`ClientAddress`].
pub fn serve(router: Router, listener: TcpListener, tasks: &Tasks, limits: ServerLimits) {
    let stop = tasks.clone();
    tasks.spawn("http server", async move { run(router, listener, stop, limits).await });
}

async fn run(router: Router, listener: TcpListener, tasks: Tasks, limits: ServerLimits) {
    let slots = Arc::new(Semaphore::new(limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let limits = Arc::new(limits);
    loop {
        while connections.try_join_next().is_some() {}
        let next = tokio::select! {
            () = tasks.stopped() => break,
            next = accept(&listener, &slots) => next,
        };
        let Some((stream, peer, slot)) = next else { continue };
        connections.spawn(connection(
            stream,
            peer,
            slot,
            router.clone(),
            Arc::clone(&limits),
            graceful.watcher(),
        ));
    }
    drop(listener);
    let open = connections.len();
    tracing::debug!(open, "http server stops");
    if tokio::time::timeout(limits.shutdown_timeout, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests in flight did not end in time and are cut off");
    }
    connections.shutdown().await;
}

/// The next connection, once there is room for it; `None` if accepting failed.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    // An error would mean that the semaphore was closed, which nobody does.
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, slot)),
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    _slot: OwnedSemaphorePermit,
    router: Router,
    limits: Arc<ServerLimits>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let io = TokioIo::new(WriteDeadline::new(stream, limits.write_timeout));
    let shared = Arc::clone(&limits);
    let service = service_fn(move |request: http::Request<Incoming>| {
        let mut request = request.map(Body::new);
        let client = shared.trusted_proxies.client(peer.ip(), request.headers());
        request.extensions_mut().insert(Peer(peer));
        request.extensions_mut().insert(ClientAddress(client));
        let mut router = router.clone();
        async move { Ok::<_, Infallible>(router.call(request).await.unwrap_or_else(|never| match never {})) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes_max.max(8_192))
        .max_headers(limits.headers_max)
        .half_close(false)
        .serve_connection(io, service);
    if let Err(error) = watcher.watch(served).await {
        tracing::debug!(%error, "connection ended early");
    }
}
