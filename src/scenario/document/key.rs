//! Where the idempotency key goes.

use super::leaf::Of;
use super::request::header_name;
use super::{Context, Fields};
use crate::codes::Diagnosis;
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::node::{Node, Value};
use crate::scenario::parts::{Body, Key, KeyPlace, Request};
use crate::scenario::template::Escape;

pub(super) fn by_default() -> Key {
    Key {
        place: KeyPlace::Header("Idempotency-Key".to_owned()),
        value: None,
        quoted: false,
    }
}

/// Reads `key:`.
pub(super) fn decode(cx: &mut Context<'_>, node: &Node) -> Option<Key> {
    let expected = "the name of a header, `none`, or a map such as `{header: X-Request-Id}`";
    if node.scalar().is_some() {
        let word = cx.text(node, expected)?;
        if word == "none" {
            return Some(Key {
                place: KeyPlace::None,
                value: None,
                quoted: false,
            });
        }
        let ok = header_name(cx, &word, node.span);
        let key = Key {
            place: KeyPlace::Header(word),
            value: None,
            quoted: false,
        };
        return ok.then_some(key);
    }
    if matches!(node.value, Value::List(_)) {
        cx.wrong_type(node, expected);
        return None;
    }
    let fields = cx.fields(
        node,
        "a key",
        &["header", "json", "query", "value", "quoted"],
    )?;
    let place = match fields.one_of(cx, &["header", "json", "query"]) {
        None => Some(KeyPlace::Header("Idempotency-Key".to_owned())),
        Some(entry) if entry.name == "header" => cx
            .text(&entry.node, "the name of a header")
            .filter(|name| header_name(cx, name, entry.node.span))
            .map(KeyPlace::Header),
        Some(entry) if entry.name == "json" => member_path(cx, &entry.node).map(KeyPlace::Json),
        Some(entry) => cx
            .text(&entry.node, "the name of a query parameter")
            .map(KeyPlace::Query),
    };
    let value = fields.optional("value").map(|entry| {
        // A key that is made of itself would never end.
        let words = cx.names.words;
        cx.names.words = &["marker", "attempt", "run", "trial"];
        let value = cx.template(
            &entry.node,
            "a text such as `order-${{ marker }}`",
            Escape::None,
            Of::Request,
        );
        cx.names.words = words;
        value
    });
    let quoted = fields
        .optional("quoted")
        .map(|entry| (entry, cx.boolean(&entry.node)));
    if let (Some((entry, Some(true))), Some(place)) = (&quoted, &place)
        && !matches!(place, KeyPlace::Header(_))
    {
        cx.say(
            Diagnostic::error(
                Diagnosis::ConflictingFields,
                "`quoted` is for keys in a header",
            )
            .at(
                entry.span,
                "the quotes are those of a structured header field",
            ),
        );
    }
    fields.finish(cx);
    Some(Key {
        place: place?,
        value: match value {
            Some(value) => Some(value?),
            None => None,
        },
        quoted: match quoted {
            Some((_, flag)) => flag?,
            None => false,
        },
    })
}

/// `$.a.b`: a place that can be written to, not only read.
fn member_path(cx: &mut Context<'_>, node: &Node) -> Option<String> {
    let path = cx.plain_json_path(node, "json")?;
    let plain = path.strip_prefix("$.").is_some_and(|rest| {
        rest.split('.').all(|step| {
            !step.is_empty()
                && step
                    .chars()
                    .all(|next| next.is_alphanumeric() || matches!(next, '_' | '-'))
        })
    });
    if !plain {
        cx.say(
            Diagnostic::error(
                Diagnosis::InvalidJsonpath,
                "a key goes to exactly one member of the body",
            )
            .at(node.span, "a path of names was expected")
            .help("write, for example, `$.request_id` or `$.meta.key`"),
        );
    }
    plain.then_some(path)
}

/// A key in the body needs a body that has members.
pub(super) fn check_place(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    key: Option<&Key>,
    request: Option<&Request>,
) {
    if let (
        Some(Key {
            place: KeyPlace::Json(_),
            ..
        }),
        Some(request),
        Some(entry),
    ) = (key, request, fields.optional("key"))
        && !matches!(&request.body, Body::Json(body) if body.0.is_object())
    {
        cx.say(
            Diagnostic::error(
                Diagnosis::ConflictingFields,
                "a key in the JSON body, and no JSON body",
            )
            .at(entry.span, "")
            .help("give the request a `json:` map, or put the key into a header"),
        );
    }
}
