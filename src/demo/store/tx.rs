//! A transaction: the writes that become true together.

use sqlx::Transaction;
use sqlx::postgres::Postgres;
use sqlx::sqlite::Sqlite;

use super::dialect::{POSTGRES, SQLITE};
use super::{Effect, Scope, StoreError, Stored};

/// A transaction. Rolled back when it is dropped.
#[derive(Debug)]
pub(in super::super) enum Tx {
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
    pub(in super::super) async fn draw(&mut self) -> Result<i64, StoreError> {
        within!(self, |connection, sql| sqlx::query_scalar(sql.draw)
            .fetch_one(connection)
            .await)
    }

    /// Writes the row of what was asked for.
    pub(in super::super) async fn insert(
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
    pub(in super::super) async fn charge(
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
    pub(in super::super) async fn mail(
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
    pub(in super::super) async fn finish(
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
    pub(in super::super) async fn record(
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
    pub(in super::super) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => transaction.commit().await,
            Self::Postgres(transaction) => transaction.commit().await,
        }
    }

    /// Makes none of it true.
    pub(in super::super) async fn roll_back(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => transaction.rollback().await,
            Self::Postgres(transaction) => transaction.rollback().await,
        }
    }
}
