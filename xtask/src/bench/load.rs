//! Requests over several connections at once, and how long their answers take.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail};

use crate::client::Client;

/// Where requests go, and what they say of themselves.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) host: &'a str,
    pub(super) path: &'a str,
    pub(super) headers: &'a str,
}

impl Target<'_> {
    pub(super) fn post(self, client: &mut Client, body: &[u8]) -> Result<()> {
        let response = client.send("POST", self.path, self.headers, body)?;
        if response.status != 200 {
            bail!("status {}: {}", response.status, String::from_utf8_lossy(&response.body));
        }
        Ok(())
    }

    /// Posts every body once over `concurrency` connections; how long each answer took, sorted.
    pub(super) fn load<B: AsRef<[u8]> + Sync>(
        self,
        bodies: &[B],
        concurrency: usize,
    ) -> Result<Vec<Duration>> {
        let next = AtomicUsize::new(0);
        let worker = || -> Result<Vec<Duration>> {
            let mut client = Client::connect(self.host)?;
            let mut times = Vec::with_capacity(bodies.len() / concurrency + 1);
            while let Some(body) = bodies.get(next.fetch_add(1, Ordering::Relaxed)) {
                let started = Instant::now();
                self.post(&mut client, body.as_ref())?;
                times.push(started.elapsed());
            }
            Ok(times)
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..concurrency).map(|_| scope.spawn(worker)).collect();
            let mut all = Vec::with_capacity(bodies.len());
            for worker in workers {
                all.extend(worker.join().map_err(|_| anyhow!("a sender panicked"))??);
            }
            all.sort_unstable();
            Ok(all)
        })
    }
}

/// A quantile of sorted times in milliseconds, by the lower rank.
pub(super) fn quantile(sorted: &[Duration], q: f64) -> f64 {
    let at = ((sorted.len().saturating_sub(1)) as f64 * q) as usize;
    sorted.get(at).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
