//! HTTP/2 (RFC 9113), the client's side of one connection: requests to frames, frames to answers. Sans-IO like [`super::h1`].
//!
//! Written by hand for the same reason: a trial has to lay the last frames of many streams into one write, to stop inside a body, and to know of each stream when its first and last frame came, what the peer refused ([`Event::Reset`], [`Event::GoAway`]) and that nothing is sent again. A [`Session`] is one connection; an [`Answer`] reads one stream.
//!
//! Whatever the peer sends, memory is bounded: frames of at most 16 KiB, header lists and bodies within the [`super::Limits`], and no more answers to its settings and pings than it takes itself.

mod answer;
mod frame;
mod hpack;
mod huffman;
mod session;

pub use answer::Answer;
pub use session::{Event, Session};

use super::h1::EncodeError;
use super::message::Request;

/// A request as fields and a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The pseudo-header fields, then the others in the order in which they were given, names in lower case.
    fields: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
    /// Whether an answer to it has no body (HEAD).
    pub bodiless_answer: bool,
}

/// Why a stream ended before its answer was whole (RFC 9113 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub u32);

impl Code {
    /// The frames break the protocol.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// The peer certainly did nothing with the stream (RFC 9113 section 8.7).
    pub const REFUSED_STREAM: Self = Self(7);
    /// Whoever sends it wants the stream no longer.
    pub const CANCEL: Self = Self(8);
}

impl std::fmt::Display for Code {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        let named = usize::try_from(self.0).ok().and_then(|at| NAMES.get(at));
        match named {
            Some(name) => formatter.write_str(name),
            None => write!(formatter, "error {}", self.0),
        }
    }
}

/// Headers that speak of one connection of HTTP/1 (RFC 9113 section 8.2.2).
const OF_THE_CONNECTION: [&str; 5] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
];

/// Turns a request that HTTP/1.1 could carry too into fields. `authority` stands unless the request has its own `host`.
///
/// # Errors
///
/// When a header may not be sent over HTTP/2.
pub fn message(request: &Request, scheme: &str, authority: &str) -> Result<Message, EncodeError> {
    let mut authority = authority.to_owned();
    let mut fields = Vec::new();
    let mut has_length = false;
    for (name, value) in &request.headers {
        let lower = name.to_ascii_lowercase();
        match lower.as_str() {
            "host" => {
                authority.clone_from(value);
                continue;
            }
            "content-length" => has_length = true,
            "te" if !value.eq_ignore_ascii_case("trailers") => {
                return Err(EncodeError::Reserved(
                    name.clone(),
                    "over HTTP/2 it may only say `trailers`",
                ));
            }
            _ if OF_THE_CONNECTION.contains(&lower.as_str()) => {
                return Err(EncodeError::Reserved(
                    name.clone(),
                    "HTTP/2 knows no such header",
                ));
            }
            _ => {}
        }
        fields.push((lower, value.clone()));
    }
    let means_body = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
    if !has_length && (means_body || !request.body.is_empty()) {
        fields.push(("content-length".to_owned(), request.body.len().to_string()));
    }
    let pseudo = [
        (":method", request.method.as_str()),
        (":scheme", scheme),
        (":authority", &authority),
        (":path", &request.target),
    ];
    let pseudo = pseudo.map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Message {
        fields: pseudo.into_iter().chain(fields).collect(),
        body: request.body.clone(),
        bodiless_answer: request.method == "HEAD",
    })
}

#[cfg(test)]
mod tests;
