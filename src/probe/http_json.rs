//! One request of the ordinary client, bounded in time and size, and what is
//! taken out of a JSON answer.

use super::client::{Client, literal_allowed};
use crate::history::{ProbeFailure, Reading};
use crate::plan::{Extraction, Method};
use serde_json::Value;
use serde_json_path::JsonPath;
use url::Url;

/// The most bytes of an answer that are read, after content decoding: what is
/// larger is not a reading, and a compressed bomb ends here.
const MAX_ANSWER: usize = 8 * 1024 * 1024;

/// Nodes of a count that are named in a report.
const SAMPLE: usize = 5;

/// A request for the ordinary client, every value in place.
#[derive(Debug, Clone)]
pub struct ProbeRequest {
    /// Its method.
    pub method: Method,
    /// Where it goes.
    pub url: Url,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// A whole answer to the ordinary client.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its body, decoded.
    pub body: Vec<u8>,
}

impl Client {
    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// [`ProbeFailure`] without a status when no whole answer came.
    pub async fn send(&self, request: &ProbeRequest) -> Result<Answer, ProbeFailure> {
        let broken = |what: String, passing: bool| ProbeFailure {
            status: None,
            what,
            passing,
        };
        literal_allowed(&self.hosts, &request.url)
            .map_err(|refusal| broken(refusal.to_string(), false))?;
        let method = reqwest::Method::from_bytes(request.method.word().as_bytes())
            .expect("the words of Method are HTTP's own");
        let mut builder = self
            .towards(&request.url)
            .request(method, request.url.clone());
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        if !request.body.is_empty() {
            builder = builder.body(request.body.clone());
        }
        let mut response = builder
            .send()
            .await
            .map_err(|error| broken(cause(&error), passing(&error)))?;
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        let mut body = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| broken(cause(&error), true))?
        {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(broken(
                    format!("answered more than {} MiB", MAX_ANSWER / (1024 * 1024)),
                    false,
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status,
            headers,
            body,
        })
    }
}

fn passing(error: &reqwest::Error) -> bool {
    !(error.is_builder() || error.is_redirect())
}

/// The innermost cause: "Connection refused" says more than "error sending
/// request".
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if error.is_timeout() {
        "did not answer in time".to_owned()
    } else {
        format!("could not be asked: {inner}")
    }
}

/// Reads a probe once.
///
/// # Errors
/// [`ProbeFailure`] when the answer is not a reading (`language.md` section 14,
/// *Effects*): 2xx with JSON is one, 404 counts 0; 408, 429, 5xx and broken
/// connections may pass; anything else does not.
pub async fn read(
    client: &Client,
    request: &ProbeRequest,
    extraction: &Extraction,
    path: &JsonPath,
) -> Result<Reading, ProbeFailure> {
    let answer = client.send(request).await?;
    let failure = |what: String, passing: bool| ProbeFailure {
        status: Some(answer.status),
        what,
        passing,
    };
    match answer.status {
        200..=299 => {}
        404 => {
            return Ok(match extraction {
                Extraction::Count(_) => Reading::Count {
                    n: 0,
                    sample: Vec::new(),
                },
                Extraction::Sum(_) => Reading::Sum(0.0),
                Extraction::Value(_) => Reading::Value(None),
            });
        }
        status @ (408 | 429 | 500..=599) => {
            return Err(failure(format!("answered {}", named(status)), true));
        }
        status @ 300..=399 => {
            return Err(failure(
                format!("answered {}, which is not followed", named(status)),
                false,
            ));
        }
        status => {
            return Err(failure(
                format!("answered {}, not retried", named(status)),
                false,
            ));
        }
    }
    let json: Value = serde_json::from_slice(&answer.body).map_err(|_| {
        let kind = answer
            .headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            .map_or_else(String::new, |(_, kind)| format!(" ({kind})"));
        failure(
            format!(
                "answered {} with a body that is not JSON{kind}",
                named(answer.status)
            ),
            false,
        )
    })?;
    extract(extraction, path, &json).map_err(|what| failure(what, false))
}

/// A status with its name: `403 Forbidden`.
fn named(status: u16) -> String {
    reqwest::StatusCode::from_u16(status)
        .ok()
        .and_then(|code| code.canonical_reason())
        .map_or_else(|| status.to_string(), |name| format!("{status} {name}"))
}

/// Takes a reading out of a JSON document.
///
/// # Errors
/// A fragment that says what is wrong: a sum over something that is no number.
pub fn extract(extraction: &Extraction, path: &JsonPath, json: &Value) -> Result<Reading, String> {
    let nodes = path.query(json).all();
    match extraction {
        Extraction::Count(_) => {
            // A path that selects one array counts what is in it only if it says
            // so (`$[*]`); `$.items` alone is one node.
            Ok(Reading::Count {
                n: nodes.len() as u64,
                sample: nodes.iter().take(SAMPLE).map(|node| name(node)).collect(),
            })
        }
        Extraction::Value(_) => Ok(Reading::Value(nodes.first().map(|node| (*node).clone()))),
        Extraction::Sum(_) => nodes
            .iter()
            .map(|node| match node {
                Value::Number(number) => number.as_f64(),
                Value::String(text) => text.trim().parse().ok(),
                Value::Null => Some(0.0),
                _ => None,
            })
            .sum::<Option<f64>>()
            .map(Reading::Sum)
            .ok_or_else(|| {
                format!(
                    "has something at `{}` that is not a number",
                    extraction.path().0
                )
            }),
    }
}

/// What a counted node is called: the whole of it, for secrets have to be found in
/// it before it is cut.
fn name(node: &Value) -> String {
    match node {
        Value::Object(members) => match members.get("id") {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => node.to_string(),
        },
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Template;
    use serde_json::json;

    fn taken(
        extraction: fn(Template) -> Extraction,
        path: &str,
        json: &Value,
    ) -> Result<Reading, String> {
        extract(
            &extraction(Template(path.to_owned())),
            &JsonPath::parse(path).unwrap(),
            json,
        )
    }

    #[test]
    fn a_count_names_what_it_counted() {
        let json = json!({"items": [{"id": "ord_1"}, {"id": 2}, {"no": "id"}]});
        assert_eq!(
            taken(Extraction::Count, "$.items[*]", &json),
            Ok(Reading::Count {
                n: 3,
                sample: vec!["ord_1".into(), "2".into(), "{\"no\":\"id\"}".into()],
            })
        );
    }

    #[test]
    fn a_path_that_selects_nothing_counts_0_and_sums_to_0() {
        let json = json!({});
        assert_eq!(
            taken(Extraction::Count, "$.items[*]", &json),
            Ok(Reading::Count {
                n: 0,
                sample: vec![]
            })
        );
        assert_eq!(
            taken(Extraction::Sum, "$.items[*].n", &json),
            Ok(Reading::Sum(0.0))
        );
        assert_eq!(
            taken(Extraction::Value, "$.x", &json),
            Ok(Reading::Value(None))
        );
    }

    #[test]
    fn a_sum_takes_numbers_and_numbers_in_strings_and_nothing_else() {
        let json = json!([1, "2.5", null]);
        assert_eq!(taken(Extraction::Sum, "$[*]", &json), Ok(Reading::Sum(3.5)));
        assert!(taken(Extraction::Sum, "$[*]", &json!([true])).is_err());
    }
}
