//! What an answer is to a scenario: `expect` classifies it, `capture` takes
//! values out of it, `retry` goes on after it.

use super::names::{Captured, free_name};
use super::request::{errors_since, header_name};
use super::{Context, Fields, listed};
use crate::codes::Diagnosis;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::node::{Entry, Node, Value};
use crate::scenario::parts::{Capture, CaptureFrom, Each, Expect, Retry, Until};
use crate::scenario::units;
use std::time::Duration;

/// Reads `expect:` of an operation or step.
pub(super) fn expect(cx: &mut Context<'_>, node: &Node) -> Option<Expect> {
    if !matches!(node.value, Value::Map(_)) {
        let before = cx.out.len();
        let status = cx.statuses(node);
        return errors_since(cx, before).then_some(Expect {
            status,
            json: Vec::new(),
        });
    }
    let before = cx.out.len();
    let fields = cx.fields(node, "`expect`", &["status", "json"])?;
    let status = fields
        .optional("status")
        .map(|entry| cx.statuses(&entry.node))
        .unwrap_or_default();
    let mut json = Vec::new();
    if let Some(entry) = fields.optional("json") {
        for member in cx.entries(
            &entry.node,
            "a map of JSONPaths and values, e.g. `{$.state: PAID}`",
        ) {
            let path = path_of_name(cx, member);
            let value = cx.json(&member.node);
            json.extend(path.zip(value));
        }
    }
    fields.finish(cx);
    errors_since(cx, before).then_some(Expect { status, json })
}

/// A JSONPath that stands as the name of a field.
fn path_of_name(cx: &mut Context<'_>, member: &Entry) -> Option<String> {
    match serde_json_path::JsonPath::parse(&member.name) {
        Ok(_) => Some(member.name.clone()),
        Err(error) => {
            cx.say(
                Diagnostic::error(
                    Diagnosis::InvalidJsonpath,
                    format!("`{}` is not a valid JSONPath", member.name),
                )
                .at(member.span, error.message())
                .help("write, for example, `{$.state: PAID}`"),
            );
            None
        }
    }
}

pub(super) fn default_retry() -> Retry {
    Retry {
        until: Until::Answered,
        max: 8,
        backoff_min: Duration::from_millis(100),
        backoff_max: Duration::from_secs(2),
    }
}

/// Reads `retry:`.
pub(super) fn retry(cx: &mut Context<'_>, node: &Node) -> Option<Retry> {
    let fields = cx.fields(node, "`retry`", &["until", "max", "backoff"])?;
    let default = default_retry();
    let until = match fields.optional("until") {
        Some(entry) => cx.word(
            &entry.node,
            "an end of retrying",
            &[("answered", Until::Answered), ("ok", Until::Ok)],
        ),
        None => Some(default.until),
    };
    let max = match fields.optional("max") {
        Some(entry) => cx.small_integer(&entry.node, 0..=1000),
        None => Some(default.max),
    };
    let backoff = match fields.optional("backoff") {
        Some(entry) => backoff(cx, &entry.node),
        None => Some((default.backoff_min, default.backoff_max)),
    };
    fields.finish(cx);
    let (backoff_min, backoff_max) = backoff?;
    Some(Retry {
        until: until?,
        max: max?,
        backoff_min,
        backoff_max,
    })
}

/// `100ms..2s`, or one duration for every pause.
fn backoff(cx: &mut Context<'_>, node: &Node) -> Option<(Duration, Duration)> {
    let text = cx.text(node, "pauses such as `100ms..2s`")?;
    let (low, high) = text
        .split_once("..")
        .unwrap_or((text.as_str(), text.as_str()));
    let read = units::duration(low).and_then(|low| Ok((low, units::duration(high)?)));
    match read {
        Ok((low, high)) if low <= high => Some((low, high)),
        Ok(_) => {
            cx.say(
                Diagnostic::error(
                    Diagnosis::InvalidDuration,
                    "the first pause is longer than the longest",
                )
                .at(node.span, "")
                .help("write, for example, `100ms..2s`"),
            );
            None
        }
        Err(expected) => {
            cx.say_unit(
                Diagnosis::InvalidDuration,
                node.span,
                &text,
                "a pair of pauses",
                &expected,
                "write, for example, `100ms..2s`",
            );
            None
        }
    }
}

/// Reads `capture:`; the names are defined from here on.
pub(super) fn captures(cx: &mut Context<'_>, fields: &Fields<'_>, each: Each) -> Vec<Capture> {
    let Some(entry) = fields.optional("capture") else {
        return Vec::new();
    };
    let mut made = Vec::new();
    for member in cx.entries(
        &entry.node,
        "a map of names and JSONPaths, e.g. `{order_id: $.id}`",
    ) {
        if !free_name(cx, &member.name, member.span, "a capture") {
            continue;
        }
        made.extend(capture(cx, member));
        cx.names.captures.push(Captured {
            name: member.name.clone(),
            span: member.span,
            each,
        });
    }
    made
}

const KINDS: &[&str] = &["json", "header", "cookie", "regex"];

fn capture(cx: &mut Context<'_>, member: &Entry) -> Option<Capture> {
    let node = &member.node;
    if node.scalar().is_some() {
        let path = cx.plain_json_path(node, &member.name)?;
        return Some(Capture {
            name: member.name.clone(),
            from: CaptureFrom::Json(path),
            secret: false,
        });
    }
    let fields = cx.fields(
        node,
        "a capture",
        &["json", "header", "cookie", "regex", "from", "secret"],
    )?;
    let secret = match fields.optional("secret") {
        Some(entry) => cx.boolean(&entry.node),
        None => Some(false),
    };
    let from = if fields.optional("regex").is_some() {
        regex_capture(cx, &fields)
    } else {
        if let Some(entry) = fields.optional("from") {
            cx.say(
                Diagnostic::error(Diagnosis::ConflictingFields, "`from` goes with `regex`")
                    .at(entry.span, "there is no `regex` beside it"),
            );
        }
        match fields.one_of(cx, KINDS) {
            Some(entry) if entry.name == "json" => cx
                .plain_json_path(&entry.node, "json")
                .map(CaptureFrom::Json),
            Some(entry) if entry.name == "header" => cx
                .text(&entry.node, "the name of a header")
                .filter(|name| header_name(cx, name, entry.node.span))
                .map(CaptureFrom::Header),
            Some(entry) => cx
                .text(&entry.node, "the name of a cookie")
                .map(CaptureFrom::Cookie),
            None => {
                cx.say(
                    Diagnostic::error(Diagnosis::MissingField, "a capture from nowhere")
                        .at(member.span, "")
                        .help(format!("write one of {}", listed(KINDS))),
                );
                None
            }
        }
    };
    fields.finish(cx);
    Some(Capture {
        name: member.name.clone(),
        from: from?,
        secret: secret?,
    })
}

/// Where a regular expression searches.
#[derive(Clone, Copy)]
enum SearchIn {
    Body,
    Header,
}

fn regex_capture(cx: &mut Context<'_>, fields: &Fields<'_>) -> Option<CaptureFrom> {
    fields.one_of(cx, &["json", "cookie", "regex"]);
    let regex = fields
        .optional("regex")
        .and_then(|entry| cx.regex(&entry.node));
    let header = fields
        .optional("header")
        .map(|entry| cx.text(&entry.node, "the name of a header"));
    let from = match fields.optional("from") {
        Some(entry) => cx.word(
            &entry.node,
            "a part of an answer",
            &[("body", SearchIn::Body), ("header", SearchIn::Header)],
        )?,
        None if header.is_some() => SearchIn::Header,
        None => SearchIn::Body,
    };
    Some(match (from, header) {
        (SearchIn::Body, _) => CaptureFrom::BodyRegex(regex?),
        (SearchIn::Header, header) => CaptureFrom::HeaderRegex {
            header: header.flatten(),
            regex: regex?,
        },
    })
}
