use std::future::Future;

use anyhow::Result;

/// Threads for blocking work: preparing a batch, reading the spool, two password hashes. Each keeps memory of its own
/// for reuse, so there are few.
const BLOCKING_THREADS_MAX: usize = 4;

/// Runs a program's main future to its end on a runtime with a thread per processor.
///
/// # Errors
/// What the future returns, or that the runtime could not start.
pub fn run(main: impl Future<Output = Result<()>>) -> Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.max_blocking_threads(BLOCKING_THREADS_MAX).enable_all().build()?.block_on(main)
}
