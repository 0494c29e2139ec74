//! What a request says: who asks, under which key, for what.
//!
//! Everything is read and checked here, before anything is done; a request
//! that is refused here has not touched its key.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http_body_util::BodyExt as _;
use hyper::HeaderMap;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header;
use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

use super::answer::Answer;
use super::conduct::Fingerprint;
use super::json;
use super::store::{Effect, Kind, Scope};

/// Most bytes in a body.
const BODY_LIMIT: u64 = 1024 * 1024;
/// How long a client may take over a body.
const BODY_PATIENCE: Duration = Duration::from_secs(30);
/// Most characters in a key.
const KEY_LIMIT: usize = 255;
/// Most characters in a text of ours.
const TEXT_LIMIT: usize = 255;

/// The answer to a request that is not understood. Boxed, so that what is
/// understood does not pay for it.
#[derive(Debug)]
pub(super) struct Refusal(Box<Answer>);

impl From<Answer> for Refusal {
    fn from(answer: Answer) -> Self {
        Self(Box::new(answer))
    }
}

impl From<Refusal> for Answer {
    fn from(refusal: Refusal) -> Self {
        *refusal.0
    }
}

/// What can be asked for with POST.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    Order,
    Payment { order: i64 },
    Delivery { order: i64 },
}

/// A request that is understood.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) scope: Scope,
    pub(super) fingerprint: String,
    pub(super) client: String,
    pub(super) effect: Effect,
}

/// The tenant: the name in `Authorization: Bearer NAME`, or `anonymous`.
///
/// # Errors
/// The answer to credentials of another kind.
pub(super) fn tenant(headers: &HeaderMap) -> Result<String, Refusal> {
    let Some(credentials) = headers.get(header::AUTHORIZATION) else {
        return Ok("anonymous".to_owned());
    };
    let name = credentials.to_str().ok().and_then(|text| {
        let (scheme, name) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| name.trim())
    });
    match name {
        Some(name) if is_token(name) => Ok(name.to_owned()),
        _ => Err(Answer::problem(
            401,
            "Unauthorized",
            "expected `Authorization: Bearer NAME`, or none",
        )
        .with("www-authenticate", "Bearer")
        .into()),
    }
}

/// The idempotency key, bare or as a structured-field string.
///
/// # Errors
/// The answer to a key that is empty, too long, given twice, or made of
/// anything but visible ASCII.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut keys = headers.get_all("idempotency-key").iter();
    let Some(first) = keys.next() else {
        return Ok(None);
    };
    if keys.next().is_some() {
        return Err(refuse("the idempotency key is given more than once"));
    }
    let key = first.to_str().ok().and_then(unquoted);
    match key {
        Some(key) if is_token(&key) => Ok(Some(key)),
        _ => Err(refuse(
            "the idempotency key must be 1 to 255 visible ASCII characters",
        )),
    }
}

fn is_token(text: &str) -> bool {
    (1..=KEY_LIMIT).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// The text inside quotes (RFC 9651, section 3.3.3), or a bare one as it is.
fn unquoted(text: &str) -> Option<String> {
    let Some(inner) = text.strip_prefix('"') else {
        return Some(text.to_owned());
    };
    let inner = inner.strip_suffix('"')?;
    let mut plain = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => plain.push(characters.next().filter(|c| matches!(c, '"' | '\\'))?),
            '"' => return None,
            _ => plain.push(character),
        }
    }
    Some(plain)
}

/// A body, and whether it is all of it.
#[derive(Debug)]
pub(super) enum Received {
    Whole(Vec<u8>),
    /// The connection ended first.
    Cut(Vec<u8>),
}

/// Reads a body to its end.
///
/// # Errors
/// The answer to one that is too large or too slow.
pub(super) async fn body(incoming: Incoming) -> Result<Received, Refusal> {
    if incoming.size_hint().lower() > BODY_LIMIT {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_PATIENCE, collect(incoming)).await {
        Ok(received) => received,
        Err(_) => Err(
            Answer::problem(408, "Request Timeout", "the body did not arrive in time")
                .with("connection", "close")
                .into(),
        ),
    }
}

async fn collect(mut incoming: Incoming) -> Result<Received, Refusal> {
    let mut bytes = Vec::new();
    while let Some(frame) = incoming.frame().await {
        let Ok(frame) = frame else {
            return Ok(Received::Cut(bytes));
        };
        // Trailers say nothing that the shop reads.
        let data = frame.into_data().unwrap_or_else(|_| Bytes::new());
        if (bytes.len() + data.len()) as u64 > BODY_LIMIT {
            return Err(too_large());
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Received::Whole(bytes))
}

fn too_large() -> Refusal {
    Answer::problem(413, "Content Too Large", "a body may have 1 MiB")
        .with("connection", "close")
        .into()
}

/// What becomes of a field that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Refused,
    /// Filled with a default, as far as there is a sensible one.
    Defaulted,
}

/// What the body of a wish asks for. `reference` is the order's, where the
/// wish belongs to one.
///
/// # Errors
/// The answer to a body with missing or unusable fields.
pub(super) fn effect(
    wish: Wish,
    reference: String,
    body: &Value,
    missing: Missing,
) -> Result<Effect, Refusal> {
    if !body.is_object() {
        return Err(refuse("the body must be a JSON object"));
    }
    Ok(match wish {
        Wish::Order => Effect::Order {
            sku: text(body, "sku", missing)?,
            quantity: quantity(body, missing)?,
            reference: text(body, "reference", missing)?,
        },
        Wish::Payment { order } => Effect::Payment {
            order,
            amount: amount(body, missing)?,
            reference,
        },
        Wish::Delivery { order } => Effect::Delivery {
            order,
            service: text(body, "service", missing)?,
            reference,
        },
    })
}

fn text(body: &Value, name: &str, missing: Missing) -> Result<String, Refusal> {
    match body.get(name) {
        None if missing == Missing::Defaulted => Ok(String::new()),
        // A control character is never meant, and one store refuses NUL.
        Some(Value::String(text))
            if (1..=TEXT_LIMIT).contains(&text.chars().count())
                && !text.chars().any(char::is_control) =>
        {
            Ok(text.clone())
        }
        _ => Err(refuse(&format!(
            "`{name}` must be a text of 1 to {TEXT_LIMIT} characters"
        ))),
    }
}

fn quantity(body: &Value, missing: Missing) -> Result<i64, Refusal> {
    match body.get("quantity") {
        None if missing == Missing::Defaulted => Ok(1),
        Some(value) => value
            .as_i64()
            .filter(|quantity| (1..=1_000_000).contains(quantity))
            .ok_or_else(|| refuse("`quantity` must be a whole number from 1 to 1000000")),
        None => Err(refuse(
            "`quantity` must be a whole number from 1 to 1000000",
        )),
    }
}

fn amount(body: &Value, missing: Missing) -> Result<Number, Refusal> {
    match body.get("amount") {
        None if missing == Missing::Defaulted => Ok(0.into()),
        Some(Value::Number(amount)) if amount.as_f64().is_some_and(|amount| amount >= 0.0) => {
            Ok(amount.clone())
        }
        _ => Err(refuse("`amount` must be a number, 0 or more")),
    }
}

fn refuse(detail: &str) -> Refusal {
    Answer::bad_request(detail).into()
}

/// The order that a wish belongs to.
pub(super) fn order_of(wish: Wish) -> Option<i64> {
    match wish {
        Wish::Order => None,
        Wish::Payment { order } | Wish::Delivery { order } => Some(order),
    }
}

/// The wish of a path, if it is one.
pub(super) fn wish(path: &str) -> Option<Result<Wish, Refusal>> {
    if path == "/orders" {
        return Some(Ok(Wish::Order));
    }
    let (order, what) = path.strip_prefix("/orders/")?.split_once('/')?;
    let of: fn(i64) -> Wish = match what {
        "payments" => |order| Wish::Payment { order },
        "deliveries" => |order| Wish::Delivery { order },
        _ => return None,
    };
    Some(Kind::Order.number(order).map(of).ok_or_else(unknown_order))
}

/// The answer to an order that is not there, or not this tenant's.
pub(super) fn unknown_order() -> Refusal {
    Answer::not_found("there is no such order").into()
}

/// What two requests have in common exactly when they mean the same.
pub(super) fn fingerprint(
    how: Fingerprint,
    query: &str,
    headers: &HeaderMap,
    raw: &[u8],
    parsed: &Value,
) -> String {
    let mut hash = Sha256::new();
    hash.update(query);
    hash.update([0]);
    match how {
        // How it is written does not matter, nor who carries it: headers say
        // how a request travels, not what it asks for.
        Fingerprint::Meaning => hash.update(json::canonical(parsed)),
        // Flaw `raw-fingerprint`: whatever differs is taken for another
        // meaning, white space and trace headers included.
        Fingerprint::RawBytesAndHeaders => {
            hash.update(raw);
            let mut lines: Vec<_> = headers
                .iter()
                .filter(|(name, _)| !travels_with_the_connection(name.as_str()))
                .map(|(name, value)| [name.as_str().as_bytes(), b":", value.as_bytes()].concat())
                .collect();
            lines.sort_unstable();
            for line in lines {
                hash.update([0]);
                hash.update(line);
            }
        }
    }
    STANDARD_NO_PAD.encode(hash.finalize())
}

fn travels_with_the_connection(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "content-length"
            | "expect"
            | "host"
            | "keep-alive"
            | "te"
            | "transfer-encoding"
            | "upgrade"
    )
}

/// The User-Agent, or nothing.
pub(super) fn client(headers: &HeaderMap) -> String {
    let agent = headers.get(header::USER_AGENT);
    agent
        .map(|value| String::from_utf8_lossy(value.as_bytes()).replace('\0', ""))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;
    use serde_json::json;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn key_of(value: &str) -> Option<String> {
        key(&headers(&[("idempotency-key", value)])).ok().flatten()
    }

    #[test]
    fn a_key_is_taken_bare_or_quoted_and_means_the_same() {
        assert_eq!(key_of("abc-1"), Some("abc-1".into()));
        assert_eq!(key_of("\"abc-1\""), Some("abc-1".into()));
        assert_eq!(key_of(r#""a\"b\\c""#), Some(r#"a"b\c"#.into()));
        assert_eq!(key_of(&"k".repeat(255)).unwrap().len(), 255);
        assert!(key(&headers(&[])).unwrap().is_none());
    }

    #[test]
    fn a_malformed_key_is_refused() {
        for bad in [
            "",
            "\"\"",
            "\"abc",
            "\"a\"b\"",
            "\"a\\n\"",
            "a b",
            &"k".repeat(256),
        ] {
            assert!(key(&headers(&[("idempotency-key", bad)])).is_err(), "{bad}");
        }
        let twice = headers(&[("idempotency-key", "a"), ("idempotency-key", "a")]);
        assert!(key(&twice).is_err());
    }

    #[test]
    fn the_tenant_is_the_bearer() {
        assert_eq!(tenant(&headers(&[])).unwrap(), "anonymous");
        assert_eq!(
            tenant(&headers(&[("authorization", "bearer ann")])).unwrap(),
            "ann"
        );
        for bad in ["Basic YTpi", "Bearer", "Bearer ", "Bearer a b"] {
            assert!(
                tenant(&headers(&[("authorization", bad)])).is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn headers_never_change_what_a_request_means() {
        let body = json!({"sku": "A"});
        let print =
            |how, agent| fingerprint(how, "", &headers(&[("user-agent", agent)]), b"{}", &body);
        assert_eq!(
            print(Fingerprint::Meaning, "a"),
            print(Fingerprint::Meaning, "b")
        );
        let raw = Fingerprint::RawBytesAndHeaders;
        assert_ne!(print(raw, "a"), print(raw, "b"));
        assert_eq!(print(raw, "a"), print(raw, "a"));
    }

    #[test]
    fn fields_are_checked() {
        let order = |body| effect(Wish::Order, String::new(), &body, Missing::Refused);
        assert!(order(json!({"sku": "A", "quantity": 1, "reference": "r"})).is_ok());
        for bad in [
            json!([]),
            json!({"quantity": 1, "reference": "r"}),
            json!({"sku": "A", "quantity": 0, "reference": "r"}),
            json!({"sku": "A", "quantity": 1.5, "reference": "r"}),
            json!({"sku": "A", "quantity": 1, "reference": ""}),
            json!({"sku": "A", "quantity": 1, "reference": "a\u{0}b"}),
            json!({"sku": "A", "quantity": 1, "reference": "r".repeat(256)}),
        ] {
            assert!(order(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_name_wishes() {
        assert_eq!(wish("/orders").unwrap().unwrap(), Wish::Order);
        assert_eq!(
            wish("/orders/ord_7/payments").unwrap().unwrap(),
            Wish::Payment { order: 7 }
        );
        assert!(wish("/orders/7/payments").unwrap().is_err());
        for other in [
            "/",
            "/order",
            "/orders/",
            "/orders/ord_7",
            "/orders/ord_7/refunds",
            "/orders/ord_7/payments/1",
        ] {
            assert!(wish(other).is_none(), "{other}");
        }
    }
}
