//! What the two databases are told in different words: statements with a
//! clock or a sequence in them, and the tables.

/// The statements that differ between the two databases. The lease is
/// measured by the database's clock, which all instances of a shop share.
pub(super) struct Dialect {
    pub(super) draw: &'static str,
    pub(super) reserve: &'static str,
    pub(super) insert: &'static str,
    pub(super) look_up: &'static str,
    pub(super) take_over: &'static str,
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

pub(super) static SQLITE: Dialect = dialect!(
    now: "CAST(unixepoch('subsec') * 1000 AS INTEGER)",
    draw: "UPDATE numbers SET last = last + 1 RETURNING last"
);
pub(super) static POSTGRES: Dialect = dialect!(
    now: "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
    draw: "SELECT nextval('numbers')"
);

pub(super) const SQLITE_SCHEMA: &str = "
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
pub(super) const POSTGRES_SCHEMA: &str = "
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
