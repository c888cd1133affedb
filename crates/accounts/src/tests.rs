//! The slice through its traits, on SQLite and on PostgreSQL.

mod faults;
mod keys;
mod people;
mod projects;
mod sign_in;
mod tokens;
mod xapi_keys;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use belvedere_kernel::{
    AuditSink, Clock, Entry, KeyOwner, ManualClock, Organisation, User, Vault, VaultError,
};
use belvedere_storage::testing::TestDatabase;
use belvedere_storage::{Dialect, Id, StorageError, Timestamp, Tx};
use sea_orm::{ConnectionTrait, Statement};

use crate::{
    AcceptInvite, Accounts as _, AccountsError, AccountsService, ClientInfo, FirstSteps, Members as _,
    NewInvite, NewOrganisation, NewProject, NewSession, Principal, Rights, Role, Secret, SignIn as _,
};

/// Monday, 23 November 2026, noon.
const NOON: i64 = 1_795_435_200_000_000;
const PASSWORD: &str = "correct horse battery";
const DAY: Duration = Duration::from_hours(24);

/// An audit log that is a table, so that a rollback takes its entries back too.
struct AuditTable;

/// Numbers entries in order, whichever process writes them.
static ENTRIES: AtomicI64 = AtomicI64::new(1);

#[async_trait]
impl AuditSink for AuditTable {
    async fn record(&self, tx: &Tx, entry: Entry) -> Result<(), StorageError> {
        let act = format!("{} {} by {}", entry.action, entry.outcome.as_str(), entry.actor.kind());
        let organisation = entry.organisation.map(|id| id.to_string()).unwrap_or_default();
        let target = entry.target.map(|target| format!("{} {}", target.kind, target.id)).unwrap_or_default();
        let detail = format!("{target} {} {}", entry.request_id.unwrap_or_default(), entry.detail);
        let values =
            [ENTRIES.fetch_add(1, Ordering::SeqCst).into(), act.into(), organisation.into(), detail.into()];
        let sql = "INSERT INTO test_audit (number, act, organisation, detail) VALUES ($1, $2, $3, $4)";
        tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), sql, values)).await?;
        Ok(())
    }
}

/// A vault whose key for somebody is the letters of their id.
struct PaperVault;

fn scramble(owner: KeyOwner, bytes: &[u8]) -> Vec<u8> {
    let key = format!("{owner:?}").into_bytes();
    bytes.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key ^ 0x80).collect()
}

#[async_trait]
impl Vault for PaperVault {
    async fn seal_in(&self, _: &Tx, owner: KeyOwner, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(scramble(owner, plain))
    }

    async fn open(&self, owner: KeyOwner, sealed: &[u8]) -> Result<Vec<u8>, VaultError> {
        Ok(scramble(owner, sealed))
    }
}

/// An installation at noon.
struct World {
    db: TestDatabase,
    clock: Arc<ManualClock>,
    accounts: AccountsService,
}

impl World {
    async fn new(db: TestDatabase) -> Self {
        const SQL: &str = "CREATE TABLE test_audit (number BIGINT, act TEXT NOT NULL, organisation TEXT NOT NULL, detail TEXT NOT NULL)";
        let made = db.write(async |tx| Ok::<_, StorageError>(tx.execute_unprepared(SQL).await?)).await;
        made.expect("the table of entries is made");
        let clock = Arc::new(ManualClock::new(Timestamp::from_micros(NOON)));
        let accounts = another_process(&db, &clock);
        Self { db, clock, accounts }
    }

    /// A world with its first organisation, and its owner signed in.
    async fn started(db: TestDatabase) -> (Self, FirstSteps, Principal) {
        let world = Self::new(db).await;
        let first = world.accounts.first_steps().await.unwrap();
        let owner = world.sign_in_by_link(first.owner).await;
        (world, first, owner)
    }

    /// Another process on the same database.
    fn another_process(&self) -> AccountsService {
        another_process(&self.db, &self.clock)
    }

    /// Lets a millisecond pass: only then are ids in the order of their making.
    fn tick(&self) {
        self.clock.advance(Duration::from_millis(1));
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    async fn principal(&self, session: &NewSession) -> Principal {
        self.accounts.authenticate_session(&session.secret.0).await.unwrap().expect("the session is live")
    }

    async fn sign_in_by_link(&self, user: Id<User>) -> Principal {
        let link = self.accounts.create_sign_in_link(user).await.unwrap();
        let session = self.accounts.sign_in_with_link(&link.0, &browser()).await.unwrap();
        self.principal(&session).await
    }

    /// Invites somebody, who joins with [`PASSWORD`].
    async fn join(&self, inviter: &Principal, email: &str, role: Role) -> (NewSession, Principal) {
        let new = NewInvite { email: email.to_owned(), role };
        let link = self.accounts.invite(inviter, new, &browser()).await.unwrap();
        let accept = AcceptInvite { secret: link.secret, name: "Ada".to_owned(), password: secret(PASSWORD) };
        let session = self.accounts.accept_invite(accept, &browser()).await.unwrap();
        let principal = self.principal(&session).await;
        (session, principal)
    }

    /// A second organisation with its owner signed in.
    async fn strangers(&self) -> (Id<Organisation>, Principal) {
        let new = NewOrganisation {
            name: "Strangers".to_owned(),
            slug: None,
            owner_name: "Eve".to_owned(),
            owner_email: "eve@strangers.example".to_owned(),
        };
        let (organisation, owner) = self.accounts.create_organisation(new).await.unwrap();
        (organisation.id, self.sign_in_by_link(owner).await)
    }

    /// What was recorded since the last call.
    async fn acts(&self) -> Vec<String> {
        let acts = self.column("SELECT act FROM test_audit ORDER BY number").await;
        self.execute("DELETE FROM test_audit").await;
        acts
    }

    async fn details(&self, act: &str) -> Vec<String> {
        self.column(&format!("SELECT detail FROM test_audit WHERE act = '{act}' ORDER BY number")).await
    }

    async fn execute(&self, sql: &str) {
        let done = self.db.write(async |tx| Ok::<_, StorageError>(tx.execute_unprepared(sql).await?)).await;
        done.expect("the statement runs");
    }

    /// The first column of every row, as text.
    async fn column(&self, sql: &str) -> Vec<String> {
        let statement = Statement::from_string(self.db.read().get_database_backend(), sql);
        let rows = self.db.read().query_all_raw(statement).await.unwrap();
        rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap()).collect()
    }

    /// How many rows each table has, and the last project number.
    async fn state(&self) -> String {
        const TABLES: [&str; 10] = [
            "accounts_organisation",
            "accounts_user",
            "accounts_member",
            "accounts_project",
            "accounts_ingest_key",
            "accounts_api_token",
            "accounts_session",
            "accounts_link",
            "accounts_guess",
            "test_audit",
        ];
        let mut state = Vec::new();
        for table in TABLES {
            state.extend(self.column(&format!("SELECT CAST(COUNT(*) AS TEXT) FROM {table}")).await);
        }
        state.extend(self.column("SELECT CAST(value AS TEXT) FROM accounts_counter").await);
        state.join(" ")
    }

    /// Everything that the slice has stored, as bytes.
    async fn everything_stored(&self) -> Vec<u8> {
        match self.db.dialect() {
            Dialect::Sqlite => {
                let file =
                    self.column("SELECT file FROM pragma_database_list WHERE name = 'main'").await.remove(0);
                let mut bytes = std::fs::read(&file).unwrap();
                bytes.extend(std::fs::read(format!("{file}-wal")).unwrap_or_default());
                bytes
            }
            Dialect::Postgres => {
                let mut text = String::new();
                for table in ["user", "member", "api_token", "session", "link", "guess"] {
                    let sql = format!("SELECT row_to_json(t)::text FROM accounts_{table} t");
                    text.extend(self.column(&sql).await);
                }
                // Bytes are shown as hexadecimal digits there; show them as what they are, too.
                let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
                let decode = |digits: &[u8]| -> Vec<u8> {
                    let pairs = digits.chunks_exact(2).map(|pair| std::str::from_utf8(pair).unwrap());
                    pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
                };
                [text.clone().into_bytes(), decode(&digits), decode(&digits[1..])].concat()
            }
        }
    }
}

fn another_process(db: &TestDatabase, clock: &Arc<ManualClock>) -> AccountsService {
    let audit = Arc::new(AuditTable);
    AccountsService::new(db.database(), clock.clone(), audit, Arc::new(PaperVault), [7; 32])
}

fn browser() -> ClientInfo {
    ClientInfo {
        address: Some("192.0.2.7".to_owned()),
        user_agent: Some("Browser/1.0".to_owned()),
        request_id: Some("request-1".to_owned()),
    }
}

fn browser_at(address: &str) -> ClientInfo {
    ClientInfo { address: Some(address.to_owned()), ..browser() }
}

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

fn new_project(name: &str) -> NewProject {
    NewProject { name: name.to_owned(), slug: None, time_zone: "UTC".to_owned(), is_demo: false }
}

/// Somebody of the organisation, as if authenticated.
fn with_role(principal: &Principal, role: Role) -> Principal {
    Principal { rights: Rights::Role(role), ..principal.clone() }
}

fn message<T>(result: Result<T, AccountsError>) -> String {
    match result {
        Ok(_) => "done".to_owned(),
        Err(error) => error.to_string(),
    }
}
