//! A small shop over plain sockets: in memory, idempotent, one thread a
//! connection. Tests that need another world answer some requests themselves and
//! leave the rest to it.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A request as it came.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query, as on the wire.
    pub(crate) target: String,
    headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Request {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(n, _)| n == name);
        named.next().map(|(_, value)| value.as_str())
    }

    pub(crate) fn is_order(&self) -> bool {
        self.method == "POST" && self.target == "/orders"
    }

    fn read(stream: &mut impl BufRead) -> Option<Self> {
        let line = line(stream)?;
        let mut words = line.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let mut headers = Vec::new();
        loop {
            let line = self::line(stream)?;
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let mut request = Self {
            method,
            target,
            headers,
            body: Value::Null,
        };
        let length = request.header("content-length").unwrap_or("0");
        let mut body = vec![0; length.parse().ok()?];
        stream.read_exact(&mut body).ok()?;
        request.body = serde_json::from_slice(&body).unwrap_or_default();
        Some(request)
    }
}

fn line(stream: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    stream.read_until(b'\n', &mut line).ok()?;
    (!line.is_empty()).then(|| String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// An answer that keeps to the rules.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Bytes, for header values need not be ASCII.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    pub(crate) fn write(&self, stream: &mut impl Write) -> Flow {
        let mut bytes = format!("HTTP/1.1 {} Said\r\n", self.status);
        for (name, value) in &self.headers {
            bytes = format!("{bytes}{name}: {value}\r\n");
        }
        bytes = format!("{bytes}Content-Length: {}\r\n\r\n", self.body.len());
        let mut bytes = bytes.into_bytes();
        bytes.extend_from_slice(&self.body);
        Flow::after(stream.write_all(&bytes))
    }
}

/// Whether a connection goes on.
#[derive(PartialEq, Eq)]
pub(crate) enum Flow {
    KeepOpen,
    Close,
}

impl Flow {
    /// It does if what was to be written could be.
    pub(crate) fn after(written: std::io::Result<()>) -> Self {
        written.map_or(Self::Close, |()| Self::KeepOpen)
    }
}

/// A server on loopback. Its threads end with the test's process.
pub(crate) struct Server {
    pub(crate) url: String,
}

impl Server {
    /// Answers every request with `handler`.
    pub(crate) fn start(
        handler: impl Fn(&Request, &mut TcpStream) -> Flow + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a port left");
        let address = listener.local_addr().expect("it is bound");
        let handler = Arc::new(handler);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let handler = Arc::clone(&handler);
                thread::spawn(move || serve(stream, &*handler));
            }
        });
        Self {
            url: format!("http://{address}"),
        }
    }
}

fn serve(mut stream: TcpStream, handler: &dyn Fn(&Request, &mut TcpStream) -> Flow) {
    let Ok(reading) = stream.try_clone() else {
        return;
    };
    let mut reading = BufReader::new(reading);
    while let Some(request) = Request::read(&mut reading) {
        if handler(&request, &mut stream) == Flow::Close {
            return;
        }
    }
}

/// The shop: one order for one key, whoever asks and however often.
#[derive(Default)]
pub(crate) struct Shop {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The answer that belongs to a key.
    answers: BTreeMap<String, Value>,
    /// References of the orders; an order's id is its place.
    orders: Vec<String>,
}

impl Shop {
    /// Takes an order, under one lock from the look-up to the record, so that
    /// whoever comes second waits and gets the first one's answer. `replay` is the
    /// status of an answer that was given before.
    pub(crate) fn order(&self, request: &Request, replay: u16) -> Answer {
        let key = request.header("idempotency-key").unwrap_or_default();
        let mut state = self.state.lock().expect("no handler panics");
        if let Some(known) = state.answers.get(key) {
            return Answer::json(replay, known);
        }
        let reference = request.body["reference"].as_str().unwrap_or_default();
        let order = json!({"id": format!("ord_{}", state.orders.len()), "reference": reference});
        state.orders.push(reference.to_owned());
        state.answers.insert(key.to_owned(), order.clone());
        Answer::json(201, &order)
    }

    /// Lists the orders of the reference that a request asks for.
    pub(crate) fn orders(&self, request: &Request) -> Vec<Value> {
        let state = self.state.lock().expect("no handler panics");
        let asked = |reference: &str| {
            let query = request
                .target
                .split_once('?')
                .map_or("", |(_, query)| query);
            let mut pairs = query.split('&');
            pairs.any(|pair| pair.strip_prefix("reference=") == Some(reference))
        };
        let mine = state.orders.iter().enumerate();
        mine.filter(|(_, reference)| asked(reference))
            .map(|(index, reference)| json!({"id": format!("ord_{index}"), "reference": reference}))
            .collect()
    }

    /// Answers whatever a scenario of these tests asks for.
    pub(crate) fn answer(&self, request: &Request) -> Answer {
        if request.is_order() {
            self.order(request, 201)
        } else {
            Answer::json(200, &Value::Array(self.orders(request)))
        }
    }
}
