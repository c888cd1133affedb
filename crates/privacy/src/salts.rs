//! The salts of days: whoever has none of them cannot tell that two days saw the same person.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use belvedere_kernel::{KeyOwner, VaultError};
use belvedere_storage::{Timestamp, Tx};

use crate::MasterKey;
use crate::master::KeyedHash;
use crate::sealing::{self, KeyBytes, Purpose};
use crate::store;

/// A salt is destroyed this long after its day began.
const SALT_LIFE: Duration = Duration::from_secs(48 * 3_600);

/// Random 256-bit salts, one a UTC day, shared by all processes.
pub(crate) struct DailySalts {
    wrapping_key: KeyBytes,
    /// The salt that was used last.
    current: Arc<Mutex<Option<(Timestamp, KeyedHash)>>>,
}

impl DailySalts {
    pub(crate) fn new(master_key: &MasterKey) -> Self {
        Self { wrapping_key: master_key.derive("daily salt"), current: Arc::default() }
    }

    /// The hash that is keyed with the salt of the day of `now`, which is made if there is none.
    pub(crate) async fn hash_in(&self, tx: &Tx, now: Timestamp) -> Result<KeyedHash, VaultError> {
        let day = now.start_of_day();
        if let Some((of, hash)) = &*self.current.lock().unwrap_or_else(PoisonError::into_inner)
            && *of == day
        {
            return Ok(hash.clone());
        }
        let associated_data = [
            sealing::associated_data(Purpose::Salt, KeyOwner::System),
            day.as_micros().to_be_bytes().to_vec(),
        ]
        .concat();
        let mut sealed = store::find_salt(tx, day).await?;
        if sealed.is_none() {
            // Another process may be making the same salt: the insert waits for it and then gives way.
            let made = sealing::seal(&self.wrapping_key, &associated_data, &sealing::random::<32>())?;
            store::insert_salt(tx, day, made).await?;
            sealed = store::find_salt(tx, day).await?;
        }
        let sealed = sealed.ok_or(VaultError::Tampered)?;
        let hash = KeyedHash::new(&sealing::open_key(&self.wrapping_key, &associated_data, &sealed)?);
        let (current, committed) = (Arc::clone(&self.current), hash.clone());
        tx.after_commit(move || {
            *current.lock().unwrap_or_else(PoisonError::into_inner) = Some((day, committed));
        });
        Ok(hash)
    }

    /// Destroys the salts whose time is over at `now`, in the database and in memory.
    pub(crate) async fn destroy_old_in(&self, tx: &Tx, now: Timestamp) -> Result<u64, VaultError> {
        let last_day = now.minus(SALT_LIFE);
        let destroyed = store::delete_salts(tx, last_day).await?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|(day, _)| *day <= last_day) {
            *current = None;
        }
        Ok(destroyed)
    }
}
