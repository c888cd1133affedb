use belvedere_storage::StorageError;

/// What can go wrong when jobs are enqueued or managed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobsError {
    /// The payload is larger than a job may carry.
    #[error("payload of job {kind} has {len} bytes, at most {max} are allowed")]
    PayloadTooLarge {
        /// The job's kind.
        kind: String,
        /// Length of the payload as JSON text.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// No dead job has this id.
    #[error("no such dead job")]
    NotFound,
    /// The cursor of a page is not one that the list gave out.
    #[error("not a place in this list")]
    InvalidCursor,
    /// The address of the Redis server cannot be used.
    #[error("redis address cannot be used: {0}")]
    RedisAddress(String),
    /// The database failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// Why one attempt at a job failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JobError {
    /// It may go better next time.
    #[error("{0}")]
    Failed(String),
    /// It will never go better: the job is dead at once.
    #[error("{0}")]
    GiveUp(String),
    /// The database failed; if that is transient, the attempt does not count.
    #[error(transparent)]
    Storage(#[from] StorageError),
}
