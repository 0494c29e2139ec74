use proptest::prelude::*;

use super::*;

fn post(body: &str) -> Request {
    Request {
        method: "POST".to_owned(),
        target: "/orders?x=1".to_owned(),
        headers: vec![("Idempotency-Key".to_owned(), "k-1".to_owned())],
        body: body.as_bytes().to_vec(),
    }
}

fn with_header(name: &str, value: &str) -> Result<Encoded, EncodeError> {
    let mut request = post("{}");
    request.headers.push((name.to_owned(), value.to_owned()));
    encode(&request, "localhost")
}

#[test]
fn a_request_is_encoded_in_order_with_its_length() {
    let encoded = encode(&post("{\"a\":1}"), "localhost:8080").unwrap();
    let head = "POST /orders?x=1 HTTP/1.1\r\nhost: localhost:8080\r\nIdempotency-Key: k-1\r\ncontent-length: 7\r\n\r\n";
    assert_eq!(text(&encoded.bytes), format!("{head}{{\"a\":1}}"));
    assert_eq!(encoded.head_end, head.len());
    assert_eq!(encoded.body_len(), 7);
    assert_eq!(encoded.hold_at(HoldPoint::Head), head.len() - 1);
    assert_eq!(encoded.hold_at(HoldPoint::LastByte), head.len() + 6);
    assert_eq!(encoded.hold_at(HoldPoint::All), 0);
}

#[test]
fn an_empty_post_says_so_and_a_get_does_not() {
    let empty = encode(&post(""), "h").unwrap();
    assert!(text(&empty.bytes).contains("\r\ncontent-length: 0\r\n"));
    assert_eq!(empty.hold_at(HoldPoint::LastByte), empty.bytes.len() - 1);
    for method in ["GET", "DELETE", "HEAD", "OPTIONS"] {
        let request = Request {
            method: method.to_owned(),
            ..post("")
        };
        let encoded = encode(&request, "h").unwrap();
        assert!(!text(&encoded.bytes).contains("content-length"), "{method}");
        assert_eq!(encoded.bodiless_answer, method == "HEAD");
    }
}

#[test]
fn a_host_of_ones_own_is_sent_alone() {
    let encoded = with_header("Host", "shop.test").unwrap();
    assert_eq!(
        text(&encoded.bytes)
            .to_ascii_lowercase()
            .matches("host:")
            .count(),
        1
    );
}

#[test]
fn nothing_can_be_injected() {
    for value in ["a\r\nx: y", "a\nb", "a\rb", "a\0b", "\u{7f}"] {
        assert!(
            matches!(with_header("x", value), Err(EncodeError::HeaderValue(_))),
            "{value:?}"
        );
    }
    for name in ["", "a b", "a:", "a\r\n", "ä"] {
        assert!(
            matches!(with_header(name, "v"), Err(EncodeError::HeaderName(_))),
            "{name:?}"
        );
    }
    for target in ["", "orders", "/a b", "/a\r\nx", "http://h/", "/ä", "/a#b"] {
        let request = Request {
            target: target.to_owned(),
            ..post("")
        };
        assert!(
            matches!(encode(&request, "h"), Err(EncodeError::Target(_))),
            "{target:?}"
        );
    }
    let request = Request {
        method: "PO ST".to_owned(),
        ..post("")
    };
    assert!(matches!(encode(&request, "h"), Err(EncodeError::Method(_))));
    assert!(matches!(
        encode(&post(""), "h\r\nx: y"),
        Err(EncodeError::HeaderValue(_))
    ));
}

#[test]
fn headers_that_would_change_the_framing_are_refused() {
    for (name, value) in [
        ("Transfer-Encoding", "chunked"),
        ("Expect", "100-continue"),
        ("Content-Length", "3"),
    ] {
        assert!(
            matches!(with_header(name, value), Err(EncodeError::Reserved(..))),
            "{name}"
        );
    }
    let same = with_header("Content-Length", "2").unwrap();
    assert_eq!(
        text(&same.bytes)
            .to_ascii_lowercase()
            .matches("content-length")
            .count(),
        1
    );
    assert!(with_header("accept", "text/ä\tx").is_ok());
}

/// Everything that reading a byte string gives.
#[derive(Debug, PartialEq)]
struct Outcome {
    response: Option<Response>,
    result: Result<bool, Broken>,
    left_over: usize,
    keeps_alive: bool,
}

fn small() -> Limits {
    Limits {
        head: 2000,
        interim: 3,
        body: 5000,
        kept: 50,
    }
}

fn read_pieces(bodiless: bool, bytes: &[u8], sizes: &[usize]) -> Outcome {
    let mut reader = Reader::new(bodiless, small());
    let mut rest = bytes;
    let mut sizes = sizes.iter().copied().chain(std::iter::repeat(usize::MAX));
    let mut result = Ok(false);
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(1).clamp(1, rest.len());
        match reader.feed(&rest[..size]) {
            Ok(Progress::More) => rest = &rest[size..],
            Ok(Progress::Complete { used }) => {
                rest = &rest[used..];
                break;
            }
            Err(broken) => {
                result = Err(broken);
                rest = &[];
            }
        }
    }
    if result.is_ok() {
        result = reader.end_of_input();
    }
    let keeps_alive = reader.keeps_alive();
    let left_over = rest.len();
    Outcome {
        response: reader.into_response(),
        result,
        left_over,
        keeps_alive,
    }
}

fn read(bytes: &str) -> Outcome {
    read_pieces(false, bytes.as_bytes(), &[])
}

fn body(outcome: &Outcome) -> String {
    text(&outcome.response.as_ref().unwrap().body.kept)
}

#[test]
fn the_ways_of_delimiting_a_body() {
    for (answer, wanted, keeps_alive) in [
        (
            "HTTP/1.1 201 Created\r\ncontent-length: 3\r\n\r\nabc",
            "abc",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 3, 3\r\n\r\nabc",
            "abc",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "abc",
            true,
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n1;x=\"y\"\r\na\r\n02 \r\nbc\r\n0\r\nx: y\r\n\r\n",
            "abc",
            true,
        ),
        ("HTTP/1.1 200 OK\r\n\r\nabc", "abc", false),
        (
            "HTTP/1.1 200 OK\r\nconnection: Close\r\ncontent-length: 3\r\n\r\nabc",
            "abc",
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nabc",
            "abc",
            false,
        ),
        (
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3\r\n\r\nabc",
            "abc",
            true,
        ),
        ("HTTP/1.1 204 No Content\r\n\r\n", "", true),
        (
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n",
            "",
            true,
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "", true),
        ("HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", "", true),
    ] {
        let outcome = read(answer);
        assert_eq!(outcome.result, Ok(true), "{answer}");
        assert_eq!(body(&outcome), wanted, "{answer}");
        assert_eq!(outcome.keeps_alive, keeps_alive, "{answer}");
        assert_eq!(outcome.left_over, 0, "{answer}");
        assert!(outcome.response.unwrap().complete);
    }
}

#[test]
fn an_answer_to_head_has_no_body() {
    let outcome = read_pieces(true, b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", &[]);
    assert_eq!(outcome.result, Ok(true));
    assert_eq!(body(&outcome), "");
}

#[test]
fn interim_answers_and_trailers_are_kept() {
    let outcome = read(
        "HTTP/1.1 102 Processing\r\nx: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nChecksum: 7\r\n\r\n",
    );
    let response = outcome.response.unwrap();
    let statuses: Vec<_> = response.interim.iter().map(|head| head.status).collect();
    assert_eq!(statuses, [102, 103]);
    assert_eq!(response.head.status, 200);
    assert_eq!(response.trailers, [("Checksum".to_owned(), "7".to_owned())]);
}

#[test]
fn what_comes_after_an_answer_is_counted_and_not_read() {
    let outcome = read("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nabcd");
    assert_eq!((outcome.result, outcome.left_over), (Ok(true), 3));
}

#[test]
fn an_early_end_is_incomplete() {
    for answer in [
        "",
        "HTTP/1.1 20",
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ] {
        let outcome = read(answer);
        assert_eq!(outcome.result, Ok(false), "{answer}");
        assert!(!outcome.keeps_alive);
        assert!(outcome.response.is_none_or(|response| !response.complete));
    }
}

#[test]
fn hostile_answers_are_refused() {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let endless_header = format!("HTTP/1.1 200 OK\r\nx: {}", "y".repeat(5000));
    let endless_headers = format!("HTTP/1.1 200 OK\r\n{}", "x: y\r\n".repeat(1000));
    let many_headers = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(300));
    let endless_interim = "HTTP/1.1 100 Continue\r\n\r\n".repeat(9);
    let tiny_chunks = format!("{chunked}{}", "1\r\na\r\n".repeat(1000));
    let long_extension = format!("{chunked}1;{}", "x".repeat(4500));
    let endless_trailers = format!("{chunked}0\r\n{}", "x: y\r\n".repeat(1000));
    let until_close = format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(5001));
    for (answer, broken) in [
        ("SSH-2.0-OpenSSH_9.7\r\n", Broken::Head),
        ("<html>", Broken::Head),
        ("HTTP/2 200\r\n\r\n", Broken::Head),
        ("HTTP/1.1 2x0 OK\r\n\r\n", Broken::Head),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", Broken::Head),
        ("HTTP/1.1 200 OK\r\na: b\r\n folded\r\n\r\n", Broken::Head),
        (&many_headers, Broken::Head),
        (&endless_header, Broken::HeadTooLarge),
        (&endless_headers, Broken::HeadTooLarge),
        (&endless_trailers, Broken::HeadTooLarge),
        (&endless_interim, Broken::TooManyInterim),
        (
            "HTTP/1.1 101 Switching Protocols\r\n\r\n",
            Broken::UnaskedSwitch,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
            Broken::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n",
            Broken::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
            Broken::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: +1\r\n\r\n",
            Broken::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n",
            Broken::ContentLength,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
            Broken::LengthAndEncoding,
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
            Broken::TransferEncoding,
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 5001\r\n\r\n",
            Broken::BodyTooLarge,
        ),
        (&until_close, Broken::BodyTooLarge),
        (&tiny_chunks, Broken::BodyTooLarge),
        (&long_extension, Broken::Chunk),
        (
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
            Broken::ContentEncoding,
        ),
    ] {
        assert_eq!(read(answer).result, Err(broken), "{answer:.60}");
    }
    for bad in [
        "\r\n",
        "x\r\n",
        "1 x\r\n",
        "-1\r\n",
        "1\n",
        "10000000000000000\r\n",
        "1\r\nab",
        "1\r\na\n",
    ] {
        assert_eq!(
            read(&format!("{chunked}{bad}")).result,
            Err(Broken::Chunk),
            "{bad:?}"
        );
    }
}

#[test]
fn a_broken_answer_still_shows_what_came() {
    let outcome = read("HTTP/1.1 201 Created\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\nzz");
    let response = outcome.response.unwrap();
    assert_eq!((response.head.status, response.complete), (201, false));
    assert_eq!(text(&response.body.kept), "ab");
}

#[test]
fn nothing_is_taken_after_an_error() {
    let mut reader = Reader::new(false, small());
    assert_eq!(reader.feed(b"nonsense"), Err(Broken::Head));
    assert_eq!(
        reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        Err(Broken::Head)
    );
    assert_eq!(reader.end_of_input(), Err(Broken::Head));
}

/// Answers, mostly well-formed, and now and then spoilt by one byte.
fn answers() -> impl Strategy<Value = Vec<u8>> {
    let head = prop_oneof![
        Just("HTTP/1.1 200 OK\r\n"),
        Just("HTTP/1.0 500 Oh\r\n"),
        Just("HTTP/1.1 204 No\r\n"),
        Just("HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 201 Created\r\n"),
    ];
    let framing = prop_oneof![
        (0..200_usize).prop_map(|n| (format!("content-length: {n}\r\n\r\n"), "a".repeat(n))),
        proptest::collection::vec(1..90_usize, 0..6).prop_map(|sizes| {
            let chunk = |n: &usize| format!("{n:x};e=1\r\n{}\r\n", "b".repeat(*n));
            let chunks = sizes.iter().map(chunk).collect::<Vec<_>>().concat();
            (
                "transfer-encoding: chunked\r\n\r\n".to_owned(),
                format!("{chunks}0\r\nt: u\r\n\r\n"),
            )
        }),
        (0..6000_usize).prop_map(|n| ("\r\n".to_owned(), "c".repeat(n))),
    ];
    let spoilt = proptest::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>()));
    (head, framing, "[a-z]{0,5}", spoilt).prop_map(|(head, (fields, body), after, spoilt)| {
        let mut bytes = format!("{head}x-a: 1\r\n{fields}{body}{after}").into_bytes();
        if let Some((index, byte)) = spoilt {
            let place = index.index(bytes.len());
            bytes[place] = byte;
        }
        bytes
    })
}

proptest! {
    #[test]
    fn the_result_does_not_depend_on_the_pieces(
        bytes in answers(),
        bodiless in any::<bool>(),
        sizes in proptest::collection::vec(1..40_usize, 0..300),
    ) {
        let whole = read_pieces(bodiless, &bytes, &[]);
        prop_assert_eq!(&read_pieces(bodiless, &bytes, &sizes), &whole);
        let singly = vec![1; bytes.len()];
        prop_assert_eq!(&read_pieces(bodiless, &bytes, &singly), &whole);
    }

    #[test]
    fn no_input_makes_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let garbage = read_pieces(false, &bytes, &[]);
        prop_assert!(garbage.response.is_none());
        let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
        chunked.extend_from_slice(&bytes);
        prop_assert!(read_pieces(false, &chunked, &[]).response.is_some());
    }
}
