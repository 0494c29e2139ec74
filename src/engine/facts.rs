//! From an answer to the facts that a history keeps of it, and to the values
//! that a scenario captures. Secrets are gone before anything leaves this file.

use super::session::Session;
use crate::contract::{Contract, Expected, IdentityField};
use crate::delivery::Answer;
use crate::history::{BodyFacts, IdentityFact, ResponseFacts};
use crate::plan::{Capture, CaptureFrom, Expect, same_value};
use serde_json::Value;
use serde_json_path::JsonPath;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
/// Bytes of a body that a history keeps.
const KEPT_BODY: usize = 4096;

/// Bodies up to this size are compared member by member.
const NORMALISED_BODY: usize = 256 * 1024;

/// Headers that a report or an oracle may want; the contract's own come on top.
const KEPT_HEADERS: [&str; 8] = [
    "content-type",
    "content-encoding",
    "retry-after",
    "location",
    "link",
    "server",
    "etag",
    "via",
];

/// Parts of header names that are worth keeping: replay markers, echoes of the
/// key, rate limits.
const KEPT_HEADER_PARTS: [&str; 4] = ["idempot", "replay", "ratelimit", "request-id"];

/// What is taken from the answers of one scenario, compiled once.
#[derive(Debug)]
pub(crate) struct Lens {
    identity: Vec<Identity>,
    ignore: Vec<JsonPath>,
    headers: Vec<String>,
}

#[derive(Debug)]
enum Identity {
    Json(JsonPath),
    Header(String),
}

impl Lens {
    /// The lens of a contract. Paths that do not parse were refused when the
    /// scenario was read.
    pub(crate) fn new(contract: &Contract) -> Self {
        let path = |text: &String| JsonPath::parse(text).ok();
        let mut headers: Vec<String> = contract
            .replay_marker
            .iter()
            .map(|marker| marker.header.to_lowercase())
            .collect();
        let identity = contract
            .identity
            .iter()
            .filter_map(|field| match field {
                IdentityField::Json(text) => path(text).map(Identity::Json),
                IdentityField::Header(name) => Some(Identity::Header(name.to_lowercase())),
            })
            .collect();
        headers.extend(contract.identity.iter().filter_map(|field| match field {
            IdentityField::Header(name) => Some(name.to_lowercase()),
            IdentityField::Json(_) => None,
        }));
        Self {
            identity,
            ignore: contract.ignore.iter().filter_map(path).collect(),
            headers,
        }
    }

    /// The facts that the history keeps of an answer.
    pub(crate) fn facts(
        &self,
        answer: &Answer,
        interim: Vec<u16>,
        json: Option<&Value>,
        expect: Option<&Expect>,
        session: &Session,
    ) -> ResponseFacts {
        ResponseFacts {
            status: answer.status,
            interim,
            headers: self.kept_headers(answer, session),
            body: BodyFacts {
                len: answer.body_len,
                sha256: hex16(&answer.body_sha256),
                normal: json
                    .filter(|_| answer.body.len() <= NORMALISED_BODY)
                    .map(|json| self.normal(json)),
                kept: session.redactor().body(&answer.body, KEPT_BODY),
                complete: answer.complete,
            },
            identity: self
                .identity
                .iter()
                .map(|field| identity(field, answer, json, session))
                .collect(),
            expected: expect.map(|expect| expected(expect, answer.status, json, session)),
        }
    }

    fn kept_headers(&self, answer: &Answer, session: &Session) -> Vec<(String, String)> {
        answer
            .headers
            .iter()
            .map(|(name, value)| (name.to_lowercase(), value))
            .filter(|(name, _)| {
                KEPT_HEADERS.contains(&name.as_str())
                    || self.headers.contains(name)
                    || KEPT_HEADER_PARTS.iter().any(|part| name.contains(part))
            })
            .map(|(name, value)| {
                let shown = cut(session.redactor().header(&name, value).into_owned(), 512);
                (name, shown)
            })
            .take(32)
            .collect()
    }

    /// A digest of the meaning of a JSON body: members sorted, ignored places
    /// removed.
    fn normal(&self, json: &Value) -> String {
        let mut copy = json.clone();
        for path in &self.ignore {
            for pointer in pointers(path, json) {
                if let Some(place) = copy.pointer_mut(&pointer) {
                    *place = Value::Null;
                }
            }
        }
        let mut text = String::new();
        write_sorted(&copy, &mut text);
        digest16(text.as_bytes())
    }
}

fn pointers(path: &JsonPath, json: &Value) -> Vec<String> {
    path.query_located(json)
        .into_iter()
        .map(|node| node.location().to_json_pointer())
        .collect()
}

fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            out.push('{');
            for name in names {
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push(':');
                write_sorted(&members[name], out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for item in items {
                write_sorted(item, out);
                out.push(',');
            }
            out.push(']');
        }
        // 1 and 1.0 are one number in two spellings.
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < 9e15 => {
                // Writing to a String cannot fail.
                let _ = write!(out, "{float:.0}");
            }
            _ => out.push_str(&number.to_string()),
        },
        other => out.push_str(&other.to_string()),
    }
}

fn digest16(bytes: &[u8]) -> String {
    hex16(&Sha256::digest(bytes))
}

/// The first 16 hex digits.
fn hex16(digest: &[u8]) -> String {
    digest[..8].iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn identity(
    field: &Identity,
    answer: &Answer,
    json: Option<&Value>,
    session: &Session,
) -> IdentityFact {
    let redactor = session.redactor();
    let shown = match field {
        Identity::Header(name) => match header(answer, name) {
            None => return IdentityFact::Absent,
            Some("") => return IdentityFact::Null,
            Some(text) => redactor.identity(Some(name), text),
        },
        Identity::Json(path) => {
            let Some((body, node)) =
                json.and_then(|body| path.query(body).first().map(|node| (body, node)))
            else {
                return IdentityFact::Absent;
            };
            let text = match node {
                Value::Null => return IdentityFact::Null,
                Value::String(text) if text.is_empty() => return IdentityFact::Null,
                Value::String(text) => text.clone(),
                other => {
                    let mut text = String::new();
                    write_sorted(other, &mut text);
                    text
                }
            };
            redactor.identity_in(body, node, &text)
        }
    };
    // Long identities are kept short in a way that keeps different ones apart.
    IdentityFact::Is(if shown.len() <= 200 {
        shown
    } else {
        let digest = digest16(shown.as_bytes());
        format!("{}… (sha256 {digest})", cut(shown, 120))
    })
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer
        .headers
        .iter()
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
}

/// Whether an answer meets an `expect`.
pub(crate) fn expected(
    expect: &Expect,
    status: u16,
    json: Option<&Value>,
    session: &Session,
) -> Expected {
    if !expect.status.is_empty() && !expect.status.contains(&status) {
        return Expected::StatusDiffers;
    }
    if expect.status.is_empty() && !(200..300).contains(&status) {
        return Expected::StatusDiffers;
    }
    let fits = expect.json.iter().all(|(path, wanted)| {
        let found = JsonPath::parse(path)
            .ok()
            .zip(json)
            .and_then(|(path, json)| path.query(json).first());
        let wanted = wanted.render(session.scope()).ok();
        match (found, wanted) {
            (Some(found), Some(wanted)) => same_value(found, &wanted),
            (None, Some(Value::Null)) => true,
            _ => false,
        }
    });
    if fits {
        Expected::Met
    } else {
        Expected::JsonDiffers
    }
}

/// The body as JSON, if it is JSON.
pub(crate) fn json(answer: &Answer) -> Option<Value> {
    if !answer.complete || answer.body.is_empty() || answer.body.len() as u64 != answer.body_len {
        return None;
    }
    serde_json::from_slice(&answer.body).ok()
}

/// Takes the captures of an operation or step out of an answer. Those that the
/// answer does not hold are left out and named in the second list.
pub(crate) fn captures<'a>(
    wanted: &'a [Capture],
    answer: &Answer,
    json: Option<&Value>,
) -> (Vec<(&'a Capture, Value)>, Vec<&'a str>) {
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for capture in wanted {
        match captured(&capture.from, answer, json) {
            Some(value) => found.push((capture, value)),
            None => missing.push(capture.name.as_str()),
        }
    }
    (found, missing)
}

fn captured(from: &CaptureFrom, answer: &Answer, json: Option<&Value>) -> Option<Value> {
    let by_regex = |pattern: &str, text: &str| {
        let regex = regex::Regex::new(pattern).ok()?;
        let groups = regex.captures(text)?;
        let group = groups.get(1).or_else(|| groups.get(0))?;
        Some(Value::String(group.as_str().to_owned()))
    };
    match from {
        CaptureFrom::Json(path) => {
            let path = JsonPath::parse(path).ok()?;
            path.query(json?).first().cloned()
        }
        CaptureFrom::Header(name) => header(answer, name).map(Value::from),
        CaptureFrom::Cookie(name) => answer
            .headers
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case("set-cookie"))
            .filter_map(|(_, value)| value.split(';').next()?.split_once('='))
            .find(|(n, _)| n.trim() == name)
            .map(|(_, value)| Value::from(value.trim())),
        CaptureFrom::BodyRegex(pattern) => {
            by_regex(pattern, &String::from_utf8_lossy(&answer.body))
        }
        CaptureFrom::HeaderRegex {
            header: name,
            regex,
        } => match name {
            Some(name) => by_regex(regex, header(answer, name)?),
            None => answer
                .headers
                .iter()
                .find_map(|(name, value)| by_regex(regex, &format!("{name}: {value}"))),
        },
    }
}

/// At most `most` bytes of a text, cut at a character.
fn cut(mut text: String, most: usize) -> String {
    if text.len() > most {
        let mut end = most;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_digest_of_the_meaning_ignores_member_order_and_number_spelling() {
        let text = |value: &Value| {
            let mut text = String::new();
            write_sorted(value, &mut text);
            text
        };
        let one = text(&json!({"a": 1, "b": [1.0]}));
        assert_eq!(one, text(&json!({"b": [1], "a": 1.0})));
        assert_ne!(one, text(&json!({"a": 1.5, "b": [1]})));
        assert_ne!(one, text(&json!({"a": "1", "b": [1]})));
    }

    #[test]
    fn a_cut_never_halves_a_character() {
        assert_eq!(cut("aé".to_owned(), 2), "a");
        assert_eq!(cut("aé".to_owned(), 3), "aé");
    }
}
