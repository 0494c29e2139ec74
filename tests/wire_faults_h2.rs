//! What the peer saw for each fault over HTTP/2, frame by frame and in which order, in the clear and over TLS.
//!
//! The peer reads and writes frames by itself, so that it can be as strict or as hostile as a test needs it; one test has another implementation read and answer what we send. Nothing waits by sleeping.

#![expect(
    clippy::unwrap_used,
    reason = "what a test unwraps is its precondition"
)]

#[path = "support/peer.rs"]
mod peer;

use peer::{LAYERS, Layer, Port, Socket, epoch};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use retrial::contract::{Claim, Contract, Outcome};
use retrial::delivery::{
    Connection, Delivered, Equipment, NotSent, Prepared, Sending, Target, TargetOptions, prepare,
    prepare_together,
};
use retrial::history::{ByteCounts, ConnectFailure, End, Exchange, Part, Timing};
use retrial::http::{Limits, Request};
use retrial::plan::{
    AnswerPoint, CutPoint, Ending, Fault, HoldPoint, HttpVersion, Moment, ResetPoint, Then,
};
use retrial::wire::{Action, AddressPolicy, Released, Step, TlsOptions, Trust, Volley, tls_config};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, ReadBuf};
use tokio::sync::mpsc;

const BODY: &[u8] = b"{\"sku\":\"a\"}";

// Frames (RFC 9113 section 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const CANCEL: [u8; 4] = [0, 0, 0, 8];

#[derive(Debug, Clone, PartialEq, Eq)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Frame {
    /// `HEADERS 1`, `DATA 3 end +11`, `RST_STREAM 1 CANCEL`.
    fn shown(&self) -> String {
        let end = if self.flags & END_STREAM == 0 {
            ""
        } else {
            " end"
        };
        let stream = self.stream;
        match self.kind {
            DATA => format!("DATA {stream}{end} +{}", self.payload.len()),
            HEADERS => format!("HEADERS {stream}{end}"),
            RST_STREAM if self.payload == CANCEL => format!("RST_STREAM {stream} CANCEL"),
            RST_STREAM => format!("RST_STREAM {stream} {:?}", self.payload),
            kind => format!("frame {kind} of {stream}"),
        }
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let mut payload = Vec::new();
    for (name, value) in pairs {
        payload.extend_from_slice(&name.to_be_bytes());
        payload.extend_from_slice(&value.to_be_bytes());
    }
    frame(SETTINGS, 0, 0, &payload)
}

/// `:status: 201`, with a length of 10.
fn head(stream: u32, end: bool) -> Vec<u8> {
    let block = b"\x08\x03201\x0f\x0d\x0210";
    let bodiless = b"\x08\x03201";
    if end {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, bodiless)
    } else {
        frame(HEADERS, END_HEADERS, stream, block)
    }
}

fn answer(stream: u32) -> Vec<u8> {
    let body = frame(DATA, END_STREAM, stream, b"0123456789");
    [head(stream, false), body].concat()
}

/// The other side of one connection, settings exchanged.
struct Wire {
    socket: Box<dyn Socket>,
    /// Read, and not yet taken as frames.
    read: Vec<u8>,
}

/// How a connection ended for the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Saw {
    Fin,
    Reset,
}

impl Wire {
    async fn greet(mut socket: Box<dyn Socket>, pairs: &[(u16, u32)]) -> io::Result<Self> {
        let mut preface = [0; 24];
        socket.read_exact(&mut preface).await?;
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut wire = Self {
            socket,
            read: Vec::new(),
        };
        wire.say(&[settings(pairs), frame(SETTINGS, 1, 0, &[])].concat())
            .await;
        let mut kinds = Vec::new();
        for _ in 0..3 {
            kinds.push(wire.next().await.unwrap());
        }
        let kinds: Vec<_> = kinds
            .iter()
            .map(|frame| (frame.kind, frame.flags))
            .collect();
        assert_eq!(kinds, [(SETTINGS, 0), (WINDOW_UPDATE, 0), (SETTINGS, 1)]);
        Ok(wire)
    }

    async fn say(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
        self.socket.flush().await.unwrap();
    }

    fn take(&mut self) -> Option<Frame> {
        let length = self.read.get(..3)?;
        let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
        if self.read.len() < 9 + length {
            return None;
        }
        let rest = self.read.split_off(9 + length);
        let whole = std::mem::replace(&mut self.read, rest);
        Some(Frame {
            kind: whole[3],
            flags: whole[4],
            stream: u32::from_be_bytes([whole[5], whole[6], whole[7], whole[8]]),
            payload: whole[9..].to_vec(),
        })
    }

    /// The next frame, or how the connection ended.
    async fn next(&mut self) -> Result<Frame, Saw> {
        loop {
            if let Some(frame) = self.take() {
                return Ok(frame);
            }
            match self.socket.read_buf(&mut self.read).await {
                Ok(0) => return Err(Saw::Fin),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Saw::Fin);
                }
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(Saw::Reset);
                }
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// So many frames, as they are shown.
    async fn see(&mut self, count: usize) -> Vec<String> {
        let mut seen = Vec::new();
        for _ in 0..count {
            seen.push(self.next().await.unwrap().shown());
        }
        seen
    }

    /// Everything that one call reads, as frames.
    async fn read_once(&mut self) -> Vec<String> {
        assert!(self.read.is_empty());
        self.read.reserve(256 * 1024);
        self.socket.read_buf(&mut self.read).await.unwrap();
        let mut seen = Vec::new();
        while let Some(frame) = self.take() {
            seen.push(frame.shown());
        }
        assert!(self.read.is_empty(), "a frame in pieces");
        seen
    }

    /// Whether nothing can be read at this moment. On loopback what was sent is there.
    async fn is_silent(&mut self) -> bool {
        let mut byte = [0_u8];
        let socket = &mut self.socket;
        self.read.is_empty()
            && poll_fn(|cx| {
                let mut buffer = ReadBuf::new(&mut byte);
                let polled = Pin::new(&mut *socket).poll_read(cx, &mut buffer);
                Poll::Ready(polled.is_pending())
            })
            .await
    }
}

/// The other side: everybody who connects lands in a queue.
struct Peer {
    target: Arc<Target>,
    equipment: Arc<Equipment>,
    accepted: mpsc::UnboundedReceiver<Wire>,
}

fn target(url: &str, authority: Option<&str>, limits: Limits) -> (Arc<Target>, Arc<Equipment>) {
    let tls = authority.map(|authority| {
        let options = TlsOptions {
            trust: Trust::Only(authority.as_bytes()),
            protocols: &[b"h2"],
        };
        Arc::new(tls_config(&options).unwrap())
    });
    let equipment = Equipment::start(epoch()).unwrap();
    let options = TargetOptions {
        url,
        tls,
        server_name: authority.map(|_| "localhost"),
        policy: AddressPolicy::Loopback,
        connect_timeout: Duration::from_secs(5),
        limits,
        http: HttpVersion::Http2,
    };
    let target = Target::new(&options, Arc::clone(&equipment)).unwrap();
    (Arc::new(target), equipment)
}

impl Peer {
    async fn start(layer: Layer) -> Self {
        Self::with(layer, &[], Limits::default()).await
    }

    async fn with(layer: Layer, pairs: &'static [(u16, u32)], limits: Limits) -> Self {
        let mut port = Port::open(layer, &[b"h2"]).await;
        let (target, equipment) = target(&port.url(), port.authority.as_deref(), limits);
        let (greeted, accepted) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(socket) = port.accepted.recv().await {
                let greeted = greeted.clone();
                tokio::spawn(async move {
                    if let Ok(wire) = Wire::greet(socket, pairs).await {
                        // A test may be over before its last connection.
                        let _ = greeted.send(wire);
                    }
                });
            }
        });
        Self {
            target,
            equipment,
            accepted,
        }
    }

    async fn next(&mut self) -> Wire {
        self.accepted.recv().await.unwrap()
    }

    fn sending_of(&self, method: &str, body: &[u8], fault: Fault) -> Sending {
        let request = Request {
            method: method.to_owned(),
            target: "/orders".to_owned(),
            headers: vec![("Idempotency-Key".to_owned(), "k-1".to_owned())],
            body: body.to_vec(),
        };
        Sending {
            message: self.target.encode(&request).unwrap(),
            fault,
            h: Duration::ZERO,
            hold: None,
            timeout: Duration::from_secs(20),
        }
    }

    fn sending(&self, fault: Fault) -> Sending {
        self.sending_of("POST", BODY, fault)
    }

    /// Short of patience: for peers that never do what they should.
    fn impatient(&self) -> Sending {
        Sending {
            timeout: Duration::from_millis(300),
            ..self.sending(Fault::None)
        }
    }

    fn held(&self, count: usize, hold: HoldPoint) -> Vec<Sending> {
        let sending = Sending {
            hold: Some(hold),
            ..self.sending(Fault::None)
        };
        vec![sending; count]
    }

    async fn prepare(&self, sending: Sending) -> Prepared {
        prepare(&self.target, sending, None).await.unwrap()
    }

    /// Sends with a fault and plays the other side.
    async fn play<F, T>(
        &mut self,
        sending: Sending,
        theirs: impl FnOnce(Wire) -> F,
    ) -> (Delivered, T)
    where
        F: Future<Output = T>,
    {
        let prepared = self.prepare(sending).await;
        let wire = self.next().await;
        tokio::join!(prepared.deliver(), theirs(wire))
    }

    async fn fire(&self, prepared: &[Prepared]) -> Released {
        let steps = prepared.iter().map(|prepared| Step {
            offset: Duration::ZERO,
            gate: prepared.gate(),
            action: Action::Fire,
        });
        let volley = Volley {
            settle: prepared[0].gate().settle(),
            steps: steps.collect(),
        };
        self.equipment.releaser().release(volley).await.unwrap()
    }
}

fn streams(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|index| 2 * index + 1)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_frames_of_all_streams_arrive_in_one_piece_and_not_before() {
    for layer in LAYERS {
        for hold in [HoldPoint::Head, HoldPoint::All, HoldPoint::LastByte] {
            let mut peer = Peer::start(layer).await;
            let sendings = peer.held(20, hold);
            let prepared = prepare_together(&peer.target, sendings, None)
                .await
                .unwrap();
            assert_eq!(prepared.len(), 1, "one connection carries them");
            assert_eq!(prepared[0].attempts(), 20);
            let mut wire = peer.next().await;
            let heads = streams(20).map(|stream| format!("HEADERS {stream}"));
            let late: Vec<String> = if hold == HoldPoint::LastByte {
                let most = BODY.len() - 1;
                let early: Vec<String> = heads
                    .chain(streams(20).map(|stream| format!("DATA {stream} +{most}")))
                    .collect();
                assert_eq!(wire.see(40).await, early);
                streams(20)
                    .map(|stream| format!("DATA {stream} end +1"))
                    .collect()
            } else {
                let bodies = streams(20).map(|stream| format!("DATA {stream} end +11"));
                heads.chain(bodies).collect()
            };
            assert!(wire.is_silent().await, "{layer:?} {hold:?}");
            let released = peer.fire(&prepared).await;
            let (writes, bytes) = released.writes();
            assert_eq!(writes, 1);
            assert!(released.is_whole());
            assert_eq!(wire.read_once().await, late, "{layer:?} {hold:?}");
            if hold == HoldPoint::LastByte {
                assert!((200..=230).contains(&bytes), "{bytes}");
            } else {
                // Copies of a head are a few bytes each.
                assert!((700..1460).contains(&bytes), "{bytes}");
            }

            let prepared = prepared.into_iter().next().unwrap();
            let answers: Vec<u8> = streams(20).flat_map(answer).collect();
            let (delivered, ()) = tokio::join!(prepared.deliver_all(), wire.say(&answers));
            assert_eq!(delivered.len(), 20);
            for (index, delivered) in delivered.iter().enumerate() {
                assert_eq!(delivered.end, End::Complete);
                let answer = delivered.answer.as_ref().unwrap();
                assert_eq!((answer.status, &answer.body[..]), (201, &b"0123456789"[..]));
                assert_eq!(delivered.timing.last_out, Some(delivered.timing.intended));
                assert_eq!(delivered.connection.is_some(), index == 0);
            }
        }
    }
}

/// What is sent of a request in each case, and what follows; the peer answers nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_cut_by_a_reset_of_its_stream() {
    for layer in LAYERS {
        for (at, seen) in [
            (CutPoint::Headers, &["HEADERS 1"][..]),
            (CutPoint::Percent(50), &["HEADERS 1", "DATA 1 +5"]),
            (CutPoint::BeforeEnd(1), &["HEADERS 1", "DATA 1 +10"]),
        ] {
            let mut peer = Peer::start(layer).await;
            let sending = peer.sending(Fault::CutRequest {
                at,
                end: Ending::Fin,
            });
            let (delivered, frames) = peer
                .play(sending, async |mut wire| wire.see(seen.len() + 1).await)
                .await;
            assert_eq!(frames[..seen.len()], *seen, "{layer:?} {at:?}");
            assert_eq!(frames[seen.len()], "RST_STREAM 1 CANCEL");
            assert_eq!(delivered.end, End::WeReset);
            assert!(delivered.fault_happened);
            assert!(delivered.bytes.out > 0);
            assert!(delivered.connection.is_some(), "only the stream is gone");
        }
        // Without a body, what is missing is the end of the stream.
        let mut peer = Peer::start(layer).await;
        let at = CutPoint::BeforeEnd(1);
        let sending = peer.sending_of(
            "DELETE",
            b"",
            Fault::CutRequest {
                at,
                end: Ending::Fin,
            },
        );
        let (delivered, frames) = peer.play(sending, async |mut wire| wire.see(2).await).await;
        assert_eq!(frames, ["HEADERS 1", "RST_STREAM 1 CANCEL"]);
        assert!(delivered.fault_happened);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_is_cut_at_its_place() {
    for layer in LAYERS {
        for (at, body) in [
            (AnswerPoint::Headers, None),
            (AnswerPoint::StatusLine, None),
            (AnswerPoint::Bytes(1), None),
            (AnswerPoint::Bytes(23), Some("0123")),
            (AnswerPoint::Percent(50), Some("01234")),
            (AnswerPoint::BeforeEnd(1), Some("012345678")),
        ] {
            let mut peer = Peer::start(layer).await;
            let sending = peer.sending(Fault::CutResponse {
                at,
                end: Ending::Fin,
            });
            let (delivered, frames) = peer
                .play(sending, async |mut wire| {
                    wire.see(2).await;
                    wire.say(&head(1, false)).await;
                    if body.is_some() {
                        wire.say(&frame(DATA, END_STREAM, 1, b"0123456789")).await;
                    }
                    wire.see(1).await
                })
                .await;
            assert_eq!(frames, ["RST_STREAM 1 CANCEL"], "{layer:?} {at:?}");
            assert_eq!(delivered.end, End::WeReset);
            assert!(delivered.fault_happened);
            let answer = delivered.answer.unwrap();
            assert_eq!(answer.status, 201);
            assert_eq!(answer.body, body.unwrap_or("").as_bytes());
            assert!(!answer.complete);
        }
    }
}

/// A part of a head, or nothing: nothing can follow on the connection, so it ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_breaks_off_in_its_head_ends_the_connection() {
    for layer in LAYERS {
        for (at, some) in [
            (CutPoint::FirstByte, false),
            (CutPoint::Head(50), true),
            (CutPoint::Bytes(20), true),
        ] {
            for (end, saw) in [(Ending::Fin, Saw::Fin), (Ending::Rst, Saw::Reset)] {
                for hold in [None, Some(HoldPoint::All), Some(HoldPoint::LastByte)] {
                    let case = format!("{layer:?} {at:?} {end:?} {hold:?}");
                    let mut peer = Peer::start(layer).await;
                    let sending = Sending {
                        hold,
                        ..peer.sending(Fault::CutRequest { at, end })
                    };
                    let prepared = peer.prepare(sending).await;
                    let gate = prepared.gate();
                    let mut wire = peer.next().await;
                    let delivering = tokio::spawn(prepared.deliver());
                    if hold.is_some() {
                        assert!(wire.is_silent().await, "{case}");
                        peer.equipment.releaser().fire_now(&gate).unwrap();
                    }
                    assert_eq!(wire.next().await, Err(saw), "{case}");
                    let delivered = delivering.await.unwrap();
                    assert_eq!(!wire.read.is_empty(), some, "{case}");
                    assert!(delivered.fault_happened, "{case} {delivered:?}");
                    assert_eq!(delivered.bytes.out, wire.read.len() as u64, "{case}");
                    let ours = match end {
                        Ending::Rst => End::WeReset,
                        _ => End::WeClosed,
                    };
                    assert_eq!(delivered.end, ours, "{case}");
                }
            }
        }
    }
    // Before there is a connection, none is made.
    let mut peer = Peer::start(Layer::Plain).await;
    let (at, end) = (CutPoint::Connect, Ending::Fin);
    let sending = peer.sending(Fault::CutRequest { at, end });
    let lost = prepare(&peer.target, sending, None).await.unwrap_err();
    assert!(lost.fault_happened);
    assert!(peer.accepted.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_close_inside_the_body_is_an_early_end_of_the_stream() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let (at, end) = (CutPoint::Percent(50), Ending::HalfClose);
        let sending = peer.sending(Fault::CutRequest { at, end });
        let (delivered, frames) = peer
            .play(sending, async |mut wire| {
                let frames = wire.see(3).await;
                wire.say(&answer(1)).await;
                frames
            })
            .await;
        assert_eq!(frames, ["HEADERS 1", "DATA 1 +5", "DATA 1 end +0"]);
        assert_eq!(delivered.end, End::Complete);
        assert!(delivered.fault_happened);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_keeps_the_connection_until_the_time_is_over() {
    for layer in LAYERS {
        for fault in [
            Fault::CutRequest {
                at: CutPoint::Percent(50),
                end: Ending::Silence,
            },
            Fault::Reset {
                after: ResetPoint::RequestSent(Moment::Us(0)),
                end: Ending::Silence,
            },
            Fault::CutResponse {
                at: AnswerPoint::Headers,
                end: Ending::Silence,
            },
            Fault::CutResponse {
                at: AnswerPoint::Whole,
                end: Ending::Silence,
            },
        ] {
            let mut peer = Peer::start(layer).await;
            let sending = Sending {
                timeout: Duration::from_millis(300),
                ..peer.sending(fault)
            };
            let prepared = peer.prepare(sending).await;
            let mut view = prepared.view();
            let mut wire = peer.next().await;
            let theirs = async {
                wire.see(2).await;
                if matches!(fault, Fault::CutResponse { .. }) {
                    wire.say(&answer(1)).await;
                }
                view.wait_for(Option::is_some).await.unwrap();
                assert!(wire.is_silent().await, "{layer:?} {fault:?}");
                // A ping is not answered any more.
                wire.say(&frame(PING, 0, 0, &[0; 8])).await;
                wire.next().await
            };
            let (delivered, last) = tokio::join!(prepared.deliver(), theirs);
            assert!(
                matches!(last, Err(Saw::Fin | Saw::Reset)),
                "{fault:?} {last:?}"
            );
            assert!(delivered.fault_happened, "{layer:?} {fault:?}");
            assert!(delivered.connection.is_none());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_ends_the_stream_and_fin_the_connection() {
    let after = |after| ResetPoint::RequestSent(Moment::Us(after));
    for layer in LAYERS {
        for (after, end) in [
            (after(0), Ending::Rst),
            (after(20_000), Ending::Rst),
            (ResetPoint::Answered, Ending::Rst),
            (after(0), Ending::Fin),
            (after(20_000), Ending::Fin),
            (ResetPoint::Answered, Ending::Fin),
            (after(0), Ending::HalfClose),
        ] {
            let case = format!("{layer:?} {after:?} {end:?}");
            let mut peer = Peer::start(layer).await;
            let sending = peer.sending(Fault::Reset { after, end });
            let (delivered, (frames, last)) = peer
                .play(sending, async |mut wire| {
                    let frames = wire.see(2).await;
                    if after == ResetPoint::Answered {
                        wire.say(&head(1, false)).await;
                    }
                    let last = wire.next().await;
                    if end == Ending::HalfClose {
                        wire.say(&answer(1)).await;
                    }
                    (frames, last)
                })
                .await;
            assert_eq!(frames, ["HEADERS 1", "DATA 1 end +11"], "{case}");
            match end {
                Ending::Rst => {
                    assert_eq!(last.unwrap().shown(), "RST_STREAM 1 CANCEL", "{case}");
                    assert_eq!(delivered.end, End::WeReset, "{case}");
                }
                Ending::Fin => {
                    assert_eq!(last, Err(Saw::Fin), "{case}");
                    assert_eq!(delivered.end, End::WeClosed, "{case}");
                }
                Ending::HalfClose | Ending::Silence => {
                    assert_eq!(last, Err(Saw::Fin), "{case}");
                    assert_eq!(delivered.end, End::Complete, "{case}");
                }
            }
            assert!(delivered.fault_happened, "{case}");
            let first_in = delivered.timing.first_in;
            let answered = after == ResetPoint::Answered || end == Ending::HalfClose;
            assert_eq!(first_in.is_some(), answered, "{case}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_after_the_release_leaves_at_its_instant_by_the_releasing_thread() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let fault = Fault::Reset {
            after: ResetPoint::RequestSent(Moment::Us(30_000)),
            end: Ending::Rst,
        };
        let sending = Sending {
            hold: Some(HoldPoint::All),
            ..peer.sending(fault)
        };
        let prepared = peer.prepare(sending).await;
        let gate = prepared.gate();
        let mut wire = peer.next().await;
        let delivering = tokio::spawn(prepared.deliver());
        assert!(wire.is_silent().await);
        peer.equipment.releaser().fire_now(&gate).unwrap();
        let frames = wire.see(3).await;
        assert_eq!(
            frames,
            ["HEADERS 1", "DATA 1 end +11", "RST_STREAM 1 CANCEL"]
        );
        let delivered = delivering.await.unwrap();
        assert_eq!(delivered.end, End::WeReset);
        assert!(delivered.fault_happened);
        let waited = delivered
            .timing
            .ended
            .since(delivered.timing.last_out.unwrap());
        assert!(waited >= 30_000_000, "{waited}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_gives_up_cancels_or_goes_on_reading() {
    for layer in LAYERS {
        for then in [Then::Close, Then::KeepOpen] {
            let mut peer = Peer::start(layer).await;
            let after = Moment::Us(10_000);
            let sending = peer.sending(Fault::Timeout { after, then });
            let prepared = peer.prepare(sending).await;
            let mut view = prepared.view();
            let mut wire = peer.next().await;
            let theirs = async {
                wire.see(2).await;
                view.wait_for(Option::is_some).await.unwrap();
                match then {
                    Then::Close => assert_eq!(wire.see(1).await, ["RST_STREAM 1 CANCEL"]),
                    Then::KeepOpen => {
                        assert!(wire.is_silent().await);
                        wire.say(&answer(1)).await;
                    }
                }
            };
            let (delivered, ()) = tokio::join!(prepared.deliver(), theirs);
            assert!(delivered.fault_happened, "{layer:?} {then:?}");
            match then {
                Then::Close => assert_eq!(delivered.end, End::WeReset),
                Then::KeepOpen => {
                    assert_eq!(delivered.end, End::Complete);
                    assert!(delivered.hidden);
                    assert!(delivered.timing.gave_up.is_some());
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_was_read_and_the_connection_goes_on() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let sending = peer.sending(Fault::DropResponse);
        let (delivered, mut wire) = peer
            .play(sending, async |mut wire| {
                wire.see(2).await;
                wire.say(&frame(HEADERS, END_HEADERS, 1, b"\x08\x03103"))
                    .await;
                wire.say(&answer(1)).await;
                wire
            })
            .await;
        assert_eq!(delivered.end, End::Complete);
        assert!(delivered.hidden && delivered.fault_happened);
        assert_eq!(delivered.interim, [103]);
        assert_eq!(delivered.answer.unwrap().body_len, 10);
        // A ping that nobody was there to answer is answered before the next use.
        wire.say(&frame(PING, 0, 0, b"12345678")).await;
        let sending = peer.sending(Fault::None);
        let again = prepare(&peer.target, sending, delivered.connection).await;
        let theirs = async {
            let pong = wire.next().await.unwrap();
            assert_eq!((pong.kind, pong.flags), (PING, 1));
            assert_eq!(wire.see(2).await, ["HEADERS 3", "DATA 3 end +11"]);
            wire.say(&answer(3)).await;
        };
        let (again, ()) = tokio::join!(again.unwrap().deliver(), theirs);
        assert_eq!(again.end, End::Complete);
        assert!(again.reused);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strikes_one_stream_leaves_the_others_alone() {
    for layer in LAYERS {
        let mut peer = Peer::start(layer).await;
        let mut sendings = peer.held(3, HoldPoint::All);
        sendings[1].fault = Fault::Reset {
            after: ResetPoint::RequestSent(Moment::Us(0)),
            end: Ending::Rst,
        };
        let mut prepared = prepare_together(&peer.target, sendings, None)
            .await
            .unwrap();
        let mut wire = peer.next().await;
        peer.fire(&prepared).await;
        let theirs = async {
            wire.see(6).await;
            assert_eq!(wire.see(1).await, ["RST_STREAM 3 CANCEL"]);
            wire.say(&[answer(1), answer(5)].concat()).await;
        };
        let (delivered, ()) = tokio::join!(prepared.remove(0).deliver_all(), theirs);
        let ends: Vec<_> = delivered.iter().map(|delivered| &delivered.end).collect();
        assert_eq!(ends, [&End::Complete, &End::WeReset, &End::Complete]);
        assert!(delivered.iter().all(|delivered| delivered.fault_happened));
        assert!(delivered[0].connection.is_some());
    }
}

fn outcome(delivered: &Delivered) -> Outcome {
    let exchange = Exchange {
        instance: 0,
        operation: 0,
        part: Part::Attempt(1),
        connection: delivered.connection_id,
        reused: false,
        timing: Timing::default(),
        bytes: ByteCounts {
            out: delivered.bytes.out.max(1),
            incoming: 0,
        },
        end: delivered.end.clone(),
        fault_happened: true,
        hidden: false,
        response: None,
    };
    let claim: Claim = exchange.claim();
    Contract::core().outcome(claim)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_peer_did_not_touch_is_certainly_not_applied() {
    let code = |stream, code: u32| frame(RST_STREAM, 0, stream, &code.to_be_bytes());
    let goaway = |last: u32| frame(GOAWAY, 0, 0, &[&last.to_be_bytes()[..], &[0; 4]].concat());
    for (said, end, class) in [
        (code(1, 7), End::RefusedByPeer, Outcome::Rejected),
        (goaway(0), End::RefusedByPeer, Outcome::Rejected),
        (
            code(1, 2),
            End::StreamReset("INTERNAL_ERROR".to_owned()),
            Outcome::Unknown,
        ),
        (
            code(1, 0xbeef),
            End::StreamReset("error 48879".to_owned()),
            Outcome::Unknown,
        ),
    ] {
        let mut peer = Peer::start(Layer::Plain).await;
        let sending = peer.sending(Fault::None);
        let (delivered, ()) = peer
            .play(sending, async |mut wire| {
                wire.see(2).await;
                wire.say(&said).await;
            })
            .await;
        assert_eq!(delivered.end, end);
        assert_eq!(outcome(&delivered), class, "{end:?}");
        assert_eq!(delivered.timing.first_in, None);
    }
    // Two of three are above the last stream; the first is still answered.
    let mut peer = Peer::start(Layer::Plain).await;
    let sendings = peer.held(3, HoldPoint::Head);
    let mut prepared = prepare_together(&peer.target, sendings, None)
        .await
        .unwrap();
    let mut wire = peer.next().await;
    peer.fire(&prepared).await;
    let theirs = async {
        wire.see(6).await;
        wire.say(&goaway(1)).await;
        wire.say(&answer(1)).await;
    };
    let (delivered, ()) = tokio::join!(prepared.remove(0).deliver_all(), theirs);
    let ends: Vec<_> = delivered.iter().map(|delivered| &delivered.end).collect();
    assert_eq!(
        ends,
        [&End::Complete, &End::RefusedByPeer, &End::RefusedByPeer]
    );
    assert!(delivered[0].connection.is_none(), "the peer is leaving");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_above_the_peers_limit_is_spread_over_more_connections() {
    for layer in LAYERS {
        let mut peer = Peer::with(layer, &[(3, 5)], Limits::default()).await;
        let sendings = peer.held(12, HoldPoint::Head);
        let prepared = prepare_together(&peer.target, sendings, None)
            .await
            .unwrap();
        let counts: Vec<_> = prepared.iter().map(Prepared::attempts).collect();
        assert_eq!(counts, [5, 5, 2]);
        let released = peer.fire(&prepared).await;
        assert_eq!(released.writes().0, 3);
        for prepared in prepared {
            let mut wire = peer.next().await;
            let count = prepared.attempts();
            let theirs = async {
                wire.see(2 * count).await;
                let count = u32::try_from(count).unwrap();
                let answers: Vec<u8> = streams(count).flat_map(answer).collect();
                wire.say(&answers).await;
            };
            let (delivered, ()) = tokio::join!(prepared.deliver_all(), theirs);
            assert!(
                delivered
                    .iter()
                    .all(|delivered| delivered.end == End::Complete)
            );
        }
    }
    // One that takes none is said so.
    let peer = Peer::with(Layer::Plain, &[(3, 0)], Limits::default()).await;
    let refused = prepare(&peer.target, peer.sending(Fault::None), None).await;
    let words = End::NotSent("the peer allows no streams".to_owned());
    assert_eq!(refused.unwrap_err().end, words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_waits_for_the_window_of_the_peer() {
    for layer in LAYERS {
        let mut peer = Peer::with(layer, &[(4, 4)], Limits::default()).await;
        let sending = peer.sending(Fault::None);
        let (delivered, ()) = peer
            .play(sending, async |mut wire| {
                assert_eq!(wire.see(2).await, ["HEADERS 1", "DATA 1 +4"]);
                wire.say(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 7])).await;
                assert_eq!(wire.see(1).await, ["DATA 1 end +7"]);
                wire.say(&answer(1)).await;
            })
            .await;
        assert_eq!(delivered.end, End::Complete);
        // Held, all but the last byte goes ahead, whatever the hold point.
        let sendings = peer.held(1, HoldPoint::Head);
        let arming = prepare_together(&peer.target, sendings, None);
        let theirs = async {
            let mut wire = peer.accepted.recv().await.unwrap();
            assert_eq!(wire.see(2).await, ["HEADERS 1", "DATA 1 +4"]);
            wire.say(&frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 7])).await;
            assert_eq!(wire.see(1).await, ["DATA 1 +6"]);
            wire
        };
        let (prepared, mut wire) = tokio::join!(arming, theirs);
        assert!(wire.is_silent().await);
        let prepared = prepared.unwrap();
        let steps = vec![Step {
            offset: Duration::ZERO,
            gate: prepared[0].gate(),
            action: Action::Fire,
        }];
        let settle = Duration::ZERO;
        let releaser = peer.equipment.releaser();
        releaser.release(Volley { settle, steps }).await.unwrap();
        assert_eq!(wire.see(1).await, ["DATA 1 end +1"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_never_does_its_part_ends_in_a_time_out() {
    for layer in LAYERS {
        // No answer at all, and a window that never opens.
        for (pairs, seen) in [
            (&[][..], &["HEADERS 1", "DATA 1 end +11"][..]),
            (&[(4, 0)], &["HEADERS 1"]),
        ] {
            let mut peer = Peer::with(layer, pairs, Limits::default()).await;
            let sending = peer.impatient();
            let (delivered, frames) = peer
                .play(sending, async |mut wire| wire.see(seen.len() + 1).await)
                .await;
            assert_eq!(frames[..seen.len()], *seen);
            assert_eq!(frames[seen.len()], "RST_STREAM 1 CANCEL");
            assert_eq!(delivered.end, End::TimedOut);
            assert!(delivered.connection.is_none());
        }
        // Held, it is never armed.
        let peer = Peer::with(layer, &[(4, 0)], Limits::default()).await;
        let sending = Sending {
            hold: Some(HoldPoint::Head),
            ..peer.impatient()
        };
        let NotSent { end, .. } = prepare(&peer.target, sending, None).await.unwrap_err();
        let words = "the peer took no bytes before the release";
        assert_eq!(end, End::NotSent(words.to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_end_the_attempt_in_its_time_and_in_bounded_memory() {
    let limits = Limits {
        head: 4096,
        interim: 8,
        body: 100_000,
        kept: 1000,
    };
    let endless = frame(HEADERS, 0, 1, b"\x88");
    let open = frame(HEADERS, END_HEADERS, 1, b"\x88");
    for (name, first, again, end) in [
        ("pings", Vec::new(), frame(PING, 0, 0, &[0; 8]), None),
        ("settings", Vec::new(), settings(&[(3, 9)]), None),
        ("windows", Vec::new(), frame(0x42, 0, 0, &[0; 50]), None),
        (
            "a head without end",
            endless,
            frame(CONTINUATION, 0, 1, &[0x88; 100]),
            Some("the head is too large"),
        ),
        (
            "interim answers",
            Vec::new(),
            frame(HEADERS, END_HEADERS, 1, b"\x08\x03103"),
            Some("too many interim answers"),
        ),
        (
            "a body without end",
            open.clone(),
            frame(DATA, 0, 1, &[7; 1000]),
            Some("the body is too large"),
        ),
        ("a body of nothing", open, frame(DATA, 0, 1, b""), None),
    ] {
        for layer in LAYERS {
            let mut peer = Peer::with(layer, &[], limits).await;
            let sending = peer.impatient();
            let prepared = peer.prepare(sending).await;
            let mut wire = peer.next().await;
            // It sends as long as it can, and reads nothing.
            let (first, again) = (first.clone(), again.clone());
            let flood = tokio::spawn(async move {
                wire.see(2).await;
                let burst = again.repeat(50);
                let _ = wire.socket.write_all(&first).await;
                while wire.socket.write_all(&burst).await.is_ok() {
                    tokio::task::yield_now().await;
                }
            });
            let delivered = prepared.deliver().await;
            flood.abort();
            match (end, &delivered.end) {
                (Some(words), End::BrokenAnswer(said)) => assert_eq!(said, words, "{name}"),
                (None, End::TimedOut) => {}
                (None, End::BrokenAnswer(said)) => {
                    assert!(said.contains("takes no answers"), "{name}: {said}");
                }
                (expected, end) => panic!("{name}: {end:?}, not {expected:?}"),
            }
            let kept = delivered.answer.map_or(0, |answer| answer.body.len());
            assert!(kept <= limits.kept, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_told_from_one_that_sent_nothing() {
    for layer in LAYERS {
        // Closed after the request.
        let mut peer = Peer::start(layer).await;
        let sending = peer.sending(Fault::None);
        let (delivered, ()) = peer
            .play(sending, async |mut wire| {
                wire.see(2).await;
            })
            .await;
        assert_eq!(delivered.end, End::PeerClosed, "{layer:?}");
        assert_eq!(outcome(&delivered), Outcome::Unknown);
        // Closed while it was held: nothing complete was sent.
        let sendings = peer.held(2, HoldPoint::Head);
        let mut prepared = prepare_together(&peer.target, sendings, None)
            .await
            .unwrap();
        let gate = prepared[0].gate();
        drop(peer.next().await);
        let delivered = prepared.remove(0).deliver_all().await;
        for delivered in &delivered {
            let words = End::NotSent("the connection was lost before the release".to_owned());
            assert_eq!(delivered.end, words);
            assert!(!delivered.fault_happened);
        }
        assert!(gate.fire().is_err());
        // A kept connection that is closed, or that the peer is leaving, is replaced.
        for goodbye in [None, Some(frame(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0]))] {
            let sending = peer.sending(Fault::None);
            let (delivered, mut wire) = peer
                .play(sending.clone(), async |mut wire| {
                    wire.see(2).await;
                    wire.say(&answer(1)).await;
                    wire
                })
                .await;
            match goodbye {
                None => drop(wire),
                Some(goodbye) => wire.say(&goodbye).await,
            }
            let again: Option<Connection> = delivered.connection;
            let again = prepare(&peer.target, sending, again).await.unwrap();
            let mut wire = peer.next().await;
            let theirs = async {
                wire.see(2).await;
                wire.say(&answer(1)).await;
            };
            let (again, ()) = tokio::join!(again.deliver(), theirs);
            assert_eq!(again.end, End::Complete);
            assert!(!again.reused);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_speak_http2_is_a_clear_fact() {
    for (said, words) in [
        (
            Some(&b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..]),
            "not HTTP/2: the peer answers with HTTP/1",
        ),
        (
            Some(b"220 mail.test ESMTP\r\n"),
            "not HTTP/2: the first frame is not SETTINGS",
        ),
        (None, "closed in answer to the HTTP/2 preface"),
    ] {
        let mut port = Port::open(Layer::Plain, &[]).await;
        let (target, _equipment) = target(&port.url(), None, Limits::default());
        let theirs = async {
            let mut socket = port.accepted.recv().await.unwrap();
            let mut preface = [0; 24];
            socket.read_exact(&mut preface).await.unwrap();
            if let Some(said) = said {
                socket.write_all(said).await.unwrap();
                socket.flush().await.unwrap();
            } else {
                socket.shutdown().await.unwrap();
            }
            socket
        };
        let (warm, _socket) = tokio::join!(target.warm(), theirs);
        let end = warm.map(|_| ()).unwrap_err().end;
        let network = ConnectFailure::Network(words.to_owned());
        assert_eq!(end, End::ConnectFailed(network));
    }
}

/// Another implementation reads what we send and answers with everything that HPACK can do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_implementation_understands_it_and_is_understood() {
    let every: Vec<u8> = (0x20..0x7f).chain(0x80..=0xff).collect();
    let shown = String::from_utf8_lossy(&every).into_owned();
    for layer in LAYERS {
        let mut port = Port::open(layer, &[b"h2"]).await;
        let limits = Limits::default();
        let (target, equipment) = target(&port.url(), port.authority.as_deref(), limits);
        let (every, body) = (every.clone(), vec![b'x'; 40_000]);
        let sent = body.clone();
        let server = tokio::spawn(async move {
            let socket = port.accepted.recv().await.unwrap();
            let mut connection = h2::server::handshake(socket).await.unwrap();
            while let Some(request) = connection.accept().await {
                let (request, mut respond) = request.unwrap();
                let (every, sent) = (every.clone(), sent.clone());
                tokio::spawn(async move {
                    let (head, mut stream) = request.into_parts();
                    assert_eq!(head.method, "POST");
                    assert_eq!(head.uri.path_and_query().unwrap(), "/a?b=1");
                    assert_eq!(head.headers["x-long"].len(), 20_000);
                    let mut body = Vec::new();
                    while let Some(data) = stream.data().await {
                        let data = data.unwrap();
                        stream.flow_control().release_capacity(data.len()).unwrap();
                        body.extend_from_slice(&data);
                    }
                    assert_eq!(body, sent);
                    let answer = http::Response::builder()
                        .status(207)
                        .header("x-every", http::HeaderValue::from_bytes(&every).unwrap())
                        .body(())
                        .unwrap();
                    let mut stream = respond.send_response(answer, false).unwrap();
                    stream.send_data(Bytes::from(body), false).unwrap();
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("x-sum", http::HeaderValue::from_static("1"));
                    stream.send_trailers(trailers).unwrap();
                });
            }
        });
        let request = Request {
            method: "POST".to_owned(),
            target: "/a?b=1".to_owned(),
            headers: vec![("X-Long".to_owned(), "y".repeat(20_000))],
            body,
        };
        // Two rounds on one connection, so that both tables are in use.
        let mut connection = None;
        for hold in [None, Some(HoldPoint::LastByte)] {
            let sending = Sending {
                message: target.encode(&request).unwrap(),
                fault: Fault::None,
                h: Duration::ZERO,
                hold,
                timeout: Duration::from_secs(20),
            };
            let prepared = prepare(&target, sending, connection.take()).await.unwrap();
            let gate = prepared.gate();
            let delivering = tokio::spawn(prepared.deliver());
            if hold.is_some() {
                equipment.releaser().fire_now(&gate).unwrap();
            }
            let delivered = delivering.await.unwrap();
            assert_eq!(delivered.end, End::Complete);
            let answer = delivered.answer.unwrap();
            assert_eq!((answer.status, answer.body_len), (207, 40_000));
            let header = answer.headers.iter().find(|(name, _)| name == "x-every");
            assert_eq!(header.unwrap().1, shown, "{layer:?}");
            assert_eq!(delivered.reused, hold.is_some());
            connection = delivered.connection;
            assert!(connection.is_some());
        }
        server.abort();
    }
}
