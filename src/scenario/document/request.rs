//! What is sent: operations, steps, and the request inside them.

use super::answer::{captures, default_retry, expect, retry};
use super::leaf::Of;
use super::names::{IN_OPERATION, IN_STEP, Uses};
use super::{Context, Fields, Letters, auth, key};
use crate::codes::Diagnosis;
use crate::scenario::diagnostic::{Diagnostic, Span};
use crate::scenario::node::{Entry, Node, Value};
use crate::scenario::parts::{
    Auth, Body, Each, Key, KeyPlace, Method, Operation, Part, PartContent, Request, Step,
};
use crate::scenario::suggest;
use crate::scenario::template::{Escape, Template};

/// Fields of an operation, in the order of the documentation.
pub(crate) const OPERATION: &[&str] = &[
    "request",
    "json",
    "key",
    "capture",
    "expect",
    "headers",
    "query",
    "auth",
    "form",
    "multipart",
    "body",
    "retry",
    "repeatable",
    "name",
    "webhook",
    "publish",
    "graphql",
    "via",
];

/// Fields of a step.
pub(crate) const STEP: &[&str] = &[
    "request",
    "json",
    "capture",
    "expect",
    "name",
    "each",
    "headers",
    "query",
    "auth",
    "form",
    "multipart",
    "body",
    "key",
    "webhook",
    "publish",
    "graphql",
    "via",
    "retry",
];

const BODIES: &[&str] = &["json", "form", "multipart", "body", "graphql"];

/// Where a request may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Under the target only: it is repeated.
    Target,
    /// Anywhere: probes and steps.
    Anywhere,
}

/// Reads one operation; `named` is its name where it has one of its own.
pub(crate) fn operation(cx: &mut Context<'_>, entry: &Entry, named: bool) -> Option<Operation> {
    cx.names.words = IN_OPERATION;
    let node = &entry.node;
    let fields = cx.fields(node, "an operation", OPERATION)?;
    let own_name = fields.optional("name").and_then(|name| {
        let word = cx.text(&name.node, "a name")?;
        cx.name(&word, name.node.span, Letters::Id).then_some(word)
    });
    if named {
        cx.name(&entry.name, entry.span, Letters::Id);
    }
    let later = not_yet(cx, &fields);
    let request = if later {
        None
    } else {
        request(cx, &fields, Reach::Target)
    };
    let key = match fields.optional("key") {
        Some(entry) => key::decode(cx, &entry.node),
        None => Some(key::by_default()),
    };
    key::check_place(cx, &fields, key.as_ref(), request.as_ref());
    let expect = fields
        .optional("expect")
        .map(|entry| expect(cx, &entry.node));
    let retry = match fields.optional("retry") {
        Some(entry) => retry(cx, &entry.node),
        None => Some(default_retry()),
    };
    let repeatable = match fields.optional("repeatable") {
        Some(entry) => cx.boolean(&entry.node),
        None => Some(true),
    };
    let capture = captures(cx, &fields, Each::Trial);
    fields.finish(cx);
    let (name, is_named) = match (own_name, named) {
        (Some(name), _) => (name, true),
        (None, true) => (entry.name.clone(), true),
        (None, false) => ("operation".to_owned(), false),
    };
    Some(Operation {
        name,
        named: is_named,
        request: request?,
        key: key?,
        capture,
        expect: match expect {
            Some(expect) => Some(expect?),
            None => None,
        },
        retry: retry?,
        repeatable: repeatable?,
        place: cx.place(entry.span),
    })
}

/// Reads a list of steps; what they capture is defined behind them.
/// `each` is how often they run where neither they nor their expressions say.
pub(crate) fn steps(cx: &mut Context<'_>, node: &Node, at_least: Each) -> Vec<Step> {
    let Value::List(items) = &node.value else {
        cx.wrong_type(node, "a list of steps, each `- request: METHOD /path`");
        return Vec::new();
    };
    items
        .iter()
        .filter_map(|item| step(cx, item, at_least))
        .collect()
}

fn step(cx: &mut Context<'_>, node: &Node, at_least: Each) -> Option<Step> {
    cx.names.words = IN_STEP;
    cx.uses = Uses::default();
    let fields = cx.fields(node, "a step", STEP)?;
    let later = not_yet(cx, &fields)
        | fields.later(
            cx,
            "retry",
            "a step is sent once; what must be waited for is an effect",
        );
    let request = if later {
        None
    } else {
        request(cx, &fields, Reach::Anywhere)
    };
    let key = match fields.optional("key") {
        Some(entry) => key::decode(cx, &entry.node),
        None => Some(Key {
            place: KeyPlace::None,
            value: None,
            quoted: false,
        }),
    };
    key::check_place(cx, &fields, key.as_ref(), request.as_ref());
    let has_own_key = key
        .as_ref()
        .is_some_and(|key| key.place != KeyPlace::None && key.value.is_none());
    let expect = fields
        .optional("expect")
        .map(|entry| expect(cx, &entry.node));
    let used = cx.uses.per_trial || has_own_key || at_least == Each::Trial;
    let each = match fields.optional("each") {
        Some(entry) => cx.word(
            &entry.node,
            "a time to run",
            &[("run", Each::Run), ("trial", Each::Trial)],
        ),
        None => Some(if used { Each::Trial } else { Each::Run }),
    };
    let name = match fields.optional("name") {
        Some(entry) => cx.text(&entry.node, "a name"),
        None => fields
            .optional("request")
            .and_then(|entry| entry.node.text().map(str::to_owned)),
    };
    let capture = captures(cx, &fields, each.unwrap_or(Each::Trial));
    let place = cx.place(fields.span);
    fields.finish(cx);
    Some(Step {
        name: name?,
        request: request?,
        key: key?,
        capture,
        expect: match expect {
            Some(expect) => Some(expect?),
            None => None,
        },
        each: each?,
        place,
    })
}

/// What an operation may be that is not HTTP, or goes through something.
fn not_yet(cx: &mut Context<'_>, fields: &Fields<'_>) -> bool {
    let http = "what works now: `request: METHOD /path` with `json`, `form`, `multipart` or `body`";
    fields.later(cx, "webhook", http)
        | fields.later(cx, "publish", http)
        | fields.later(
            cx,
            "graphql",
            "send the query as `json: {query: …, variables: …}`",
        )
        | fields.later(cx, "via", "point `target:` at the gateway")
}

/// The request of an operation, a step or a probe; its fields are asked for here.
pub(super) fn request(cx: &mut Context<'_>, fields: &Fields<'_>, reach: Reach) -> Option<Request> {
    let line = fields.required(
        cx,
        "request",
        "write `request: METHOD /path`, e.g. `request: POST /orders`",
    );
    let line = line.and_then(|entry| request_line(cx, &entry.node, reach));
    let extras = extras(cx, fields);
    let body = body(cx, fields);
    let (method, path) = line?;
    let (query, headers, auth) = extras?;
    Some(Request {
        method,
        path,
        query,
        headers,
        body: body?,
        auth,
    })
}

type Pairs = Vec<(String, Template)>;

/// `query`, `headers` and `auth`.
pub(super) fn extras(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
) -> Option<(Pairs, Pairs, Option<Auth>)> {
    let query = fields
        .optional("query")
        .map(|entry| pairs(cx, &entry.node, "a query parameter", Of::Request));
    let headers = fields
        .optional("headers")
        .map(|entry| headers(cx, &entry.node));
    let auth = fields
        .optional("auth")
        .map(|entry| auth::decode(cx, &entry.node));
    Some((
        query.unwrap_or_else(|| Some(Vec::new()))?,
        headers.unwrap_or_else(|| Some(Vec::new()))?,
        match auth {
            Some(auth) => Some(auth?),
            None => None,
        },
    ))
}

/// `METHOD /path`.
fn request_line(cx: &mut Context<'_>, node: &Node, reach: Reach) -> Option<(Method, Template)> {
    let Some(text) = node.text() else {
        cx.wrong_type(node, "a method and a path such as `POST /orders`");
        return None;
    };
    let word_end = text.find([' ', '\t']).unwrap_or(text.len());
    let (word, rest) = text.split_at(word_end);
    let path = rest.trim_start();
    let locate = |cx: &Context<'_>, range| {
        node.scalar().map_or(node.span, |scalar| {
            scalar.locate(cx.files, node.span, range)
        })
    };
    if path.is_empty() {
        let span = locate(cx, 0..text.len());
        let error = if word.starts_with('/') || word.starts_with("http") {
            Diagnostic::error(Diagnosis::UnknownMethod, "a method is missing")
                .at(span, "a request begins with its method")
                .help(format!("write, for example, `request: POST {word}`"))
        } else {
            Diagnostic::error(Diagnosis::InvalidUrl, "a path is missing")
                .at(span, "a path was expected after the method")
                .help(format!("write, for example, `request: {word} /orders`"))
        };
        cx.say(error);
        return None;
    }
    let method = Method::ALL.into_iter().find(|method| method.word() == word);
    if method.is_none() {
        let words = Method::ALL.map(Method::word);
        let near = suggest::nearest(word, words).map_or_else(
            || "no such method".to_owned(),
            |near| format!("did you mean `{near}`?"),
        );
        let span = locate(cx, 0..word_end);
        cx.say(
            Diagnostic::error(Diagnosis::UnknownMethod, format!("unknown method `{word}`"))
                .at(span, near)
                .help(format!("methods are {}", words.join(" "))),
        );
    }
    let path = path_at(cx, node, text.len() - path.len(), reach);
    Some((method?, path?))
}

/// The request line of a probe, which may go anywhere.
pub(super) fn probe_line(cx: &mut Context<'_>, node: &Node) -> Option<(Method, Template)> {
    request_line(cx, node, Reach::Anywhere)
}

/// The path or URL that begins at a byte of a scalar's text.
pub(super) fn path_at(
    cx: &mut Context<'_>,
    node: &Node,
    offset: usize,
    reach: Reach,
) -> Option<Template> {
    let scalar = node.scalar()?;
    if !cx.check_expressions(node) {
        return None;
    }
    let path = Template(scalar.text[offset..].trim_end().to_owned());
    let resolved = cx.resolve(&path, node.span, Escape::UrlPart, Of::Request)?;
    let span = scalar.locate(cx.files, node.span, offset..offset + path.0.len());
    let absolute = ["http://", "https://"]
        .iter()
        .any(|scheme| resolved.0.starts_with(scheme));
    if absolute && reach == Reach::Target && !path.0.starts_with("${{") {
        cx.say(
            Diagnostic::error(Diagnosis::InvalidUrl, "an operation goes to the target")
                .at(span, "a path was expected")
                .help("put the beginning of the URL into `target:`; probes and steps may go elsewhere"),
        );
        return None;
    }
    if !absolute && !resolved.0.starts_with(['/', '$']) {
        cx.say(
            Diagnostic::error(Diagnosis::InvalidUrl, "this is no path")
                .at(span, "a path begins with `/`")
                .help(format!(
                    "write `/{}`, or a whole `http://…` URL in probes and steps",
                    path.0
                )),
        );
        return None;
    }
    if let Some(problem) = bad_letter(&path) {
        cx.say(
            Diagnostic::error(Diagnosis::InvalidUrl, "this path cannot be sent as it is")
                .at(span, problem)
                .help("values of `${{ … }}` are encoded for you, what you write yourself is not"),
        );
        return None;
    }
    Some(resolved)
}

/// A letter outside expressions that cannot stand in a request line.
fn bad_letter(path: &Template) -> Option<&'static str> {
    let mut own = path.0.clone();
    for expr in Template::parse_check(&path.0)
        .unwrap_or_default()
        .iter()
        .rev()
    {
        own.replace_range(expr.range.clone(), "");
    }
    if own.contains(' ') {
        return Some("a space; write `%20`");
    }
    if own.contains('#') {
        return Some("what follows `#` is never sent; write `%23` if the letter is meant");
    }
    own.chars()
        .any(char::is_control)
        .then_some("a control character")
}

/// A map of names and texts; a list gives the name several times.
fn pairs(cx: &mut Context<'_>, node: &Node, what: &str, of: Of) -> Option<Pairs> {
    let before = cx.out.len();
    let expected = format!("a map, one text for {what}");
    let mut found = Vec::new();
    for entry in cx.entries(node, &expected) {
        for item in entry.node.items() {
            if let Some(value) = cx.template(
                item,
                &format!("a text for `{}`", entry.name),
                Escape::None,
                of,
            ) {
                found.push((entry.name.clone(), value));
            }
        }
    }
    errors_since(cx, before).then_some(found)
}

/// Whether nothing but warnings was said since.
pub(super) fn errors_since(cx: &Context<'_>, before: usize) -> bool {
    cx.out[before..]
        .iter()
        .all(|said| said.severity == crate::scenario::diagnostic::Severity::Warning)
}

/// A map of headers.
pub(super) fn headers(cx: &mut Context<'_>, node: &Node) -> Option<Pairs> {
    let mut ok = true;
    if let Value::Map(entries) = &node.value {
        for entry in entries {
            ok &= header_name(cx, &entry.name, entry.span);
        }
    }
    // A header is where a key of an API often stands: what it takes from the
    // environment stays a reference, so that no plan holds it.
    pairs(cx, node, "a header", Of::Auth).filter(|_| ok)
}

/// RFC 9110 section 5.6.2: a field name is a token.
pub(super) fn header_name(cx: &mut Context<'_>, name: &str, span: Span) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let ok = !name.is_empty() && name.bytes().all(token);
    if !ok {
        cx.say(
            Diagnostic::error(
                Diagnosis::InvalidName,
                format!("`{name}` cannot be the name of a header"),
            )
            .at(span, "letters, digits and hyphens were expected"),
        );
    }
    ok
}

fn body(cx: &mut Context<'_>, fields: &Fields<'_>) -> Option<Body> {
    let Some(entry) = fields.one_of(cx, BODIES) else {
        return Some(Body::None);
    };
    match entry.name.as_str() {
        "json" => cx.json(&entry.node).map(Body::Json),
        "form" => pairs(cx, &entry.node, "a form field", Of::Request).map(Body::Form),
        "multipart" => multipart(cx, &entry.node).map(Body::Multipart),
        "body" => cx
            .template(
                &entry.node,
                "a text; for JSON use `json:`",
                Escape::None,
                Of::Request,
            )
            .map(Body::Text),
        // `graphql` was answered by `not_yet`.
        _ => None,
    }
}

fn multipart(cx: &mut Context<'_>, node: &Node) -> Option<Vec<Part>> {
    let before = cx.out.len();
    let mut parts = Vec::new();
    for entry in cx.entries(node, "a map, one text or `{file: …}` for each part") {
        for item in entry.node.items() {
            parts.extend(part(cx, &entry.name, item));
        }
    }
    errors_since(cx, before).then_some(parts)
}

fn part(cx: &mut Context<'_>, name: &str, node: &Node) -> Option<Part> {
    if node.scalar().is_some() {
        let content = cx.template(node, "a text", Escape::None, Of::Request)?;
        return Some(Part {
            name: name.to_owned(),
            content: PartContent::Text(content),
            filename: None,
            content_type: None,
        });
    }
    let fields = cx.fields(
        node,
        "a part",
        &["file", "text", "filename", "content_type"],
    )?;
    let content = match fields.one_of(cx, &["file", "text"]) {
        Some(entry) if entry.name == "file" => cx
            .text(&entry.node, "the path of a file")
            .map(|path| PartContent::File(cx.path(entry.node.span.file, &path))),
        Some(entry) => cx
            .template(&entry.node, "a text", Escape::None, Of::Request)
            .map(PartContent::Text),
        None => {
            fields.required(cx, "file", "write `{file: PATH}` or `{text: …}`");
            None
        }
    };
    let filename = match fields.optional("filename") {
        Some(entry) => cx.text(&entry.node, "a file name"),
        // As browsers do: the last step of the path.
        None => match &content {
            Some(PartContent::File(path)) => path.rsplit(['/', '\\']).next().map(str::to_owned),
            Some(PartContent::Text(_)) | None => None,
        },
    };
    let content_type = fields
        .optional("content_type")
        .and_then(|entry| cx.text(&entry.node, "a content type such as text/csv"));
    fields.finish(cx);
    Some(Part {
        name: name.to_owned(),
        content: content?,
        filename,
        content_type,
    })
}
