//! What the peer saw for each fault, byte by byte and in which order, in the clear and over TLS.
//!
//! Each test is a script of two sides: ours is the public interface of `delivery` and `wire`, theirs is a socket that the test reads and writes itself. Nothing waits by sleeping; a side waits for bytes, for an end, or for the event that the interface promises.

#![expect(
    clippy::unwrap_used,
    reason = "what a test unwraps is its precondition"
)]

#[path = "support/peer.rs"]
mod peer;

use peer::{LAYERS, Layer, Port, Socket, epoch, tls_acceptor};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use retrial::delivery::{
    Connection, Delivered, Equipment, NotSent, Prepared, Sending, Target, TargetOptions, prepare,
};
use retrial::history::{ConnectFailure, End};
use retrial::http::{Encoded, Limits, Request};
use retrial::plan::{
    AnswerPoint, CutPoint, Ending, Fault, HoldPoint, HttpVersion, Moment, ResetPoint, Then,
};
use retrial::wire::{
    Action, AddressPolicy, Done, Endpoint, FireError, Released, Releaser, Step, TlsOptions, Trust,
    Volley, connect, tls_config,
};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const ANSWER: &str = "HTTP/1.1 201 Created\r\ncontent-length: 10\r\n\r\n0123456789";
const HEAD_LEN: usize = ANSWER.len() - 10;

/// The other side: everybody who connects lands in a queue.
struct Peer {
    target: Arc<Target>,
    equipment: Arc<Equipment>,
    accepted: mpsc::UnboundedReceiver<Box<dyn Socket>>,
}

impl Peer {
    async fn start(layer: Layer) -> Self {
        Self::with_limits(layer, Limits::default()).await
    }

    async fn with_limits(layer: Layer, limits: Limits) -> Self {
        let port = Port::open(layer, &[]).await;
        let config = port.authority.as_ref().map(|authority| {
            let options = TlsOptions {
                trust: Trust::Only(authority.as_bytes()),
                ..TlsOptions::default()
            };
            Arc::new(tls_config(&options).unwrap())
        });
        let equipment = Equipment::start(epoch()).unwrap();
        let options = TargetOptions {
            url: &port.url(),
            tls: config,
            server_name: (layer == Layer::Tls).then_some("localhost"),
            policy: AddressPolicy::Loopback,
            connect_timeout: Duration::from_secs(5),
            limits,
            http: HttpVersion::Http1,
        };
        let target = Arc::new(Target::new(&options, Arc::clone(&equipment)).unwrap());
        Self {
            target,
            equipment,
            accepted: port.accepted,
        }
    }

    fn releaser(&self) -> &Releaser {
        self.equipment.releaser()
    }

    async fn next(&mut self) -> Box<dyn Socket> {
        self.accepted.recv().await.unwrap()
    }

    /// Nobody else has connected. Meaningful once our side is through.
    fn assert_nobody_else(&mut self) {
        assert!(
            self.accepted.try_recv().is_err(),
            "somebody connected again"
        );
    }

    fn order(&self, body: &[u8]) -> Encoded {
        let request = Request {
            method: "POST".to_owned(),
            target: "/orders".to_owned(),
            headers: vec![("idempotency-key".to_owned(), "k-1".to_owned())],
            body: body.to_vec(),
        };
        self.target.encode(&request).unwrap()
    }

    fn sending(&self, fault: Fault) -> Sending {
        Sending {
            message: self.order(b"{\"sku\":\"a\"}"),
            fault,
            h: Duration::ZERO,
            hold: None,
            timeout: Duration::from_secs(20),
        }
    }

    async fn prepare(&self, sending: Sending, reuse: Option<Connection>) -> Prepared {
        prepare(&self.target, sending, reuse).await.unwrap()
    }

    /// Sends with a fault and plays the other side.
    async fn play<F>(
        &mut self,
        sending: Sending,
        theirs: impl FnOnce(Box<dyn Socket>) -> F,
    ) -> Delivered
    where
        F: Future<Output = ()>,
    {
        let prepared = self.prepare(sending, None).await;
        let socket = self.next().await;
        let (delivered, ()) = tokio::join!(prepared.deliver(), theirs(socket));
        self.assert_nobody_else();
        delivered
    }
}

/// How a stream ended for the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saw {
    /// A clean end of TCP (over TLS without a goodbye).
    Fin,
    Reset,
}

/// Reads to the end.
async fn read_to_end(socket: &mut Box<dyn Socket>) -> (Vec<u8>, Saw) {
    let mut bytes = Vec::new();
    let saw = match socket.read_to_end(&mut bytes).await {
        Ok(_) => Saw::Fin,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Saw::Fin,
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Saw::Reset,
        Err(error) => panic!("{error:?}"),
    };
    (bytes, saw)
}

async fn read_exactly(socket: &mut Box<dyn Socket>, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    socket.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn say(socket: &mut Box<dyn Socket>, text: &str) {
    socket.write_all(text.as_bytes()).await.unwrap();
    socket.flush().await.unwrap();
}

/// Whether nothing can be read at this moment. On loopback what was sent is there.
async fn is_silent(socket: &mut Box<dyn Socket>) -> bool {
    let mut byte = [0_u8];
    poll_fn(|cx| {
        let mut buffer = ReadBuf::new(&mut byte);
        Poll::Ready(
            Pin::new(&mut *socket)
                .poll_read(cx, &mut buffer)
                .is_pending(),
        )
    })
    .await
}

async fn fire(releaser: &Releaser, gate: retrial::wire::Gate) -> Released {
    let settle = gate.settle();
    let step = Step {
        offset: Duration::ZERO,
        gate,
        action: Action::Fire,
    };
    releaser
        .release(Volley {
            settle,
            steps: vec![step],
        })
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_bytes_arrive_complete_after_the_release_and_not_before() {
    for layer in LAYERS {
        for hold in [HoldPoint::Head, HoldPoint::LastByte, HoldPoint::All] {
            let mut peer = Peer::start(layer).await;
            let sending = Sending {
                hold: Some(hold),
                ..peer.sending(Fault::None)
            };
            let message = sending.message.clone();
            let prefix = match hold {
                HoldPoint::Head => message.head_end - 1,
                HoldPoint::LastByte => message.bytes.len() - 1,
                HoldPoint::All => 0,
            };
            let prepared = peer.prepare(sending, None).await;
            let gate = prepared.gate();
            let mut socket = peer.next().await;
            assert_eq!(
                read_exactly(&mut socket, prefix).await,
                message.bytes[..prefix]
            );
            assert!(is_silent(&mut socket).await, "{layer:?} {hold:?}");
            assert!(gate.is_holding());

            let delivery = tokio::spawn(prepared.deliver());
            let released = fire(peer.releaser(), gate.clone()).await;
            assert!(released.is_whole());
            let tail = read_exactly(&mut socket, message.bytes.len() - prefix).await;
            assert_eq!(tail, message.bytes[prefix..]);
            assert!(is_silent(&mut socket).await);
            say(&mut socket, ANSWER).await;

            let delivered = delivery.await.unwrap();
            assert_eq!(delivered.end, End::Complete);
            assert_eq!(delivered.bytes.out, message.bytes.len() as u64);
            assert_eq!(delivered.bytes.incoming, ANSWER.len() as u64);
            let timing = delivered.timing;
            let fired = gate.fired().unwrap();
            assert_eq!(timing.last_out.unwrap().0, fired.began);
            assert!(timing.first_in.unwrap().0 > fired.began);
            assert_eq!(
                gate.fire(),
                Err(FireError::NotHolding),
                "nothing is sent twice"
            );
            peer.assert_nobody_else();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_is_released_in_the_order_given() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let mut spreads = Vec::new();
        for _ in 0..20 {
            let mut deliveries = Vec::new();
            let mut steps = Vec::new();
            let mut sockets = Vec::new();
            for _ in 0..10 {
                let sending = Sending {
                    hold: Some(HoldPoint::Head),
                    ..peer.sending(Fault::None)
                };
                let prepared = peer.prepare(sending, None).await;
                let gate = prepared.gate();
                steps.push(Step {
                    offset: Duration::ZERO,
                    gate,
                    action: Action::Fire,
                });
                deliveries.push(tokio::spawn(prepared.deliver()));
                sockets.push(peer.next().await);
            }
            let settle = steps[0].gate.settle();
            let released = peer
                .releaser()
                .release(Volley { settle, steps })
                .await
                .unwrap();
            assert!(released.is_whole());
            let began: Vec<_> = released
                .steps
                .iter()
                .map(|done| match done {
                    Done::Fired(Ok(fired)) => fired.began,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert!(began.is_sorted(), "{began:?}");
            assert!(began[0] >= released.start);
            spreads.push(released.spread().unwrap());
            let message = peer.order(b"{\"sku\":\"a\"}").bytes;
            for socket in &mut sockets {
                assert_eq!(read_exactly(socket, message.len()).await, message);
                say(socket, ANSWER).await;
            }
            for delivery in deliveries {
                assert_eq!(delivery.await.unwrap().end, End::Complete);
            }
        }
        spreads.sort_unstable();
        println!(
            "{layer:?}: 10 connections, release spread p50 {:?}, p90 {:?}, max {:?}; real time: {}",
            spreads[10],
            spreads[18],
            spreads[19],
            peer.releaser().is_realtime()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_a_volley_keep_their_offsets() {
    let mut peer = Peer::start(Layer::Plain).await;
    let offsets = [6_u64, 0, 3].map(Duration::from_millis);
    let mut steps = Vec::new();
    let mut kept = Vec::new();
    for offset in offsets {
        let sending = Sending {
            hold: Some(HoldPoint::All),
            ..peer.sending(Fault::None)
        };
        let prepared = peer.prepare(sending, None).await;
        steps.push(Step {
            offset,
            gate: prepared.gate(),
            action: Action::Fire,
        });
        kept.push((prepared, peer.next().await));
    }
    let settle = Duration::from_micros(100);
    let released = peer
        .releaser()
        .release(Volley { settle, steps })
        .await
        .unwrap();
    for (done, offset) in released.steps.iter().zip(offsets) {
        let Done::Fired(Ok(fired)) = done else {
            panic!("{done:?}")
        };
        let after = Duration::from_nanos(fired.began - released.start);
        assert!(after >= offset, "{after:?} is before {offset:?}");
    }
    let begun = |index: usize| match released.steps[index] {
        Done::Fired(Ok(fired)) => fired.began,
        other => panic!("{other:?}"),
    };
    assert!(begun(1) < begun(2) && begun(2) < begun(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_after_a_hold_does_not_overtake_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint {
        host: "127.0.0.1".to_owned(),
        port: listener.local_addr().unwrap().port(),
        tls: None,
        policy: AddressPolicy::Loopback,
        timeout: Duration::from_secs(5),
    };
    let mut wire = connect(&endpoint, epoch()).await.unwrap();
    let (mut socket, _) = listener.accept().await.unwrap();
    // More than both sockets' buffers take, so that the release leaves a rest.
    let held = vec![b'h'; 12 * 1024 * 1024];
    wire.gate().hold();
    wire.write_all(&held).await.unwrap();
    let flushed = poll_fn(|cx| Poll::Ready(Pin::new(&mut wire).poll_flush(cx).is_ready())).await;
    assert!(!flushed, "what is held is not flushed");
    assert_eq!(wire.gate().held(), held.len());
    let fired = wire.gate().fire().unwrap();
    assert!(!fired.is_whole());
    assert_eq!(fired.sent + fired.left, held.len());

    let later = tokio::spawn(async move {
        wire.write_all(b"later").await.unwrap();
        wire.flush().await.unwrap();
        wire
    });
    let mut bytes = vec![0; held.len() + 5];
    socket.read_exact(&mut bytes).await.unwrap();
    assert!(
        bytes[..held.len()] == held[..],
        "held bytes arrive complete"
    );
    assert_eq!(&bytes[held.len()..], b"later");
    assert_eq!(
        later.await.unwrap().gate().marks().bytes_out,
        bytes.len() as u64
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_the_kernel_does_not_take_whole_is_reported_and_arrives_whole() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let message = peer.order(&vec![b'x'; 12 * 1024 * 1024]);
        let sending = Sending {
            message: message.clone(),
            hold: Some(HoldPoint::All),
            ..peer.sending(Fault::None)
        };
        let prepared = peer.prepare(sending, None).await;
        let mut socket = peer.next().await;
        let gate = prepared.gate();
        let delivery = tokio::spawn(prepared.deliver());
        assert!(!fire(peer.releaser(), gate).await.is_whole());
        assert!(read_exactly(&mut socket, message.bytes.len()).await == message.bytes);
        say(&mut socket, ANSWER).await;
        let delivered = delivery.await.unwrap();
        assert_eq!(delivered.end, End::Complete, "{layer:?}");
        assert!(delivered.timing.last_out > Some(delivered.timing.intended));
    }
}

const ENDINGS: [Ending; 4] = [Ending::Fin, Ending::Rst, Ending::HalfClose, Ending::Silence];

/// When the simulated client is through, as [`Prepared::view`] tells it.
type View = tokio::sync::watch::Receiver<Option<u64>>;

/// Nothing more comes but this ending. To a half-close the peer answers; to silence it answers in vain, and sees a clean end when the attempt's time is over.
async fn assert_ends(socket: &mut Box<dyn Socket>, end: Ending, view: &mut View, what: &str) {
    let saw = match end {
        Ending::Fin | Ending::HalfClose => Saw::Fin,
        Ending::Rst => Saw::Reset,
        Ending::Silence => {
            view.wait_for(Option::is_some).await.unwrap();
            assert!(is_silent(socket).await, "{what}: the socket stays open");
            say(socket, ANSWER).await;
            Saw::Fin
        }
    };
    assert_eq!(read_to_end(socket).await, (Vec::new(), saw), "{what}");
}

/// How an attempt ends for us whose connection was ended so before any answer.
fn ended(end: Ending) -> End {
    match end {
        Ending::Fin | Ending::Silence => End::WeClosed,
        Ending::Rst => End::WeReset,
        // What the peer says to that is read.
        Ending::HalfClose => End::Complete,
    }
}

/// So long an attempt may take in whose course the client falls silent.
fn time_for(end: Ending) -> Duration {
    match end {
        Ending::Silence => Duration::from_millis(150),
        Ending::Fin | Ending::Rst | Ending::HalfClose => Duration::from_secs(20),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_request_arrives_to_the_byte_and_ends_as_planned() {
    for layer in LAYERS {
        for (at, hold) in [
            (CutPoint::FirstByte, None),
            (CutPoint::FirstByte, Some(HoldPoint::All)),
            (CutPoint::Bytes(1), None),
            (CutPoint::Bytes(20), None),
            (CutPoint::Head(50), None),
            (CutPoint::Head(50), Some(HoldPoint::All)),
            (CutPoint::Headers, None),
            (CutPoint::Body(3), None),
            (CutPoint::Percent(50), None),
            (CutPoint::BeforeEnd(1), None),
            (CutPoint::BeforeEnd(1), Some(HoldPoint::All)),
        ] {
            for end in ENDINGS {
                let what = format!("{layer:?} {at:?} {end:?} {hold:?}");
                let mut peer = Peer::start(layer).await;
                let sending = Sending {
                    hold,
                    timeout: time_for(end),
                    ..peer.sending(Fault::CutRequest { at, end })
                };
                let message = sending.message.clone();
                let cut = match at {
                    CutPoint::Connect | CutPoint::FirstByte => 0,
                    CutPoint::Bytes(bytes) => bytes as usize,
                    CutPoint::Head(_) => message.head_end / 2,
                    CutPoint::Headers => message.head_end,
                    CutPoint::Body(bytes) => message.head_end + bytes as usize,
                    CutPoint::Percent(_) => message.head_end + message.body_len() / 2,
                    CutPoint::BeforeEnd(_) => message.bytes.len() - 1,
                };
                let prepared = peer.prepare(sending, None).await;
                let (gate, mut view) = (prepared.gate(), prepared.view());
                let mut socket = peer.next().await;
                let delivery = tokio::spawn(prepared.deliver());
                if hold.is_some() {
                    fire(peer.releaser(), gate).await;
                }
                assert_eq!(
                    read_exactly(&mut socket, cut).await,
                    message.bytes[..cut],
                    "{what}"
                );
                assert_ends(&mut socket, end, &mut view, &what).await;
                if end == Ending::HalfClose {
                    say(&mut socket, ANSWER).await;
                }
                let delivered = delivery.await.unwrap();
                assert_eq!(delivered.end, ended(end), "{what}");
                assert_eq!(delivered.bytes.out, cut as u64, "{what}");
                assert!(delivered.fault_happened, "{what}");
                assert!(delivered.connection.is_none());
                assert_eq!(delivered.answer.is_some(), end == Ending::HalfClose);
                assert_eq!(delivered.hidden, end == Ending::HalfClose);
                let gave_up = delivered.timing.gave_up.is_some();
                assert_eq!(gave_up, matches!(end, Ending::HalfClose | Ending::Silence));
                assert_eq!(delivered.timing.first_out.is_none(), cut == 0, "{what}");
                peer.assert_nobody_else();
            }
        }
    }
}

#[tokio::test]
async fn an_attempt_lost_before_it_connects_reaches_nobody() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let sending = peer.sending(Fault::CutRequest {
            at: CutPoint::Connect,
            end: Ending::Fin,
        });
        let lost = prepare(&peer.target, sending, None).await.unwrap_err();
        assert!(matches!(lost.end, End::NotSent(_)), "{:?}", lost.end);
        assert!(lost.fault_happened);
        // Whoever connects next is the first one.
        let retry = peer.sending(Fault::None);
        let message = retry.message.bytes.clone();
        let retry = peer.prepare(retry, None).await;
        let mut socket = peer.next().await;
        peer.assert_nobody_else();
        let theirs = async {
            assert_eq!(read_exactly(&mut socket, message.len()).await, message);
            say(&mut socket, ANSWER).await;
        };
        let (delivered, ()) = tokio::join!(retry.deliver(), theirs);
        assert_eq!(delivered.end, End::Complete);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_response_is_read_to_the_byte_and_ends_as_planned() {
    for layer in LAYERS {
        for (at, read) in [
            (AnswerPoint::Bytes(1), 1),
            (AnswerPoint::Bytes(30), 30),
            (AnswerPoint::StatusLine, "HTTP/1.1 201 Created\r\n".len()),
            (AnswerPoint::Headers, HEAD_LEN),
            (AnswerPoint::Percent(50), HEAD_LEN + 5),
            (AnswerPoint::BeforeEnd(1), HEAD_LEN + 9),
            (AnswerPoint::Whole, ANSWER.len()),
        ] {
            for end in ENDINGS {
                let what = format!("{layer:?} {at:?} {end:?}");
                let mut peer = Peer::start(layer).await;
                let sending = Sending {
                    timeout: time_for(end),
                    ..peer.sending(Fault::CutResponse { at, end })
                };
                let message = sending.message.clone();
                let prepared = peer.prepare(sending, None).await;
                let mut view = prepared.view();
                let mut socket = peer.next().await;
                let delivery = tokio::spawn(prepared.deliver());
                assert_eq!(
                    read_exactly(&mut socket, message.bytes.len()).await,
                    message.bytes
                );
                say(&mut socket, ANSWER).await;
                assert_ends(&mut socket, end, &mut view, &what).await;
                drop(socket);
                let delivered = delivery.await.unwrap();
                let whole = at == AnswerPoint::Whole || end == Ending::HalfClose;
                let (read, ended) = if whole {
                    (ANSWER.len(), End::Complete)
                } else {
                    (read, ended(end))
                };
                assert_eq!(delivered.end, ended, "{what}");
                assert_eq!(delivered.bytes.incoming, read as u64, "{what}");
                assert!(delivered.fault_happened, "{what}");
                assert!(delivered.connection.is_none());
                assert_eq!(delivered.hidden, whole, "{what}");
                let body = read
                    .checked_sub(HEAD_LEN)
                    .map(|body| &b"0123456789"[..body]);
                let answer = delivered.answer;
                assert_eq!(answer.as_ref().map(|answer| answer.body.as_slice()), body);
                assert!(answer.is_none_or(|answer| answer.complete == whole));
                peer.assert_nobody_else();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_client_reads_nothing_after_its_request() {
    for layer in LAYERS {
        for after in [
            ResetPoint::RequestSent(Moment::Us(0)),
            ResetPoint::RequestSent(Moment::Us(2000)),
            ResetPoint::Answered,
        ] {
            let what = format!("{layer:?} {after:?}");
            let mut peer = Peer::start(layer).await;
            let sending = Sending {
                timeout: time_for(Ending::Silence),
                h: Duration::from_millis(50),
                ..peer.sending(reset(after, Ending::Silence))
            };
            let message = sending.message.clone();
            let prepared = peer.prepare(sending, None).await;
            let mut view = prepared.view();
            let mut socket = peer.next().await;
            let delivery = tokio::spawn(prepared.deliver());
            assert_eq!(
                read_exactly(&mut socket, message.bytes.len()).await,
                message.bytes
            );
            let read = match after {
                ResetPoint::Answered => {
                    say(&mut socket, ANSWER).await;
                    1
                }
                ResetPoint::RequestSent(_) => 0,
            };
            assert_ends(&mut socket, Ending::Silence, &mut view, &what).await;
            let delivered = delivery.await.unwrap();
            assert_eq!(delivered.end, End::WeClosed, "{what}");
            assert_eq!(delivered.bytes.incoming, read, "{what}");
            assert!(delivered.fault_happened && delivered.answer.is_none());
            let gave_up = delivered.timing.gave_up.unwrap();
            assert!(delivered.timing.ended.since(gave_up) > 0);
        }
    }
}

#[tokio::test]
async fn a_silent_client_does_not_outlast_a_peer_that_is_gone() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let sending = Sending {
            timeout: Duration::from_hours(24),
            ..peer.sending(Fault::CutRequest {
                at: CutPoint::Head(50),
                end: Ending::Silence,
            })
        };
        let cut = sending.message.head_end / 2;
        let delivered = peer
            .play(sending, async |mut socket| {
                read_exactly(&mut socket, cut).await;
            })
            .await;
        assert_eq!(delivered.end, End::WeClosed, "{layer:?}");
        assert!(delivered.fault_happened);
    }
}

#[tokio::test]
async fn a_half_close_that_nobody_answers_was_made_all_the_same() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let sending = Sending {
            timeout: Duration::from_millis(150),
            ..peer.sending(Fault::CutRequest {
                at: CutPoint::Percent(50),
                end: Ending::HalfClose,
            })
        };
        let mut kept = None;
        let delivered = peer
            .play(sending, async |mut socket| {
                let (bytes, saw) = read_to_end(&mut socket).await;
                assert!(!bytes.is_empty());
                assert_eq!(saw, Saw::Fin);
                kept = Some(socket);
            })
            .await;
        assert_eq!(delivered.end, End::TimedOut, "{layer:?}");
        assert!(delivered.fault_happened);
        assert!(kept.is_some(), "the peer closed nothing");
    }
}

#[tokio::test]
async fn an_answer_too_short_to_be_cut_is_said_to_be_complete() {
    let mut peer = Peer::start(Layer::Plain).await;
    let sending = peer.sending(Fault::CutResponse {
        at: AnswerPoint::Headers,
        end: Ending::Fin,
    });
    let delivered = peer
        .play(sending, async |mut socket| {
            say(&mut socket, "HTTP/1.1 204 No Content\r\n\r\n").await;
            read_to_end(&mut socket).await;
        })
        .await;
    assert_eq!(delivered.end, End::Complete);
    assert!(delivered.hidden && !delivered.fault_happened);
}

#[tokio::test]
async fn a_dropped_response_is_read_whole_and_hidden() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let sending = peer.sending(Fault::DropResponse);
        let message = sending.message.clone();
        let delivered = peer
            .play(sending, async |mut socket| {
                assert_eq!(
                    read_exactly(&mut socket, message.bytes.len()).await,
                    message.bytes
                );
                say(&mut socket, ANSWER).await;
                assert_eq!(read_to_end(&mut socket).await, (Vec::new(), Saw::Fin));
            })
            .await;
        assert_eq!(delivered.end, End::Complete);
        assert!(delivered.hidden && delivered.fault_happened);
        assert_eq!(delivered.answer.unwrap().body, b"0123456789");
        assert!(delivered.connection.is_none());
    }
}

fn reset(after: ResetPoint, end: Ending) -> Fault {
    Fault::Reset { after, end }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_comes_after_the_whole_request() {
    for layer in LAYERS {
        for (after_us, end, saw, ended) in [
            (0, Ending::Rst, Saw::Reset, End::WeReset),
            (3000, Ending::Rst, Saw::Reset, End::WeReset),
            (0, Ending::Fin, Saw::Fin, End::WeClosed),
            (3000, Ending::Fin, Saw::Fin, End::WeClosed),
        ] {
            let mut peer = Peer::start(layer).await;
            let after = ResetPoint::RequestSent(Moment::Us(after_us));
            let sending = Sending {
                h: Duration::from_millis(50),
                ..peer.sending(reset(after, end))
            };
            let message = sending.message.clone();
            let delivered = peer
                .play(sending, async |mut socket| {
                    // A peer that is told of a reset may lose what it has not read: it reads while it comes.
                    let mut bytes = vec![0; message.bytes.len()];
                    let read = socket.read_exact(&mut bytes).await;
                    match (after_us, end, read) {
                        (0, Ending::Rst, Err(error)) => {
                            assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
                        }
                        (_, _, read) => {
                            read.unwrap();
                            assert_eq!(bytes, message.bytes);
                            assert_eq!(read_to_end(&mut socket).await, (Vec::new(), saw));
                        }
                    }
                })
                .await;
            assert_eq!(delivered.end, ended, "{layer:?} {after_us} {end:?}");
            assert_eq!(delivered.bytes.out, message.bytes.len() as u64);
            assert!(delivered.fault_happened);
            assert_eq!(delivered.timing.first_in, None);
            let waited = delivered
                .timing
                .ended
                .since(delivered.timing.last_out.unwrap());
            assert!(waited >= after_us * 1000, "{waited} ns");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_came_before_the_reset_is_told() {
    for layer in LAYERS {
        for (h, happened) in [
            (Duration::from_secs(1), false),
            (Duration::from_millis(1), true),
        ] {
            let mut peer = Peer::start(layer).await;
            let after = ResetPoint::RequestSent(Moment::Us(300_000));
            let sending = Sending {
                h,
                ..peer.sending(reset(after, Ending::Rst))
            };
            let length = sending.message.bytes.len();
            let delivered = peer
                .play(sending, async |mut socket| {
                    read_exactly(&mut socket, length).await;
                    say(&mut socket, ANSWER).await;
                    assert_eq!(read_to_end(&mut socket).await, (Vec::new(), Saw::Reset));
                })
                .await;
            assert_eq!(delivered.end, End::Complete);
            assert_eq!(delivered.fault_happened, happened, "{layer:?} {h:?}");
            assert!(!delivered.hidden && delivered.answer.unwrap().complete);
        }
    }
}

#[tokio::test]
async fn a_reset_at_the_answer_reads_one_byte() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let sending = peer.sending(reset(ResetPoint::Answered, Ending::Rst));
        let length = sending.message.bytes.len();
        let delivered = peer
            .play(sending, async |mut socket| {
                read_exactly(&mut socket, length).await;
                say(&mut socket, ANSWER).await;
                assert_eq!(read_to_end(&mut socket).await, (Vec::new(), Saw::Reset));
            })
            .await;
        assert_eq!(delivered.end, End::WeReset, "{layer:?}");
        assert_eq!(delivered.bytes.incoming, 1);
        assert!(delivered.fault_happened && delivered.answer.is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_half_close_the_answer_still_comes_but_is_hidden() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let after = ResetPoint::RequestSent(Moment::Us(1000));
        let sending = peer.sending(reset(after, Ending::HalfClose));
        let message = sending.message.clone();
        let delivered = peer
            .play(sending, async |mut socket| {
                assert_eq!(
                    read_to_end(&mut socket).await,
                    (message.bytes.clone(), Saw::Fin)
                );
                say(&mut socket, ANSWER).await;
            })
            .await;
        assert_eq!(delivered.end, End::Complete, "{layer:?}");
        assert!(delivered.fault_happened && delivered.hidden);
        assert!(delivered.timing.gave_up.is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_gives_up_with_its_socket_open_misses_the_answer() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let fault = Fault::Timeout {
            after: Moment::Us(2000),
            then: Then::KeepOpen,
        };
        let sending = peer.sending(fault);
        let length = sending.message.bytes.len();
        let prepared = peer.prepare(sending, None).await;
        let mut view = prepared.view();
        let mut socket = peer.next().await;
        let delivery = tokio::spawn(prepared.deliver());
        read_exactly(&mut socket, length).await;
        let gave_up = view.wait_for(Option::is_some).await.unwrap().unwrap();
        assert!(is_silent(&mut socket).await, "the socket stays open");
        say(&mut socket, ANSWER).await;
        let delivered = delivery.await.unwrap();
        assert_eq!(delivered.end, End::Complete, "{layer:?}");
        assert!(delivered.hidden && delivered.fault_happened);
        assert_eq!(delivered.timing.gave_up.unwrap().0, gave_up);
        assert!(gave_up - delivered.timing.last_out.unwrap().0 >= 2_000_000);
        assert!(delivered.timing.first_in.unwrap().0 > gave_up);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_gives_up_and_closes_is_gone() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let fault = Fault::Timeout {
            after: Moment::PpmOfH(500_000),
            then: Then::Close,
        };
        let sending = Sending {
            h: Duration::from_millis(4),
            ..peer.sending(fault)
        };
        let message = sending.message.clone();
        let delivered = peer
            .play(sending, async |mut socket| {
                assert_eq!(
                    read_to_end(&mut socket).await,
                    (message.bytes.clone(), Saw::Fin)
                );
            })
            .await;
        assert_eq!(delivered.end, End::WeClosed, "{layer:?}");
        assert!(delivered.fault_happened && !delivered.hidden);
        let waited = delivered
            .timing
            .ended
            .since(delivered.timing.last_out.unwrap());
        assert!(waited >= 2_000_000, "{waited} ns");
    }
}

#[tokio::test]
async fn a_client_that_is_answered_in_time_does_not_give_up() {
    let mut peer = Peer::start(Layer::Plain).await;
    for then in [Then::KeepOpen, Then::Close] {
        let sending = peer.sending(Fault::Timeout {
            after: Moment::Us(10_000_000),
            then,
        });
        let delivered = peer
            .play(sending, async |mut socket| {
                say(&mut socket, ANSWER).await;
                read_to_end(&mut socket).await;
            })
            .await;
        assert_eq!(delivered.end, End::Complete);
        assert!(!delivered.hidden && !delivered.fault_happened);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fault_also_follows_a_held_release() {
    for layer in LAYERS {
        for (fault, saw) in [
            (
                reset(ResetPoint::RequestSent(Moment::Us(2000)), Ending::Rst),
                Saw::Reset,
            ),
            (
                Fault::CutRequest {
                    at: CutPoint::Percent(50),
                    end: Ending::Fin,
                },
                Saw::Fin,
            ),
        ] {
            let mut peer = Peer::start(layer).await;
            let sending = Sending {
                hold: Some(HoldPoint::Head),
                ..peer.sending(fault)
            };
            let message = sending.message.clone();
            let prepared = peer.prepare(sending, None).await;
            let gate = prepared.gate();
            let mut socket = peer.next().await;
            let delivery = tokio::spawn(prepared.deliver());
            fire(peer.releaser(), gate).await;
            let mut bytes = Vec::new();
            let end = socket.read_to_end(&mut bytes).await;
            let delivered = delivery.await.unwrap();
            assert!(delivered.fault_happened, "{layer:?} {fault:?}");
            assert_eq!(bytes.len() as u64, delivered.bytes.out);
            assert_eq!(bytes, message.bytes[..bytes.len()]);
            let reset = end.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
            assert_eq!(reset, saw == Saw::Reset);
        }
    }
}

#[tokio::test]
async fn a_connection_is_kept_while_it_is_good_and_replaced_when_it_is_not() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let message = peer.sending(Fault::None).message.bytes;
        let first = peer.prepare(peer.sending(Fault::None), None).await;
        let mut socket = peer.next().await;
        let exchange = async {
            assert_eq!(read_exactly(&mut socket, message.len()).await, message);
            say(&mut socket, ANSWER).await;
        };
        let (delivered, ()) = tokio::join!(first.deliver(), exchange);
        assert!(!delivered.reused);
        assert!(delivered.marks.connected.is_some());
        assert_eq!(delivered.marks.tls_done.is_some(), layer == Layer::Tls);
        let id = delivered.connection_id;

        let second = peer
            .prepare(peer.sending(Fault::None), delivered.connection)
            .await;
        let exchange = async {
            assert_eq!(read_exactly(&mut socket, message.len()).await, message);
            say(&mut socket, ANSWER).await;
        };
        let (delivered, ()) = tokio::join!(second.deliver(), exchange);
        assert!(delivered.reused);
        assert_eq!(
            (delivered.connection_id, delivered.marks.connected),
            (id, None)
        );
        peer.assert_nobody_else();

        // The peer closes the idle connection: the next attempt is sent once, on a new one.
        drop(socket);
        let third = peer
            .prepare(peer.sending(Fault::None), delivered.connection)
            .await;
        let mut socket = peer.next().await;
        let exchange = async {
            assert_eq!(read_exactly(&mut socket, message.len()).await, message);
            say(&mut socket, ANSWER).await;
        };
        let (delivered, ()) = tokio::join!(third.deliver(), exchange);
        assert_eq!(delivered.end, End::Complete);
        assert!(!delivered.reused && delivered.connection_id != id);
        peer.assert_nobody_else();
    }
}

#[tokio::test]
async fn an_unheld_attempt_whose_connection_died_while_it_waited_goes_out_once() {
    let mut peer = Peer::start(Layer::Plain).await;
    let prepared = peer.prepare(peer.sending(Fault::None), None).await;
    let mut view = prepared.view();
    drop(peer.next().await);
    let delivery = tokio::spawn(prepared.deliver());
    let mut socket = peer.next().await;
    let message = peer.sending(Fault::None).message.bytes;
    assert_eq!(read_exactly(&mut socket, message.len()).await, message);
    say(&mut socket, ANSWER).await;
    assert_eq!(delivery.await.unwrap().end, End::Complete);
    assert!(
        view.wait_for(Option::is_some).await.is_ok(),
        "the view outlives the replacement"
    );
    peer.assert_nobody_else();
}

#[tokio::test]
async fn a_connection_lost_before_the_release_is_not_an_attempt() {
    for layer in LAYERS {
        for words in [
            "",
            "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n",
        ] {
            let mut peer = Peer::start(layer).await;
            let sending = Sending {
                hold: Some(HoldPoint::LastByte),
                ..peer.sending(Fault::None)
            };
            let prefix = sending.message.bytes.len() - 1;
            let prepared = peer.prepare(sending, None).await;
            let gate = prepared.gate();
            let mut socket = peer.next().await;
            let theirs = async move {
                read_exactly(&mut socket, prefix).await;
                say(&mut socket, words).await;
                drop(socket);
            };
            let (delivered, ()) = tokio::join!(prepared.deliver(), theirs);
            assert!(
                matches!(delivered.end, End::NotSent(_)),
                "{:?}",
                delivered.end
            );
            assert_eq!(delivered.bytes.out, prefix as u64);
            assert_eq!(gate.fire(), Err(FireError::Gone));
            peer.assert_nobody_else();
        }
    }
}

/// What a peer does after it was connected to, and what that is for us.
async fn ends(layer: Layer, words: &str, then: Hostile) -> Delivered {
    let limits = Limits {
        body: 100_000,
        ..Limits::default()
    };
    let mut peer = Peer::with_limits(layer, limits).await;
    let sending = Sending {
        timeout: Duration::from_millis(300),
        ..peer.sending(Fault::None)
    };
    let length = sending.message.bytes.len();
    peer.play(sending, async |mut socket| {
        read_exactly(&mut socket, length).await;
        say(&mut socket, words).await;
        match then {
            Hostile::Close => drop(socket),
            Hostile::Stay => {
                read_to_end(&mut socket).await;
            }
            Hostile::Repeat(text) => {
                let text = text.repeat(100);
                while socket.write_all(text.as_bytes()).await.is_ok() {}
            }
        }
    })
    .await
}

#[derive(Debug, Clone, Copy)]
enum Hostile {
    Close,
    Stay,
    Repeat(&'static str),
}

#[tokio::test]
async fn whatever_the_peer_says_an_attempt_ends() {
    let broken = |what: &str| End::BrokenAnswer(what.to_owned());
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for layer in LAYERS {
        for (words, then, end) in [
            ("", Hostile::Close, End::PeerClosed),
            ("", Hostile::Stay, End::TimedOut),
            ("HTTP/1.1 20", Hostile::Close, End::PeerClosed),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
                Hostile::Close,
                End::PeerClosed,
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab",
                Hostile::Stay,
                End::TimedOut,
            ),
            (
                "HTTP/1.1 100 Continue\r\n\r\n",
                Hostile::Stay,
                End::TimedOut,
            ),
            (
                "220 mail.example ESMTP\r\n",
                Hostile::Stay,
                broken("the head is not HTTP/1.1"),
            ),
            (
                "HTTP/1.1 200 OK\r\n",
                Hostile::Repeat("x: y\r\n"),
                broken("the head is too large"),
            ),
            (
                "",
                Hostile::Repeat("HTTP/1.1 100 Continue\r\n\r\n"),
                broken("too many interim answers"),
            ),
            (
                chunked,
                Hostile::Repeat("1\r\na\r\n"),
                broken("the body is too large"),
            ),
            (
                chunked,
                Hostile::Repeat("zz"),
                broken("malformed chunked body"),
            ),
            (
                "HTTP/1.1 200 OK\r\n\r\n",
                Hostile::Repeat("aaaa"),
                broken("the body is too large"),
            ),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\n",
                Hostile::Stay,
                broken("conflicting or malformed content-length"),
            ),
        ] {
            let delivered = ends(layer, words, then).await;
            assert_eq!(delivered.end, end, "{layer:?} {words:?} {then:?}");
            assert!(delivered.connection.is_none());
            assert!(!delivered.hidden);
        }
    }
}

#[tokio::test]
async fn interim_answers_are_told_even_without_a_final_one() {
    let delivered = ends(
        Layer::Plain,
        "HTTP/1.1 102 Processing\r\n\r\n",
        Hostile::Close,
    )
    .await;
    assert_eq!(
        (delivered.end, delivered.interim),
        (End::PeerClosed, vec![102])
    );
    let words = format!("HTTP/1.1 103 Early Hints\r\n\r\n{ANSWER}");
    let delivered = ends(Layer::Plain, &words, Hostile::Close).await;
    assert_eq!(
        (delivered.end, delivered.interim),
        (End::Complete, vec![103])
    );
}

#[tokio::test]
async fn bytes_after_an_answer_are_told_and_the_connection_is_not_kept() {
    for layer in LAYERS {
        let delivered = ends(
            layer,
            &format!("{ANSWER}HTTP/1.1 500 Oh\r\n\r\n"),
            Hostile::Stay,
        )
        .await;
        assert_eq!(delivered.end, End::Complete);
        assert!(delivered.unasked_bytes && delivered.connection.is_none());
        assert_eq!(delivered.answer.unwrap().status, 201);
    }
}

#[tokio::test]
async fn a_peer_that_resets_is_told_from_one_that_closes() {
    let mut peer = Peer::start(Layer::Plain).await;
    let delivered = peer
        .play(peer.sending(Fault::None), async |mut socket| {
            // Closing with unread bytes resets.
            read_exactly(&mut socket, 10).await;
            drop(socket);
        })
        .await;
    assert_eq!(delivered.end, End::PeerReset);
}

#[tokio::test]
async fn an_answer_before_the_request_is_complete_is_read() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let message = peer.order(&vec![b'x'; 12 * 1024 * 1024]);
        let sending = Sending {
            message: message.clone(),
            ..peer.sending(Fault::None)
        };
        let delivered = peer
            .play(sending, async |mut socket| {
                read_exactly(&mut socket, 100).await;
                say(
                    &mut socket,
                    "HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\n\r\n",
                )
                .await;
                let mut rest = Vec::new();
                let _ = socket.read_to_end(&mut rest).await;
            })
            .await;
        assert_eq!(delivered.end, End::Complete, "{layer:?}");
        assert_eq!(delivered.answer.unwrap().status, 413);
        assert!(delivered.bytes.out < message.bytes.len() as u64);
        assert!(
            delivered.connection.is_none(),
            "a half-sent request spoils the connection"
        );
    }
}

#[tokio::test]
async fn a_peer_that_takes_no_bytes_times_out() {
    let mut peer = Peer::start(Layer::Plain).await;
    let sending = Sending {
        message: peer.order(&vec![b'x'; 12 * 1024 * 1024]),
        timeout: Duration::from_millis(200),
        ..peer.sending(Fault::None)
    };
    let prepared = peer.prepare(sending, None).await;
    let _socket = peer.next().await;
    assert_eq!(prepared.deliver().await.end, End::TimedOut);
}

#[tokio::test]
async fn failures_to_connect_are_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_, authority) = tls_acceptor(&[]);
    let options = TlsOptions {
        trust: Trust::Only(authority.as_bytes()),
        ..TlsOptions::default()
    };
    let config = Arc::new(tls_config(&options).unwrap());
    let equipment = Equipment::start(epoch()).unwrap();
    let try_to = async |url: &str| {
        let options = TargetOptions {
            url,
            tls: Some(Arc::clone(&config)),
            server_name: Some("localhost"),
            policy: AddressPolicy::Loopback,
            connect_timeout: Duration::from_millis(200),
            limits: Limits::default(),
            http: HttpVersion::Http1,
        };
        let target = Arc::new(Target::new(&options, Arc::clone(&equipment)).unwrap());
        let NotSent { end, .. } = target.warm().await.unwrap_err();
        end
    };
    // The listener never answers the handshake.
    let stalled = try_to(&format!("https://127.0.0.1:{port}/")).await;
    assert!(
        matches!(stalled, End::ConnectFailed(ConnectFailure::Tls(_))),
        "{stalled:?}"
    );
    let far = try_to("http://192.0.2.1:80/").await;
    assert_eq!(
        far,
        End::ConnectFailed(ConnectFailure::NotAllowed("192.0.2.1".to_owned()))
    );
    drop(listener);
    let refused = try_to(&format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(refused, End::ConnectFailed(ConnectFailure::Refused));

    // A certificate of somebody else.
    let strangers = Peer::start(Layer::Tls).await;
    let url = format!("https://{}/", strangers.target.authority());
    let stranger = try_to(&url).await;
    assert!(
        matches!(stranger, End::ConnectFailed(ConnectFailure::Tls(_))),
        "{stranger:?}"
    );
}
