//! What the target promises, as the author puts it (`language.md` section 14,
//! *Contracts*).

use super::effect::transient_excess;
use super::{Context, Fields};
use crate::codes::Diagnosis;
use crate::contract::{
    AfterRetention, Contract, IdentityField, InFlight, Mismatch, MissingKey, Replay, ReplayErrors,
    ReplayMarker, ReplayStatus, Reserialised, Scope, Unavailable,
};
use crate::scenario::diagnostic::Diagnostic;
use crate::scenario::node::{Node, Value};
use crate::scenario::suggest;

/// Fields of a contract.
pub(crate) const CONTRACT: &[&str] = &[
    "like",
    "expected_effects",
    "replay",
    "identity",
    "ignore",
    "replay_status",
    "replay_marker",
    "replay_errors",
    "in_flight",
    "mismatch",
    "missing_key",
    "reserialised",
    "scope",
    "retention",
    "after_retention",
    "stuck_after",
    "accepted_is_ok",
    "unavailable",
    "transient_grace",
    "transient_excess",
];

/// Presets; only the first works so far.
const PRESETS: [&str; 8] = [
    "core", "ietf", "stripe", "adyen", "paypal", "square", "aws", "azure",
];

/// Reads `contract:`; nothing stands for `core`.
pub(crate) fn decode(cx: &mut Context<'_>, node: Option<&Node>) -> Contract {
    let Some(node) = node else {
        return Contract::core();
    };
    if matches!(node.value, Value::Map(_)) {
        return map(cx, node);
    }
    preset(cx, node);
    Contract::core()
}

fn preset(cx: &mut Context<'_>, node: &Node) {
    let Some(name) = cx.text(node, "`core`, or a map of promises") else {
        return;
    };
    if name == "core" {
        return;
    }
    if PRESETS.contains(&name.as_str()) {
        cx.later(
            node.span,
            &format!("the contract `{name}`"),
            "what works now: `core`, and a map with the promises one by one",
        );
        return;
    }
    let label = suggest::nearest(&name, PRESETS).map_or_else(
        || "no such contract".to_owned(),
        |near| format!("did you mean `{near}`?"),
    );
    cx.say(
        Diagnostic::error(
            Diagnosis::UnknownContract,
            format!("unknown contract `{name}`"),
        )
        .at(node.span, label)
        .help(format!("contracts are {}", PRESETS.join(", "))),
    );
}

fn map(cx: &mut Context<'_>, node: &Node) -> Contract {
    let mut contract = Contract::core();
    let Some(fields) = cx.fields(node, "a contract", CONTRACT) else {
        return contract;
    };
    if let Some(entry) = fields.optional("like") {
        preset(cx, &entry.node);
    }
    contract.stated = CONTRACT
        .iter()
        .filter(|name| **name != "like" && fields.optional(name).is_some())
        .map(|name| (*name).to_owned())
        .collect();
    answers(cx, &fields, &mut contract);
    refusals(cx, &fields, &mut contract);
    times(cx, &fields, &mut contract);
    fields.finish(cx);
    contract
}

/// Puts what was read into its place; a mistake has been said and leaves the default.
fn set<T>(place: &mut T, read: Option<T>) {
    if let Some(value) = read {
        *place = value;
    }
}

fn answers(cx: &mut Context<'_>, fields: &Fields<'_>, contract: &mut Contract) {
    if let Some(entry) = fields.optional("expected_effects") {
        set(
            &mut contract.expected_effects,
            cx.small_integer(&entry.node, 1..=1000),
        );
    }
    if let Some(entry) = fields.optional("replay") {
        let words = [
            ("exact", Replay::Exact),
            ("identity", Replay::Identity),
            ("state", Replay::State),
            ("conflict_with_link", Replay::ConflictWithLink),
        ];
        set(
            &mut contract.replay,
            cx.word(&entry.node, "a kind of replay", &words),
        );
    }
    if let Some(entry) = fields.optional("identity") {
        let items = entry.node.items();
        contract.identity = items
            .into_iter()
            .filter_map(|item| identity(cx, item))
            .collect();
    }
    if let Some(entry) = fields.optional("ignore") {
        let items = entry.node.items();
        contract.ignore = items
            .into_iter()
            .filter_map(|item| cx.plain_json_path(item, "ignore"))
            .collect();
    }
    if let Some(entry) = fields.optional("replay_status") {
        set(&mut contract.replay_status, replay_status(cx, &entry.node));
    }
    if let Some(entry) = fields.optional("replay_marker") {
        contract.replay_marker = replay_marker(cx, &entry.node);
    }
    if let Some(entry) = fields.optional("replay_errors") {
        let words = [
            ("none", ReplayErrors::None),
            ("final", ReplayErrors::Final),
            ("all", ReplayErrors::All),
        ];
        set(
            &mut contract.replay_errors,
            cx.word(&entry.node, "a set of errors", &words),
        );
    }
    if let Some(entry) = fields.optional("accepted_is_ok") {
        set(&mut contract.accepted_is_ok, cx.boolean(&entry.node));
    }
    if let Some(entry) = fields.optional("transient_excess") {
        set(
            &mut contract.transient_excess,
            transient_excess(cx, &entry.node),
        );
    }
}

fn refusals(cx: &mut Context<'_>, fields: &Fields<'_>, contract: &mut Contract) {
    if let Some(entry) = fields.optional("in_flight") {
        contract.in_flight = in_flight(cx, &entry.node);
    }
    if let Some(entry) = fields.optional("mismatch") {
        let read = words_or_statuses(
            cx,
            &entry.node,
            &[("replay", Mismatch::Replay), ("any", Mismatch::AnyRefusal)],
            Mismatch::OneOf,
        );
        set(&mut contract.mismatch, read);
    }
    if let Some(entry) = fields.optional("missing_key") {
        let words = [
            ("optional", MissingKey::Optional),
            ("required", MissingKey::Required),
        ];
        let read = words_or_statuses(cx, &entry.node, &words, MissingKey::RequiredWith);
        set(&mut contract.missing_key, read);
    }
    if let Some(entry) = fields.optional("reserialised") {
        let words = [
            ("accepted", Reserialised::Accepted),
            ("any", Reserialised::Any),
        ];
        set(
            &mut contract.reserialised,
            cx.word(&entry.node, "a rule for reserialised bodies", &words),
        );
    }
    if let Some(entry) = fields.optional("unavailable") {
        let words = [
            ("unknown", Unavailable::Unknown),
            ("rejected", Unavailable::Rejected),
        ];
        set(
            &mut contract.unavailable,
            cx.word(&entry.node, "a meaning of 503", &words),
        );
    }
    if let Some(entry) = fields.optional("scope") {
        scope(cx, &entry.node, contract);
    }
}

fn times(cx: &mut Context<'_>, fields: &Fields<'_>, contract: &mut Contract) {
    if let Some(entry) = fields.optional("retention") {
        contract.retention = cx.duration(&entry.node);
    }
    if let Some(entry) = fields.optional("after_retention") {
        let words = [
            ("new_effect", AfterRetention::NewEffect),
            ("rejected", AfterRetention::Rejected),
            ("remembered", AfterRetention::Remembered),
            ("any", AfterRetention::Any),
        ];
        set(
            &mut contract.after_retention,
            cx.word(&entry.node, "what happens after the retention", &words),
        );
    }
    if let Some(entry) = fields.optional("stuck_after") {
        contract.stuck_after = cx.duration(&entry.node);
    }
    if let Some(entry) = fields.optional("transient_grace") {
        set(&mut contract.transient_grace, cx.duration(&entry.node));
    }
}

/// `$.id` is a place in the body, `Location` a header.
fn identity(cx: &mut Context<'_>, node: &Node) -> Option<IdentityField> {
    if node.text().is_some_and(|text| text.starts_with('$')) {
        return cx
            .plain_json_path(node, "identity")
            .map(IdentityField::Json);
    }
    let name = cx.text(node, "a JSONPath such as `$.id`, or the name of a header")?;
    super::request::header_name(cx, &name, node.span).then_some(IdentityField::Header(name))
}

fn replay_status(cx: &mut Context<'_>, node: &Node) -> Option<ReplayStatus> {
    let words = [
        ("any", ReplayStatus::AnySuccess),
        ("same", ReplayStatus::Same),
    ];
    words_or_statuses(cx, node, &words, ReplayStatus::OneOf)
}

/// A word, or one status, or a list of them.
fn words_or_statuses<T: Clone>(
    cx: &mut Context<'_>,
    node: &Node,
    words: &[(&str, T)],
    statuses: fn(Vec<u16>) -> T,
) -> Option<T> {
    let Some(word) = node.text().filter(|text| !text.contains("${{")) else {
        let read = cx.statuses(node);
        return (!read.is_empty()).then(|| statuses(read));
    };
    if let Some((_, value)) = words.iter().find(|(known, _)| *known == word) {
        return Some(value.clone());
    }
    let known: Vec<&str> = words.iter().map(|(known, _)| *known).collect();
    let word = word.to_owned();
    cx.unknown_word(node.span, &word, "something that can stand here", &known);
    if let Some(last) = cx.out.last_mut() {
        last.helps
            .push("or statuses, e.g. `422` or `[409, 422]`".to_owned());
    }
    None
}

/// `Idempotent-Replayed`, `"Idempotent-Replayed: true"`, or `{header, value}`.
fn replay_marker(cx: &mut Context<'_>, node: &Node) -> Option<ReplayMarker> {
    if node.scalar().is_some() {
        let text = cx.text(node, "the name of a header, or `{header: …, value: …}`")?;
        let (header, value) = match text.split_once(':') {
            Some((header, value)) => (header.trim().to_owned(), Some(value.trim().to_owned())),
            None => (text, None),
        };
        return super::request::header_name(cx, &header, node.span)
            .then_some(ReplayMarker { header, value });
    }
    let fields = cx.fields(node, "`replay_marker`", &["header", "value"])?;
    let header = fields.required(
        cx,
        "header",
        "write `{header: Idempotent-Replayed, value: \"true\"}`",
    );
    let value = fields
        .optional("value")
        .and_then(|entry| cx.text(&entry.node, "a text"));
    fields.finish(cx);
    let node = &header?.node;
    let header = cx.text(node, "the name of a header")?;
    super::request::header_name(cx, &header, node.span).then_some(ReplayMarker { header, value })
}

/// Statuses and `wait`, one or a list.
fn in_flight(cx: &mut Context<'_>, node: &Node) -> InFlight {
    let mut read = InFlight {
        statuses: Vec::new(),
        wait: false,
    };
    for item in node.items() {
        match item.text() {
            Some("wait") => read.wait = true,
            Some(word) if !word.contains("${{") => {
                let word = word.to_owned();
                cx.unknown_word(
                    item.span,
                    &word,
                    "an answer to a duplicate in flight",
                    &["wait"],
                );
            }
            _ => read.statuses.extend(cx.status(item)),
        }
    }
    read
}

fn scope(cx: &mut Context<'_>, node: &Node, contract: &mut Contract) {
    let Some(fields) = cx.fields(node, "`scope`", &["tenant", "endpoint"]) else {
        return;
    };
    if let Some(entry) = fields.optional("tenant") {
        let words = [("isolated", Scope::Isolated)];
        set(
            &mut contract.tenant_scope,
            cx.word(&entry.node, "a scope of tenants", &words),
        );
    }
    if let Some(entry) = fields.optional("endpoint") {
        let words = [
            ("isolated", Scope::Isolated),
            ("shared", Scope::Shared),
            ("any", Scope::Any),
        ];
        set(
            &mut contract.endpoint_scope,
            cx.word(&entry.node, "a scope of endpoints", &words),
        );
    }
    fields.finish(cx);
}
