//! What holds over several effects, and over latencies.

use super::diagnostic::{Diagnostic, Span};
use super::document::{Context, Fields};
use super::node::{Node, Value};
use super::parts::{Effect, Invariant, Population, Threshold};
use super::suggest;
use super::template::{Template, find_name};
use crate::codes::Diagnosis;
use std::collections::BTreeSet;

/// Groups of effects: one list of names, or several lists.
pub(super) fn together(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    effects: &[Effect],
) -> Vec<Vec<String>> {
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

pub(super) fn invariants(cx: &mut Context<'_>, fields: &Fields<'_>) -> Vec<Invariant> {
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
    while let Some(range) = find_name(rest, name) {
        done.push_str(&rest[..range.start]);
        done.push_str(value);
        rest = &rest[range.end..];
    }
    done.push_str(rest);
    done
}

/// `{first: {p95: 400ms}}`.
pub(super) fn latency(cx: &mut Context<'_>, node: &Node) -> Vec<Threshold> {
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
