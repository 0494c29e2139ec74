//! From a request to its answer: which path, which method, what is read.

use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};

use super::answer::{Answer, AnswerBody};
use super::conduct::{Bodies, Keys};
use super::desk::Desk;
use super::json;
use super::request::{self, Call, Missing, Received, Refusal, Wish};
use super::server::Peer;
use super::store::{Kind, Scope, StoreError, Which};
use super::ways;

/// Serves one request.
pub(super) async fn respond(
    desk: Desk,
    peer: Peer,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let path = request.uri().path();
    let readable = path == "/health" || resource(path).is_some();
    let wish = request::wish(path);
    let answer = match request.method() {
        &Method::GET | &Method::HEAD if readable => read(&desk, &request).await,
        &Method::POST if wish.is_some() => {
            // The work is the shop's, not the connection's: a client that
            // goes away must not stop it half way. So it runs in a task of
            // its own, body included.
            let work = tokio::spawn(async move { write(&desk, &peer, request).await });
            work.await.unwrap_or_else(|_| Answer::our_fault())
        }
        _ if readable || wish.is_some() => Answer::problem(
            405,
            "Method Not Allowed",
            "this path does not know that method",
        )
        .with("allow", allowed(readable, wish.is_some())),
        _ => Answer::not_found("there is nothing at this path"),
    };
    answer.into_response()
}

fn allowed(readable: bool, writable: bool) -> &'static str {
    match (readable, writable) {
        (true, true) => "GET, HEAD, POST",
        (true, false) => "GET, HEAD",
        (false, _) => "POST",
    }
}

/// The collection of a path, and the one resource in it where it names one.
fn resource(path: &str) -> Option<(Kind, Option<&str>)> {
    let mut parts = path.strip_prefix('/')?.splitn(2, '/');
    let collection = parts.next()?;
    let kinds = [Kind::Order, Kind::Payment, Kind::Delivery, Kind::Mail];
    let kind = kinds
        .into_iter()
        .find(|kind| kind.collection() == collection)?;
    match parts.next() {
        Some(id) if id.contains('/') => None,
        id => Some((kind, id)),
    }
}

async fn read(desk: &Desk, request: &Request<Incoming>) -> Answer {
    let tenant = match request::tenant(request.headers()) {
        Ok(tenant) => tenant,
        Err(refusal) => return refusal.into(),
    };
    let found = match resource(request.uri().path()) {
        None => health(desk).await,
        Some((kind, None)) => list(desk, kind, &tenant, request.uri().query()).await,
        Some((kind, Some(id))) => one(desk, kind, &tenant, id).await,
    };
    found.unwrap_or_else(|error| failed(&error))
}

async fn health(desk: &Desk) -> Result<Answer, StoreError> {
    desk.store.ping().await?;
    Ok(Answer::json(200, &json!({"status": "ok"})))
}

async fn list(
    desk: &Desk,
    kind: Kind,
    tenant: &str,
    query: Option<&str>,
) -> Result<Answer, StoreError> {
    let mut parameters = url::form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    let reference = parameters.find(|(name, _)| name == "reference");
    let which = match &reference {
        // No text of ours holds one, and one store refuses to look.
        Some((_, reference)) if reference.contains('\0') => {
            return Ok(Answer::json(200, &json!([])));
        }
        Some((_, reference)) => Which::Reference(reference),
        None => Which::Newest,
    };
    let resources = desk.store.list(kind, tenant, which).await?;
    Ok(Answer::json(200, &Value::Array(resources)))
}

async fn one(desk: &Desk, kind: Kind, tenant: &str, id: &str) -> Result<Answer, StoreError> {
    let found = match kind.number(id) {
        Some(number) => desk.store.list(kind, tenant, Which::Number(number)).await?,
        None => Vec::new(),
    };
    Ok(match found.first() {
        Some(resource) => Answer::json(200, resource),
        None => Answer::not_found("there is no such resource"),
    })
}

async fn write(desk: &Desk, peer: &Peer, request: Request<Incoming>) -> Answer {
    let reading = understand(desk, request).await;
    let answered = match reading {
        Ok(Understood::Keyed(call)) => ways::keyed(desk, peer, call).await,
        Ok(Understood::Unkeyed(call)) => ways::unkeyed(desk, &call).await,
        Err(Refused::Request(refusal)) => return refusal.into(),
        Err(Refused::Store(error)) => Err(error),
    };
    answered.unwrap_or_else(|error| failed(&error))
}

fn failed(error: &StoreError) -> Answer {
    tracing::warn!(%error, "the shop's store failed");
    Answer::our_fault()
}

enum Understood {
    Keyed(Call),
    Unkeyed(Call),
}

enum Refused {
    Request(Refusal),
    Store(StoreError),
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self::Request(refusal)
    }
}

impl From<Answer> for Refused {
    fn from(answer: Answer) -> Self {
        Self::Request(answer.into())
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Reads a request whole; nothing is done before that.
async fn understand(desk: &Desk, request: Request<Incoming>) -> Result<Understood, Refused> {
    let (head, incoming) = request.into_parts();
    let path = head.uri.path();
    let wish = request::wish(path).ok_or_else(request::unknown_order)??;
    let tenant = request::tenant(&head.headers)?;
    let key = match desk.conduct.keys {
        Keys::Read => request::key(&head.headers)?,
        // Flaw `ignores-key`: the header is stripped on the way, or read
        // under another name.
        Keys::Ignored => None,
    };
    let (raw, missing) = match request::body(incoming).await? {
        Received::Whole(raw) => (raw, Missing::Refused),
        // Flaw `cut-body-accepted`: the end of the connection is taken for
        // the end of the body.
        Received::Cut(raw) if desk.conduct.bodies == Bodies::CutToo => (raw, Missing::Defaulted),
        Received::Cut(_) => {
            return Err(Answer::bad_request("the body ends early").into());
        }
    };
    let body = match missing {
        Missing::Refused => serde_json::from_slice(&raw).ok(),
        Missing::Defaulted => json::close_what_is_open(&raw),
    };
    let body = body.ok_or_else(|| Answer::bad_request("the body is no JSON"))?;
    let reference = reference(desk, &tenant, wish).await?;
    let call = Call {
        fingerprint: request::fingerprint(
            desk.conduct.fingerprint,
            head.uri.query().unwrap_or_default(),
            &head.headers,
            &raw,
            &body,
        ),
        client: request::client(&head.headers),
        effect: request::effect(wish, reference, &body, missing)?,
        scope: Scope {
            tenant,
            method: "POST",
            path: path.to_owned(),
            key: key.clone().unwrap_or_default(),
        },
    };
    Ok(match (key, missing) {
        (Some(_), Missing::Refused) => Understood::Keyed(call),
        // Flaw `cut-body-accepted` again: records are kept by a hook that
        // sees whole requests only.
        (Some(_), Missing::Defaulted) | (None, _) => Understood::Unkeyed(call),
    })
}

async fn reference(desk: &Desk, tenant: &str, wish: Wish) -> Result<String, Refused> {
    let Some(order) = request::order_of(wish) else {
        return Ok(String::new());
    };
    let reference = desk.store.order_reference(tenant, order).await?;
    Ok(reference.ok_or_else(request::unknown_order)?)
}
