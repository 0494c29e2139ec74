//! Values of one scenario that are known before anything is sent: where secrets
//! come from, variables, the rows of the matrix.

use super::SecretSource;
use super::diagnostic::Diagnostic;
use super::document::names::free_name;
use super::document::{Context, Fields, Letters};
use super::lower::Given;
use super::node::Value;
use super::parts::Row;
use super::project::secrets;
use crate::codes::Diagnosis;
use serde_json::Value as Json;

/// More rows than anybody waits for.
const ROWS_MAX: usize = 1000;

pub(super) fn all_secrets(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    given: &Given<'_>,
) -> Vec<SecretSource> {
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
pub(super) fn vars(cx: &mut Context<'_>, fields: &Fields<'_>, given: &Given<'_>) {
    cx.values.set("vars", Json::Object(serde_json::Map::new()));
    cx.values_in_auth
        .set("vars", Json::Object(serde_json::Map::new()));
    for (name, value) in &given.settings.vars {
        define(cx, name, value.clone());
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
pub(super) fn axes(cx: &mut Context<'_>, fields: &Fields<'_>) -> Vec<(String, Vec<Json>)> {
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
pub(super) fn rows_of(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    axes: &[(String, Vec<Json>)],
) -> Vec<Row> {
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
