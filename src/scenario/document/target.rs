//! The API under test.

use super::request::headers;
use super::{Context, auth};
use crate::codes::Diagnosis;
use crate::scenario::Settings;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::document::leaf::Of;
use crate::scenario::document::names::IN_STEP;
use crate::scenario::node::{Entry, Node, Value};
use crate::scenario::parts::{HttpVersion, Target, Tls};
use crate::scenario::template::Escape;
use std::time::Duration;

/// Fields of a target.
pub(crate) const TARGET: &[&str] = &[
    "url",
    "auth",
    "headers",
    "tls",
    "timeout",
    "quiet",
    "http",
    "instances",
];

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The long form of a target: `http://…` → `{url: http://…}`.
pub(crate) fn long_form(node: Node) -> Node {
    if node.scalar().is_none() {
        return node;
    }
    let span = node.span;
    Node {
        span,
        value: Value::Map(vec![Entry {
            name: "url".to_owned(),
            span,
            node,
        }]),
    }
}

/// Reads a target in its long form; flags go above it.
pub(crate) fn decode(cx: &mut Context<'_>, node: &Node, settings: &Settings) -> Option<Target> {
    cx.names.words = IN_STEP;
    let fields = cx.fields(node, "a target", TARGET)?;
    fields.later(cx, "instances", "what works now: one `url`");
    let http = match fields.optional("http") {
        Some(entry) => http_version(cx, &entry.node),
        None => Some(HttpVersion::default()),
    };
    let url = match &settings.target {
        Some(url) => Some(url.trim_end_matches('/').to_owned()),
        None => match fields.required(
            cx,
            "url",
            "write `url: http://localhost:8080`, or choose an environment with -e",
        ) {
            Some(entry) => url(cx, &entry.node),
            None => None,
        },
    };
    let headers = match fields.optional("headers") {
        Some(entry) => headers(cx, &entry.node),
        None => Some(Vec::new()),
    };
    let auth = match fields.optional("auth") {
        Some(entry) => auth::decode(cx, &entry.node).map(Some),
        None => Some(None),
    };
    let tls = match fields.optional("tls") {
        Some(entry) => tls(cx, &entry.node),
        None => Some(Tls::default()),
    };
    let timeout = match fields.optional("timeout") {
        Some(entry) => cx.duration(&entry.node),
        None => Some(DEFAULT_TIMEOUT),
    };
    let quiet = match fields.optional("quiet") {
        Some(entry) => cx.duration(&entry.node).map(Some),
        None => Some(None),
    };
    fields.finish(cx);
    let mut tls = tls?;
    if let Some(file) = &settings.ca_file {
        tls.ca_file = Some(file.clone());
    }
    tls.insecure |= settings.insecure;
    Some(Target {
        url: url?,
        headers: headers?,
        auth: auth?,
        tls,
        timeout: settings.timeout.unwrap_or(timeout?),
        quiet: quiet?,
        http: settings.http.unwrap_or(http?),
    })
}

fn url(cx: &mut Context<'_>, node: &Node) -> Option<String> {
    let template = cx.template(
        node,
        "a URL such as http://localhost:8080",
        Escape::None,
        Of::Request,
    )?;
    if template.has_expressions() {
        // Either a variable that is not set (said already, and fatal in `run`)
        // or something that no trial can change.
        let late = template
            .names()
            .into_iter()
            .find(|name| !name.name.starts_with("env."));
        if let Some(name) = late {
            cx.say(
                Diagnostic::error(
                    Diagnosis::UndefinedValue,
                    format!("`{}` has no value yet in this place", name.name),
                )
                .at(node.span, "the target is the same for all trials")
                .help("`vars.…`, `matrix.…` and `env.…` can stand here"),
            );
            return None;
        }
        return Some(template.0);
    }
    match check_url(&template.0) {
        Ok(()) => Some(template.0.trim_end_matches('/').to_owned()),
        Err((problem, help)) => {
            cx.say(
                Diagnostic::error(
                    Diagnosis::InvalidUrl,
                    format!("`{}` is not the URL of a target", template.0),
                )
                .at(node.span, problem)
                .help(help),
            );
            None
        }
    }
}

/// What is wrong with the URL of a target, and what to write.
///
/// # Errors
/// The problem and the remedy.
pub fn check_url(text: &str) -> Result<(), (String, String)> {
    let example = "write, for example, `http://localhost:8080`".to_owned();
    let url = url::Url::parse(text).map_err(|error| (error.to_string(), example.clone()))?;
    if !matches!(url.scheme(), "http" | "https") {
        let host_first = !text.contains("://");
        let help = if host_first {
            format!("write `http://{text}`")
        } else {
            example
        };
        return Err(("only http and https are spoken here".to_owned(), help));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let help = "write `auth: {basic: {user: …, password: …}}`".to_owned();
        return Err(("credentials do not belong into a URL".to_owned(), help));
    }
    if url.query().is_some() || url.fragment().is_some() {
        let help = "put the query into the requests".to_owned();
        return Err(("a target has no query and no fragment".to_owned(), help));
    }
    Ok(())
}

fn http_version(cx: &mut Context<'_>, node: &Node) -> Option<HttpVersion> {
    let version = cx.text(node, "`1.1` or `2`")?;
    match version.as_str() {
        "1.1" | "1" => Some(HttpVersion::Http1),
        "2" | "2.0" => Some(HttpVersion::Http2),
        other => {
            cx.unknown_word(node.span, other, "a version of HTTP", &["1.1", "2"]);
            None
        }
    }
}

fn tls(cx: &mut Context<'_>, node: &Node) -> Option<Tls> {
    let fields = cx.fields(
        node,
        "`tls`",
        &["ca_file", "insecure", "server_name", "cert", "key_file"],
    )?;
    let no_client =
        "client certificates come later; what works now: `ca_file`, `insecure`, `server_name`";
    fields.later(cx, "cert", no_client);
    fields.later(cx, "key_file", no_client);
    let ca_file = fields.optional("ca_file").map(|entry| {
        let path = cx.text(&entry.node, "the path of a PEM file")?;
        Some(cx.path(entry.node.span.file, &path))
    });
    let insecure = match fields.optional("insecure") {
        Some(entry) => cx.boolean(&entry.node),
        None => Some(false),
    };
    let server_name = fields
        .optional("server_name")
        .map(|entry| cx.text(&entry.node, "the name of a host"));
    fields.finish(cx);
    Some(Tls {
        ca_file: match ca_file {
            Some(path) => Some(path?),
            None => None,
        },
        insecure: insecure?,
        server_name: match server_name {
            Some(name) => Some(name?),
            None => None,
        },
    })
}
