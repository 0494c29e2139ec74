//! HTTP/1.1: requests to bytes with known offsets, and answers from bytes that come in any pieces.
//!
//! Written by hand, because a trial needs to know which byte is which: a client library would neither tell where the head ends nor promise to send nothing twice. The grammar is that of RFC 9112; where the RFC allows leniency towards old peers, this reader is strict, since a broken answer is something to report.

use std::fmt;

use super::body::{Refused, Sink};
use super::message::{Head, Request, Response};

/// What may be held back of a request until its release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HoldPoint {
    /// The last byte of the head, and the body: servers start to work when the head is complete.
    Head,
    /// The last byte.
    LastByte,
    /// Everything.
    All,
}

/// A request as bytes, with the offsets that matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// All of it.
    pub bytes: Vec<u8>,
    /// Where the head ends and the body begins.
    pub head_end: usize,
    /// Whether an answer to it has no body (HEAD).
    pub bodiless_answer: bool,
    /// The same request as HTTP/2 carries it, where it is to go that way.
    pub stream: Option<super::h2::Message>,
}

impl Encoded {
    /// How many bytes go before the hold. The rest, never empty, is the tail.
    pub fn hold_at(&self, point: HoldPoint) -> usize {
        match point {
            HoldPoint::Head => self.head_end - 1,
            HoldPoint::LastByte => self.bytes.len() - 1,
            HoldPoint::All => 0,
        }
    }

    /// The length of the body.
    pub fn body_len(&self) -> usize {
        self.bytes.len() - self.head_end
    }
}

/// Why a request cannot be sent. Nothing is escaped or dropped silently.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The method is not a token.
    #[error("the method {0:?} is not one")]
    Method(String),
    /// The target holds what may not stand in a request line.
    #[error("the request target {0:?} is not a path with a query")]
    Target(String),
    /// A header's name is not a token.
    #[error("{0:?} is not a header name")]
    HeaderName(String),
    /// A header's value holds a control character.
    #[error("the value of header {0:?} holds a control character")]
    HeaderValue(String),
    /// A header that we have to set ourselves, or may not send.
    #[error("the header {0:?} cannot be set: {1}")]
    Reserved(String, &'static str),
}

/// Serialises a request. `host` is sent first unless the request has its own `host`.
///
/// # Errors
///
/// When a part may not stand where it would: see [`EncodeError`].
pub fn encode(request: &Request, host: &str) -> Result<Encoded, EncodeError> {
    check_line(request)?;
    let mut has_host = false;
    let mut has_length = false;
    for (name, value) in &request.headers {
        check_header(name, value)?;
        match name.to_ascii_lowercase().as_str() {
            "host" => has_host = true,
            "content-length" if value.trim() == request.body.len().to_string() => has_length = true,
            "content-length" => {
                return Err(EncodeError::Reserved(
                    name.clone(),
                    "it is not the length of the body",
                ));
            }
            "transfer-encoding" => {
                return Err(EncodeError::Reserved(
                    name.clone(),
                    "bodies are sent with a length",
                ));
            }
            "expect" => {
                return Err(EncodeError::Reserved(
                    name.clone(),
                    "a request is sent whole, without waiting for the server's consent",
                ));
            }
            _ => {}
        }
    }
    if !has_host {
        check_header("host", host)?;
    }
    let mut bytes = Vec::with_capacity(256 + request.body.len());
    let mut put = |parts: &[&str]| {
        for part in parts {
            bytes.extend_from_slice(part.as_bytes());
        }
    };
    put(&[&request.method, " ", &request.target, " HTTP/1.1\r\n"]);
    if !has_host {
        put(&["host: ", host, "\r\n"]);
    }
    for (name, value) in &request.headers {
        put(&[name, ": ", value, "\r\n"]);
    }
    let means_body = matches!(request.method.as_str(), "POST" | "PUT" | "PATCH");
    if !has_length && (means_body || !request.body.is_empty()) {
        put(&["content-length: ", &request.body.len().to_string(), "\r\n"]);
    }
    put(&["\r\n"]);
    let head_end = bytes.len();
    bytes.extend_from_slice(&request.body);
    Ok(Encoded {
        bytes,
        head_end,
        bodiless_answer: request.method == "HEAD",
        stream: None,
    })
}

fn check_line(request: &Request) -> Result<(), EncodeError> {
    if !is_token(&request.method) {
        return Err(EncodeError::Method(request.method.clone()));
    }
    let target = &request.target;
    let starts_well = target.starts_with('/') || target == "*";
    if !starts_well
        || !target
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'#')
    {
        return Err(EncodeError::Target(target.clone()));
    }
    Ok(())
}

fn check_header(name: &str, value: &str) -> Result<(), EncodeError> {
    if !is_token(name) {
        return Err(EncodeError::HeaderName(name.to_owned()));
    }
    if value
        .bytes()
        .any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f)
    {
        return Err(EncodeError::HeaderValue(name.to_owned()));
    }
    Ok(())
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// How much an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all heads, interim ones and trailers included.
    pub head: usize,
    /// Interim answers.
    pub interim: usize,
    /// Bytes of the body, as sent (with chunk framing) and as decoded.
    pub body: u64,
    /// Bytes of the body that are kept.
    pub kept: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 64 * 1024,
            interim: 64,
            body: 64 * 1024 * 1024,
            kept: 1024 * 1024,
        }
    }
}

/// Headers of one head at most.
const HEADERS_MAX: usize = 256;
/// A line of chunk size with its extensions at most.
const CHUNK_LINE_MAX: usize = 4096;

/// Why what came is not an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Broken {
    /// It does not start like HTTP/1, or a header is malformed.
    Head,
    /// The heads together are longer than allowed.
    HeadTooLarge,
    /// More interim answers than allowed.
    TooManyInterim,
    /// 101 without having been asked to switch.
    UnaskedSwitch,
    /// The content-length is no number, or several that differ.
    ContentLength,
    /// Both a content-length and a transfer-encoding.
    LengthAndEncoding,
    /// A transfer-encoding other than chunked.
    TransferEncoding,
    /// A chunk's framing is malformed.
    Chunk,
    /// The body is longer than allowed.
    BodyTooLarge,
    /// The body decodes to far more than it was.
    Bomb,
    /// The body does not decode as its content-encoding says.
    ContentEncoding,
    /// It is not HTTP/2 as RFC 9113 has it.
    Http2(&'static str),
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Http2(what) => return write!(formatter, "not HTTP/2: {what}"),
            Self::Head => "the head is not HTTP/1.1",
            Self::HeadTooLarge => "the head is too large",
            Self::TooManyInterim => "too many interim answers",
            Self::UnaskedSwitch => "101 Switching Protocols was not asked for",
            Self::ContentLength => "conflicting or malformed content-length",
            Self::LengthAndEncoding => "both content-length and transfer-encoding",
            Self::TransferEncoding => "a transfer-encoding other than chunked",
            Self::Chunk => "malformed chunked body",
            Self::BodyTooLarge => "the body is too large",
            Self::Bomb => "the body is a decompression bomb",
            Self::ContentEncoding => "the body does not match its content-encoding",
        })
    }
}

impl std::error::Error for Broken {}

impl From<Refused> for Broken {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::TooLarge => Self::BodyTooLarge,
            Refused::Bomb => Self::Bomb,
            Refused::Corrupt => Self::ContentEncoding,
        }
    }
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More has to come.
    More,
    /// It is complete; so many bytes of the slice belong to it. Anything after them was not asked for.
    Complete {
        /// Bytes of the slice that were used.
        used: usize,
    },
}

/// Reads one answer from bytes that come in any pieces; the result does not depend on the pieces.
///
/// ```text
/// Head ──1xx──> Head          (interim, collected)
/// Head ──final─> Done         (HEAD, 204, 304, length 0)
///            ├─> Length       (content-length)
///            ├─> Chunked      (size line, data, end of data, ..., trailers)
///            └─> UntilClose   (neither)
/// ```
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    bodiless: bool,
    state: ReadState,
    /// Bytes of the head, trailer block or chunk line being gathered.
    line: Vec<u8>,
    /// Bytes of heads and trailers so far.
    head_bytes: usize,
    /// Bytes of the body section so far, framing included.
    body_bytes: u64,
    interim: Vec<Head>,
    head: Option<Head>,
    sink: Option<Sink>,
    trailers: Vec<(String, String)>,
    broken: Option<Broken>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadState {
    Head,
    Length { left: u64 },
    ChunkSize,
    ChunkData { left: u64 },
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

/// How the body of an answer is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    Empty,
    Length(u64),
    Chunked,
    UntilClose,
}

impl Reader {
    /// For the answer to one request. `bodiless`: it was a HEAD.
    pub fn new(bodiless: bool, limits: Limits) -> Self {
        Self {
            limits,
            bodiless,
            state: ReadState::Head,
            line: Vec::new(),
            head_bytes: 0,
            body_bytes: 0,
            interim: Vec::new(),
            head: None,
            sink: None,
            trailers: Vec::new(),
            broken: None,
        }
    }

    /// Takes the next bytes. After an error or the end it takes no more.
    ///
    /// # Errors
    ///
    /// When what came cannot be an answer, or is more than the limits allow.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Progress, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let mut used = 0;
        while self.state != ReadState::Done && used < bytes.len() {
            match self.step(&bytes[used..]) {
                Ok(taken) => used += taken,
                Err(broken) => {
                    self.broken = Some(broken);
                    return Err(broken);
                }
            }
        }
        Ok(if self.state == ReadState::Done {
            Progress::Complete { used }
        } else {
            Progress::More
        })
    }

    /// No more bytes will come. Says whether the answer is complete.
    ///
    /// # Errors
    ///
    /// When a body that ends with the connection does not decode.
    pub fn end_of_input(&mut self) -> Result<bool, Broken> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        if self.state == ReadState::UntilClose {
            self.finish_body()
                .inspect_err(|broken| self.broken = Some(*broken))?;
        }
        Ok(self.state == ReadState::Done)
    }

    /// The final head, once it has come.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Whether the status line of the final answer has come, be its head whole or not.
    pub fn has_status_line(&self) -> bool {
        // `HTTP/1.1 201`: the first digit of the status is the tenth byte.
        let is_final = |line: &[u8]| line.get(9).is_some_and(|digit| *digit != b'1');
        self.head.is_some() || (self.line.contains(&b'\n') && is_final(&self.line))
    }

    /// Bytes of the body section that came, chunk framing included.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The length of the body as announced, once the head has come; `None` where only its end tells.
    pub fn announced_length(&self) -> Option<u64> {
        let head = self.head.as_ref()?;
        match framing(head, self.bodiless) {
            Ok(Framing::Empty) => Some(0),
            Ok(Framing::Length(length)) => Some(length),
            Ok(Framing::Chunked | Framing::UntilClose) | Err(_) => None,
        }
    }

    /// Whether the connection may serve another request after this answer.
    pub fn keeps_alive(&self) -> bool {
        let Some(head) = &self.head else {
            return false;
        };
        if self.state != ReadState::Done || self.broken.is_some() {
            return false;
        }
        if framing(head, self.bodiless) == Ok(Framing::UntilClose) {
            return false;
        }
        let says = |word: &str| head.words("connection").any(|found| found == word);
        !says("close") && (head.minor_version == 1 || says("keep-alive"))
    }

    /// What came, once the final head has; interim heads alone are no answer.
    pub fn into_response(self) -> Option<Response> {
        let complete = self.state == ReadState::Done && self.broken.is_none();
        Some(Response {
            interim: self.interim,
            head: self.head?,
            // A head whose body has not begun, or that has none.
            body: self
                .sink
                .unwrap_or_else(|| Sink::new(None, self.limits.kept, self.limits.body))
                .into_body(),
            trailers: self.trailers,
            complete,
        })
    }

    /// The interim statuses that came.
    pub fn interim(&self) -> impl Iterator<Item = u16> {
        self.interim.iter().map(|head| head.status)
    }

    /// Takes a first part of `bytes`, at least one, and says how many.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        match self.state {
            ReadState::Head => self.step_head(bytes),
            ReadState::Length { left } => {
                let taken = self.take_body(bytes, left)?;
                let left = left - taken as u64;
                self.state = ReadState::Length { left };
                if left == 0 {
                    self.finish_body()?;
                }
                Ok(taken)
            }
            ReadState::ChunkSize => self.step_chunk_size(bytes[0]),
            ReadState::ChunkData { left } => {
                let taken = self.take_body(bytes, left)?;
                let left = left - taken as u64;
                self.state = if left == 0 {
                    ReadState::ChunkEnd
                } else {
                    ReadState::ChunkData { left }
                };
                Ok(taken)
            }
            ReadState::ChunkEnd => self.step_chunk_end(bytes[0]),
            ReadState::Trailers => self.step_trailers(bytes[0]),
            ReadState::UntilClose => self.take_body(bytes, u64::MAX),
            ReadState::Done => Ok(bytes.len()),
        }
    }

    fn step_head(&mut self, bytes: &[u8]) -> Result<usize, Broken> {
        let mut taken = 0;
        for &byte in bytes {
            taken += 1;
            self.push_head_byte(byte)?;
            if self.line.ends_with(b"\r\n\r\n") {
                let block = std::mem::take(&mut self.line);
                self.end_head(parse_head(&block)?)?;
                break;
            }
        }
        // What cannot become HTTP is refused before its end, which may never come.
        if self.state == ReadState::Head && !starts_like_http(&self.line) {
            return Err(Broken::Head);
        }
        Ok(taken)
    }

    fn push_head_byte(&mut self, byte: u8) -> Result<(), Broken> {
        self.head_bytes += 1;
        if self.head_bytes > self.limits.head {
            return Err(Broken::HeadTooLarge);
        }
        self.line.push(byte);
        Ok(())
    }

    fn end_head(&mut self, head: Head) -> Result<(), Broken> {
        let Some(head) = final_head(head, &mut self.interim, self.limits)? else {
            return Ok(());
        };
        let framing = framing(&head, self.bodiless)?;
        self.sink = Some(Sink::of(&head, self.limits));
        self.head = Some(head);
        match framing {
            Framing::Empty => self.state = ReadState::Done,
            Framing::Length(0) => self.finish_body()?,
            Framing::Length(left) if left > self.limits.body => return Err(Broken::BodyTooLarge),
            Framing::Length(left) => self.state = ReadState::Length { left },
            Framing::Chunked => self.state = ReadState::ChunkSize,
            Framing::UntilClose => self.state = ReadState::UntilClose,
        }
        Ok(())
    }

    fn count_body(&mut self, bytes: usize) -> Result<(), Broken> {
        self.body_bytes += bytes as u64;
        if self.body_bytes > self.limits.body {
            return Err(Broken::BodyTooLarge);
        }
        Ok(())
    }

    fn take_body(&mut self, bytes: &[u8], left: u64) -> Result<usize, Broken> {
        let length = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        // Of a slice that goes past the limit, what lies before it still counts: the result must not depend on the slices.
        let room = self.limits.body.saturating_sub(self.body_bytes);
        let within = usize::try_from(room).unwrap_or(usize::MAX).min(length);
        if let Some(sink) = &mut self.sink {
            sink.take(&bytes[..within])?;
        }
        self.count_body(length)?;
        Ok(length)
    }

    fn finish_body(&mut self) -> Result<(), Broken> {
        if let Some(sink) = &mut self.sink {
            sink.end()?;
        }
        self.state = ReadState::Done;
        Ok(())
    }

    fn step_chunk_size(&mut self, byte: u8) -> Result<usize, Broken> {
        self.count_body(1)?;
        self.line.push(byte);
        if self.line.len() > CHUNK_LINE_MAX {
            return Err(Broken::Chunk);
        }
        if self.line.ends_with(b"\r\n") {
            let size = chunk_size(&self.line[..self.line.len() - 2])?;
            self.line.clear();
            self.state = match size {
                0 => ReadState::Trailers,
                left => ReadState::ChunkData { left },
            };
        } else if byte == b'\n' {
            return Err(Broken::Chunk);
        }
        Ok(1)
    }

    fn step_chunk_end(&mut self, byte: u8) -> Result<usize, Broken> {
        self.count_body(1)?;
        match (self.line.len(), byte) {
            (0, b'\r') => self.line.push(byte),
            (1, b'\n') => {
                self.line.clear();
                self.state = ReadState::ChunkSize;
            }
            _ => return Err(Broken::Chunk),
        }
        Ok(1)
    }

    fn step_trailers(&mut self, byte: u8) -> Result<usize, Broken> {
        self.push_head_byte(byte)?;
        if self.line == b"\r\n" {
            self.line.clear();
            self.finish_body()?;
        } else if self.line.ends_with(b"\r\n\r\n") {
            self.trailers = parse_headers(&std::mem::take(&mut self.line))?;
            self.finish_body()?;
        }
        Ok(1)
    }
}

fn starts_like_http(bytes: &[u8]) -> bool {
    let start = b"HTTP/1.";
    let length = bytes.len().min(start.len());
    bytes[..length] == start[..length]
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn owned(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    headers
        .iter()
        .map(|header| (header.name.to_owned(), text(header.value)))
        .collect()
}

fn parse_head(block: &[u8]) -> Result<Head, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    match response.parse(block) {
        Ok(httparse::Status::Complete(length)) if length == block.len() => {}
        Ok(_) | Err(_) => return Err(Broken::Head),
    }
    let (Some(status), Some(minor_version)) = (response.code, response.version) else {
        return Err(Broken::Head);
    };
    if !(100..=999).contains(&status) {
        return Err(Broken::Head);
    }
    Ok(Head {
        status,
        headers: owned(response.headers),
        minor_version,
    })
}

fn parse_headers(block: &[u8]) -> Result<Vec<(String, String)>, Broken> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    match httparse::parse_headers(block, &mut headers) {
        Ok(httparse::Status::Complete((length, headers))) if length == block.len() => {
            Ok(owned(headers))
        }
        Ok(_) | Err(_) => Err(Broken::Head),
    }
}

/// RFC 9112 section 6.3, without its leniency.
fn framing(head: &Head, bodiless: bool) -> Result<Framing, Broken> {
    let mut encodings = head.words("transfer-encoding");
    let encoding = (encodings.next(), encodings.next());
    let length = content_length(head)?;
    if encoding.0.is_some() && length.is_some() {
        return Err(Broken::LengthAndEncoding);
    }
    if bodiless || matches!(head.status, 204 | 304) {
        return Ok(Framing::Empty);
    }
    match (encoding, length) {
        ((Some(only), None), _) if only == "chunked" => Ok(Framing::Chunked),
        ((Some(_), _), _) => Err(Broken::TransferEncoding),
        ((None, _), Some(length)) => Ok(Framing::Length(length)),
        ((None, _), None) => Ok(Framing::UntilClose),
    }
}

/// The head, if it is the final one; an interim one is kept with the others.
pub(super) fn final_head(
    head: Head,
    interim: &mut Vec<Head>,
    limits: Limits,
) -> Result<Option<Head>, Broken> {
    match head.status {
        101 => Err(Broken::UnaskedSwitch),
        100..=199 if interim.len() == limits.interim => Err(Broken::TooManyInterim),
        100..=199 => {
            interim.push(head);
            Ok(None)
        }
        _ => Ok(Some(head)),
    }
}

pub(super) fn content_length(head: &Head) -> Result<Option<u64>, Broken> {
    let mut found = None;
    for value in head
        .all("content-length")
        .flat_map(|value| value.split(','))
    {
        let value = value.trim();
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Broken::ContentLength);
        }
        let length: u64 = value.parse().map_err(|_| Broken::ContentLength)?;
        if found.is_some_and(|earlier| earlier != length) {
            return Err(Broken::ContentLength);
        }
        found = Some(length);
    }
    Ok(found)
}

fn chunk_size(line: &[u8]) -> Result<u64, Broken> {
    let digits = line
        .iter()
        .take_while(|byte| byte.is_ascii_hexdigit())
        .count();
    let rest = &line[digits..];
    let after = rest.iter().find(|byte| !matches!(byte, b' ' | b'\t'));
    let ends_well = matches!(after, None | Some(b';'));
    if digits == 0 || digits > 16 || !ends_well || line.contains(&b'\r') {
        return Err(Broken::Chunk);
    }
    std::str::from_utf8(&line[..digits])
        .ok()
        .and_then(|digits| u64::from_str_radix(digits, 16).ok())
        .ok_or(Broken::Chunk)
}

#[cfg(test)]
mod tests;
