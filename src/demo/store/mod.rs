//! Where the shop keeps what it did and which keys it knows: `SQLite` or
//! `PostgreSQL` behind the same statements.
//!
//! The store knows rows and transactions, not what order they are used in:
//! right and wrong are made of the same pieces, in `ways`. No transaction is
//! open while the shop works or waits.

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

mod dialect;
mod open;
mod resource;
mod tx;

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use sqlx::postgres::{PgConnectOptions, PgPool};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqliteSynchronous};
use tempfile::TempDir;

pub(super) use resource::{Effect, Kind};
pub(super) use tx::Tx;

use super::DemoError;
use dialect::{POSTGRES, SQLITE};
use open::{open_postgres, open_sqlite};
use resource::shown;

/// Most rows in an answer that was asked for no particular reference.
const NEWEST: i64 = 100;

/// A failure of the store.
pub(super) type StoreError = sqlx::Error;

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

#[cfg(test)]
mod tests {
    use super::*;

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
