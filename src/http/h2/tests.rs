//! A session against frames written by hand. What other implementations make of ours is tried in `tests/wire_faults_h2.rs`.

use super::frame;
use super::hpack::Encoder;
use super::*;
use crate::http::{Broken, Limits};

fn request(method: &str, headers: &[(&str, &str)], body: &[u8]) -> Request {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    Request {
        method: method.to_owned(),
        target: "/orders?x=1".to_owned(),
        headers: headers.iter().map(owned).collect(),
        body: body.to_vec(),
    }
}

fn order() -> Message {
    let headers = [("Idempotency-Key", "k-1")];
    message(&request("POST", &headers, b"{}"), "http", "h:1").unwrap()
}

fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let mut out = Vec::new();
    frame::settings(&mut out, pairs);
    out
}

/// A frame as a peer may send it.
fn raw(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
    out
}

/// A session whose peer has told its settings and taken ours.
fn settled(pairs: &[(u16, u32)]) -> Session {
    let mut session = Session::new(Limits::default());
    assert!(!session.is_settled());
    session.feed(&settings(pairs)).unwrap();
    session.feed(&raw(4, 1, 0, &[])).unwrap();
    assert!(session.is_usable());
    session.wrote(session.waiting().len());
    session
}

fn heads(bytes: &[u8]) -> Vec<(frame::Kind, u8, u32, usize)> {
    let mut rest = bytes;
    let mut heads = Vec::new();
    while let Some(head) = frame::Head::read(rest) {
        heads.push((head.kind, head.flags, head.stream, head.length));
        rest = &rest[frame::HEAD + head.length..];
    }
    assert!(rest.is_empty());
    heads
}

#[test]
fn a_request_becomes_fields_and_names_are_small() {
    let headers = [("Host", "shop.test"), ("X-One", "1"), ("TE", "trailers")];
    let message = message(&request("POST", &headers, b"{}"), "https", "127.0.0.1:1").unwrap();
    let shown: Vec<String> = message
        .fields
        .iter()
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    assert_eq!(
        shown,
        [
            ":method POST",
            ":scheme https",
            ":authority shop.test",
            ":path /orders?x=1",
            "x-one 1",
            "te trailers",
            "content-length 2",
        ]
    );
    for name in ["Connection", "keep-alive", "upgrade", "te"] {
        let request = request("GET", &[(name, "x")], b"");
        let refused = super::message(&request, "http", "h");
        assert!(matches!(refused, Err(EncodeError::Reserved(..))), "{name}");
    }
}

#[test]
fn preface_and_settings_come_first() {
    let session = Session::new(Limits::default());
    let rest = session
        .waiting()
        .strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    let kinds: Vec<_> = heads(rest.unwrap()).iter().map(|head| head.0).collect();
    assert_eq!(kinds, [frame::Kind::Settings, frame::Kind::WindowUpdate]);
}

#[test]
fn what_does_not_begin_with_settings_is_not_http2() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        &raw(6, 0, 0, &[0; 8]),
        &raw(4, 1, 0, &[]),
    ] {
        let fed = Session::new(Limits::default()).feed(bytes);
        assert!(matches!(fed, Err(Broken::Http2(_))), "{bytes:?}");
    }
}

#[test]
fn copies_lie_side_by_side_and_cost_little() {
    let mut session = settled(&[]);
    let (message, mut bytes) = (order(), Vec::new());
    for number in [1, 3, 5] {
        let (stream, length) = session.open(&message, false);
        assert_eq!(stream, number);
        bytes.push(length);
    }
    assert_eq!(bytes[1], frame::HEAD + message.fields.len());
    for stream in [1, 3, 5] {
        assert_eq!(session.data(stream, b"{}", true), frame::HEAD + 2);
    }
    let kinds: Vec<_> = heads(session.waiting())
        .iter()
        .map(|(kind, flags, stream, _)| (*kind, *flags, *stream))
        .collect();
    let (headers, data) = (frame::Kind::Headers, frame::Kind::Data);
    let expected = [1, 3, 5]
        .map(|stream| (headers, frame::END_HEADERS, stream))
        .into_iter()
        .chain([1, 3, 5].map(|stream| (data, frame::END_STREAM, stream)));
    assert_eq!(kinds, expected.collect::<Vec<_>>());
}

#[test]
fn limits_and_windows_of_the_peer_are_kept_to() {
    let session = settled(&[(3, 5), (4, 1000)]);
    assert_eq!(session.streams_max(), 5);
    assert_eq!(session.room_for([10; 20]), 5);
    assert_eq!(session.room_for([10, 1001, 10]), 1);
    // The connection's own window is 65535 at first, whatever a stream's is.
    let wide = settled(&[(4, 1 << 20)]);
    assert_eq!(wide.room_for([30_000; 5]), 2);

    let mut session = settled(&[(4, 10), (5, 16_384)]);
    let (stream, _) = session.open(&order(), false);
    assert_eq!(session.window(stream), 10);
    session.data(stream, &[0; 10], false);
    assert_eq!(session.window(stream), 0);
    session
        .feed(&raw(8, 0, stream, &5_u32.to_be_bytes()))
        .unwrap();
    assert_eq!(session.window(stream), 5);
    // A new initial window moves those that are open, below zero if need be.
    session.feed(&settings(&[(4, 2)])).unwrap();
    assert_eq!(session.window(stream), 0);
    session.feed(&settings(&[(4, 12)])).unwrap();
    assert_eq!(session.window(stream), 7);
}

#[test]
fn long_heads_and_bodies_are_cut_to_frames() {
    let mut session = settled(&[(4, 1 << 20)]);
    session
        .feed(&raw(8, 0, 0, &(1_u32 << 20).to_be_bytes()))
        .unwrap();
    let long = "x".repeat(20_000);
    let request = request("POST", &[("x", &long)], b"");
    let message = message(&request, "http", "h").unwrap();
    let (stream, _) = session.open(&message, false);
    session.data(stream, &vec![7; 40_000], true);
    let shape: Vec<_> = heads(session.waiting())
        .iter()
        .map(|(kind, flags, _, length)| (*kind, *flags, *length))
        .collect();
    let (headers, continuation) = (frame::Kind::Headers, frame::Kind::Continuation);
    assert_eq!((shape[0].0, shape[0].1, shape[0].2), (headers, 0, 16_384));
    assert_eq!((shape[1].0, shape[1].1), (continuation, frame::END_HEADERS));
    let data: Vec<_> = shape[2..]
        .iter()
        .map(|(_, flags, length)| (*flags, *length))
        .collect();
    assert_eq!(data, [(0, 16_384), (0, 16_384), (1, 7232)]);
}

#[test]
fn pings_are_answered_and_settings_acknowledged() {
    let mut session = settled(&[]);
    session.feed(&raw(6, 0, 0, b"12345678")).unwrap();
    session.feed(&raw(6, 1, 0, b"12345678")).unwrap();
    session.feed(&settings(&[(3, 1)])).unwrap();
    let expected = [raw(6, 1, 0, b"12345678"), raw(4, 1, 0, &[])].concat();
    assert_eq!(session.waiting(), expected);
}

#[test]
fn events_do_not_depend_on_the_pieces() {
    let block = Encoder::new().encode(&[
        (":status".to_owned(), "201".to_owned()),
        ("x-id".to_owned(), "7".to_owned()),
    ]);
    let (first, second) = block.split_at(3);
    // A padded head with a priority, continued; padded data; an unknown frame.
    let padded = [&[2, 0, 0, 0, 0, 9][..], first, &[0, 0]].concat();
    let bytes = [
        raw(1, 0x28, 1, &padded),
        raw(9, 4, 1, second),
        raw(0xfa, 0xff, 1, b"?"),
        raw(0, 0x9, 1, b"\x03hi\0\0\0"),
        raw(3, 0, 3, &7_u32.to_be_bytes()),
        raw(7, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0, b'b', b'y', b'e']),
    ]
    .concat();
    let all = |step: usize| {
        let mut session = settled(&[]);
        session.open(&order(), false);
        session.open(&order(), false);
        let mut events = Vec::new();
        for piece in bytes.chunks(step) {
            events.extend(session.feed(piece).unwrap());
        }
        assert!(!session.is_usable(), "the peer is leaving");
        events
    };
    let events = all(bytes.len());
    assert_eq!(all(1), events);
    assert_eq!(all(7), events);
    let fields = [(":status", "201"), ("x-id", "7")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(
        events,
        [
            Event::Fields {
                stream: 1,
                fields: fields.to_vec(),
                end: false,
                frames: (2 * frame::HEAD + padded.len() + second.len()) as u64,
            },
            Event::Data {
                stream: 1,
                bytes: b"hi".to_vec(),
                end: true,
                frames: (frame::HEAD + 6) as u64,
            },
            Event::Reset {
                stream: 3,
                code: Code::REFUSED_STREAM,
            },
            Event::GoAway {
                last: 1,
                code: Code(0),
            },
        ]
    );
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    let number = |value: u32| value.to_be_bytes();
    for (name, bytes) in [
        ("data on a stream that is not open", raw(0, 0, 3, b"x")),
        ("data on a stream of the peer", raw(0, 0, 2, b"x")),
        ("a push", raw(5, 4, 1, &number(2))),
        ("a continuation of nothing", raw(9, 4, 1, b"")),
        (
            "a head that is interrupted",
            [raw(1, 0, 1, b"\x88"), raw(6, 0, 0, &[0; 8])].concat(),
        ),
        ("a head that is not HPACK", raw(1, 4, 1, b"\x80")),
        ("more padding than frame", raw(0, 8, 1, b"\x05x")),
        ("a frame too large", raw(0, 0, 1, &vec![0; 16_385])),
        ("a short ping", raw(6, 0, 0, b"1234")),
        ("settings of the wrong length", raw(4, 0, 0, b"12345")),
        ("settings on a stream", raw(4, 0, 1, &[])),
        ("a frame size that is too small", settings(&[(5, 100)])),
        ("a window that is too large", settings(&[(4, 1 << 31)])),
        ("a window opened by nothing", raw(8, 0, 0, &number(0))),
        (
            "a window opened too far",
            raw(8, 0, 0, &number((1 << 31) - 1)),
        ),
        ("a short goaway", raw(7, 0, 0, &[0; 4])),
        ("a long reset", raw(3, 0, 1, &[0; 5])),
    ] {
        let mut session = settled(&[]);
        session.open(&order(), false);
        let broken = session.feed(&bytes);
        assert!(
            matches!(broken, Err(Broken::Http2(_))),
            "{name}: {broken:?}"
        );
        assert_eq!(session.feed(b""), Err(broken.unwrap_err()), "{name}");
        assert!(!session.is_usable());
    }
}

#[test]
fn floods_end_in_bounded_memory() {
    let feed = |bytes: &[u8]| {
        let mut session = settled(&[]);
        session.open(&order(), false);
        for round in 0..2_000_000_u32 {
            if let Err(broken) = session.feed(bytes) {
                assert!(session.waiting().len() < 2 * 1024 * 1024, "{round}");
                return broken;
            }
        }
        panic!("it went on for ever");
    };
    assert!(matches!(feed(&raw(6, 0, 0, &[0; 8])), Broken::Http2(_)));
    assert!(matches!(feed(&settings(&[])), Broken::Http2(_)));
    // A head without end, of empty pieces.
    let mut session = settled(&[]);
    session.open(&order(), false);
    session.feed(&raw(1, 0, 1, b"\x88")).unwrap();
    let broken = (0..100_000).find_map(|_| session.feed(&raw(9, 0, 1, b"")).err());
    assert_eq!(broken, Some(Broken::HeadTooLarge));
}

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(owned).collect()
}

#[test]
fn an_answer_keeps_what_came() {
    let mut answer = Answer::new(false, Limits::default());
    let early = [(":status", "103"), ("link", "</a>")];
    assert_eq!(answer.fields(fields(&early), false), Ok(false));
    let head = [(":status", "201"), ("content-length", "4"), ("x", "1")];
    assert_eq!(answer.fields(fields(&head), false), Ok(false));
    assert_eq!(answer.announced_length(), Some(4));
    assert_eq!(answer.data(b"ab", false), Ok(false));
    assert_eq!(answer.data(b"cd", false), Ok(false));
    assert_eq!(answer.fields(fields(&[("x-sum", "9")]), true), Ok(true));
    assert_eq!(answer.interim().collect::<Vec<_>>(), [103]);
    let response = answer.into_response().unwrap();
    assert_eq!(response.head.status, 201);
    assert_eq!(response.head.headers, fields(&head[1..]));
    assert_eq!(response.body.kept, b"abcd");
    assert_eq!(response.trailers, fields(&[("x-sum", "9")]));
    assert!(response.complete);
}

#[test]
fn what_is_no_answer_is_said() {
    let first = |pairs: &[(&str, &str)], end| {
        Answer::new(false, Limits::default()).fields(fields(pairs), end)
    };
    for (pairs, end) in [
        (&[("x", "1")][..], false),
        (&[(":status", "20")], false),
        (&[(":status", "+20")], false),
        (&[(":status", "099")], false),
        (&[(":status", "200"), (":path", "/")], false),
        (&[(":status", "200"), ("X-Id", "1")], false),
        (&[(":status", "200"), ("connection", "close")], false),
        (&[(":status", "103")], true),
    ] {
        assert!(
            matches!(first(pairs, end), Err(Broken::Http2(_))),
            "{pairs:?}"
        );
    }
    assert_eq!(
        first(&[(":status", "101")], false),
        Err(Broken::UnaskedSwitch)
    );
    let length = |value| [(":status", "200"), ("content-length", value)];
    assert_eq!(first(&length("x"), false), Err(Broken::ContentLength));
    assert_eq!(first(&length("5"), true), Err(Broken::ContentLength));
    assert_eq!(
        first(&length("99999999999"), false),
        Err(Broken::BodyTooLarge)
    );
    let mut answer = Answer::new(false, Limits::default());
    assert!(answer.data(b"x", false).is_err());
    let mut answer = Answer::new(false, Limits::default());
    answer.fields(fields(&length("2")), false).unwrap();
    assert_eq!(answer.data(b"abc", false), Err(Broken::ContentLength));
    assert!(!answer.into_response().unwrap().complete);
    let mut head = Answer::new(true, Limits::default());
    assert_eq!(head.fields(fields(&length("5")), true), Ok(true));
}

#[test]
fn limits_of_an_answer_hold() {
    let limits = Limits {
        head: 200,
        interim: 2,
        body: 10,
        kept: 4,
    };
    let mut answer = Answer::new(false, limits);
    let interim = [(":status", "100")];
    for _ in 0..2 {
        answer.fields(fields(&interim), false).unwrap();
    }
    assert_eq!(
        answer.fields(fields(&interim), false),
        Err(Broken::TooManyInterim)
    );
    let mut answer = Answer::new(false, limits);
    let long = [(":status", "200"), ("x", &*"y".repeat(200))];
    assert_eq!(
        answer.fields(fields(&long), false),
        Err(Broken::HeadTooLarge)
    );
    let mut answer = Answer::new(false, limits);
    answer.fields(fields(&[(":status", "200")]), false).unwrap();
    answer.data(&[1; 10], false).unwrap();
    assert_eq!(answer.data(&[1], false), Err(Broken::BodyTooLarge));
    let body = answer.into_response().unwrap().body;
    assert_eq!((body.kept.len(), body.len), (4, 10));
}
