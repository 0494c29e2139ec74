//! The demo shop: order, payment and delivery over HTTP/JSON, with
//! idempotency done right and with flaws that are switched on by name.
//!
//! The shop is a target like any other. It shares no code with the tool, so
//! that the two cannot share a bug, and it must not know that it is being
//! tested: nothing here looks at who is asking. It imports nothing from the
//! rest of the crate.
//!
//! # The way it is done right
//! (room `ways`) A key is scoped by tenant, method and path. It is *reserved* by
//! an insert under a unique constraint before any work; the work runs in a
//! task of its own, which a client that goes away cannot cancel; the effects
//! and the finished record are committed in one transaction. A duplicate gets
//! the stored answer, or 409 while the first still runs, or 422 when it means
//! something else. A reservation holds a lease, so that a crash does not keep
//! the key for ever, and an owner, so that a worker that outlived its lease
//! cannot commit beside its successor.

mod answer;
mod conduct;
mod desk;
mod flaws;
mod json;
mod request;
mod router;
mod server;
mod store;
mod ways;

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use flaws::{Flaw, FlawError, FlawSetting};

use conduct::Conduct;
use desk::Desk;
use store::Store;

/// How long placing an order takes unless [`Options::work`] says otherwise.
pub const WORK: Duration = Duration::from_millis(20);

/// How long [`Shop::stop`] waits for work that has begun.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// How a shop is opened. Not printable: the store's URL may hold a password.
#[derive(Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The flaws that are on; none is the shop that does it right.
    pub flaws: Vec<FlawSetting>,
    /// `sqlite:///path` or `postgres://…`; `None` is a temporary `SQLite`
    /// file that goes away with the shop.
    pub store: Option<String>,
    /// How long placing an order takes, apart from the database.
    pub work: Duration,
}

impl Options {
    /// A shop without flaws, on a temporary file.
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            flaws: Vec::new(),
            store: None,
            work: WORK,
        }
    }
}

/// Why a shop could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The address is taken or not ours.
    #[error("failed to listen on {listen}")]
    Listen {
        /// The address asked for.
        listen: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The store's URL is of no kind that the shop knows.
    #[error(
        "unknown kind of store `{scheme}`; use `sqlite:///path/to/file` or `postgres://user@host/database`"
    )]
    UnknownStore {
        /// What stood before the colon; the rest may hold a password.
        scheme: String,
    },
    /// `SQLite` in memory cannot be shared by the shop's connections.
    #[error(
        "a store in memory is not supported; leave the store out for a temporary file, or name a file"
    )]
    InMemoryStore,
    /// The temporary file could not be made.
    #[error("failed to make a temporary store")]
    TemporaryStore(#[source] std::io::Error),
    /// The store could not be opened or set up.
    #[error("failed to open the store")]
    Store(#[source] sqlx::Error),
    /// Two flaws change the same step.
    #[error("the flaws `{first}` and `{second}` cannot be on together: both replace how a key is kept", first = .first.name(), second = .second.name())]
    FlawsClash {
        /// The flaw named first.
        first: Flaw,
        /// The flaw that it clashes with.
        second: Flaw,
    },
}

/// A shop that is open. Dropping it closes it too, without waiting.
#[derive(Debug)]
pub struct Shop {
    /// Where it listens.
    pub addr: SocketAddr,
    closing: watch::Sender<bool>,
    accepting: JoinHandle<()>,
    store: Store,
}

impl Shop {
    /// Closes the shop: takes no more connections, lets work that has begun
    /// come to its end (at most ten seconds), closes the store and removes it
    /// if it was temporary.
    pub async fn stop(self) {
        self.closing.send_replace(true);
        // A panic in the accept loop has nothing left to close.
        let _ = self.accepting.await;
        // Every connection and every worker holds a receiver.
        let _ = tokio::time::timeout(STOP_PATIENCE, self.closing.closed()).await;
        self.store.close().await;
    }
}

/// Opens a shop; it is ready to serve when this returns.
///
/// # Errors
/// Any [`DemoError`]; nothing is left running then.
pub async fn start(options: Options) -> Result<Shop, DemoError> {
    let conduct = Conduct::new(&options.flaws)?;
    let store = Store::open(options.store.as_deref()).await?;
    let listener = server::listen(options.listen).map_err(|source| DemoError::Listen {
        listen: options.listen,
        source,
    })?;
    let addr = listener.local_addr().map_err(|source| DemoError::Listen {
        listen: options.listen,
        source,
    })?;
    let (closing, duty) = watch::channel(false);
    let desk = Desk::new(store.clone(), conduct, options.work, duty);
    let accepting = tokio::spawn(server::accept(listener, desk));
    Ok(Shop {
        addr,
        closing,
        accepting,
        store,
    })
}
