//! The demo shop from outside: the right one under every kind of retry, and
//! each flaw shown by hand, the way a tool would provoke it. Each test runs on
//! `SQLite` and on `PostgreSQL`.
//!
//! The client here is a socket and the bytes that are written to it, so that
//! nothing retries, pools or waits unless the test says so.
#![expect(
    clippy::unwrap_used,
    reason = "clippy takes the helpers of a test for no test"
)]

use std::fmt::Write as _;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

use retrial::demo::{self, DemoError, Flaw, FlawSetting, Options, Shop};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Long enough to do something during the work, on a busy machine too.
const SLOW: Duration = Duration::from_millis(400);
const USUAL: Duration = demo::WORK;

// ---- stores and shops -------------------------------------------------------

/// The stores to test on; `None` is the temporary `SQLite` file.
#[expect(
    clippy::print_stderr,
    reason = "a test that leaves something out says so aloud"
)]
async fn stores() -> Vec<Option<String>> {
    let url = std::env::var("RETRIAL_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned());
    let parsed = url::Url::parse(&url).expect("RETRIAL_TEST_POSTGRES is a URL");
    let host = parsed.host_str().unwrap_or("127.0.0.1").to_owned();
    let reaching = TcpStream::connect((host, parsed.port().unwrap_or(5432)));
    match tokio::time::timeout(Duration::from_secs(5), reaching).await {
        Ok(Ok(_)) => vec![None, Some(url)],
        _ if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            panic!("PostgreSQL is not reachable, and in CI it must be: set RETRIAL_TEST_POSTGRES")
        }
        _ => {
            eprintln!("LEFT OUT: PostgreSQL is not reachable; set RETRIAL_TEST_POSTGRES");
            vec![None]
        }
    }
}

async fn open(store: Option<&str>, flaws: &[FlawSetting], work: Duration) -> Shop {
    let mut options = Options::new(SocketAddr::from(([127, 0, 0, 1], 0)));
    options.store = store.map(str::to_owned);
    options.flaws = flaws.to_vec();
    options.work = work;
    demo::start(options).await.expect("the shop opens")
}

/// Runs a body on each store, with a shop that has these flaws.
macro_rules! on_each_store {
    ($flaws:expr, $work:expr, |$addr:ident| $body:block) => {
        for store in stores().await {
            let shop = open(store.as_deref(), $flaws, $work).await;
            let $addr = shop.addr;
            $body
            shop.stop().await;
        }
    };
}

/// A text that was never used before: the database stays from run to run.
fn fresh(what: &str) -> String {
    format!("{what}-{:016x}", RandomState::new().build_hasher().finish())
}

// ---- requests and answers ---------------------------------------------------

#[derive(Clone)]
struct Ask {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Ask {
    fn post(path: &str, key: &str, body: &Value) -> Self {
        Self {
            method: "POST",
            path: path.to_owned(),
            headers: vec![
                ("Idempotency-Key", key.to_owned()),
                ("User-Agent", "one/1".to_owned()),
                ("Content-Type", "application/json".to_owned()),
            ],
            body: body.to_string(),
        }
    }

    fn order(key: &str, reference: &str) -> Self {
        let body = json!({"sku": "TSHIRT-M", "quantity": 1, "reference": reference});
        Self::post("/orders", key, &body)
    }

    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
        self
    }

    fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| *other != name);
        self
    }

    fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{} {} HTTP/1.1\r\nHost: shop\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            write!(text, "{name}: {value}\r\n").unwrap();
        }
        let length = self.body.len();
        write!(text, "Content-Length: {length}\r\n\r\n{}", self.body).unwrap();
        text.into_bytes()
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(other, _)| other == name);
        header.map(|(_, value)| value.as_str())
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }

    fn id(&self) -> String {
        self.json()["id"]
            .as_str()
            .expect("the body has an id")
            .to_owned()
    }

    fn is_replay(&self) -> bool {
        self.header("idempotent-replayed") == Some("true")
    }
}

async fn connect(addr: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(addr).await.expect("the shop is open");
    stream.set_nodelay(true).unwrap();
    stream
}

/// Reads one byte at a time up to the end of the head.
async fn read_head(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    String::from_utf8(head).ok()
}

async fn read_reply(stream: &mut TcpStream) -> Option<Reply> {
    let head = read_head(stream).await?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Reply {
        status,
        headers,
        body: String::from_utf8(body).ok()?,
    })
}

/// Sends a request on a connection of its own and reads the answer.
async fn send(addr: SocketAddr, ask: &Ask) -> Reply {
    let mut stream = connect(addr).await;
    stream.write_all(&ask.bytes()).await.unwrap();
    read_reply(&mut stream).await.expect("an answer")
}

/// Sends requests at once, each on a connection of its own that is warm.
async fn burst(addr: SocketAddr, asks: Vec<Ask>) -> Vec<Reply> {
    let mut ready = Vec::new();
    for ask in asks {
        let mut stream = connect(addr).await;
        let bytes = ask.bytes();
        stream.write_all(&bytes[..20]).await.unwrap();
        ready.push((stream, bytes));
    }
    for (stream, bytes) in &ready {
        let rest = &bytes[20..];
        assert_eq!(stream.try_write(rest).unwrap(), rest.len());
    }
    let mut replies = Vec::new();
    for (mut stream, _) in ready {
        replies.push(read_reply(&mut stream).await.expect("an answer"));
    }
    replies
}

/// Sends a request and leaves when told to, without reading.
async fn send_and_hold(addr: SocketAddr, ask: &Ask) -> TcpStream {
    let mut stream = connect(addr).await;
    stream.write_all(&ask.bytes()).await.unwrap();
    stream
}

/// Sends two copies of a request and gives the connection of the one that is
/// being worked on, once the other was told so.
async fn in_flight(addr: SocketAddr, ask: &Ask) -> TcpStream {
    let mut one = send_and_hold(addr, ask).await;
    let mut other = send_and_hold(addr, ask).await;
    let (refused, working) = tokio::select! {
        reply = read_reply(&mut one) => (reply, other),
        reply = read_reply(&mut other) => (reply, one),
    };
    assert_eq!(refused.expect("an answer").status, 409);
    working
}

/// How a client leaves.
#[derive(Debug, Clone, Copy)]
enum Leave {
    Fin,
    Rst,
}

fn leave(stream: TcpStream, how: Leave) {
    if let Leave::Rst = how {
        socket2::SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    drop(stream);
}

async fn list(addr: SocketAddr, what: &str, reference: &str) -> Vec<Value> {
    let ask = Ask {
        method: "GET",
        path: format!("/{what}?reference={reference}"),
        headers: Vec::new(),
        body: String::new(),
    };
    let reply = send(addr, &ask).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    reply.json().as_array().expect("a list").clone()
}

async fn count(addr: SocketAddr, what: &str, reference: &str) -> usize {
    list(addr, what, reference).await.len()
}

/// Reads a count until it is the one expected.
async fn await_count(addr: SocketAddr, what: &str, reference: &str, expected: usize) {
    let waiting = async {
        while count(addr, what, reference).await != expected {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(10), waiting).await;
    let last = count(addr, what, reference).await;
    assert!(waited.is_ok(), "{what}: {last} instead of {expected}");
}

/// Sends a request again until it is no longer answered "in progress".
async fn retry(addr: SocketAddr, ask: &Ask) -> Reply {
    let trying = async {
        loop {
            let reply = send(addr, ask).await;
            if reply.status != 409 {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let tried = tokio::time::timeout(Duration::from_secs(10), trying).await;
    tried.expect("the key leaves the state `in progress`")
}

fn statuses(replies: &[Reply]) -> Vec<u16> {
    let mut statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    statuses
}

/// What must hold in every shop, right or wrong: one operation, done once by
/// a client that stays, has one effect; and nothing else is known about it.
async fn one_clean_order(addr: SocketAddr) {
    let reference = fresh("clean");
    let reply = send(addr, &Ask::order(&fresh("key"), &reference)).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    assert!(!reply.is_replay());
    await_count(addr, "orders", &reference, 1).await;
    await_count(addr, "mails", &reference, 1).await;
    assert_eq!(list(addr, "orders", &reference).await[0], reply.json());
}

/// Sequential retries by a client that stays are right.
async fn sequential_retries_are_right(addr: SocketAddr) {
    let (key, reference) = (fresh("key"), fresh("sequential"));
    let ask = Ask::order(&key, &reference);
    let first = send(addr, &ask).await;
    assert_eq!(first.status, 201, "{first:?}");
    for _ in 0..2 {
        let again = send(addr, &ask).await;
        assert_eq!((again.status, again.id()), (201, first.id()));
        assert!(again.is_replay());
    }
    await_count(addr, "orders", &reference, 1).await;
    await_count(addr, "mails", &reference, 1).await;
}

// ---- the right shop ---------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn retries_one_after_the_other_are_replayed() {
    on_each_store!(&[], USUAL, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;

        let (key, reference) = (fresh("key"), fresh("ref"));
        let first = send(addr, &Ask::order(&key, &reference)).await;
        let location = first.header("location").unwrap().to_owned();
        assert_eq!(location, format!("/orders/{}", first.id()));
        assert!(first.id().starts_with("ord_"));
        let quoted = format!("\"{key}\"");
        let again = send(addr, &Ask::order(&quoted, &reference)).await;
        assert!(again.is_replay());
        assert_eq!(again.header("location"), Some(location.as_str()));
        assert_eq!(again.body, first.body);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_copies_one_is_done_and_nine_are_refused() {
    on_each_store!(&[], SLOW, |addr| {
        let (key, reference) = (fresh("key"), fresh("ref"));
        let ask = Ask::order(&key, &reference);
        let replies = burst(addr, vec![ask.clone(); 10]).await;
        assert_eq!(statuses(&replies), [vec![201], vec![409; 9]].concat());
        for refused in replies.iter().filter(|reply| reply.status == 409) {
            assert_eq!(refused.header("retry-after"), Some("1"));
            assert_eq!(
                refused.header("content-type"),
                Some("application/problem+json")
            );
        }
        assert!(send(addr, &ask).await.is_replay());
        assert_eq!(count(addr, "orders", &reference).await, 1);
        assert_eq!(count(addr, "mails", &reference).await, 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_keys_at_once_do_not_disturb_each_other() {
    on_each_store!(&[], USUAL, |addr| {
        let reference = fresh("ref");
        let asks = (0..10).map(|_| Ask::order(&fresh("key"), &reference));
        let replies = burst(addr, asks.collect()).await;
        assert_eq!(statuses(&replies), [201; 10]);
        assert_eq!(count(addr, "orders", &reference).await, 10);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_orders_over_twenty_connections_lose_nothing() {
    on_each_store!(&[], USUAL, |addr| {
        let reference = fresh("ref");
        let clients = (0..20).map(|_| {
            let reference = reference.clone();
            tokio::spawn(async move {
                let mut stream = connect(addr).await;
                for _ in 0..10 {
                    let ask = Ask::order(&fresh("key"), &reference);
                    stream.write_all(&ask.bytes()).await.unwrap();
                    assert_eq!(read_reply(&mut stream).await.unwrap().status, 201);
                }
            })
        });
        for client in clients.collect::<Vec<_>>() {
            client.await.unwrap();
        }
        assert_eq!(count(addr, "orders", &reference).await, 200);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_never_stops_the_work() {
    on_each_store!(&[], USUAL, |addr| {
        for how in [Leave::Fin, Leave::Rst] {
            for moment in [0, 5, 10, 15, 20, 25] {
                let (key, reference) = (fresh("key"), fresh("ref"));
                let ask = Ask::order(&key, &reference);
                let stream = send_and_hold(addr, &ask).await;
                tokio::time::sleep(Duration::from_millis(moment)).await;
                leave(stream, how);
                if moment == 0 && matches!(how, Leave::Rst) {
                    // Whether a reset overtakes the request is not ours to
                    // say; at least nothing may be done twice.
                    assert_eq!(retry(addr, &ask).await.status, 201);
                } else {
                    await_count(addr, "orders", &reference, 1).await;
                    assert!(retry(addr, &ask).await.is_replay(), "{how:?} {moment}");
                }
                assert_eq!(count(addr, "orders", &reference).await, 1);
                assert_eq!(count(addr, "mails", &reference).await, 1);
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_closed_its_own_half_is_answered() {
    on_each_store!(&[], USUAL, |addr| {
        let mut stream = send_and_hold(addr, &Ask::order(&fresh("key"), &fresh("ref"))).await;
        stream.shutdown().await.unwrap();
        assert_eq!(read_reply(&mut stream).await.unwrap().status, 201);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn another_payload_is_refused_during_and_after_the_work() {
    on_each_store!(&[], SLOW, |addr| {
        let (key, reference) = (fresh("key"), fresh("ref"));
        let other = json!({"sku": "TSHIRT-M", "quantity": 2, "reference": reference});
        let other = Ask::post("/orders", &key, &other);
        let mut first = in_flight(addr, &Ask::order(&key, &reference)).await;
        assert_eq!(send(addr, &other).await.status, 422);
        assert_eq!(read_reply(&mut first).await.unwrap().status, 201);
        assert_eq!(send(addr, &other).await.status, 422);
        assert_eq!(count(addr, "orders", &reference).await, 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_payload_written_differently_is_the_same() {
    on_each_store!(&[], USUAL, |addr| {
        let (key, reference) = (fresh("key"), fresh("ref"));
        let first = send(addr, &Ask::order(&key, &reference)).await;
        let body = format!(
            "{{ \"reference\": \"{reference}\",\n \"quantity\": 1, \"sku\": \"TSHIRT-M\" }}"
        );
        let again = Ask::order(&key, &reference)
            .body(&body)
            .with("User-Agent", "two/2")
            .with("traceparent", "00-1-2-00");
        let again = send(addr, &again).await;
        assert!(again.is_replay());
        assert_eq!(again.id(), first.id());
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_share_neither_keys_nor_orders() {
    on_each_store!(&[], USUAL, |addr| {
        let (key, reference) = (fresh("key"), fresh("ref"));
        let ask = Ask::order(&key, &reference);
        let ours = send(addr, &ask).await;
        let theirs = send(addr, &ask.clone().with("Authorization", "Bearer other")).await;
        assert_eq!(theirs.status, 201);
        assert!(!theirs.is_replay());
        assert_ne!(theirs.id(), ours.id());
        assert_eq!(count(addr, "orders", &reference).await, 1);
        let pay = |order: &str| {
            let path = format!("/orders/{order}/payments");
            Ask::post(&path, &fresh("key"), &json!({"amount": 5}))
        };
        assert_eq!(send(addr, &pay(&theirs.id())).await.status, 404);
        assert_eq!(send(addr, &pay(&ours.id())).await.status, 201);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_body_is_never_executed_and_does_not_burn_the_key() {
    on_each_store!(&[], USUAL, |addr| {
        for (how, missing) in [
            (Leave::Fin, 1),
            (Leave::Rst, 1),
            (Leave::Fin, 30),
            (Leave::Fin, 83),
        ] {
            let (key, reference) = (fresh("key"), fresh("ref"));
            let ask = Ask::order(&key, &reference);
            let bytes = ask.bytes();
            let mut stream = connect(addr).await;
            let cut = bytes.len() - missing.min(ask.body.len());
            stream.write_all(&bytes[..cut]).await.unwrap();
            leave(stream, how);
            // Longer than the work would take if it had begun.
            tokio::time::sleep(Duration::from_millis(60)).await;
            assert_eq!(count(addr, "orders", &reference).await, 0);
            let reply = send(addr, &ask).await;
            assert_eq!(reply.status, 201);
            assert!(!reply.is_replay());
            assert_eq!(count(addr, "orders", &reference).await, 1);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_was_closed_knows_its_keys_when_it_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}", folder.path().join("shop.db").display());
    for store in stores().await {
        let store = store.unwrap_or_else(|| file.clone());
        let (key, reference) = (fresh("key"), fresh("ref"));
        let ask = Ask::order(&key, &reference);
        let shop = open(Some(&store), &[], SLOW).await;
        let first = send(shop.addr, &ask).await;
        // One more is in the middle of its work, and must come to its end.
        let late = Ask::order(&fresh("key"), &reference);
        let stream = in_flight(shop.addr, &late).await;
        shop.stop().await;
        drop(stream);

        let shop = open(Some(&store), &[], USUAL).await;
        let again = send(shop.addr, &ask).await;
        assert!(again.is_replay());
        assert_eq!(again.id(), first.id());
        assert!(send(shop.addr, &late).await.is_replay());
        assert_eq!(count(shop.addr, "orders", &reference).await, 2);
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_keeps_the_key_only_as_long_as_its_lease() {
    // A runtime of its own dies with everything in it, like a process.
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}", folder.path().join("shop.db").display());
    for store in stores().await {
        let store = store.unwrap_or_else(|| file.clone());
        let ask = Ask::order(&fresh("key"), &fresh("ref"));
        let doomed = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let opening = store.clone();
        let shop = doomed
            .spawn(async move { open(Some(&opening), &[], SLOW).await })
            .await
            .unwrap();
        let held = in_flight(shop.addr, &ask).await;
        doomed.shutdown_background();
        drop((held, shop));

        let shop = open(Some(&store), &[], Duration::ZERO).await;
        assert_eq!(send(shop.addr, &ask).await.status, 409);
        let reply = retry(shop.addr, &ask).await;
        assert_eq!(reply.status, 201);
        assert!(!reply.is_replay());
        shop.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_paid_and_delivered_under_its_reference() {
    on_each_store!(&[], USUAL, |addr| {
        let reference = fresh("ref");
        let order = send(addr, &Ask::order(&fresh("key"), &reference))
            .await
            .id();
        let pay = Ask::post(
            &format!("/orders/{order}/payments"),
            &fresh("key"),
            &json!({"amount": 12.5}),
        );
        let deliver = Ask::post(
            &format!("/orders/{order}/deliveries"),
            &fresh("key"),
            &json!({"service": "express"}),
        );
        for ask in [&pay, &deliver, &pay, &deliver] {
            assert_eq!(send(addr, ask).await.status, 201);
        }
        let payments = list(addr, "payments", &reference).await;
        assert_eq!(payments.len(), 1);
        assert_eq!(payments[0]["amount"], json!(12.5));
        assert_eq!(payments[0]["order"], json!(order));
        let deliveries = list(addr, "deliveries", &reference).await;
        assert_eq!(deliveries.len(), 1);
        assert_eq!(deliveries[0]["service"], json!("express"));
        assert_eq!(count(addr, "mails", &reference).await, 1);
        let get = Ask {
            method: "GET",
            path: format!("/orders/{order}"),
            headers: Vec::new(),
            body: String::new(),
        };
        assert_eq!(send(addr, &get).await.json()["reference"], json!(reference));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_key_every_request_is_executed() {
    on_each_store!(&[], USUAL, |addr| {
        let reference = fresh("ref");
        let ask = Ask::order("", &reference).without("Idempotency-Key");
        for _ in 0..2 {
            assert_eq!(send(addr, &ask).await.status, 201);
        }
        assert_eq!(count(addr, "orders", &reference).await, 2);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_is_refused_in_words_and_leaves_the_key_alone() {
    on_each_store!(&[], USUAL, |addr| {
        let key = fresh("key");
        let post = |path: &str, body: &str| Ask::order(&key, "r").body(body).path(path);
        let good = json!({"sku": "A", "quantity": 1, "reference": fresh("ref")}).to_string();
        let method = |method, path: &str| Ask {
            method,
            ..post(path, "")
        };
        let cases = [
            (post("/orders", "{"), 400),
            (post("/orders", "[]"), 400),
            (post("/orders", ""), 400),
            (post("/orders", r#"{"sku": "A", "quantity": 1}"#), 400),
            (
                post(
                    "/orders",
                    &format!("{{\"sku\": \"{}\"}}", "A".repeat(1 << 20)),
                ),
                413,
            ),
            (post("/orders/ord_1/payments", r#"{"amount": 1}"#), 404),
            (post("/orders/zzz/deliveries", r#"{"service": "x"}"#), 404),
            (post("/orders", &good).with("Idempotency-Key", ""), 400),
            (
                post("/orders", &good).with("Idempotency-Key", &"k".repeat(256)),
                400,
            ),
            (
                post("/orders", &good).with("Authorization", "Basic eDp5"),
                401,
            ),
            (post("/nowhere", &good), 404),
            (method("PUT", "/orders"), 405),
            (method("DELETE", "/mails"), 405),
            (method("GET", "/orders/ord_1/payments"), 405),
            (method("GET", "/orders/ord_99999999"), 404),
        ];
        for (ask, status) in cases {
            let reply = send(addr, &ask).await;
            assert_eq!(reply.status, status, "{} {}", ask.method, ask.path);
            assert_eq!(reply.json()["status"], json!(status));
            assert_eq!(
                reply.header("content-type"),
                Some("application/problem+json")
            );
        }
        let health = send(addr, &method("GET", "/health")).await;
        assert_eq!(health.json(), json!({"status": "ok"}));
        assert_eq!(send(addr, &post("/orders", &good)).await.status, 201);
    });
}

impl Ask {
    fn path(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_no_known_kind_and_a_taken_address_are_named() {
    let here = SocketAddr::from(([127, 0, 0, 1], 0));
    let start = |store: &str| {
        let mut options = Options::new(here);
        options.store = Some(store.to_owned());
        demo::start(options)
    };
    let error = start("mysql://u:secret@h/db").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "unknown kind of store `mysql`; use `sqlite:///path/to/file` or `postgres://user@host/database`"
    );
    assert!(matches!(
        start("sqlite::memory:").await,
        Err(DemoError::InMemoryStore)
    ));
    assert!(matches!(
        start("postgres://nobody@127.0.0.1:1/none").await,
        Err(DemoError::Store(_))
    ));
    let shop = open(None, &[], USUAL).await;
    let taken = demo::start(Options::new(shop.addr)).await;
    assert!(matches!(taken, Err(DemoError::Listen { listen, .. }) if listen == shop.addr));
    shop.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shop_that_is_dropped_closes() {
    let shop = open(None, &[], USUAL).await;
    let addr = shop.addr;
    one_clean_order(addr).await;
    drop(shop);
    let closing = async { while TcpStream::connect(addr).await.is_ok() {} };
    let closed = tokio::time::timeout(Duration::from_secs(5), closing).await;
    assert!(closed.is_ok(), "it still takes connections");
}

// ---- the flaws --------------------------------------------------------------

#[tokio::test(flavor = "multi_thread")]
async fn ignores_key_orders_again_with_every_attempt() {
    on_each_store!(&[Flaw::IgnoresKey.into()], USUAL, |addr| {
        one_clean_order(addr).await;
        let reference = fresh("ref");
        let ask = Ask::order(&fresh("key"), &reference);
        for _ in 0..3 {
            assert_eq!(send(addr, &ask).await.status, 201);
        }
        assert_eq!(count(addr, "orders", &reference).await, 3);
    });
}

/// In how many of twenty bursts a copy too many got through.
async fn bursts_that_duplicate(addr: SocketAddr) -> usize {
    let mut duplicated = 0;
    for _ in 0..20 {
        let reference = fresh("ref");
        burst(addr, vec![Ask::order(&fresh("key"), &reference); 10]).await;
        duplicated += usize::from(count(addr, "orders", &reference).await > 1);
    }
    duplicated
}

#[tokio::test(flavor = "multi_thread")]
async fn check_then_act_lets_copies_through_that_arrive_together() {
    on_each_store!(&[Flaw::CheckThenAct.into()], USUAL, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        assert!(bursts_that_duplicate(addr).await > 10);
    });
    let setting: FlawSetting = "check-then-act=300us".parse().unwrap();
    on_each_store!(&[setting], USUAL, |addr| {
        assert!(bursts_that_duplicate(addr).await > 0);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn check_then_act_refuses_a_copy_that_comes_later() {
    on_each_store!(&[Flaw::CheckThenAct.into()], SLOW, |addr| {
        let reference = fresh("ref");
        let ask = Ask::order(&fresh("key"), &reference);
        let mut first = send_and_hold(addr, &ask).await;
        tokio::time::sleep(SLOW / 2).await;
        assert_eq!(send(addr, &ask).await.status, 409);
        assert_eq!(read_reply(&mut first).await.unwrap().status, 201);
        assert_eq!(count(addr, "orders", &reference).await, 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn record_at_end_works_twice_when_the_retry_comes_during_the_work() {
    on_each_store!(&[Flaw::RecordAtEnd.into()], SLOW, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        let reference = fresh("ref");
        let ask = Ask::order(&fresh("key"), &reference);
        let mut first = send_and_hold(addr, &ask).await;
        tokio::time::sleep(SLOW / 4).await;
        let second = send(addr, &ask).await;
        let first = read_reply(&mut first).await.unwrap();
        assert_eq!((first.status, second.status), (201, 201));
        assert_ne!(first.id(), second.id());
        assert_eq!(count(addr, "orders", &reference).await, 2);
    });
}

/// Where a client leaves while the answer arrives.
#[derive(Debug, Clone, Copy)]
enum Heard {
    Nothing,
    FirstByte,
    Head,
    AllButOneByte,
}

#[tokio::test(flavor = "multi_thread")]
async fn record_if_heard_forgets_the_client_that_lost_the_answer() {
    on_each_store!(&[Flaw::RecordIfHeard.into()], USUAL, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        for how in [Leave::Fin, Leave::Rst] {
            for heard in [
                Heard::Nothing,
                Heard::FirstByte,
                Heard::Head,
                Heard::AllButOneByte,
            ] {
                let reference = fresh("ref");
                let ask = Ask::order(&fresh("key"), &reference);
                let mut stream = send_and_hold(addr, &ask).await;
                match heard {
                    Heard::Nothing => tokio::time::sleep(USUAL / 2).await,
                    Heard::FirstByte => drop(stream.read_u8().await.unwrap()),
                    Heard::Head => drop(read_head(&mut stream).await.unwrap()),
                    Heard::AllButOneByte => {
                        let head = read_head(&mut stream).await.unwrap();
                        let length = head.to_ascii_lowercase();
                        let length = length.split("content-length: ").nth(1).unwrap();
                        let length: usize = length.split("\r\n").next().unwrap().parse().unwrap();
                        stream.read_exact(&mut vec![0; length - 1]).await.unwrap();
                    }
                }
                leave(stream, how);
                let again = retry(addr, &ask).await;
                assert_eq!(again.status, 201);
                assert!(!again.is_replay(), "{how:?} {heard:?}");
                assert_eq!(
                    count(addr, "orders", &reference).await,
                    2,
                    "{how:?} {heard:?}"
                );
            }
        }
        // Copies at once are refused all the same.
        let reference = fresh("ref");
        burst(addr, vec![Ask::order(&fresh("key"), &reference); 10]).await;
        assert_eq!(count(addr, "orders", &reference).await, 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn stuck_on_disconnect_never_lets_the_key_go() {
    on_each_store!(&[Flaw::StuckOnDisconnect.into()], SLOW, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        for how in [Leave::Fin, Leave::Rst] {
            let reference = fresh("ref");
            let ask = Ask::order(&fresh("key"), &reference);
            let stream = send_and_hold(addr, &ask).await;
            tokio::time::sleep(SLOW / 4).await;
            leave(stream, how);
            await_count(addr, "orders", &reference, 1).await;
            // The right shop would replay at once from here on.
            for _ in 0..10 {
                assert_eq!(send(addr, &ask).await.status, 409, "{how:?}");
                tokio::time::sleep(SLOW / 10).await;
            }
            assert_eq!(count(addr, "orders", &reference).await, 1);
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn cancel_on_disconnect_orders_twice_when_the_client_leaves_half_way() {
    on_each_store!(&[Flaw::CancelOnDisconnect.into()], SLOW, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        for how in [Leave::Fin, Leave::Rst] {
            for (moment, orders) in [(SLOW / 4, 1), (SLOW * 5 / 8, 2)] {
                let reference = fresh("ref");
                let ask = Ask::order(&fresh("key"), &reference);
                let stream = send_and_hold(addr, &ask).await;
                tokio::time::sleep(moment).await;
                leave(stream, how);
                let again = retry(addr, &ask).await;
                assert_eq!(again.status, 201);
                assert!(!again.is_replay());
                let counted = count(addr, "orders", &reference).await;
                assert_eq!(counted, orders, "{how:?} after {moment:?}");
                assert_eq!(count(addr, "mails", &reference).await, 1);
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_body_accepted_executes_what_arrived_and_the_whole_retry_too() {
    on_each_store!(&[Flaw::CutBodyAccepted.into()], USUAL, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        for how in [Leave::Fin, Leave::Rst] {
            let reference = fresh("ref");
            let ask = Ask::order(&fresh("key"), &reference);
            let bytes = ask.bytes();
            let mut stream = connect(addr).await;
            stream.write_all(&bytes[..bytes.len() - 1]).await.unwrap();
            // A reset may overtake what was written; here it must not.
            tokio::time::sleep(Duration::from_millis(20)).await;
            leave(stream, how);
            await_count(addr, "orders", &reference, 1).await;
            assert_eq!(send(addr, &ask).await.status, 201);
            assert_eq!(count(addr, "orders", &reference).await, 2, "{how:?}");
        }
        // Cut before the reference: an order all the same, under none.
        let sku = fresh("sku");
        let body = json!({"sku": sku, "quantity": 1, "reference": fresh("ref")});
        let ask = Ask::post("/orders", &fresh("key"), &body)
            .with("Authorization", &format!("Bearer {sku}"));
        let bytes = ask.bytes();
        let cut = bytes.len() - ask.body.len() + sku.len() + 12;
        let mut stream = connect(addr).await;
        stream.write_all(&bytes[..cut]).await.unwrap();
        leave(stream, Leave::Fin);
        let lists = Ask {
            method: "GET",
            body: String::new(),
            ..ask.path("/orders")
        };
        let waiting = async {
            loop {
                let orders = send(addr, &lists).await.json();
                if let Some(order) = orders.get(0) {
                    return order.clone();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let order = tokio::time::timeout(Duration::from_secs(10), waiting)
            .await
            .unwrap();
        assert_eq!(order["sku"], json!(sku));
        assert_eq!(order["reference"], json!(""));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_apart_loses_the_mail_of_a_client_that_leaves() {
    on_each_store!(&[Flaw::MailApart.into()], SLOW, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        for how in [Leave::Fin, Leave::Rst] {
            for moment in [SLOW / 8, SLOW * 3 / 4] {
                let reference = fresh("ref");
                let ask = Ask::order(&fresh("key"), &reference);
                let stream = send_and_hold(addr, &ask).await;
                tokio::time::sleep(moment).await;
                leave(stream, how);
                let again = retry(addr, &ask).await;
                assert!(again.is_replay());
                // As long as the mail would take.
                tokio::time::sleep(SLOW).await;
                assert_eq!(count(addr, "orders", &reference).await, 1);
                assert_eq!(
                    count(addr, "mails", &reference).await,
                    0,
                    "{how:?} {moment:?}"
                );
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn ack_before_commit_loses_every_fourth_order() {
    on_each_store!(&[Flaw::AckBeforeCommit.into()], USUAL, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        let mut lost = 0;
        let mut ids = Vec::new();
        for _ in 0..8 {
            let reference = fresh("ref");
            let ask = Ask::order(&fresh("key"), &reference);
            let first = send(addr, &ask).await;
            assert_eq!(first.status, 201);
            assert_eq!(send(addr, &ask).await.id(), first.id());
            ids.push(first.id());
            // The commit of the next one comes after the commit of this one.
            one_of(addr, &reference, &mut lost).await;
        }
        assert_eq!(lost, 2);
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 8, "an id was given twice");
    });
}

/// Counts an order as lost that is not there after a second.
async fn one_of(addr: SocketAddr, reference: &str, lost: &mut usize) {
    for _ in 0..100 {
        if count(addr, "orders", reference).await == 1 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    *lost += 1;
}

#[tokio::test(flavor = "multi_thread")]
async fn release_on_error_orders_again_after_a_500() {
    on_each_store!(&[Flaw::ReleaseOnError.into()], USUAL, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        let reference = fresh("ref");
        let ask = Ask::order(&fresh("key"), &reference);
        assert_eq!(send(addr, &ask).await.status, 500);
        assert_eq!(count(addr, "orders", &reference).await, 1);
        let again = send(addr, &ask).await;
        assert_eq!(again.status, 201);
        assert!(!again.is_replay());
        assert!(send(addr, &ask).await.is_replay());
        assert_eq!(count(addr, "orders", &reference).await, 2);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn new_id_on_replay_names_an_order_that_is_not_there() {
    on_each_store!(&[Flaw::NewIdOnReplay.into()], USUAL, |addr| {
        one_clean_order(addr).await;
        let reference = fresh("ref");
        let ask = Ask::order(&fresh("key"), &reference);
        let first = send(addr, &ask).await;
        let again = send(addr, &ask).await;
        assert!(again.is_replay());
        assert_ne!(again.id(), first.id());
        assert_ne!(again.header("location"), first.header("location"));
        let orders = list(addr, "orders", &reference).await;
        assert_eq!(orders.len(), 1);
        assert_eq!(orders[0]["id"], json!(first.id()));
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn null_in_progress_answers_an_empty_success_during_the_work() {
    on_each_store!(&[Flaw::NullInProgress.into()], SLOW, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        let reference = fresh("ref");
        let replies = burst(addr, vec![Ask::order(&fresh("key"), &reference); 5]).await;
        assert_eq!(statuses(&replies), [200, 200, 200, 200, 201]);
        for reply in replies.iter().filter(|reply| reply.status == 200) {
            assert_eq!(reply.body, "null");
        }
        assert_eq!(count(addr, "orders", &reference).await, 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn constraint_500_shows_the_violation_to_duplicates_in_flight() {
    on_each_store!(&[Flaw::Constraint500.into()], SLOW, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        let reference = fresh("ref");
        let ask = Ask::order(&fresh("key"), &reference);
        let replies = burst(addr, vec![ask.clone(); 5]).await;
        assert_eq!(statuses(&replies), [201, 500, 500, 500, 500]);
        assert!(send(addr, &ask).await.is_replay());
        assert_eq!(count(addr, "orders", &reference).await, 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn key_5xx_throws_when_the_retry_looks_different() {
    on_each_store!(&[Flaw::Key5xx.into()], USUAL, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        let reference = fresh("ref");
        let ask = Ask::order(&fresh("key"), &reference);
        assert_eq!(send(addr, &ask).await.status, 201);
        for agent in ["two/2", "three/3"] {
            let other = ask.clone().with("User-Agent", agent);
            assert_eq!(send(addr, &other).await.status, 500);
        }
        assert!(send(addr, &ask).await.is_replay());
        assert_eq!(count(addr, "orders", &reference).await, 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_fingerprint_refuses_the_same_order_written_differently() {
    on_each_store!(&[Flaw::RawFingerprint.into()], USUAL, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        let reference = fresh("ref");
        let ask = Ask::order(&fresh("key"), &reference);
        assert_eq!(send(addr, &ask).await.status, 201);
        let spaced =
            format!("{{\"sku\": \"TSHIRT-M\", \"quantity\": 1, \"reference\": \"{reference}\"}}");
        for other in [
            ask.clone().body(&spaced),
            ask.clone().with("User-Agent", "two/2"),
            ask.clone().with("traceparent", "00-1-2-00"),
        ] {
            assert_eq!(send(addr, &other).await.status, 422);
        }
        assert!(send(addr, &ask).await.is_replay());
        assert_eq!(count(addr, "orders", &reference).await, 1);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn global_lock_refuses_whoever_comes_at_the_same_time() {
    on_each_store!(&[Flaw::GlobalLock.into()], SLOW, |addr| {
        one_clean_order(addr).await;
        sequential_retries_are_right(addr).await;
        let reference = fresh("ref");
        let asks = (0..10).map(|_| Ask::order(&fresh("key"), &reference));
        let replies = burst(addr, asks.collect()).await;
        assert_eq!(statuses(&replies), [vec![201], vec![409; 9]].concat());
        assert!(
            replies
                .iter()
                .all(|reply| reply.header("retry-after").is_none())
        );
        assert_eq!(count(addr, "orders", &reference).await, 1);
    });
}
