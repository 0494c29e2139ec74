//! Opening a store: connections, their settings, and the tables where they
//! are missing.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use sqlx::{ConnectOptions as _, Connection as _};

use super::dialect::{POSTGRES_SCHEMA, SQLITE_SCHEMA};
use super::{Base, StoreError};

/// How long a statement waits for a connection or for another process's lock
/// before it fails. Generous: under a burst everybody gets a turn.
const PATIENCE: Duration = Duration::from_secs(30);
/// Connections that read beside the one `SQLite` writer.
const SQLITE_READERS: u32 = 4;
/// Connections to `PostgreSQL`.
const POSTGRES_CONNECTIONS: u32 = 16;

pub(super) async fn open_sqlite(options: SqliteConnectOptions) -> Result<Base, StoreError> {
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

pub(super) async fn open_postgres(options: PgConnectOptions) -> Result<Base, StoreError> {
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
