//! What signing in consists of: proving a password, beginning a session, and the entries of both.

use std::time::Duration;

use belvedere_kernel::{Actor, Organisation, Outcome, User};
use belvedere_storage::{Id, Timestamp, Tx};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

use super::guesses::Guess;
use super::{AccountsService, door_entry, target};
use crate::entity::{session, user};
use crate::secret::{SECRET_LEN, hash, random_secret};
use crate::store::sessions::SessionRow;
use crate::store::{people, sessions};
use crate::{AccountsError, ClientInfo, NewSession, Secret};

const SESSION_LIFETIME: Duration = Duration::from_hours(90 * 24);
const SESSION_IDLE_MAX: Duration = Duration::from_hours(14 * 24);

/// The most sessions of one person; a new one ends the oldest.
const SESSIONS_MAX: u64 = 50;

impl AccountsService {
    /// The session of a cookie value, unless it has ended.
    pub(super) async fn find_session(&self, secret: &str) -> Result<Option<SessionRow>, AccountsError> {
        if secret.len() != SECRET_LEN {
            return Ok(None);
        }
        let now = self.clock.now();
        let row = sessions::find_by_hash(self.db.read(), &hash(secret)).await?;
        Ok(row.filter(|row| {
            let is_awake = now.since(row.last_seen_at) <= SESSION_IDLE_MAX;
            is_same(&row.secret_hash, secret) && row.expires_at > now && is_awake
        }))
    }

    /// Begins a session with a new secret; until `expires_at`, or as long as a session may last.
    pub(super) async fn begin_session_in(
        &self,
        tx: &Tx,
        user: Id<User>,
        organisation: Id<Organisation>,
        expires_at: Option<Timestamp>,
    ) -> Result<NewSession, AccountsError> {
        let now = self.clock.now();
        let secret = random_secret("");
        let expires_at = expires_at.unwrap_or_else(|| now.plus(SESSION_LIFETIME));
        let row = session::Model {
            id: Id::generate(now),
            secret_hash: hash(&secret.0),
            user_id: user,
            organisation_id: organisation,
            created_at: now,
            last_seen_at: now,
            expires_at,
        };
        sessions::sweep_in(tx, user, SESSIONS_MAX - 1, now).await?;
        sessions::insert_in(tx, row).await?;
        Ok(NewSession { secret, expires_at })
    }

    /// Lets pass who has no password, or gives it; `field` names it in the error of who gives none. Guesses are
    /// throttled as at sign-in.
    pub(super) async fn prove_password(
        &self,
        user: &user::Model,
        (field, given): (&'static str, Option<&Secret>),
        client: &ClientInfo,
    ) -> Result<(), AccountsError> {
        let Some(stored) = &user.password_hash else { return Ok(()) };
        let Some(given) = given else { return Err(AccountsError::invalid(field, "is wanted")) };
        let lookup = user.email_lookup.clone().unwrap_or_else(|| user.id.to_bytes().to_vec());
        let guess = self.begin_guess(Some(&lookup), client).await?;
        let is_right = self.passwords.verify(&given.0, Some(stored)).await?;
        self.db
            .write(async |tx| {
                if is_right {
                    return Ok(self.guess_was_right_in(tx, &guess).await?);
                }
                let organisation = people::find_first_organisation(tx, user.id).await?;
                self.record_failure_in(tx, (Some(user), organisation), client, password_detail(&guess)).await
            })
            .await?;
        if is_right { Ok(()) } else { Err(AccountsError::WrongCredentials) }
    }

    /// Records a link that does not work, and says so. Nobody guesses 256 bits, but the log is not to be flooded.
    pub(super) async fn refuse_link(&self, client: &ClientInfo) -> AccountsError {
        let recorded = async {
            let guess = self.begin_guess(None, client).await?;
            let mut detail = password_detail(&guess);
            detail["method"] = json!("link");
            self.db.write(async |tx| self.record_failure_in(tx, (None, None), client, detail).await).await
        };
        recorded.await.err().unwrap_or(AccountsError::LinkExpired)
    }

    pub(super) async fn record_success_in(
        &self,
        tx: &Tx,
        user: Id<User>,
        organisation: Id<Organisation>,
        client: &ClientInfo,
        detail: Value,
    ) -> Result<(), AccountsError> {
        let entry = door_entry(Actor::User(user), Some(organisation), client, "authn_login_success", detail);
        self.record_in(tx, entry).await
    }

    pub(super) async fn record_failure_in(
        &self,
        tx: &Tx,
        (user, organisation): (Option<&user::Model>, Option<Id<Organisation>>),
        client: &ClientInfo,
        detail: Value,
    ) -> Result<(), AccountsError> {
        let mut entry = door_entry(Actor::Anonymous, organisation, client, "authn_login_fail", detail);
        entry.outcome = Outcome::Failure;
        entry.target = user.and_then(|user| target("user", user.id));
        self.record_in(tx, entry).await
    }
}

/// Whether `stored` is the hash of `secret`, compared in constant time.
pub(super) fn is_same(stored: &[u8], secret: &str) -> bool {
    stored.ct_eq(&hash(secret)).into()
}

pub(super) fn password_detail(guess: &Guess) -> Value {
    match guess.refused_before {
        0 => json!({"method": "password"}),
        refused => json!({"method": "password", "refused_before": refused}),
    }
}
