//! The answer of one stream, as far as it came.

use super::OF_THE_CONNECTION;
use crate::http::body::Sink;
use crate::http::message::{Head, Response};
use crate::http::{Broken, Limits};

/// Reads one answer from what comes on its stream.
///
/// ```text
/// Head ──1xx──> Head        (interim, collected)
/// Head ──final─> Body ──trailers──> Done
///   └── end ──────┴── end ────────> Done
/// ```
#[derive(Debug)]
pub struct Answer {
    limits: Limits,
    bodiless: bool,
    interim: Vec<Head>,
    head: Option<Head>,
    head_bytes: usize,
    announced: Option<u64>,
    body_bytes: u64,
    sink: Option<Sink>,
    trailers: Vec<(String, String)>,
    complete: bool,
    broken: bool,
}

impl Answer {
    /// For the answer to one request. `bodiless`: it was a HEAD.
    pub fn new(bodiless: bool, limits: Limits) -> Self {
        Self {
            limits,
            bodiless,
            interim: Vec::new(),
            head: None,
            head_bytes: 0,
            announced: None,
            body_bytes: 0,
            sink: None,
            trailers: Vec::new(),
            complete: false,
            broken: false,
        }
    }

    /// Takes a head or trailers; says whether the answer is complete.
    ///
    /// # Errors
    ///
    /// When it cannot be part of an answer, or is more than the limits allow.
    pub fn fields(&mut self, fields: Vec<(String, String)>, end: bool) -> Result<bool, Broken> {
        let taken = self.take_fields(fields, end);
        self.settle(taken)
    }

    /// Takes a piece of the body; says whether the answer is complete.
    ///
    /// # Errors
    ///
    /// When it cannot be part of an answer, or is more than the limits allow.
    pub fn data(&mut self, bytes: &[u8], end: bool) -> Result<bool, Broken> {
        let taken = self.take_data(bytes, end);
        self.settle(taken)
    }

    fn settle(&mut self, taken: Result<(), Broken>) -> Result<bool, Broken> {
        self.broken |= taken.is_err();
        taken.map(|()| self.complete)
    }

    fn take_fields(&mut self, fields: Vec<(String, String)>, end: bool) -> Result<(), Broken> {
        self.head_bytes += fields
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum::<usize>();
        if self.head_bytes > self.limits.head {
            return Err(Broken::HeadTooLarge);
        }
        if self.head.is_some() {
            let pseudo = fields.iter().any(|(name, _)| name.starts_with(':'));
            if pseudo || !end {
                return Err(Broken::Http2("a second head"));
            }
            self.trailers = fields;
            return self.finish();
        }
        let head = head(fields)?;
        if end && matches!(head.status, 100 | 102..=199) {
            return Err(Broken::Http2("only an interim answer"));
        }
        let Some(head) = crate::http::h1::final_head(head, &mut self.interim, self.limits)? else {
            return Ok(());
        };
        let empty = self.bodiless || matches!(head.status, 204 | 304);
        self.announced = if empty {
            Some(0)
        } else {
            crate::http::h1::content_length(&head)?
        };
        if self
            .announced
            .is_some_and(|length| length > self.limits.body)
        {
            return Err(Broken::BodyTooLarge);
        }
        self.sink = Some(Sink::of(&head, self.limits));
        self.head = Some(head);
        if end { self.finish() } else { Ok(()) }
    }

    fn take_data(&mut self, bytes: &[u8], end: bool) -> Result<(), Broken> {
        let Some(sink) = &mut self.sink else {
            return Err(Broken::Http2("a body before its head"));
        };
        let room = self.limits.body.saturating_sub(self.body_bytes);
        let within = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        sink.take(&bytes[..within])?;
        self.body_bytes += bytes.len() as u64;
        if self.body_bytes > self.limits.body {
            return Err(Broken::BodyTooLarge);
        }
        // RFC 9113 section 8.1.1: more, or in the end less, than was announced is malformed.
        if self
            .announced
            .is_some_and(|length| self.body_bytes > length)
        {
            return Err(Broken::ContentLength);
        }
        if end { self.finish() } else { Ok(()) }
    }

    fn finish(&mut self) -> Result<(), Broken> {
        if self
            .announced
            .is_some_and(|length| self.body_bytes != length)
        {
            return Err(Broken::ContentLength);
        }
        if let Some(sink) = &mut self.sink {
            sink.end()?;
        }
        self.complete = true;
        Ok(())
    }

    /// Whether all of it came.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The final head, once it has come.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// Bytes of the body that came.
    pub fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// The length of the body as announced, once the head has come; `None` where only its end tells.
    pub fn announced_length(&self) -> Option<u64> {
        self.announced
    }

    /// The interim statuses that came.
    pub fn interim(&self) -> impl Iterator<Item = u16> {
        self.interim.iter().map(|head| head.status)
    }

    /// What came, once the final head has; interim heads alone are no answer.
    pub fn into_response(self) -> Option<Response> {
        let complete = self.complete && !self.broken;
        Some(Response {
            interim: self.interim,
            head: self.head?,
            body: self.sink.map(Sink::into_body).unwrap_or_default(),
            trailers: self.trailers,
            complete,
        })
    }
}

/// RFC 9113 section 8.3.2, and 8.2 for what no field may be.
fn head(fields: Vec<(String, String)>) -> Result<Head, Broken> {
    const MALFORMED: Broken = Broken::Http2("a malformed head");
    let mut fields = fields.into_iter();
    let (name, status) = fields.next().ok_or(MALFORMED)?;
    let digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
    if name != ":status" || !digits {
        return Err(MALFORMED);
    }
    let status = status.parse().map_err(|_| MALFORMED)?;
    let headers: Vec<(String, String)> = fields.collect();
    let foul = |name: &str| {
        name.is_empty()
            || name.starts_with(':')
            || name
                .bytes()
                .any(|byte| byte.is_ascii_uppercase() || byte <= b' ')
            || OF_THE_CONNECTION.contains(&name)
    };
    if status < 100 || headers.iter().any(|(name, _)| foul(name)) {
        return Err(MALFORMED);
    }
    Ok(Head {
        status,
        headers,
        minor_version: 0,
    })
}
