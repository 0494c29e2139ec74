//! Effects: one probe, one extraction, one expectation, one patience.

use super::names::{IN_STEP, Uses};
use super::request::{Reach, extras, path_at};
use super::{Context, Fields, Letters, request};
use crate::codes::Diagnosis;
use crate::contract::TransientExcess;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::node::{Entry, Node, Typed, Value};
use crate::scenario::parts::{Body, Effect, Expectation, Extraction, Method, Operation, Request};
use crate::scenario::template::JsonTemplate;
use serde_json::Value as Json;
use std::time::Duration;

/// Fields of an effect.
pub(crate) const EFFECT: &[&str] = &[
    "get",
    "count",
    "value",
    "sum",
    "expect",
    "within",
    "stable_for",
    "every",
    "request",
    "at",
    "delta",
    "transient_excess",
    "headers",
    "query",
    "json",
    "auth",
    "sql",
    "on",
    "redis",
    "sink",
    "queue",
    "trace",
    "jq",
];

/// Reads one effect. `at` may name one of these operations; `example` is a
/// parameter that carries the marker, for the advice about unmarked effects.
pub(crate) fn decode(
    cx: &mut Context<'_>,
    entry: &Entry,
    operations: &[Operation],
    example: &str,
) -> Option<Effect> {
    cx.names.words = IN_STEP;
    cx.uses = Uses::default();
    cx.name(&entry.name, entry.span, Letters::Identifier);
    let node = &entry.node;
    let fields = cx.fields(node, "an effect", EFFECT)?;
    let later = not_yet(cx, &fields);
    let at = fields
        .optional("at")
        .map(|entry| at(cx, &entry.node, operations));
    let all_captures = see_only(cx, at.as_ref().and_then(Option::as_deref), operations);
    let probe = if later {
        None
    } else {
        probe(cx, &fields, entry)
    };
    let extraction = if later {
        None
    } else {
        extraction(cx, &fields, entry)
    };
    let mark = cx.uses.mark;
    let expectation = expectation(cx, &fields, entry);
    cx.names.captures = all_captures;
    let within = patience(cx, &fields, "within", Duration::from_secs(5));
    let stable_for = patience(cx, &fields, "stable_for", Duration::from_secs(1));
    let every = patience(cx, &fields, "every", Duration::from_millis(200));
    let transient_excess = match fields.optional("transient_excess") {
        Some(entry) => transient_excess(cx, &entry.node),
        None => Some(TransientExcess::Proof),
    };
    let delta = match fields.optional("delta") {
        Some(entry) => cx.boolean(&entry.node),
        None => Some(false),
    };
    if let Some((_, probe_entry)) = &probe
        && !mark
        && delta == Some(false)
    {
        warn_unmarked(cx, &probe_entry.node, example);
    }
    if let (Some(stable_for), Some(within)) = (stable_for, within)
        && stable_for > within
        && let Some(entry) = fields.optional("stable_for").or(fields.optional("within"))
    {
        cx.say(
            Diagnostic::error(
                Diagnosis::InvalidValue,
                "`stable_for` is longer than `within`",
            )
            .at(
                entry.node.span,
                "a reading has to be stable within the patience",
            )
            .help("raise `within`, or lower `stable_for`"),
        );
    }
    fields.finish(cx);
    let (request, probe_entry) = probe?;
    Some(Effect {
        name: entry.name.clone(),
        request,
        extraction: extraction?,
        expectation: expectation?,
        within: within?,
        stable_for: stable_for?,
        every: every?,
        transient_excess: transient_excess?,
        at: match at {
            Some(at) => Some(at?),
            None => None,
        },
        delta: delta?,
        marked: mark,
        place: cx.place(entry.span),
        probe_line: cx.place(probe_entry.span).line,
    })
}

fn not_yet(cx: &mut Context<'_>, fields: &Fields<'_>) -> bool {
    let http = "what works now: `get: /path` with `count`, `value` or `sum` by JSONPath";
    let mut found = false;
    for name in ["sql", "redis", "sink", "queue", "trace"] {
        found |= fields.later(cx, name, http);
    }
    if fields.optional("sql").is_none() {
        found |= fields.later(cx, "on", http);
    }
    found
        | fields.later(
            cx,
            "jq",
            "what works now: `count`, `value` or `sum` by JSONPath",
        )
}

/// Leaves only the captures that are made before an effect is read; returns all.
fn see_only(
    cx: &mut Context<'_>,
    at: Option<&str>,
    operations: &[Operation],
) -> Vec<super::names::Captured> {
    let all = cx.names.captures.clone();
    let Some(position) = operations
        .iter()
        .position(|operation| Some(operation.name.as_str()) == at)
    else {
        return all;
    };
    let later: Vec<&str> = operations[position + 1..]
        .iter()
        .flat_map(|operation| {
            operation
                .capture
                .iter()
                .map(|capture| capture.name.as_str())
        })
        .collect();
    let earlier: Vec<&str> = operations[..=position]
        .iter()
        .flat_map(|operation| {
            operation
                .capture
                .iter()
                .map(|capture| capture.name.as_str())
        })
        .collect();
    cx.names.captures.retain(|made| {
        !later.contains(&made.name.as_str()) || earlier.contains(&made.name.as_str())
    });
    all
}

fn at(cx: &mut Context<'_>, node: &Node, operations: &[Operation]) -> Option<String> {
    let name = cx.text(node, "the name of an operation")?;
    if operations.iter().any(|operation| operation.name == name) {
        return Some(name);
    }
    let known: Vec<&str> = operations
        .iter()
        .map(|operation| operation.name.as_str())
        .collect();
    let label = crate::scenario::suggest::nearest(&name, known.iter().copied())
        .map_or_else(String::new, |near| format!("did you mean `{near}`?"));
    cx.say(
        Diagnostic::error(
            Diagnosis::UnknownOperation,
            format!("there is no operation `{name}`"),
        )
        .at(node.span, label)
        .help(format!("operations of this scenario: {}", known.join(", "))),
    );
    None
}

/// The probe and the field that holds its path.
fn probe<'n>(
    cx: &mut Context<'_>,
    fields: &Fields<'n>,
    effect: &Entry,
) -> Option<(Request, &'n Entry)> {
    let Some(entry) = fields.one_of(cx, &["get", "request"]) else {
        cx.say(
            Diagnostic::error(
                Diagnosis::MissingField,
                format!("the effect `{}` has no probe", effect.name),
            )
            .at(effect.span, "how it is read was expected")
            .help("write `get: /path?reference=${{ marker }}`"),
        );
        return None;
    };
    if entry.name == "request" {
        let body = fields.optional("json").map(|entry| cx.json(&entry.node));
        let extras = extras(cx, fields);
        let (method, path) = request::probe_line(cx, &entry.node)?;
        let (query, headers, auth) = extras?;
        let body = match body {
            Some(body) => Body::Json(body?),
            None => Body::None,
        };
        return Some((
            Request {
                method,
                path,
                query,
                headers,
                body,
                auth,
            },
            entry,
        ));
    }
    let path = if entry.node.text().is_some() {
        path_at(cx, &entry.node, 0, Reach::Anywhere)
    } else {
        cx.wrong_type(
            &entry.node,
            "a path such as `/orders?reference=${{ marker }}`",
        );
        None
    };
    if let Some(json) = fields.optional("json") {
        cx.say(
            Diagnostic::error(Diagnosis::ConflictingFields, "`json` beside `get`")
                .at(json.span, "a GET carries no body")
                .help("write `request: POST /path`, if the search wants a body"),
        );
    }
    let (query, headers, auth) = extras(cx, fields)?;
    let request = Request {
        method: Method::Get,
        path: path?,
        query,
        headers,
        body: Body::None,
        auth,
    };
    Some((request, entry))
}

fn extraction(cx: &mut Context<'_>, fields: &Fields<'_>, effect: &Entry) -> Option<Extraction> {
    let Some(entry) = fields.one_of(cx, &["count", "value", "sum"]) else {
        cx.say(
            Diagnostic::error(
                Diagnosis::MissingField,
                format!("the effect `{}` says how it is read, but not what is taken from it", effect.name),
            )
            .at(effect.span, "`count`, `value` or `sum` was expected")
            .help("write `count: $[*]` for an answer that is a list, `count: $.items[*]` for one inside a map"),
        );
        return None;
    };
    let path = cx.json_path(&entry.node, &entry.name)?;
    Some(match entry.name.as_str() {
        "count" => Extraction::Count(path),
        "sum" => Extraction::Sum(path),
        _ => Extraction::Value(path),
    })
}

fn expectation(cx: &mut Context<'_>, fields: &Fields<'_>, effect: &Entry) -> Option<Expectation> {
    let is_value = fields.optional("value").is_some();
    let Some(entry) = fields.optional("expect") else {
        if is_value {
            cx.say(
                Diagnostic::error(Diagnosis::MissingField, "`expect` is missing")
                    .at(effect.span, "a `value` needs an expectation of its own")
                    .help("write, for example, `expect: { equals: PAID }`"),
            );
            return None;
        }
        return Some(Expectation::Once);
    };
    let node = &entry.node;
    match &node.value {
        Value::Map(_) => expectation_map(cx, node),
        Value::List(_) => {
            cx.wrong_type(
                node,
                "`once`, `never`, `at_most_once`, a number, or a map such as `{at_most: 2}`",
            );
            None
        }
        Value::Scalar(scalar) if scalar.typed == Typed::Text && !scalar.text.contains("${{") => {
            expectation_word(cx, node, &scalar.text, is_value)
        }
        Value::Scalar(_) => {
            let JsonTemplate(value) = cx.json(node)?;
            match &value {
                Json::String(word)
                    if !word.contains("${{") && word.trim().parse::<f64>().is_err() =>
                {
                    expectation_word(cx, node, &word.clone(), is_value)
                }
                Json::Number(_) | Json::String(_) if is_value => {
                    Some(Expectation::Equals(JsonTemplate(value)))
                }
                Json::Bool(_) if is_value => Some(Expectation::Equals(JsonTemplate(value))),
                Json::Number(_) | Json::String(_) => Some(Expectation::Number(JsonTemplate(value))),
                _ => {
                    cx.wrong_type(node, "`once`, `never`, `at_most_once` or a number");
                    None
                }
            }
        }
    }
}

fn expectation_word(
    cx: &mut Context<'_>,
    node: &Node,
    word: &str,
    is_value: bool,
) -> Option<Expectation> {
    if is_value {
        cx.say(
            Diagnostic::error(
                Diagnosis::InvalidValue,
                format!("`{word}` is not what a `value` can be expected to be"),
            )
            .at(node.span, "a comparison was expected")
            .help(format!("write `expect: {{ equals: {word} }}`")),
        );
        return None;
    }
    match word {
        "once" => Some(Expectation::Once),
        "never" => Some(Expectation::Never),
        "at_most_once" => Some(Expectation::AtMostOnce),
        other => {
            cx.unknown_word(
                node.span,
                other,
                "an expectation",
                &["once", "never", "at_most_once"],
            );
            if let Some(last) = cx.out.last_mut() {
                last.helps
                    .push("or a number, or a map such as `{ at_most: 2 }`".to_owned());
            }
            None
        }
    }
}

const COMPARISONS: &[&str] = &[
    "at_least", "at_most", "between", "equals", "matches", "one_of",
];

fn expectation_map(cx: &mut Context<'_>, node: &Node) -> Option<Expectation> {
    let fields = cx.fields(node, "`expect`", COMPARISONS)?;
    let bounds = fields.optional("at_least").or(fields.optional("at_most"));
    let exclusive: Vec<&str> = bounds
        .map(|entry| entry.name.as_str())
        .into_iter()
        .chain(["between", "equals", "matches", "one_of"])
        .collect();
    let first = fields.one_of(cx, &exclusive);
    let expectation = match first.map(|entry| (entry.name.as_str(), &entry.node)) {
        Some(("equals", node)) => cx.json(node).map(Expectation::Equals),
        Some(("matches", node)) => cx.regex(node).map(Expectation::Matches),
        Some(("one_of", node)) => one_of(cx, node),
        Some(("between", node)) => between(cx, node),
        Some(_) => {
            let min = fields
                .optional("at_least")
                .map(|entry| cx.number(&entry.node));
            let max = fields
                .optional("at_most")
                .map(|entry| cx.number(&entry.node));
            let read = |bound: Option<Option<f64>>| match bound {
                Some(bound) => bound.map(Some),
                None => Some(None),
            };
            read(min)
                .zip(read(max))
                .and_then(|(min, max)| bounded(cx, node, min, max))
        }
        None => {
            cx.wrong_type(
                node,
                "one of `at_least`, `at_most`, `between`, `equals`, `matches` or `one_of`",
            );
            None
        }
    };
    fields.finish(cx);
    expectation
}

fn one_of(cx: &mut Context<'_>, node: &Node) -> Option<Expectation> {
    let Value::List(items) = &node.value else {
        cx.wrong_type(node, "a list of values");
        return None;
    };
    let values: Vec<_> = items.iter().map(|item| cx.json(item)).collect();
    values
        .into_iter()
        .collect::<Option<_>>()
        .map(Expectation::OneOf)
}

fn between(cx: &mut Context<'_>, node: &Node) -> Option<Expectation> {
    if let Value::List(items) = &node.value
        && let [low, high] = items.as_slice()
    {
        let (low, high) = (cx.number(low), cx.number(high));
        return bounded(cx, node, Some(low?), Some(high?));
    }
    cx.wrong_type(node, "a list of two numbers, e.g. `[1, 3]`");
    None
}

fn bounded(
    cx: &mut Context<'_>,
    node: &Node,
    min: Option<f64>,
    max: Option<f64>,
) -> Option<Expectation> {
    if let (Some(low), Some(high)) = (min, max)
        && low > high
    {
        cx.say(
            Diagnostic::error(
                Diagnosis::InvalidValue,
                format!("nothing is at least {low} and at most {high}"),
            )
            .at(node.span, ""),
        );
        return None;
    }
    Some(Expectation::Between { min, max })
}

fn patience(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    name: &str,
    default: Duration,
) -> Option<Duration> {
    let Some(entry) = fields.optional(name) else {
        return Some(default);
    };
    let duration = cx.duration(&entry.node)?;
    if duration.is_zero() && name == "every" {
        cx.say(
            Diagnostic::error(Diagnosis::InvalidDuration, "`every` is more than 0")
                .at(entry.node.span, "")
                .help("write, for example, `every: 200ms`"),
        );
        return None;
    }
    Some(duration)
}

/// `transient_excess`, of an effect or of a contract.
pub(super) fn transient_excess(cx: &mut Context<'_>, node: &Node) -> Option<TransientExcess> {
    cx.word(
        node,
        "a rule for an excess that is gone later",
        &[
            ("allowed", TransientExcess::Allowed),
            ("proof", TransientExcess::Proof),
        ],
    )
}

/// E4 of `language.md`: the scenario cannot prove anything alone.
fn warn_unmarked(cx: &mut Context<'_>, node: &Node, example: &str) {
    let text = node.text().unwrap_or_default();
    let start = text
        .find(['/', '$'])
        .filter(|_| text.contains(' '))
        .unwrap_or(0);
    let span = node.scalar().map_or(node.span, |scalar| {
        scalar.locate(cx.files, node.span, start..text.len())
    });
    let path = &text[start..];
    let joint = if path.contains('?') { '&' } else { '?' };
    cx.say(
        Diagnostic::warning(
            Diagnosis::UnmarkedEffect,
            "this effect cannot tell one trial from another",
        )
        .at(span, "the query does not contain `${{ marker }}`, a captured id or the key")
        .note("on a shared staging system other orders would be counted")
        .help(format!(
            "filter by something unique, e.g. `{path}{joint}{example}=${{{{ marker }}}}`, or set `delta: true`"
        )),
    );
}
