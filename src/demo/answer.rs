//! What the shop answers, before and on its way to the wire.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::Response;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::header::{self, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::store::Stored;

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
    location: Option<String>,
    extra: Vec<(&'static str, HeaderValue)>,
    /// The body's parts, where it is not sent in one go.
    parts: Option<mpsc::Receiver<Bytes>>,
}

impl Answer {
    /// A JSON value.
    pub(super) fn json(status: u16, value: &Value) -> Self {
        Self::from_stored(&Stored {
            status,
            body: value.to_string(),
            location: None,
        })
    }

    /// The first answer to a key.
    pub(super) fn from_stored(stored: &Stored) -> Self {
        Self {
            status: stored.status,
            content_type: "application/json",
            body: stored.body.clone(),
            location: stored.location.clone(),
            extra: Vec::new(),
            parts: None,
        }
    }

    /// A problem (RFC 9457).
    pub(super) fn problem(status: u16, title: &str, detail: &str) -> Self {
        let body =
            json!({"type": "about:blank", "title": title, "status": status, "detail": detail});
        Self {
            content_type: "application/problem+json",
            ..Self::json(status, &body)
        }
    }

    /// The request is not understood.
    pub(super) fn bad_request(detail: &str) -> Self {
        Self::problem(400, "Bad Request", detail)
    }

    /// There is no such resource.
    pub(super) fn not_found(detail: &str) -> Self {
        Self::problem(404, "Not Found", detail)
    }

    /// The shop itself failed. What failed is not the client's business.
    pub(super) fn our_fault() -> Self {
        Self::problem(
            500,
            "Internal Server Error",
            "something went wrong on our side",
        )
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.extra.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Says that the answer was given before.
    pub(super) fn replayed(self) -> Self {
        self.with("idempotent-replayed", "true")
    }

    /// Sends the body as its parts come; they must add up to it.
    pub(super) fn in_parts(mut self, parts: mpsc::Receiver<Bytes>) -> Self {
        self.parts = Some(parts);
        self
    }

    /// The answer as the wire takes it.
    pub(super) fn into_response(self) -> Response<AnswerBody> {
        let length = self.body.len() as u64;
        let body = match self.parts {
            Some(parts) => AnswerBody::InParts {
                parts,
                left: length,
            },
            None => AnswerBody::Whole(Some(Bytes::from(self.body))),
        };
        let mut response = Response::new(body);
        *response.status_mut() =
            hyper::StatusCode::from_u16(self.status).expect("every status here is written by us");
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(self.content_type),
        );
        // Every location is made of our own path and a number.
        if let Some(Ok(location)) = self.location.map(HeaderValue::try_from) {
            headers.insert(header::LOCATION, location);
        }
        for (name, value) in self.extra {
            headers.insert(name, value);
        }
        response
    }
}

/// A body of known length that is there at once, or comes in parts.
#[derive(Debug)]
pub(super) enum AnswerBody {
    Whole(Option<Bytes>),
    InParts {
        parts: mpsc::Receiver<Bytes>,
        left: u64,
    },
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut *self {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::InParts { parts, left } => parts.poll_recv(context).map(|part| {
                part.map(|part| {
                    *left = left.saturating_sub(part.len() as u64);
                    Ok(Frame::data(part))
                })
            }),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::InParts { left, .. } => *left == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match self {
            Self::Whole(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::InParts { left, .. } => *left,
        })
    }
}
