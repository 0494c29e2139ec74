//! Where the shop keeps what it did and which keys it knows: `SQLite` or
//! `PostgreSQL` behind the same statements.
//!
//! The store knows rows and transactions, not what order they are used in:
//! right and wrong are made of the same pieces, in `ways`. No transaction is
//! open while the shop works or waits.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions, Postgres};
use sqlx::sqlite::{
    Sqlite, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _, Transaction};
use tempfile::TempDir;

use super::DemoError;

/// How long a statement waits for a connection or for another process's lock
/// before it fails. Generous: under a burst everybody gets a turn.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that read beside the one `SQLite` writer.
const SQLITE_READERS: u32 = 4;
/// Connections to `PostgreSQL`.
const POSTGRES_CONNECTIONS: u32 = 16;
/// Most rows in an answer that was asked for no particular reference.
const NEWEST: i64 = 100;

/// A failure of the store.
pub(super) type StoreError = sqlx::Error;

/// The four things that the shop keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Order,
    Payment,
    Delivery,
    Mail,
}

impl Kind {
    /// The path under which its rows are listed.
    pub(super) fn collection(self) -> &'static str {
        match self {
            Self::Order => "orders",
            Self::Payment => "payments",
            Self::Delivery => "deliveries",
            Self::Mail => "mails",
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Order => "ord_",
            Self::Payment => "pay_",
            Self::Delivery => "dlv_",
            Self::Mail => "mail_",
        }
    }

    /// The id that clients see.
    pub(super) fn id(self, number: i64) -> String {
        format!("{}{number}", self.prefix())
    }

    /// The number in an id of this kind.
    pub(super) fn number(self, id: &str) -> Option<i64> {
        let digits = id.strip_prefix(self.prefix())?;
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        plain.then(|| digits.parse().ok()).flatten()
    }
}

/// What a request asks to be done.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Effect {
    Order {
        sku: String,
        quantity: i64,
        reference: String,
    },
    Payment {
        order: i64,
        amount: serde_json::Number,
        reference: String,
    },
    Delivery {
        order: i64,
        service: String,
        reference: String,
    },
}

impl Effect {
    pub(super) fn kind(&self) -> Kind {
        match self {
            Self::Order { .. } => Kind::Order,
            Self::Payment { .. } => Kind::Payment,
            Self::Delivery { .. } => Kind::Delivery,
        }
    }

    /// The resource as clients see it.
    pub(super) fn resource(&self, number: i64) -> Value {
        let id = self.kind().id(number);
        match self {
            Self::Order {
                sku,
                quantity,
                reference,
            } => json!({"id": id, "sku": sku, "quantity": quantity, "reference": reference}),
            Self::Payment {
                order,
                amount,
                reference,
            } => {
                json!({"id": id, "order": Kind::Order.id(*order), "amount": amount, "reference": reference})
            }
            Self::Delivery {
                order,
                service,
                reference,
            } => {
                json!({"id": id, "order": Kind::Order.id(*order), "service": service, "reference": reference})
            }
        }
    }
}

/// Whose key it is and where it was used: what a record is found by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Scope {
    pub(super) tenant: String,
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) key: String,
}

/// The first answer to a key, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) status: u16,
    pub(super) body: String,
    pub(super) location: Option<String>,
}

/// What is known about a key.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) fingerprint: String,
    /// The User-Agent of the first attempt.
    pub(super) client: String,
    pub(super) state: State,
}

/// How far the work for a key has come.
///
/// ```text
/// (none) --reserve--> InProgress --finish--> Done
///    ^                    |  ^
///    +------release-------+  +-- take over, when the lease has lapsed
/// ```
#[derive(Debug, Clone)]
pub(super) enum State {
    InProgress { owner: i64, lapsed: bool },
    Done(Stored),
}

/// A row for the table of keys before there is an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reserving<'a> {
    pub(super) scope: &'a Scope,
    pub(super) fingerprint: &'a str,
    pub(super) client: &'a str,
    pub(super) owner: i64,
    pub(super) lease: Lease,
}

/// How long a reservation stands without being finished.
#[derive(Debug, Clone, Copy)]
pub(super) enum Lease {
    For(Duration),
    ForEver,
}

impl Lease {
    /// In milliseconds; for ever is three thousand years.
    fn millis(self) -> i64 {
        const FOR_EVER: i64 = 100_000_000_000_000;
        match self {
            Self::For(time) => i64::try_from(time.as_millis()).unwrap_or(FOR_EVER),
            Self::ForEver => FOR_EVER,
        }
    }
}

/// The statements that differ between the two databases. The lease is
/// measured by the database's clock, which all instances of a shop share.
struct Dialect {
    draw: &'static str,
    reserve: &'static str,
    insert: &'static str,
    look_up: &'static str,
    take_over: &'static str,
}

macro_rules! dialect {
    (now: $now:literal, draw: $draw:literal) => {
        Dialect {
            draw: $draw,
            reserve: concat!(
                "INSERT INTO idempotency_keys (tenant, method, path, key, fingerprint, client, owner, lease_until, state) ",
                "VALUES ($1, $2, $3, $4, $5, $6, $7, ", $now, " + $8, 'in_progress') ON CONFLICT DO NOTHING"
            ),
            insert: concat!(
                "INSERT INTO idempotency_keys (tenant, method, path, key, fingerprint, client, owner, lease_until, state) ",
                "VALUES ($1, $2, $3, $4, $5, $6, $7, ", $now, " + $8, 'in_progress')"
            ),
            look_up: concat!(
                "SELECT fingerprint, client, owner, CASE WHEN lease_until <= ", $now, " THEN 1 ELSE 0 END, ",
                "state, status, body, location FROM idempotency_keys ",
                "WHERE tenant = $1 AND method = $2 AND path = $3 AND key = $4"
            ),
            take_over: concat!(
                "UPDATE idempotency_keys SET owner = $6, lease_until = ", $now, " + $7 ",
                "WHERE tenant = $1 AND method = $2 AND path = $3 AND key = $4 AND owner = $5 ",
                "AND state = 'in_progress' AND lease_until <= ", $now
            ),
        }
    };
}

static SQLITE: Dialect = dialect!(
    now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    draw: "UPDATE numbers SET last = last + 1 RETURNING last"
);
static POSTGRES: Dialect = dialect!(
    now: "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
    draw: "SELECT nextval('numbers')"
);

const SQLITE_SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS numbers (last INTEGER NOT NULL);
INSERT INTO numbers SELECT 4000 WHERE NOT EXISTS (SELECT 1 FROM numbers);
CREATE TABLE IF NOT EXISTS orders (n INTEGER PRIMARY KEY, tenant TEXT NOT NULL, sku TEXT NOT NULL, quantity INTEGER NOT NULL, reference TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS orders_reference ON orders (tenant, reference);
CREATE TABLE IF NOT EXISTS charges (n INTEGER PRIMARY KEY, tenant TEXT NOT NULL, order_n INTEGER NOT NULL, reference TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS payments (n INTEGER PRIMARY KEY, tenant TEXT NOT NULL, order_n INTEGER NOT NULL, amount TEXT NOT NULL, reference TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS payments_reference ON payments (tenant, reference);
CREATE TABLE IF NOT EXISTS deliveries (n INTEGER PRIMARY KEY, tenant TEXT NOT NULL, order_n INTEGER NOT NULL, service TEXT NOT NULL, reference TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS deliveries_reference ON deliveries (tenant, reference);
CREATE TABLE IF NOT EXISTS mails (n INTEGER PRIMARY KEY, tenant TEXT NOT NULL, order_n INTEGER NOT NULL, template TEXT NOT NULL, reference TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS mails_reference ON mails (tenant, reference);
CREATE TABLE IF NOT EXISTS idempotency_keys (
  tenant TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL, key TEXT NOT NULL,
  fingerprint TEXT NOT NULL, client TEXT NOT NULL, owner INTEGER NOT NULL, lease_until INTEGER NOT NULL,
  state TEXT NOT NULL, status INTEGER, body TEXT, location TEXT,
  PRIMARY KEY (tenant, method, path, key)
) WITHOUT ROWID;
";

/// `COLLATE \"C\"` makes the key's index compare bytes, whatever the
/// database's locale: two keys are one only if they are equal.
const POSTGRES_SCHEMA: &str = "
CREATE SCHEMA retrial_demo;
CREATE SEQUENCE retrial_demo.numbers START WITH 4001;
CREATE TABLE retrial_demo.orders (n BIGINT PRIMARY KEY, tenant TEXT NOT NULL, sku TEXT NOT NULL, quantity BIGINT NOT NULL, reference TEXT NOT NULL);
CREATE INDEX orders_reference ON retrial_demo.orders (tenant, reference);
CREATE TABLE retrial_demo.charges (n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant TEXT NOT NULL, order_n BIGINT NOT NULL, reference TEXT NOT NULL);
CREATE TABLE retrial_demo.payments (n BIGINT PRIMARY KEY, tenant TEXT NOT NULL, order_n BIGINT NOT NULL, amount TEXT NOT NULL, reference TEXT NOT NULL);
CREATE INDEX payments_reference ON retrial_demo.payments (tenant, reference);
CREATE TABLE retrial_demo.deliveries (n BIGINT PRIMARY KEY, tenant TEXT NOT NULL, order_n BIGINT NOT NULL, service TEXT NOT NULL, reference TEXT NOT NULL);
CREATE INDEX deliveries_reference ON retrial_demo.deliveries (tenant, reference);
CREATE TABLE retrial_demo.mails (n BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, tenant TEXT NOT NULL, order_n BIGINT NOT NULL, template TEXT NOT NULL, reference TEXT NOT NULL);
CREATE INDEX mails_reference ON retrial_demo.mails (tenant, reference);
CREATE TABLE retrial_demo.idempotency_keys (
  tenant TEXT COLLATE \"C\" NOT NULL, method TEXT COLLATE \"C\" NOT NULL, path TEXT COLLATE \"C\" NOT NULL, key TEXT COLLATE \"C\" NOT NULL,
  fingerprint TEXT NOT NULL, client TEXT NOT NULL, owner BIGINT NOT NULL, lease_until BIGINT NOT NULL,
  state TEXT NOT NULL, status BIGINT, body TEXT, location TEXT,
  PRIMARY KEY (tenant, method, path, key)
);
";

/// The store; clones share it.
#[derive(Debug, Clone)]
pub(super) struct Store {
    base: Base,
    /// Removed when the last clone goes.
    _temporary: Option<Arc<TempDir>>,
}

#[derive(Debug, Clone)]
enum Base {
    /// `SQLite` has one writer at a time; a pool of one makes the others
    /// queue for it here, fairly, instead of meeting a busy database.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
    Postgres(PgPool),
}

/// Runs the same lines against whichever database writes.
macro_rules! writing {
    ($store:expr, |$pool:ident, $sql:ident| $body:expr) => {
        match &$store.base {
            Base::Sqlite { writer: $pool, .. } => {
                let $sql = &SQLITE;
                $body
            }
            Base::Postgres($pool) => {
                let $sql = &POSTGRES;
                $body
            }
        }
    };
}

/// Runs the same lines against whichever database reads.
macro_rules! reading {
    ($store:expr, |$pool:ident, $sql:ident| $body:expr) => {
        match &$store.base {
            Base::Sqlite { readers: $pool, .. } => {
                let $sql = &SQLITE;
                $body
            }
            Base::Postgres($pool) => {
                let $sql = &POSTGRES;
                $body
            }
        }
    };
}

/// Binds the four columns of a scope, in the order of its statements.
macro_rules! scoped {
    ($query:expr, $scope:expr) => {
        $query
            .bind(&$scope.tenant)
            .bind($scope.method)
            .bind(&$scope.path)
            .bind(&$scope.key)
    };
}

impl Store {
    /// Opens the store of a URL, or a temporary one.
    ///
    /// # Errors
    /// Where the URL is of no known kind, or the store cannot be reached or
    /// set up.
    pub(super) async fn open(url: Option<&str>) -> Result<Self, DemoError> {
        let Some(url) = url else {
            let folder = tempfile::Builder::new()
                .prefix("retrial-demo-")
                .tempdir()
                .map_err(DemoError::TemporaryStore)?;
            // Nobody needs the file after a power cut.
            let options = SqliteConnectOptions::new()
                .filename(folder.path().join("shop.db"))
                .synchronous(SqliteSynchronous::Off);
            let base = open_sqlite(options).await.map_err(DemoError::Store)?;
            return Ok(Self {
                base,
                _temporary: Some(Arc::new(folder)),
            });
        };
        let base = match url.split_once(':').map_or(url, |(scheme, _)| scheme) {
            "sqlite" if url.contains(":memory:") || url.contains("mode=memory") => {
                return Err(DemoError::InMemoryStore);
            }
            "sqlite" => {
                let options = SqliteConnectOptions::from_str(url).map_err(DemoError::Store)?;
                open_sqlite(options.synchronous(SqliteSynchronous::Normal)).await
            }
            "postgres" | "postgresql" => {
                let options = PgConnectOptions::from_str(url).map_err(DemoError::Store)?;
                open_postgres(options).await
            }
            scheme => {
                return Err(DemoError::UnknownStore {
                    scheme: scheme.to_owned(),
                });
            }
        };
        Ok(Self {
            base: base.map_err(DemoError::Store)?,
            _temporary: None,
        })
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        match &self.base {
            Base::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Base::Postgres(pool) => pool.close().await,
        }
    }

    /// Asks the store for a sign of life.
    pub(super) async fn ping(&self) -> Result<(), StoreError> {
        reading!(self, |pool, _sql| {
            sqlx::query("SELECT 1").execute(pool).await?;
        });
        Ok(())
    }

    /// Begins a transaction; it is rolled back unless it is committed.
    pub(super) async fn begin(&self) -> Result<Tx, StoreError> {
        Ok(match &self.base {
            // At once a writer: one that begins as a reader can find, when it
            // comes to write, that another process was faster.
            Base::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Base::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// A number that no resource has yet.
    pub(super) async fn draw(&self) -> Result<i64, StoreError> {
        writing!(self, |pool, sql| sqlx::query_scalar(sql.draw)
            .fetch_one(pool)
            .await)
    }

    /// Reserves a key; says whether it was free.
    pub(super) async fn reserve(&self, row: &Reserving<'_>) -> Result<bool, StoreError> {
        let rows = writing!(self, |pool, sql| {
            scoped!(sqlx::query(sql.reserve), row.scope)
                .bind(row.fingerprint)
                .bind(row.client)
                .bind(row.owner)
                .bind(row.lease.millis())
                .execute(pool)
                .await?
                .rows_affected()
        });
        Ok(rows == 1)
    }

    /// Reserves a key, or fails with the database's unique violation.
    pub(super) async fn insert_key(&self, row: &Reserving<'_>) -> Result<(), StoreError> {
        writing!(self, |pool, sql| {
            scoped!(sqlx::query(sql.insert), row.scope)
                .bind(row.fingerprint)
                .bind(row.client)
                .bind(row.owner)
                .bind(row.lease.millis())
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// What is known about a key.
    pub(super) async fn look_up(&self, scope: &Scope) -> Result<Option<Record>, StoreError> {
        type Row = (
            String,
            String,
            i64,
            i32,
            String,
            Option<i64>,
            Option<String>,
            Option<String>,
        );
        let row: Option<Row> = reading!(self, |pool, sql| scoped!(
            sqlx::query_as(sql.look_up),
            scope
        )
        .fetch_optional(pool)
        .await?);
        let Some((fingerprint, client, owner, lapsed, state, status, body, location)) = row else {
            return Ok(None);
        };
        let state = match (state.as_str(), status, body) {
            ("done", Some(status), Some(body)) => State::Done(Stored {
                status: u16::try_from(status)
                    .map_err(|error| StoreError::Decode(Box::new(error)))?,
                body,
                location,
            }),
            _ => State::InProgress {
                owner,
                lapsed: lapsed == 1,
            },
        };
        Ok(Some(Record {
            fingerprint,
            client,
            state,
        }))
    }

    /// Takes a reservation over whose lease has lapsed; says whether nobody
    /// was faster.
    pub(super) async fn take_over(
        &self,
        scope: &Scope,
        from: i64,
        to: i64,
        lease: Lease,
    ) -> Result<bool, StoreError> {
        let rows = writing!(self, |pool, sql| {
            scoped!(sqlx::query(sql.take_over), scope)
                .bind(from)
                .bind(to)
                .bind(lease.millis())
                .execute(pool)
                .await?
                .rows_affected()
        });
        Ok(rows == 1)
    }

    /// Gives a reservation back. Never touches a finished record or one that
    /// has another owner by now.
    pub(super) async fn release(&self, scope: &Scope, owner: i64) -> Result<(), StoreError> {
        writing!(self, |pool, _sql| {
            scoped!(
                sqlx::query(
                    "DELETE FROM idempotency_keys WHERE tenant = $1 AND method = $2 AND path = $3 \
                     AND key = $4 AND owner = $5 AND state = 'in_progress'",
                ),
                scope
            )
            .bind(owner)
            .execute(pool)
            .await?;
        });
        Ok(())
    }

    /// The reference of a tenant's order.
    pub(super) async fn order_reference(
        &self,
        tenant: &str,
        order: i64,
    ) -> Result<Option<String>, StoreError> {
        reading!(self, |pool, _sql| sqlx::query_scalar(
            "SELECT reference FROM orders WHERE tenant = $1 AND n = $2"
        )
        .bind(tenant)
        .bind(order)
        .fetch_optional(pool)
        .await)
    }

    /// A tenant's resources in the order in which they were made.
    pub(super) async fn list(
        &self,
        kind: Kind,
        tenant: &str,
        which: Which<'_>,
    ) -> Result<Vec<Value>, StoreError> {
        macro_rules! select {
            ($columns:literal, $tail:literal) => {
                concat!("SELECT ", $columns, " WHERE tenant = $1", $tail)
            };
        }
        macro_rules! statement {
            ($columns:literal) => {
                match which {
                    Which::Reference(_) => select!($columns, " AND reference = $2 ORDER BY n"),
                    Which::Number(_) => select!($columns, " AND n = $2"),
                    Which::Newest => select!($columns, " ORDER BY n DESC LIMIT $2"),
                }
            };
        }
        let statement = match kind {
            Kind::Order => {
                statement!("n, n, sku, CAST(quantity AS TEXT), reference FROM orders")
            }
            Kind::Payment => {
                statement!("n, order_n, CAST('' AS TEXT), amount, reference FROM payments")
            }
            Kind::Delivery => {
                statement!("n, order_n, service, CAST('' AS TEXT), reference FROM deliveries")
            }
            Kind::Mail => {
                statement!("n, order_n, template, CAST('' AS TEXT), reference FROM mails")
            }
        };
        let rows: Vec<(i64, i64, String, String, String)> = reading!(self, |pool, _sql| {
            let query = sqlx::query_as(statement).bind(tenant);
            match which {
                Which::Reference(reference) => query.bind(reference),
                Which::Number(number) => query.bind(number),
                Which::Newest => query.bind(NEWEST),
            }
            .fetch_all(pool)
            .await?
        });
        Ok(rows.into_iter().map(|row| shown(kind, row)).collect())
    }
}

/// Which resources a list holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    Reference(&'a str),
    Number(i64),
    Newest,
}

/// A row as clients see it: the same as the answer that made it.
fn shown(
    kind: Kind,
    (number, order, text, figure, reference): (i64, i64, String, String, String),
) -> Value {
    let effect = match kind {
        Kind::Order => Effect::Order {
            sku: text,
            quantity: figure.parse().unwrap_or_default(),
            reference,
        },
        Kind::Payment => Effect::Payment {
            order,
            amount: figure.parse().unwrap_or_else(|_| 0.into()),
            reference,
        },
        Kind::Delivery => Effect::Delivery {
            order,
            service: text,
            reference,
        },
        Kind::Mail => {
            return json!({"id": kind.id(number), "order": Kind::Order.id(order), "template": text, "reference": reference});
        }
    };
    effect.resource(number)
}

async fn open_sqlite(options: SqliteConnectOptions) -> Result<Base, StoreError> {
    let options = options
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .busy_timeout(PATIENCE)
        .disable_statement_logging();
    let pool = |connections: u32| {
        SqlitePoolOptions::new()
            .max_connections(connections)
            .min_connections(connections)
            .acquire_timeout(PATIENCE)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
    };
    let writer = pool(1).connect_with(options.clone()).await?;
    // `BEGIN IMMEDIATE` lets two shops open the same new file at once.
    let mut connection = writer.acquire().await?;
    let mut setting_up = connection.begin_with("BEGIN IMMEDIATE").await?;
    sqlx::raw_sql(SQLITE_SCHEMA)
        .execute(&mut *setting_up)
        .await?;
    setting_up.commit().await?;
    drop(connection);
    let readers = pool(SQLITE_READERS)
        .connect_with(options.pragma("query_only", "ON"))
        .await?;
    Ok(Base::Sqlite { writer, readers })
}

async fn open_postgres(options: PgConnectOptions) -> Result<Base, StoreError> {
    /// Any number that nobody else uses for an advisory lock.
    const SETTING_UP: i64 = 0x7265_7472_6961_6c01;
    let options = options
        .application_name("retrial-demo")
        .options([("search_path", "retrial_demo")])
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .max_connections(POSTGRES_CONNECTIONS)
        .acquire_timeout(PATIENCE)
        .idle_timeout(None)
        .connect_with(options)
        .await?;
    let mut setting_up = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)")
        .bind(SETTING_UP)
        .execute(&mut *setting_up)
        .await?;
    let there: bool =
        sqlx::query_scalar("SELECT to_regclass('retrial_demo.idempotency_keys') IS NOT NULL")
            .fetch_one(&mut *setting_up)
            .await?;
    if !there {
        sqlx::raw_sql(POSTGRES_SCHEMA)
            .execute(&mut *setting_up)
            .await?;
    }
    setting_up.commit().await?;
    warm(&pool).await;
    Ok(Base::Postgres(pool))
}

/// Opens all connections of the pool now: a first burst that had to wait for
/// them would arrive at the database one by one. A server that grants fewer
/// is used with fewer.
async fn warm(pool: &PgPool) {
    const PATIENCE: Duration = Duration::from_secs(5);
    let opening = (0..POSTGRES_CONNECTIONS).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move { pool.acquire().await })
    });
    let opening: Vec<_> = opening.collect();
    let _ = tokio::time::timeout(PATIENCE, async {
        // They are held together, or one connection could serve them all.
        let mut held = Vec::new();
        for connection in opening {
            held.push(connection.await);
        }
    })
    .await;
}

/// A transaction. Rolled back when it is dropped.
#[derive(Debug)]
pub(super) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Runs the same lines in whichever transaction it is.
macro_rules! within {
    ($tx:expr, |$connection:ident, $sql:ident| $body:expr) => {
        match $tx {
            Tx::Sqlite(transaction) => {
                let ($connection, $sql) = (&mut **transaction, &SQLITE);
                $body
            }
            Tx::Postgres(transaction) => {
                let ($connection, $sql) = (&mut **transaction, &POSTGRES);
                $body
            }
        }
    };
}

impl Tx {
    /// A number that no resource has yet.
    pub(super) async fn draw(&mut self) -> Result<i64, StoreError> {
        within!(self, |connection, sql| sqlx::query_scalar(sql.draw)
            .fetch_one(connection)
            .await)
    }

    /// Writes the row of what was asked for.
    pub(super) async fn insert(
        &mut self,
        tenant: &str,
        effect: &Effect,
        number: i64,
    ) -> Result<(), StoreError> {
        within!(self, |connection, _sql| {
            match effect {
            Effect::Order {
                sku,
                quantity,
                reference,
            } => sqlx::query(
                "INSERT INTO orders (n, tenant, sku, quantity, reference) VALUES ($1, $2, $3, $4, $5)"
            )
            .bind(number)
            .bind(tenant)
            .bind(sku)
            .bind(quantity)
            .bind(reference)
            .execute(connection)
            .await
            .map(drop),
            Effect::Payment {
                order,
                amount,
                reference,
            } => sqlx::query(
                "INSERT INTO payments (n, tenant, order_n, amount, reference) VALUES ($1, $2, $3, $4, $5)"
            )
            .bind(number)
            .bind(tenant)
            .bind(order)
            .bind(amount.to_string())
            .bind(reference)
            .execute(connection)
            .await
            .map(drop),
            Effect::Delivery {
                order,
                service,
                reference,
            } => sqlx::query(
                "INSERT INTO deliveries (n, tenant, order_n, service, reference) VALUES ($1, $2, $3, $4, $5)"
            )
            .bind(number)
            .bind(tenant)
            .bind(order)
            .bind(service)
            .bind(reference)
            .execute(connection)
            .await
            .map(drop),
        }
        })
    }

    /// Writes the stand-in for the payment that an order asks its provider
    /// to reserve. Only orders have one.
    pub(super) async fn charge(
        &mut self,
        tenant: &str,
        effect: &Effect,
        number: i64,
    ) -> Result<(), StoreError> {
        let Effect::Order { reference, .. } = effect else {
            return Ok(());
        };
        within!(self, |connection, _sql| sqlx::query(
            "INSERT INTO charges (tenant, order_n, reference) VALUES ($1, $2, $3)"
        )
        .bind(tenant)
        .bind(number)
        .bind(reference)
        .execute(connection)
        .await
        .map(drop))
    }

    /// Writes the mail that confirms an order. Only orders have one.
    pub(super) async fn mail(
        &mut self,
        tenant: &str,
        effect: &Effect,
        number: i64,
    ) -> Result<(), StoreError> {
        let Effect::Order { reference, .. } = effect else {
            return Ok(());
        };
        within!(self, |connection, _sql| {
            sqlx::query(
            "INSERT INTO mails (tenant, order_n, template, reference) VALUES ($1, $2, 'order-confirmation', $3)"
        )
        .bind(tenant)
        .bind(number)
        .bind(reference)
        .execute(connection)
        .await
        .map(drop)
        })
    }

    /// Turns a reservation into a finished record; says whether it was still
    /// the owner's.
    pub(super) async fn finish(
        &mut self,
        scope: &Scope,
        owner: i64,
        answer: &Stored,
    ) -> Result<bool, StoreError> {
        let rows = within!(self, |connection, _sql| {
            scoped!(
                sqlx::query(
                    "UPDATE idempotency_keys SET state = 'done', status = $6, body = $7, location = $8 \
                     WHERE tenant = $1 AND method = $2 AND path = $3 AND key = $4 \
                     AND owner = $5 AND state = 'in_progress'",
                ),
                scope
            )
            .bind(owner)
            .bind(i64::from(answer.status))
            .bind(&answer.body)
            .bind(answer.location.as_deref())
            .execute(connection)
            .await?
            .rows_affected()
        });
        Ok(rows == 1)
    }

    /// Writes a finished record in one go; one that is there already stays.
    pub(super) async fn record(
        &mut self,
        scope: &Scope,
        fingerprint: &str,
        client: &str,
        answer: &Stored,
    ) -> Result<(), StoreError> {
        within!(self, |connection, _sql| {
            scoped!(
                sqlx::query(
                    "INSERT INTO idempotency_keys \
                     (tenant, method, path, key, fingerprint, client, owner, lease_until, state, status, body, location) \
                     VALUES ($1, $2, $3, $4, $5, $6, 0, 0, 'done', $7, $8, $9) ON CONFLICT DO NOTHING",
                ),
                scope
            )
            .bind(fingerprint)
            .bind(client)
            .bind(i64::from(answer.status))
            .bind(&answer.body)
            .bind(answer.location.as_deref())
            .execute(connection)
            .await?;
        });
        Ok(())
    }

    /// Makes it all true.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }

    /// Makes none of it true.
    pub(super) async fn roll_back(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await,
            Self::Postgres(transaction) => transaction.rollback().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_names_its_kind_and_number() {
        assert_eq!(Kind::Order.id(4812), "ord_4812");
        assert_eq!(Kind::Order.number("ord_4812"), Some(4812));
        for id in [
            "ord_",
            "ord_x",
            "ord_-1",
            "ord_+1",
            "pay_1",
            "4812",
            "ord_99999999999999999999",
        ] {
            assert_eq!(Kind::Order.number(id), None, "{id}");
        }
    }

    #[tokio::test]
    async fn a_lapsed_reservation_is_taken_over_once_and_its_old_owner_cannot_finish() {
        let store = Store::open(None).await.unwrap();
        let scope = Scope {
            tenant: "t".into(),
            method: "POST",
            path: "/orders".into(),
            key: "k".into(),
        };
        let row = Reserving {
            scope: &scope,
            fingerprint: "f",
            client: "",
            owner: 1,
            lease: Lease::For(Duration::ZERO),
        };
        assert!(store.reserve(&row).await.unwrap());
        assert!(!store.reserve(&row).await.unwrap());
        let state = store.look_up(&scope).await.unwrap().unwrap().state;
        assert!(matches!(
            state,
            State::InProgress {
                owner: 1,
                lapsed: true
            }
        ));
        assert!(store.take_over(&scope, 1, 2, Lease::ForEver).await.unwrap());
        assert!(!store.take_over(&scope, 1, 3, Lease::ForEver).await.unwrap());

        let answer = Stored {
            status: 201,
            body: "{}".into(),
            location: None,
        };
        let mut tx = store.begin().await.unwrap();
        assert!(!tx.finish(&scope, 1, &answer).await.unwrap());
        assert!(tx.finish(&scope, 2, &answer).await.unwrap());
        tx.commit().await.unwrap();
        store.release(&scope, 2).await.unwrap();
        let state = store.look_up(&scope).await.unwrap().unwrap().state;
        assert!(matches!(state, State::Done(stored) if stored == answer));
        store.close().await;
    }
}
