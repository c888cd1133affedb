use std::future::Future;
use std::path::Path;

use anyhow::Result;

use crate::{App, Config, Role, init_telemetry, until_interrupted};

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

/// What a process without a door does: checks the configuration if that is all, else works until it is interrupted.
///
/// # Errors
/// A configuration that cannot be used, or what [`App::init`] could not open.
pub async fn work(file: Option<&Path>, only_check: bool, role: Role) -> Result<()> {
    let config = Config::load(file)?;
    if only_check {
        println!("the configuration is valid");
        return Ok(());
    }
    init_telemetry(&config.log);
    let app = App::init(config, role).await?;
    app.start();
    until_interrupted().await;
    app.stop().await;
    Ok(())
}
