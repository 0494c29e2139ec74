//! One file's tree → one [`Scenario`]: defaults, references, matrix rows. It must
//! not know how YAML is read, nor what a plan makes of the result.

use super::diagnostic::{Diagnostic, FileId, Files, Span};
use super::document::names::{Captured, Names, Uses};
use super::document::pattern::Circumstances;
use super::document::{Context, Fields, Letters, contract, effect, pattern, request, target};
use super::load::{Settings, severity};
use super::node::{Entry, Node, Value};
use super::parts::{Body, Each, Effect, HttpVersion, Operation, Row, Target};
use super::project::{ProjectParts, budget};
use super::relations::{invariants, latency, together};
use super::template::{JsonTemplate, Scope};
use super::values::{all_secrets, axes, rows_of, vars};
use super::{Profile, Scenario, ScenarioRow};
use crate::codes::Diagnosis;
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// Fields of a scenario, in the order of the documentation.
pub(crate) const SCENARIO: &[&str] = &[
    "scenario",
    "target",
    "operation",
    "operations",
    "effects",
    "patterns",
    "contract",
    "vars",
    "secrets",
    "matrix",
    "setup",
    "cleanup",
    "sinks",
    "proxies",
    "hooks",
    "together",
    "invariants",
    "latency",
    "budget",
    "use",
    "description",
    "tags",
    "owner",
    "docs",
];

/// What one scenario is made of.
pub(super) struct Given<'a> {
    pub(super) files: &'a Files,
    pub(super) file: FileId,
    pub(super) node: &'a Node,
    pub(super) bytes: &'a [u8],
    pub(super) parts: &'a ProjectParts,
    pub(super) settings: &'a Settings,
    /// The environment.
    pub(super) values: &'a Scope,
    pub(super) names: &'a Names,
}

/// What came out; the name is known even where the rest is wrong.
pub(super) struct Lowered {
    pub(super) name: Option<(String, Span)>,
    pub(super) scenario: Option<Scenario>,
}

/// Lowers one file.
pub(super) fn scenario(given: &Given<'_>, out: &mut Vec<Diagnostic>) -> Lowered {
    let mut cx = Context {
        files: given.files,
        out,
        values: given.values.clone(),
        values_in_auth: Scope::new(),
        names: given.names.clone(),
        uses: Uses::default(),
        auth_entries: &given.parts.auth,
        unset: Some(severity(given.settings)),
    };
    let Some(fields) = cx.fields(given.node, "a scenario", SCENARIO) else {
        return Lowered {
            name: None,
            scenario: None,
        };
    };
    let name = name(&mut cx, &fields);
    let scenario = whole(&mut cx, given, &fields, name.as_ref());
    fields.finish(&mut cx);
    Lowered { name, scenario }
}

fn name(cx: &mut Context<'_>, fields: &Fields<'_>) -> Option<(String, Span)> {
    let entry = fields.required(
        cx,
        "scenario",
        "begin with `scenario: NAME`, e.g. `scenario: create-order`",
    )?;
    let word = cx.text(&entry.node, "the name of the scenario")?;
    cx.name(&word, entry.node.span, Letters::ScenarioId)
        .then_some((word, entry.node.span))
}

fn whole(
    cx: &mut Context<'_>,
    given: &Given<'_>,
    fields: &Fields<'_>,
    name: Option<&(String, Span)>,
) -> Option<Scenario> {
    for (field, instead) in [
        (
            "sinks",
            "what works now: effects read over HTTP from the target",
        ),
        (
            "proxies",
            "what works now: `target:` pointed at the gateway",
        ),
        (
            "hooks",
            "what works now: `setup`, `cleanup`, and `before` of a pattern",
        ),
    ] {
        fields.later(cx, field, instead);
    }
    let secrets = all_secrets(cx, fields, given);
    vars(cx, fields, given);
    let axes = axes(cx, fields);
    collect_captures(cx, fields);
    say_missing(cx, fields);
    let target_node = target_node(fields, given);
    if target_node.is_none() && given.settings.target.is_none() && needs_target(cx, fields) {
        cx.say(
            Diagnostic::error(Diagnosis::MissingField, "`target` is missing")
                .around(first_line(cx.files, fields.span), "this scenario does not say where to send")
                .help("write `target: http://localhost:8080`, or choose an environment of retrial.yaml with -e"),
        );
    }
    let flat = cx.values.clone();
    let mut rows = Vec::new();
    for row in rows_of(cx, fields, &axes) {
        cx.values = flat.clone();
        let matrix = Json::Object(row.clone().into_iter().collect());
        cx.values.set("matrix", matrix.clone());
        cx.values_in_auth.set("matrix", matrix);
        let target = match (&target_node, &given.settings.target) {
            (Some(node), _) => target::decode(cx, node, given.settings),
            (None, Some(_)) => {
                let empty = Node {
                    span: fields.span,
                    value: Value::Map(Vec::new()),
                };
                target::decode(cx, &empty, given.settings)
            }
            (None, None) => None,
        };
        rows.push(scenario_row(cx, fields, row, target));
    }
    // What is the same for all rows sees no matrix values.
    cx.values = flat;
    cx.values_in_auth
        .set("matrix", Json::Object(serde_json::Map::new()));
    let first = rows.first();
    let operations = first.map_or(&[][..], |row| row.operations.as_slice());
    cx.names.captures = captures_before_patterns(cx, fields, operations);
    let http1 = rows.iter().any(|row| row.target.http == HttpVersion::Http1);
    let place = name.map_or_else(|| cx.place(fields.span), |(_, span)| cx.place(*span));
    let around = Circumstances {
        flag: given.settings.profile,
        default: given.parts.project.profile.unwrap_or(Profile::Standard),
        json_body: operations
            .iter()
            .any(|operation| matches!(operation.request.body, Body::Json(_))),
        http1,
        place,
    };
    let patterns_node = fields.optional("patterns").map(|entry| &entry.node);
    let patterns = pattern::decode(cx, patterns_node.or(given.parts.patterns.as_ref()), &around);
    let contract_node = fields.optional("contract").map(|entry| &entry.node);
    let contract = contract::decode(cx, contract_node.or(given.parts.contract.as_ref()));
    let latency = fields
        .optional("latency")
        .map(|entry| latency(cx, &entry.node))
        .unwrap_or_default();
    let own_budget = fields
        .optional("budget")
        .map(|entry| budget(cx, &entry.node))
        .unwrap_or_default();
    let word = |cx: &mut Context<'_>, name: &str| {
        let entry = fields.optional(name)?;
        cx.text(&entry.node, "a text")
    };
    let description = word(cx, "description");
    let owner = word(cx, "owner");
    let docs = word(cx, "docs");
    let tags = fields
        .optional("tags")
        .map(|entry| cx.texts(&entry.node, "a word"))
        .unwrap_or_default();
    if let Some(entry) = fields.optional("use") {
        cx.texts(&entry.node, "the path of a file");
    }
    Some(Scenario {
        name: name?.0.clone(),
        file: cx.files.name(given.file).to_owned(),
        line: request_line(cx, fields),
        sha256: sha256(given.bytes),
        description,
        tags,
        owner,
        docs,
        rows,
        patterns,
        contract,
        latency,
        budget: own_budget.over(&given.parts.project.budget),
        secrets,
    })
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes)
        .iter()
        .fold(String::new(), |mut hex, byte| {
            // Writing to a String cannot fail.
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

/// Span of the first line of a map, for what is missing in it.
fn first_line(files: &Files, span: Span) -> Span {
    let line = files.line_range(span.file, files.line(span.file, span.start));
    let start = span.start as usize;
    let text = files
        .text(span.file)
        .get(start..line.end.max(start))
        .unwrap_or("");
    let text = text.split(" #").next().unwrap_or("").trim_end();
    Span::new(span.file, start..start + text.len())
}

fn say_missing(cx: &mut Context<'_>, fields: &Fields<'_>) {
    let line = first_line(cx.files, fields.span);
    if fields.one_of(cx, &["operation", "operations"]).is_none() {
        cx.say(
            Diagnostic::error(Diagnosis::MissingField, "`operation` is missing")
                .around(line, "this scenario does not say what to do")
                .help("write `operation:` with `request: METHOD /path` below it"),
        );
    }
    let empty = fields
        .optional("effects")
        .is_none_or(|entry| match &entry.node.value {
            Value::Map(entries) => entries.is_empty(),
            Value::Scalar(_) | Value::List(_) => entry.node.is_null(),
        });
    if empty {
        cx.say(
            Diagnostic::error(Diagnosis::MissingField, "`effects` is missing")
                .around(
                    line,
                    "this scenario says what to do, but not what must be true afterwards",
                )
                .help("retrial explain effects"),
        );
    }
}

/// The target in its long form. Environment before scenario before defaults,
/// field by field; flags come later.
fn target_node(fields: &Fields<'_>, given: &Given<'_>) -> Option<Node> {
    let own = fields
        .optional("target")
        .map(|entry| target::long_form(entry.node.clone()));
    [
        given.parts.default_target.clone(),
        own,
        given.parts.environment_target.clone(),
    ]
    .into_iter()
    .flatten()
    .reduce(Node::merged_under)
}

/// A message goes to a broker; saying that a target is missing too would only
/// confuse.
fn needs_target(cx: &mut Context<'_>, fields: &Fields<'_>) -> bool {
    let (entries, _) = operation_entries(cx, fields);
    !entries
        .iter()
        .any(|entry| entry.node.field("publish").is_some())
}

/// Every capture of the scenario, wherever it is made: for hints only.
fn collect_captures(cx: &mut Context<'_>, fields: &Fields<'_>) {
    let mut holders: Vec<&Node> = Vec::new();
    for name in ["setup", "cleanup"] {
        if let Some(Value::List(items)) = fields.optional(name).map(|entry| &entry.node.value) {
            holders.extend(items);
        }
    }
    holders.extend(fields.optional("operation").map(|entry| &entry.node));
    if let Some(Value::Map(entries)) = fields.optional("operations").map(|entry| &entry.node.value)
    {
        holders.extend(entries.iter().map(|entry| &entry.node));
    }
    for holder in holders {
        if let Some(Value::Map(made)) = holder.field("capture").map(|node| &node.value) {
            cx.names
                .all_captures
                .extend(made.iter().map(|entry| Captured {
                    name: entry.name.clone(),
                    span: entry.span,
                    each: Each::Trial,
                }));
        }
    }
}

fn scenario_row(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    row: Row,
    target: Option<Target>,
) -> ScenarioRow {
    cx.names.captures.clear();
    let setup = fields
        .optional("setup")
        .map(|entry| request::steps(cx, &entry.node, Each::Run))
        .unwrap_or_default();
    let operations = operations(cx, fields);
    let effects = effects(cx, fields, &operations);
    let together = together(cx, fields, &effects);
    let invariants = invariants(cx, fields);
    let cleanup = fields
        .optional("cleanup")
        .map(|entry| request::steps(cx, &entry.node, Each::Run))
        .unwrap_or_default();
    ScenarioRow {
        row,
        // Without a target an error has been said and the row goes nowhere.
        target: target.unwrap_or_else(nowhere),
        operations,
        effects,
        together,
        invariants,
        setup,
        cleanup,
    }
}

fn nowhere() -> Target {
    Target {
        url: String::new(),
        headers: Vec::new(),
        auth: None,
        tls: super::parts::Tls::default(),
        timeout: std::time::Duration::ZERO,
        quiet: None,
        http: HttpVersion::default(),
    }
}

fn operation_entries<'n>(cx: &mut Context<'_>, fields: &Fields<'n>) -> (Vec<&'n Entry>, bool) {
    if let Some(entry) = fields.optional("operation") {
        return (vec![entry], false);
    }
    let Some(entry) = fields.optional("operations") else {
        return (Vec::new(), false);
    };
    let entries = cx.entries(
        &entry.node,
        "a map of operations, e.g. `{order: {request: POST /orders}}`",
    );
    if entries.is_empty() && matches!(entry.node.value, Value::Map(_)) {
        cx.wrong_type(&entry.node, "at least one operation");
    }
    (entries.iter().collect(), true)
}

fn operations(cx: &mut Context<'_>, fields: &Fields<'_>) -> Vec<Operation> {
    let (entries, named) = operation_entries(cx, fields);
    let mut operations: Vec<Operation> = Vec::new();
    for entry in entries {
        let Some(operation) = request::operation(cx, entry, named) else {
            continue;
        };
        if operations.iter().any(|other| other.name == operation.name) {
            cx.say(
                Diagnostic::error(
                    Diagnosis::DuplicateField,
                    format!("two operations are called `{}`", operation.name),
                )
                .at(entry.span, "")
                .help("give one of them another `name`"),
            );
        }
        operations.push(operation);
    }
    operations
}

/// Line of the first operation's request, which reports name.
fn request_line(cx: &mut Context<'_>, fields: &Fields<'_>) -> u32 {
    let (entries, _) = operation_entries(cx, fields);
    let Some(first) = entries.first() else {
        return 1;
    };
    let span = match &first.node.value {
        Value::Map(members) => members
            .iter()
            .find(|member| member.name == "request")
            .map_or(first.span, |member| member.span),
        Value::Scalar(_) | Value::List(_) => first.span,
    };
    cx.place(span).line
}

fn effects(cx: &mut Context<'_>, fields: &Fields<'_>, operations: &[Operation]) -> Vec<Effect> {
    let Some(entry) = fields
        .optional("effects")
        .filter(|entry| !entry.node.is_null())
    else {
        return Vec::new();
    };
    let example = marked_member(operations);
    cx.entries(
        &entry.node,
        "a map of effects, e.g. `{orders: {get: …, count: …}}`",
    )
    .iter()
    .filter_map(|entry| effect::decode(cx, entry, operations, &example))
    .collect()
}

/// The member of a request that carries the marker: what an effect can be
/// filtered by.
fn marked_member(operations: &[Operation]) -> String {
    operations
        .iter()
        .find_map(|operation| match &operation.request.body {
            Body::Json(JsonTemplate(Json::Object(members))) => members
                .iter()
                .find(|(_, value)| value.as_str().is_some_and(|text| text.contains("marker")))
                .map(|(name, _)| name.clone()),
            Body::Form(members) => members
                .iter()
                .find(|(_, value)| value.0.contains("marker"))
                .map(|(name, _)| name.clone()),
            Body::None | Body::Json(_) | Body::Multipart(_) | Body::Text(_) => None,
        })
        .unwrap_or_else(|| "reference".to_owned())
}

/// What the requests of every pattern may use: captures made before the first
/// operation that patterns are put on.
fn captures_before_patterns(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    operations: &[Operation],
) -> Vec<Captured> {
    let first = operations
        .iter()
        .position(|operation| operation.repeatable)
        .unwrap_or(operations.len());
    let visible: BTreeSet<&str> = operations[..first]
        .iter()
        .flat_map(|operation| {
            operation
                .capture
                .iter()
                .map(|capture| capture.name.as_str())
        })
        .collect();
    let mut of_setup: BTreeSet<&str> = BTreeSet::new();
    if let Some(Value::List(items)) = fields.optional("setup").map(|entry| &entry.node.value) {
        for item in items {
            if let Some(Value::Map(made)) = item.field("capture").map(|node| &node.value) {
                of_setup.extend(made.iter().map(|entry| entry.name.as_str()));
            }
        }
    }
    cx.names
        .captures
        .iter()
        .filter(|made| {
            visible.contains(made.name.as_str()) || of_setup.contains(made.name.as_str())
        })
        .cloned()
        .collect()
}
