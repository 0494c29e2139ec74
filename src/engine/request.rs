//! From a planned request and what is known of its instance to the request as
//! it is sent. It must not send anything.

use super::session::Session;
use crate::plan::{
    Auth, Body, JsonTemplate, Key, KeyPlace, Method, Overlay, Part, PartContent, PlannedScenario,
    Request, Template, Variant,
};
use crate::plan::{Escape, RenderError, Scope};
use base64::Engine as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use url::Url;

/// A request with every value in place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// Its method.
    pub(crate) method: Method,
    /// Where it goes.
    pub(crate) url: Url,
    /// Its headers in the order in which they are sent, without `Host` and
    /// `Content-Length`.
    pub(crate) headers: Vec<(String, String)>,
    /// Its body, empty where it has none.
    pub(crate) body: Vec<u8>,
}

/// Why a request could not be rendered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("{place} cannot be filled in")]
    Render {
        place: String,
        #[source]
        source: RenderError,
    },
    #[error("`{url}` is not a URL")]
    Url {
        url: String,
        #[source]
        source: url::ParseError,
    },
    #[error("`{0}` does not start with `/`")]
    Path(String),
    #[error("the key cannot be put at `{0}` of the body")]
    KeyPlace(String),
    #[error("`with: json` needs a JSON body")]
    NoJson,
    #[error("it cannot be sent")]
    Encode(#[source] crate::delivery::EncodeError),
    #[error("{path} cannot be read")]
    File {
        path: String,
        #[source]
        source: std::io::Error,
    },
}

impl RequestError {
    /// The error with its causes, on one line.
    pub(crate) fn chain(&self) -> String {
        chain(self)
    }
}

/// An error with its causes, on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

/// What a request is made of, beside the request itself.
pub(crate) struct Ingredients<'a> {
    /// The scenario, for the target's URL, headers and credentials.
    pub(crate) scenario: &'a PlannedScenario,
    /// What is known: values, cookies, the names of run and trial.
    pub(crate) session: &'a Session,
    /// Where the key goes, and the default value of it.
    pub(crate) key: Option<(&'a Key, &'a str)>,
    /// What the pattern merges in.
    pub(crate) overlay: Option<&'a Overlay>,
    /// How the request differs from the first of its kind.
    pub(crate) variant: Variant,
}

/// Values in a query: everything but unreserved characters is encoded.
const VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

fn encode(text: &str) -> String {
    utf8_percent_encode(text, VALUE).to_string()
}

fn text(
    template: &Template,
    scope: &Scope,
    escape: Escape,
    place: impl Fn() -> String,
) -> Result<String, RequestError> {
    template
        .render(scope, escape)
        .map_err(|source| RequestError::Render {
            place: place(),
            source,
        })
}

/// The headers of a request, in order; names are compared without case.
#[derive(Debug, Default)]
struct Headers(Vec<(String, String)>);

impl Headers {
    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n.eq_ignore_ascii_case(name))
    }

    /// Sets a header in place of those of the same name, at the place of the
    /// first of them.
    fn set(&mut self, name: &str, value: String) {
        let mut value = Some(value);
        self.0.retain_mut(|(n, v)| {
            if !n.eq_ignore_ascii_case(name) {
                return true;
            }
            value.take().is_some_and(|new| {
                *v = new;
                true
            })
        });
        if let Some(value) = value {
            self.0.push((name.to_owned(), value));
        }
    }
}

/// Renders a request. The key's default value stands under `key` in the scope
/// already.
pub(crate) fn render(
    request: &Request,
    ingredients: &Ingredients<'_>,
) -> Result<Rendered, RequestError> {
    let scope = ingredients.session.scope();
    let scenario = ingredients.scenario;
    let key = ingredients
        .key
        .map(|(key, default)| key_value(key, default, scope).map(|value| (&key.place, value)))
        .transpose()?;

    let (url, to_target) = url(request, ingredients, key.as_ref())?;

    let mut headers = Headers::default();
    headers.set(
        "User-Agent",
        ingredients.session.user_agent(ingredients.variant),
    );
    headers.set("Accept", "*/*".to_owned());
    headers.set(
        "traceparent",
        ingredients.session.traceparent(ingredients.variant),
    );
    let own_auth = ingredients
        .overlay
        .and_then(|overlay| overlay.auth.as_ref())
        .or(request.auth.as_ref());
    if to_target {
        for (name, value) in &scenario.target.headers {
            headers.set(name, header_value(name, value, scope)?);
        }
    }
    let auth = match own_auth {
        Some(own) => Some(own),
        None if to_target => scenario.target.auth.as_ref(),
        None => None,
    };
    if let Some((name, value)) = auth.map(|a| auth_header(a, scope)).transpose()?.flatten() {
        headers.set(&name, value);
    }
    for (name, value) in &request.headers {
        headers.set(name, header_value(name, value, scope)?);
    }
    for (name, value) in ingredients.overlay.iter().flat_map(|o| &o.headers) {
        headers.set(name, header_value(name, value, scope)?);
    }
    if let Some((KeyPlace::Header(name), value)) = &key {
        headers.set(name, value.clone());
    }
    if ingredients.variant == Variant::ChangedHeaders {
        headers.set(
            "User-Agent",
            ingredients.session.user_agent(ingredients.variant),
        );
        headers.set(
            "traceparent",
            ingredients.session.traceparent(ingredients.variant),
        );
    }
    if to_target
        && !headers.has("Cookie")
        && let Some(cookies) = ingredients.session.cookies()
    {
        headers.set("Cookie", cookies);
    }

    let (body, content_type) = body(request, ingredients, key.as_ref())?;
    if let Some(content_type) = content_type
        && !headers.has("Content-Type")
    {
        headers.set("Content-Type", content_type);
    }
    Ok(Rendered {
        method: request.method,
        url,
        headers: headers.0,
        body,
    })
}

fn header_value(name: &str, value: &Template, scope: &Scope) -> Result<String, RequestError> {
    text(value, scope, Escape::None, || {
        format!("the header `{name}`")
    })
}

/// The key as it is sent, quotes aside that only a header needs.
fn key_value(key: &Key, default: &str, scope: &Scope) -> Result<String, RequestError> {
    let value = match &key.value {
        Some(template) => text(template, scope, Escape::None, || "the key".to_owned())?,
        None => default.to_owned(),
    };
    Ok(if key.quoted {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        value
    })
}

/// The header that credentials become; `None` where there are none on purpose.
fn auth_header(auth: &Auth, scope: &Scope) -> Result<Option<(String, String)>, RequestError> {
    let part = |template: &Template, what: &str| {
        text(template, scope, Escape::None, || format!("`auth` ({what})"))
    };
    Ok(match auth {
        Auth::None => None,
        Auth::Bearer(token) => Some((
            "Authorization".to_owned(),
            format!("Bearer {}", part(token, "bearer")?),
        )),
        Auth::Basic { user, password } => {
            let pair = format!("{}:{}", part(user, "user")?, part(password, "password")?);
            let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
            Some(("Authorization".to_owned(), format!("Basic {encoded}")))
        }
        Auth::Header { name, value } => Some((name.clone(), part(value, "header")?)),
    })
}

/// Every text that credentials render to, named, for the redactor; the pair of
/// basic credentials too, since it travels encoded.
pub(crate) fn auth_secrets(auth: &Auth, scope: &Scope) -> Vec<(String, String)> {
    let rendered = |template: &Template| template.render(scope, Escape::None).ok();
    let mut secrets = Vec::new();
    match auth {
        Auth::None => {}
        Auth::Bearer(token) => secrets.extend(rendered(token).map(|v| ("auth".to_owned(), v))),
        Auth::Basic { user, password } => {
            if let (Some(user), Some(password)) = (rendered(user), rendered(password)) {
                secrets.push(("auth".to_owned(), format!("{user}:{password}")));
                secrets.push(("auth".to_owned(), password));
            }
        }
        Auth::Header { value, .. } => {
            secrets.extend(rendered(value).map(|v| ("auth".to_owned(), v)));
        }
    }
    secrets
}

fn url(
    request: &Request,
    ingredients: &Ingredients<'_>,
    key: Option<&(&KeyPlace, String)>,
) -> Result<(Url, bool), RequestError> {
    let scope = ingredients.session.scope();
    let base = &ingredients.scenario.target.url;
    let path = text(&request.path, scope, Escape::UrlPart, || {
        "the path".to_owned()
    })?;
    let absolute = path.starts_with("http://") || path.starts_with("https://");
    let mut whole = if absolute {
        path
    } else if path.starts_with('/') {
        format!("{}{path}", base.trim_end_matches('/'))
    } else {
        return Err(RequestError::Path(path));
    };

    let overlay = ingredients.overlay.map_or(&[][..], |o| &o.query);
    let mut query: Vec<(String, String)> = Vec::new();
    for (name, value) in request.query.iter().chain(overlay) {
        let value = text(value, scope, Escape::None, || {
            format!("the query parameter `{name}`")
        })?;
        match query.iter_mut().find(|(n, _)| n == name) {
            Some(pair) => pair.1 = value,
            None => query.push((name.clone(), value)),
        }
    }
    if let Some((KeyPlace::Query(name), value)) = key {
        query.retain(|(n, _)| n != name);
        query.push((name.clone(), value.clone()));
    }
    for (name, value) in query {
        whole.push(if whole.contains('?') { '&' } else { '?' });
        whole.push_str(&encode(&name));
        whole.push('=');
        whole.push_str(&encode(&value));
    }
    let url = Url::parse(&whole).map_err(|source| RequestError::Url { url: whole, source })?;
    let to_target =
        !absolute || Url::parse(base).is_ok_and(|target| target.origin() == url.origin());
    Ok((url, to_target))
}

fn body(
    request: &Request,
    ingredients: &Ingredients<'_>,
    key: Option<&(&KeyPlace, String)>,
) -> Result<(Vec<u8>, Option<String>), RequestError> {
    let scope = ingredients.session.scope();
    let merge = ingredients.overlay.and_then(|o| o.json.as_ref());
    if let Body::Json(template) = &request.body {
        let mut value = json(template, scope, "the body")?;
        if let Some(patch) = merge {
            merge_json(&mut value, json(patch, scope, "`with: json`")?);
        }
        if let Some((KeyPlace::Json(path), key)) = key {
            put(&mut value, path, Value::String(key.clone()))
                .ok_or_else(|| RequestError::KeyPlace(path.clone()))?;
        }
        let bytes = match ingredients.variant {
            Variant::Reserialised => reserialised(&value).into_bytes(),
            Variant::Same | Variant::ChangedHeaders => value.to_string().into_bytes(),
        };
        return Ok((bytes, Some("application/json".to_owned())));
    }
    if merge.is_some() {
        return Err(RequestError::NoJson);
    }
    if let Some((KeyPlace::Json(path), _)) = key {
        return Err(RequestError::KeyPlace(path.clone()));
    }
    Ok(match &request.body {
        Body::None | Body::Json(_) => (Vec::new(), None),
        Body::Form(fields) => {
            let mut pairs = Vec::new();
            for (name, value) in fields {
                let value = text(value, scope, Escape::None, || {
                    format!("the form field `{name}`")
                })?;
                pairs.push(format!("{}={}", encode(name), encode(&value)));
            }
            (
                pairs.join("&").into_bytes(),
                Some("application/x-www-form-urlencoded".to_owned()),
            )
        }
        Body::Multipart(parts) => {
            let boundary = format!("retrial-{}", ingredients.session.boundary());
            (
                multipart(parts, &boundary, scope)?,
                Some(format!("multipart/form-data; boundary={boundary}")),
            )
        }
        Body::Text(template) => (
            text(template, scope, Escape::None, || "the body".to_owned())?.into_bytes(),
            None,
        ),
    })
}

fn json(template: &JsonTemplate, scope: &Scope, place: &str) -> Result<Value, RequestError> {
    template
        .render(scope)
        .map_err(|source| RequestError::Render {
            place: place.to_owned(),
            source,
        })
}

/// Merges `patch` into `value`: maps deeply, `null` removes, lists are replaced.
pub(crate) fn merge_json(value: &mut Value, patch: Value) {
    match (value, patch) {
        (Value::Object(members), Value::Object(patch)) => {
            for (name, new) in patch {
                if new.is_null() {
                    members.shift_remove(&name);
                } else if let Some(old) = members.get_mut(&name) {
                    merge_json(old, new);
                } else {
                    members.insert(name, without_nulls(new));
                }
            }
        }
        (value, patch) => *value = patch,
    }
}

fn without_nulls(value: Value) -> Value {
    match value {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .filter(|(_, member)| !member.is_null())
                .map(|(name, member)| (name, without_nulls(member)))
                .collect(),
        ),
        other => other,
    }
}

/// The member names of a JSONPath that only goes down through members.
fn member_path(path: &str) -> Option<Vec<String>> {
    let mut rest = path.strip_prefix('$')?;
    let mut names = Vec::new();
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            names.push(after[..end].to_owned());
            rest = &after[end..];
        } else {
            let after = rest.strip_prefix('[')?;
            let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
            let end = after[1..].find(quote)?;
            names.push(after[1..=end].to_owned());
            rest = after[end + 2..].strip_prefix(']')?;
        }
    }
    (!names.is_empty() && names.iter().all(|name| !name.is_empty())).then_some(names)
}

fn put(value: &mut Value, path: &str, new: Value) -> Option<()> {
    let names = member_path(path)?;
    let mut at = value;
    for name in names {
        let members = at.as_object_mut()?;
        at = members
            .entry(name)
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    *at = new;
    Some(())
}

/// The same JSON with its members in reverse order and other white space.
/// Numbers and strings keep their spelling.
fn reserialised(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let inner: Vec<String> = members
                .iter()
                .rev()
                .map(|(name, member)| {
                    format!("{} : {}", Value::from(name.as_str()), reserialised(member))
                })
                .collect();
            format!("{{ {} }}", inner.join(" ,\n  "))
        }
        Value::Array(items) => {
            let inner: Vec<String> = items.iter().map(reserialised).collect();
            format!("[ {} ]", inner.join(" , "))
        }
        other => other.to_string(),
    }
}

fn multipart(parts: &[Part], boundary: &str, scope: &Scope) -> Result<Vec<u8>, RequestError> {
    let quoted = |text: &str| {
        text.replace('"', "%22")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let mut bytes = Vec::new();
    for part in parts {
        let mut head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{}\"",
            quoted(&part.name)
        );
        let content = match &part.content {
            PartContent::Text(template) => text(template, scope, Escape::None, || {
                format!("the part `{}`", part.name)
            })?
            .into_bytes(),
            PartContent::File(path) => {
                std::fs::read(path).map_err(|source| RequestError::File {
                    path: path.clone(),
                    source,
                })?
            }
        };
        if let Some(filename) = &part.filename {
            head = format!("{head}; filename=\"{}\"", quoted(filename));
        }
        if let Some(content_type) = &part.content_type {
            head = format!("{head}\r\nContent-Type: {content_type}");
        }
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes.extend_from_slice(&content);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_patch_merges_deeply_removes_with_null_and_replaces_lists() {
        let mut value = json!({"a": {"b": 1, "c": 2}, "l": [1, 2], "x": 1});
        merge_json(
            &mut value,
            json!({"a": {"b": 3, "n": {"k": null, "m": 1}}, "l": [9], "x": null}),
        );
        assert_eq!(
            value,
            json!({"a": {"b": 3, "c": 2, "n": {"m": 1}}, "l": [9]})
        );
    }

    #[test]
    fn reserialised_json_means_the_same_in_other_bytes() {
        let value = json!({"sku": "T \"x\"", "n": 1.5, "list": [1, {"a": 1, "b": null}], "e": {}});
        let text = reserialised(&value);
        assert_ne!(text, value.to_string());
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert!(text.find("\"e\"").unwrap() < text.find("\"sku\"").unwrap());
    }

    #[test]
    fn a_key_is_put_where_a_member_path_says() {
        let mut value = json!({"a": 1});
        put(&mut value, "$.meta['request id']", json!("k")).unwrap();
        assert_eq!(value, json!({"a": 1, "meta": {"request id": "k"}}));
        assert!(put(&mut value, "$.a.b", json!("k")).is_none());
        assert!(put(&mut value, "$..a", json!("k")).is_none());
        assert!(put(&mut value, "$", json!("k")).is_none());
    }

    #[test]
    fn setting_a_header_replaces_all_of_its_name_in_any_case() {
        let mut headers = Headers(vec![
            ("X-A".to_owned(), "1".to_owned()),
            ("B".to_owned(), "2".to_owned()),
            ("x-a".to_owned(), "3".to_owned()),
        ]);
        headers.set("x-A", "9".to_owned());
        assert_eq!(
            headers.0,
            [
                ("X-A".to_owned(), "9".to_owned()),
                ("B".to_owned(), "2".to_owned())
            ]
        );
    }
}
