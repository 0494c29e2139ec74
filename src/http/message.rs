//! Requests and responses as values: header order and case are kept.

use super::body::Body;

/// A request, before it is bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The method, as sent.
    pub method: String,
    /// Path and query, already percent-encoded.
    pub target: String,
    /// Headers in the order and the case in which they are sent.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

/// The head of a response, final or interim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Headers in the order and the case in which they came. Bytes that are not UTF-8 are replaced.
    pub headers: Vec<(String, String)>,
    /// The minor version: 0 or 1 of HTTP/1, 0 of HTTP/2.
    pub minor_version: u8,
}

impl Head {
    /// The values of all headers of that name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The value of the first header of that name.
    pub fn first<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).next()
    }

    /// The comma-separated words of all headers of that name, in lower case.
    pub fn words<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> {
        self.all(name)
            .flat_map(|value| value.split(','))
            .map(|word| word.trim().to_ascii_lowercase())
            .filter(|word| !word.is_empty())
    }
}

/// A response, as far as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// Heads of interim (1xx) answers before it.
    pub interim: Vec<Head>,
    /// The final head.
    pub head: Head,
    /// The body, content encoding undone.
    pub body: Body,
    /// Trailers after the body.
    pub trailers: Vec<(String, String)>,
    /// Whether all of it came.
    pub complete: bool,
}
