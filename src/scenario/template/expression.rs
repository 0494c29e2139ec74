//! One expression: checked, searched for names, computed. It must not know the
//! text around it.

use super::{RenderError, Scope};
use minijinja::{Environment, ErrorKind, UndefinedBehavior};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

/// Steps of the virtual machine that one expression may take: far more than any
/// honest one needs, and over in well under a millisecond.
const FUEL: u64 = 50_000;

/// Words that are not names.
const KEYWORDS: [&str; 14] = [
    "true", "false", "none", "True", "False", "None", "not", "and", "or", "in", "is", "if", "else",
    "loop",
];

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(64);
    // No functions: what could loop, or show the environment, has no place in a value.
    for global in ["range", "dict", "namespace", "debug"] {
        environment.remove_global(global);
    }
    environment
});

/// Says what is wrong with an expression.
pub(super) fn check(source: &str) -> Result<(), String> {
    if is_bare(source) {
        return Ok(());
    }
    ENVIRONMENT
        .compile_expression_owned(source.to_owned())
        .map_err(|error| reason(&error))?;
    match unknown_filter(source) {
        Some(filter) => Err(format!("there is no filter `{filter}`")),
        None => Ok(()),
    }
}

/// The free names of an expression and where they stand in it, in that order.
pub(super) fn names(source: &str) -> Vec<(String, Range<usize>)> {
    if is_bare(source) {
        return vec![(source.to_owned(), 0..source.len())];
    }
    let Ok(compiled) = ENVIRONMENT.compile_expression_owned(source.to_owned()) else {
        return Vec::new();
    };
    let mut found: Vec<_> = compiled
        .undeclared_variables(true)
        .into_iter()
        .map(|name| {
            let range = find_name(source, &name).unwrap_or(0..source.len());
            (name, range)
        })
        .collect();
    found.sort_by(|one, other| (one.1.start, &one.0).cmp(&(other.1.start, &other.0)));
    found
}

/// Computes an expression.
pub(super) fn eval(source: &str, scope: &Scope) -> Result<Value, RenderError> {
    if is_bare(source) {
        return scope
            .lookup(source)
            .cloned()
            .ok_or_else(|| RenderError::Undefined {
                name: source.to_owned(),
            });
    }
    let failed = |message: String| RenderError::Failed {
        expression: source.to_owned(),
        message,
    };
    let compiled = ENVIRONMENT
        .compile_expression_owned(source.to_owned())
        .map_err(|error| failed(reason(&error)))?;
    let mut context: BTreeMap<String, Value> = BTreeMap::new();
    for (name, _) in names(source) {
        let Some(value) = scope.lookup(&name) else {
            return Err(RenderError::Undefined { name });
        };
        place(&mut context, &name, value);
    }
    let value = compiled
        .eval(minijinja::value::Serde(&context))
        .map_err(|error| failed(reason(&error)))?;
    if value.is_undefined() {
        return Err(RenderError::Undefined {
            name: source.to_owned(),
        });
    }
    serde_json::to_value(&value).map_err(|error| failed(error.to_string()))
}

/// Puts a value where a dotted name finds it again.
fn place(context: &mut BTreeMap<String, Value>, name: &str, value: &Value) {
    let mut steps = name.split('.');
    let root = steps.next().unwrap_or_default().to_owned();
    let steps: Vec<_> = steps.collect();
    let mut slot = context.entry(root).or_insert(Value::Null);
    for step in &steps {
        if !slot.is_object() {
            *slot = Value::Object(serde_json::Map::new());
        }
        let Value::Object(members) = slot else {
            return;
        };
        slot = members.entry((*step).to_owned()).or_insert(Value::Null);
    }
    // `vars` beside `vars.x` in one expression: the whole object has the member
    // already, and a member never replaces the whole.
    if slot.is_null() || steps.is_empty() {
        *slot = value.clone();
    }
}

/// Whether this is a dotted name and nothing more.
fn is_bare(source: &str) -> bool {
    let word = |step: &str| {
        let mut bytes = step.bytes();
        bytes
            .next()
            .is_some_and(|first| first.is_ascii_alphabetic() || first == b'_')
            && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    source.split('.').all(word) && !KEYWORDS.contains(&source.split('.').next().unwrap_or_default())
}

fn reason(error: &minijinja::Error) -> String {
    match error.kind() {
        ErrorKind::OutOfFuel => "it takes too many steps".to_owned(),
        _ => error
            .detail()
            .map_or_else(|| error.kind().to_string(), str::to_owned),
    }
}

/// The source with everything inside quotes blanked, byte for byte.
pub(super) fn without_strings(source: &str) -> Vec<u8> {
    let mut bytes = source.as_bytes().to_vec();
    let mut quote = None;
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => {
                bytes[at] = b' ';
                if at + 1 < bytes.len() {
                    bytes[at + 1] = b' ';
                }
                at += 1;
            }
            (Some(open), byte) if byte == open => quote = None,
            (Some(_), _) => bytes[at] = b' ',
            (None, byte @ (b'\'' | b'"')) => quote = Some(byte),
            (None, _) => {}
        }
        at += 1;
    }
    bytes
}

/// Where a dotted name stands in an expression, outside its strings.
pub(in crate::scenario) fn find_name(source: &str, name: &str) -> Option<Range<usize>> {
    let blank = without_strings(source);
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (0..=blank.len().checked_sub(name.len())?).find_map(|start| {
        let end = start + name.len();
        let before = start > 0 && (word(blank[start - 1]) || blank[start - 1] == b'.');
        let after = blank.get(end).is_some_and(|&byte| word(byte));
        (!before && !after && &blank[start..end] == name.as_bytes()).then_some(start..end)
    })
}

/// The first filter of an expression that does not exist.
fn unknown_filter(source: &str) -> Option<String> {
    let blank = without_strings(source);
    let mut rest = blank.as_slice();
    while let Some(at) = rest.iter().position(|&byte| byte == b'|') {
        rest = rest[at + 1..].trim_ascii_start();
        let length = rest
            .iter()
            .position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_')
            .unwrap_or(rest.len());
        let filter = String::from_utf8_lossy(&rest[..length]).into_owned();
        let answer = ENVIRONMENT.empty_state().apply_filter(&filter, &[]);
        if answer.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter) {
            return Some(filter);
        }
    }
    None
}
