//! One file's tree → one [`Scenario`]: defaults, references, matrix rows. It must
//! not know how YAML is read, nor what a plan makes of the result.

use super::diagnostic::{Diagnostic, FileId, Files, Span};
use super::document::names::{Captured, Names, Uses};
use super::document::pattern::Circumstances;
use super::document::request::free_name;
use super::document::{Context, Fields, Letters, contract, effect, pattern, request, target};
use super::load::{Settings, severity};
use super::node::{Entry, Node, Scalar, Value};
use super::parts::{
    Auth, Body, Each, Effect, Invariant, KeyPlace, Operation, Population, Request, Row, Step,
    Target, Threshold,
};
use super::project::{ProjectParts, budget, secrets};
use super::template::{Escape, JsonTemplate, RenderError, Scope, Template};
use super::{Profile, Scenario, ScenarioRow, SecretSource, With, suggest};
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

/// More rows than anybody waits for.
const ROWS_MAX: usize = 1000;

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
    let place = name.map_or_else(|| cx.place(fields.span), |(_, span)| cx.place(*span));
    let around = Circumstances {
        flag: given.settings.profile,
        default: given.parts.project.profile.unwrap_or(Profile::Standard),
        json_body: operations
            .iter()
            .any(|operation| matches!(operation.request.body, Body::Json(_))),
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

fn all_secrets(cx: &mut Context<'_>, fields: &Fields<'_>, given: &Given<'_>) -> Vec<SecretSource> {
    let mut all = fields
        .optional("secrets")
        .map(|entry| secrets(cx, &entry.node))
        .unwrap_or_default();
    for below in &given.parts.project.secrets {
        if !all.iter().any(|own| own.name == below.name) {
            all.push(below.clone());
        }
    }
    cx.names.secrets = all
        .iter()
        .map(|secret| secret.name.clone())
        .chain(given.settings.secrets.iter().cloned())
        .collect();
    all
}

/// Variables: flags above the environment block above the scenario. Each may use
/// the environment and those before it.
fn vars(cx: &mut Context<'_>, fields: &Fields<'_>, given: &Given<'_>) {
    cx.values.set("vars", Json::Object(serde_json::Map::new()));
    cx.values_in_auth
        .set("vars", Json::Object(serde_json::Map::new()));
    for (name, text) in &given.settings.vars {
        define(cx, name, Scalar::of_flag(text).json());
    }
    let own = fields.optional("vars").map_or(&[][..], |entry| {
        cx.entries(&entry.node, "a map of variables, e.g. `{amount: 1999}`")
    });
    for entry in given.parts.vars.iter().chain(own) {
        if !free_name(cx, &entry.name, entry.span, "a variable")
            || cx.names.vars.contains(&entry.name)
        {
            continue;
        }
        // A mistake in the value has been said; the name counts as defined, so
        // that it is not said again wherever it is used.
        let value = cx.known_json(&entry.node).unwrap_or(Json::Null);
        define(cx, &entry.name, value);
    }
}

fn define(cx: &mut Context<'_>, name: &str, value: Json) {
    cx.values.set_member("vars", name, value.clone());
    cx.values_in_auth.set_member("vars", name, value);
    cx.names.vars.insert(name.to_owned());
}

/// The axes of the matrix with their values.
fn axes(cx: &mut Context<'_>, fields: &Fields<'_>) -> Vec<(String, Vec<Json>)> {
    let Some(entry) = fields.optional("matrix") else {
        return Vec::new();
    };
    let mut axes = Vec::new();
    for axis in cx.entries(&entry.node, "a map of axes, e.g. `{currency: [EUR, USD]}`") {
        if !cx.name(&axis.name, axis.span, Letters::Identifier) {
            continue;
        }
        cx.names.axes.insert(axis.name.clone());
        let Value::List(items) = &axis.node.value else {
            cx.wrong_type(&axis.node, "a list of values");
            continue;
        };
        let mut values: Vec<Json> = Vec::new();
        for item in items {
            if item.scalar().is_none() || item.is_null() {
                cx.wrong_type(item, "a text, a number, or true or false");
                continue;
            }
            let Some(value) = cx.known_value(item) else {
                continue;
            };
            if values.contains(&value) {
                cx.say(
                    Diagnostic::error(Diagnosis::InvalidValue, "a value that the axis has already")
                        .at(item.span, "two rows would have one id"),
                );
                continue;
            }
            values.push(value);
        }
        if items.is_empty() {
            cx.say(
                Diagnostic::error(Diagnosis::InvalidValue, "an axis without values")
                    .at(axis.node.span, "no row would be left"),
            );
        }
        axes.push((axis.name.clone(), values));
    }
    axes
}

/// Every combination, the last axis running fastest.
fn rows_of(cx: &mut Context<'_>, fields: &Fields<'_>, axes: &[(String, Vec<Json>)]) -> Vec<Row> {
    let count = axes.iter().try_fold(1_usize, |count, (_, values)| {
        count.checked_mul(values.len().max(1))
    });
    if count.is_none_or(|count| count > ROWS_MAX)
        && let Some(entry) = fields.optional("matrix")
    {
        cx.say(
            Diagnostic::error(
                Diagnosis::InvalidValue,
                format!("the matrix has more than {ROWS_MAX} rows"),
            )
            .at(entry.span, "every combination is a row")
            .help("take values away, or split the scenario"),
        );
        return vec![Row::new()];
    }
    let mut rows = vec![Row::new()];
    for (axis, values) in axes {
        // An axis whose values are all wrong has been said.
        if values.is_empty() {
            continue;
        }
        rows = rows
            .into_iter()
            .flat_map(|row| {
                values.iter().map(move |value| {
                    let mut row = row.clone();
                    row.insert(axis.clone(), value.clone());
                    row
                })
            })
            .collect();
    }
    rows
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

/// Groups of effects: one list of names, or several lists.
fn together(cx: &mut Context<'_>, fields: &Fields<'_>, effects: &[Effect]) -> Vec<Vec<String>> {
    let Some(entry) = fields.optional("together") else {
        return Vec::new();
    };
    let Value::List(items) = &entry.node.value else {
        cx.wrong_type(&entry.node, "a list of effects, e.g. `[orders, mails]`");
        return Vec::new();
    };
    let lists: Vec<&Node> = if items
        .iter()
        .any(|item| matches!(item.value, Value::List(_)))
    {
        items.iter().collect()
    } else {
        vec![&entry.node]
    };
    let declared = declared_effects(fields);
    let mut groups = Vec::new();
    for list in lists {
        let mut group = Vec::new();
        for item in list.items() {
            let Some(name) = cx.text(item, "the name of an effect") else {
                continue;
            };
            if declared.contains(name.as_str()) {
                group.push(name);
            } else {
                say_unknown_effect(cx, item.span, &name, &declared);
            }
        }
        if group.len() < 2 && effects.len() > 1 {
            cx.say(
                Diagnostic::error(Diagnosis::InvalidValue, "a group of one")
                    .at(list.span, "at least two effects were expected"),
            );
        }
        groups.push(group);
    }
    groups
}

/// Names of effects, those with mistakes too, so that these are not said twice.
fn declared_effects<'n>(fields: &Fields<'n>) -> BTreeSet<&'n str> {
    match fields.optional("effects").map(|entry| &entry.node.value) {
        Some(Value::Map(entries)) => entries.iter().map(|entry| entry.name.as_str()).collect(),
        Some(Value::Scalar(_) | Value::List(_)) | None => BTreeSet::new(),
    }
}

fn say_unknown_effect(cx: &mut Context<'_>, span: Span, name: &str, known: &BTreeSet<&str>) {
    let near = suggest::nearest(name, known.iter().copied())
        .map_or_else(String::new, |near| format!("did you mean `{near}`?"));
    let all: Vec<&str> = known.iter().copied().collect();
    cx.say(
        Diagnostic::error(
            Diagnosis::UnknownEffect,
            format!("there is no effect `{name}`"),
        )
        .at(span, near)
        .help(format!("effects of this scenario: {}", all.join(", "))),
    );
}

fn invariants(cx: &mut Context<'_>, fields: &Fields<'_>) -> Vec<Invariant> {
    let Some(entry) = fields.optional("invariants") else {
        return Vec::new();
    };
    let declared = declared_effects(fields);
    let items = entry.node.items();
    items
        .into_iter()
        .filter_map(|item| invariant(cx, item, &declared))
        .collect()
}

const BRACES: &str = "${{";

/// An expression over effects and `vars`; the variables are put in place.
fn invariant(cx: &mut Context<'_>, node: &Node, effects: &BTreeSet<&str>) -> Option<Invariant> {
    let Some(text) = node.text() else {
        cx.wrong_type(
            node,
            "a comparison such as `charged == orders * vars.amount`",
        );
        return None;
    };
    let scalar = node.scalar()?;
    if text.contains("${{") {
        cx.say(
            Diagnostic::error(
                Diagnosis::InvalidExpression,
                "an invariant is an expression already",
            )
            .at(node.span, "no `${{ }}` was expected")
            .help("write, for example, `charged == orders * vars.amount`"),
        );
        return None;
    }
    // The same parser as for expressions: an invariant is one without its braces.
    let wrapped = Template(format!("{BRACES}{text}}}}}"));
    if let Err(error) = Template::parse_check(&wrapped.0) {
        cx.say(
            Diagnostic::error(
                Diagnosis::InvalidExpression,
                "this invariant does not parse",
            )
            .at(node.span, error.message)
            .help("write a comparison such as `charged == orders * vars.amount`"),
        );
        return None;
    }
    let mut expression = text.to_owned();
    let mut used = BTreeSet::new();
    let mut ok = true;
    for name in wrapped.names().into_iter().rev() {
        let range = name.range.start - BRACES.len()..name.range.end - BRACES.len();
        let span = scalar.locate(cx.files, node.span, range);
        let root = name.name.split('.').next().unwrap_or_default().to_owned();
        if root == "vars" {
            if let Some(value) = cx.values.lookup(&name.name).cloned() {
                expression = replace_name(&expression, &name.name, &value.to_string());
            } else {
                ok = false;
                let known: Vec<&str> = cx.names.vars.iter().map(String::as_str).collect();
                let help = format!("variables defined: {}", known.join(", "));
                cx.say(
                    Diagnostic::error(
                        Diagnosis::UndefinedValue,
                        format!("`{}` is not defined here", name.name),
                    )
                    .at(span, "")
                    .help(help),
                );
            }
        } else if effects.contains(root.as_str()) {
            used.insert(root);
        } else {
            ok = false;
            say_unknown_effect(cx, span, &name.name, effects);
        }
    }
    ok.then(|| Invariant {
        expression,
        effects: used.into_iter().collect(),
        place: cx.place(node.span),
    })
}

/// Puts a value in place of a name everywhere outside strings.
fn replace_name(expression: &str, name: &str, value: &str) -> String {
    let mut done = String::new();
    let mut rest = expression;
    while let Some(range) = super::template::find_name(rest, name) {
        done.push_str(&rest[..range.start]);
        done.push_str(value);
        rest = &rest[range.end..];
    }
    done.push_str(rest);
    done
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

/// `{first: {p95: 400ms}}`.
fn latency(cx: &mut Context<'_>, node: &Node) -> Vec<Threshold> {
    const POPULATIONS: &[&str] = &["first", "replay", "refused", "held", "closing"];
    const QUANTILES: &[&str] = &["p50", "p90", "p95", "p99", "p999", "max"];
    const VALUES: [f64; 6] = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0];
    let Some(fields) = cx.fields(node, "`latency`", POPULATIONS) else {
        return Vec::new();
    };
    let mut thresholds = Vec::new();
    for population in Population::ALL {
        let Some(entry) = fields.optional(population.word()) else {
            continue;
        };
        let Some(quantiles) = cx.fields(&entry.node, "a population", QUANTILES) else {
            continue;
        };
        for (word, quantile) in QUANTILES.iter().zip(VALUES) {
            let Some(entry) = quantiles.optional(word) else {
                continue;
            };
            if let Some(limit) = cx.duration(&entry.node) {
                let place = cx.place(entry.span);
                thresholds.push(Threshold {
                    population,
                    quantile,
                    limit,
                    place,
                });
            }
        }
        quantiles.finish(cx);
    }
    fields.finish(cx);
    thresholds
}

impl With {
    /// Puts what a scope knows in place; what cannot be put there stays as
    /// written and is said when it is sent.
    pub(super) fn resolve(&mut self, scope: &Scope) {
        if let Some(json) = &mut self.json {
            keep(json.resolve(scope), json);
        }
        for (_, value) in self.headers.iter_mut().chain(&mut self.query) {
            keep(value.resolve(scope, Escape::None), value);
        }
        if let Some(auth) = &mut self.auth {
            auth.resolve(scope);
        }
    }
}

impl Auth {
    fn resolve(&mut self, scope: &Scope) {
        match self {
            Self::Bearer(value) | Self::Header { value, .. } => {
                keep(value.resolve(scope, Escape::None), value);
            }
            Self::Basic { user, password } => {
                keep(user.resolve(scope, Escape::None), user);
                keep(password.resolve(scope, Escape::None), password);
            }
            Self::None => {}
        }
    }
}

impl Step {
    /// As [`With::resolve`].
    pub(super) fn resolve(&mut self, scope: &Scope) {
        self.request.resolve(scope);
        if self.key.place != KeyPlace::None
            && let Some(value) = &mut self.key.value
        {
            keep(value.resolve(scope, Escape::None), value);
        }
        if let Some(expect) = &mut self.expect {
            for (_, value) in &mut expect.json {
                keep(value.resolve(scope), value);
            }
        }
    }
}

impl Request {
    fn resolve(&mut self, scope: &Scope) {
        keep(self.path.resolve(scope, Escape::UrlPart), &mut self.path);
        for (_, value) in self.query.iter_mut().chain(&mut self.headers) {
            keep(value.resolve(scope, Escape::None), value);
        }
        match &mut self.body {
            Body::None => {}
            Body::Json(json) => keep(json.resolve(scope), json),
            Body::Form(pairs) => {
                for (_, value) in pairs {
                    keep(value.resolve(scope, Escape::None), value);
                }
            }
            Body::Multipart(parts) => {
                for part in parts {
                    if let super::parts::PartContent::Text(text) = &mut part.content {
                        keep(text.resolve(scope, Escape::None), text);
                    }
                }
            }
            Body::Text(text) => keep(text.resolve(scope, Escape::None), text),
        }
        if let Some(auth) = &mut self.auth {
            auth.resolve(scope);
        }
    }
}

fn keep<T>(read: Result<T, RenderError>, place: &mut T) {
    if let Ok(value) = read {
        *place = value;
    }
}
