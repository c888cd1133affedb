//! Password hashing: Argon2id (RFC 9106), off the runtime's threads, two at a time.

use std::sync::Arc;
use std::time::Duration;

use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio::sync::Semaphore;

use crate::AccountsError;
use crate::secret::random_bytes;

/// 19 MiB, two passes, one lane: the first recommendation of OWASP's password storage cheat sheet.
const PARAMS: Params = Params::DEFAULT;

/// How many hashes are computed at once: each takes 19 MiB and a core for some 20 ms.
const AT_ONCE_MAX: usize = 2;

/// How many may wait for a place before sign-ins are turned away.
const WAITING_MAX: usize = 32;

/// What is verified for an account that does not exist, or has no password. Nothing hashes to it.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$QmVsdmVkZXJlTm9ib2R5IQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The places for password work.
#[derive(Clone)]
pub(crate) struct Passwords {
    queue: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            queue: Arc::new(Semaphore::new(AT_ONCE_MAX + WAITING_MAX)),
            places: Arc::new(Semaphore::new(AT_ONCE_MAX)),
        }
    }
}

impl Passwords {
    /// The PHC string of `password` with a new salt.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, AccountsError> {
        let password = password.to_owned();
        self.work(move || {
            let hash = argon2().hash_password_with_salt(password.as_bytes(), &random_bytes::<16>());
            hash.map(|hash| hash.to_string()).map_err(|error| AccountsError::PasswordHash(error.to_string()))
        })
        .await
    }

    /// Whether `password` is the one of `hash`; never for `None`, at the same cost.
    pub(crate) async fn verify(&self, password: &str, hash: Option<&str>) -> Result<bool, AccountsError> {
        let (password, hash) = (password.to_owned(), hash.unwrap_or(NOBODY).to_owned());
        self.work(move || match argon2().verify_password(password.as_bytes(), hash.as_str()) {
            Ok(()) => Ok(true),
            Err(Error::PasswordInvalid) => Ok(false),
            Err(error) => Err(AccountsError::PasswordHash(error.to_string())),
        })
        .await
    }

    /// Runs `work` on a blocking thread. The places are given back when it ends, not when the caller stops waiting.
    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, AccountsError> + Send + 'static,
    ) -> Result<T, AccountsError> {
        let Ok(waiting) = self.queue.clone().try_acquire_owned() else {
            return Err(AccountsError::Throttled { retry_after: Duration::from_secs(1) });
        };
        let closed = |_| AccountsError::PasswordHash("shutting down".to_owned());
        let place = self.places.clone().acquire_owned().await.map_err(closed)?;
        let done = tokio::task::spawn_blocking(move || {
            let _places = (waiting, place);
            work()
        });
        done.await.map_err(|error| AccountsError::PasswordHash(error.to_string()))?
    }
}

fn argon2() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_verifies_against_its_own_hash_only() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse").await.unwrap());
        assert!(passwords.verify("correct horse", Some(&hash)).await.unwrap());
        assert!(!passwords.verify("battery staple", Some(&hash)).await.unwrap());
        assert!(matches!(passwords.verify("x", Some("rubbish")).await, Err(AccountsError::PasswordHash(_))));
    }

    #[tokio::test]
    async fn nobody_has_a_password_but_costs_a_whole_verification() {
        assert!(!Passwords::default().verify("", None).await.unwrap());
        let nobody: argon2::password_hash::phc::PasswordHash = NOBODY.parse().unwrap();
        let params = Params::try_from(&nobody).unwrap();
        assert_eq!((params.m_cost(), params.t_cost(), params.p_cost()), (19_456, 2, 1));
    }

    #[tokio::test]
    async fn two_passwords_are_hashed_at_once_and_those_beyond_the_queue_are_turned_away() {
        let passwords = Passwords::default();
        let _busy = passwords.queue.clone().acquire_many_owned(34).await.unwrap();
        let turned_away = passwords.verify("x", None).await;
        assert!(matches!(turned_away, Err(AccountsError::Throttled { .. })), "{turned_away:?}");
        assert_eq!(passwords.places.available_permits(), 2);
    }
}
