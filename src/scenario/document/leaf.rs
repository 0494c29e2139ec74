//! Single values: texts, numbers, durations, JSON, JSONPaths. Each decoder says
//! what was expected and gives `None` where there is nothing to go on with.

use super::{Context, listed};
use crate::codes::Diagnosis;
use crate::scenario::diagnostic::{Diagnostic, Span};
use crate::scenario::node::{Node, Typed, Value};
use crate::scenario::suggest;
use crate::scenario::template::{Escape, JsonTemplate, RenderError, Template, open_quote};
use crate::scenario::units;
use serde_json::Value as Json;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Whose text it is: credentials keep the environment as a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Of {
    /// A request.
    Request,
    /// Credentials.
    Auth,
}

impl Context<'_> {
    /// A text that may keep expressions for later.
    pub(crate) fn template(
        &mut self,
        node: &Node,
        expected: &str,
        escape: Escape,
        of: Of,
    ) -> Option<Template> {
        let Some(scalar) = node.scalar().filter(|scalar| scalar.typed != Typed::Null) else {
            self.wrong_type(node, expected);
            return None;
        };
        if !self.check_expressions(node) {
            return None;
        }
        self.resolve(&Template(scalar.text.clone()), node.span, escape, of)
    }

    /// Puts what is known in place; a value that cannot be put there is said.
    pub(crate) fn resolve(
        &mut self,
        template: &Template,
        span: Span,
        escape: Escape,
        of: Of,
    ) -> Option<Template> {
        let values = match of {
            Of::Request => &self.values,
            Of::Auth => &self.values_in_auth,
        };
        match template.resolve(values, escape) {
            Ok(template) => Some(template),
            Err(error) => {
                self.say_render(&error, span);
                None
            }
        }
    }

    fn say_render(&mut self, error: &RenderError, span: Span) {
        self.say(Diagnostic::error(Diagnosis::InvalidExpression, error.to_string()).at(span, ""));
    }

    /// A value that has to be known before anything is sent.
    pub(crate) fn known_value(&mut self, node: &Node) -> Option<Json> {
        let scalar = node.scalar()?;
        if scalar.typed != Typed::Text || !scalar.text.contains("${{") {
            return Some(scalar.json());
        }
        let words = std::mem::take(&mut self.names.words);
        let captures = std::mem::take(&mut self.names.captures);
        let defined = self.check_expressions(node);
        self.names.words = words;
        self.names.captures = captures;
        if !defined {
            return None;
        }
        let template = JsonTemplate(Json::String(scalar.text.clone()));
        match template.resolve(&self.values) {
            Ok(JsonTemplate(value)) => {
                let left = JsonTemplate(value.clone()).names();
                let unset = |name: &String| {
                    name.strip_prefix("env.")
                        .is_some_and(|name| !self.names.env.contains(name))
                };
                if let Some(name) = left.iter().find(|name| !unset(name)) {
                    let error = Diagnostic::error(
                        Diagnosis::UndefinedValue,
                        format!("`{name}` has no value yet in this place"),
                    );
                    self.say(
                        error
                            .at(node.span, "this has to be known before anything is sent")
                            .help("`vars.…` and `env.…` can stand here"),
                    );
                }
                left.is_empty().then(|| unquoted(value))
            }
            Err(error) => {
                self.say_render(&error, node.span);
                None
            }
        }
    }

    /// A text that has to be known before anything is sent.
    pub(crate) fn text(&mut self, node: &Node, expected: &str) -> Option<String> {
        match self.scalar_value(node, expected)? {
            Json::String(text) => Some(text),
            Json::Number(_) | Json::Bool(_) => {
                // What was written plainly is taken as it was written.
                let written = node.scalar().filter(|scalar| !scalar.text.contains("${{"));
                match written {
                    Some(scalar) => Some(scalar.text.clone()),
                    None => self.known_value(node).map(|value| match value {
                        Json::String(text) => text,
                        other => other.to_string(),
                    }),
                }
            }
            Json::Null | Json::Array(_) | Json::Object(_) => {
                self.wrong_type(node, expected);
                None
            }
        }
    }

    /// The value of a scalar, its type still open.
    fn scalar_value(&mut self, node: &Node, expected: &str) -> Option<Json> {
        if node.scalar().is_none() {
            self.wrong_type(node, expected);
            return None;
        }
        self.known_value(node)
    }

    /// One of some words.
    pub(crate) fn word<T: Copy>(
        &mut self,
        node: &Node,
        what: &str,
        words: &[(&str, T)],
    ) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let text = self.text(node, &format!("{what}: {}", listed(&names)))?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        self.unknown_word(node.span, &text, what, &names);
        None
    }

    /// Says that a word is none of those that make sense.
    pub(crate) fn unknown_word(&mut self, span: Span, word: &str, what: &str, words: &[&str]) {
        let label = suggest::nearest(word, words.iter().copied())
            .map_or_else(String::new, |near| format!("did you mean `{near}`?"));
        self.say(
            Diagnostic::error(Diagnosis::InvalidValue, format!("`{word}` is not {what}"))
                .at(span, label)
                .help(format!("write {}", listed(words))),
        );
    }

    /// A duration.
    pub(crate) fn duration(&mut self, node: &Node) -> Option<Duration> {
        let text = self.text(node, "a duration such as 5s")?;
        match units::duration(&text) {
            Ok(duration) => Some(duration),
            Err(expected) => {
                self.say_unit(
                    Diagnosis::InvalidDuration,
                    node.span,
                    &text,
                    "a duration",
                    &expected,
                    "write, for example, `200ms`, `5s` or `2m`",
                );
                None
            }
        }
    }

    /// A rate per second.
    pub(crate) fn rate(&mut self, node: &Node) -> Option<f64> {
        let text = self.text(node, "a rate such as 50/s")?;
        match units::rate(&text) {
            Ok(rate) => Some(rate),
            Err(expected) => {
                self.say_unit(
                    Diagnosis::InvalidValue,
                    node.span,
                    &text,
                    "a rate",
                    &expected,
                    "write, for example, `50/s`",
                );
                None
            }
        }
    }

    pub(crate) fn say_unit(
        &mut self,
        code: Diagnosis,
        span: Span,
        text: &str,
        what: &str,
        expected: &str,
        help: &str,
    ) {
        self.say(
            Diagnostic::error(code, format!("`{text}` is not {what}"))
                .at(span, expected)
                .help(help),
        );
    }

    /// An integer within bounds.
    pub(crate) fn integer(&mut self, node: &Node, range: RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        let value = self.scalar_value(node, &expected)?;
        let number = match &value {
            Json::Number(number) => number.as_u64(),
            _ => None,
        };
        match number {
            Some(number) if range.contains(&number) => Some(number),
            _ if value.is_number() => {
                self.say(
                    Diagnostic::error(
                        Diagnosis::InvalidValue,
                        format!("{value} does not make sense here"),
                    )
                    .at(node.span, format!("expected {expected}")),
                );
                None
            }
            _ => {
                self.wrong_type(node, &expected);
                None
            }
        }
    }

    /// The same as an `u32`.
    pub(crate) fn small_integer(&mut self, node: &Node, range: RangeInclusive<u32>) -> Option<u32> {
        let number = self.integer(node, u64::from(*range.start())..=u64::from(*range.end()))?;
        u32::try_from(number).ok()
    }

    /// Any number.
    pub(crate) fn number(&mut self, node: &Node) -> Option<f64> {
        let value = self.scalar_value(node, "a number")?;
        let number = value.as_f64();
        if number.is_none() {
            self.wrong_type(node, "a number");
        }
        number
    }

    /// True or false.
    pub(crate) fn boolean(&mut self, node: &Node) -> Option<bool> {
        let value = self.scalar_value(node, "true or false")?;
        if let Some(flag) = value.as_bool() {
            return Some(flag);
        }
        self.wrong_type(node, "true or false");
        if let Json::String(word) = &value
            && matches!(word.as_str(), "yes" | "on" | "no" | "off")
            && let Some(last) = self.out.last_mut()
        {
            last.helps.push(format!(
                "`{word}` is a plain word in YAML 1.2; write `true` or `false`"
            ));
        }
        None
    }

    /// One text or a list of texts.
    pub(crate) fn texts(&mut self, node: &Node, expected: &str) -> Vec<String> {
        let items = node.items();
        items
            .into_iter()
            .filter_map(|item| self.text(item, expected))
            .collect()
    }

    /// One status or a list of them.
    pub(crate) fn statuses(&mut self, node: &Node) -> Vec<u16> {
        let items = node.items();
        items
            .into_iter()
            .filter_map(|item| self.status(item))
            .collect()
    }

    /// An HTTP status.
    pub(crate) fn status(&mut self, node: &Node) -> Option<u16> {
        self.integer(node, 100..=599)
            .and_then(|status| u16::try_from(status).ok())
    }

    /// A JSON value that may keep expressions for later.
    pub(crate) fn json(&mut self, node: &Node) -> Option<JsonTemplate> {
        if !self.check_json(node) {
            return None;
        }
        match JsonTemplate(node.json()).resolve(&self.values) {
            Ok(value) => Some(value),
            Err(error) => {
                self.say_render(&error, node.span);
                None
            }
        }
    }

    fn check_json(&mut self, node: &Node) -> bool {
        match &node.value {
            Value::Scalar(_) => self.check_expressions(node),
            Value::List(items) => {
                let checked: Vec<bool> = items.iter().map(|item| self.check_json(item)).collect();
                checked.into_iter().all(|ok| ok)
            }
            Value::Map(entries) => {
                let mut ok = true;
                for entry in entries {
                    if entry.name.contains("${{") {
                        self.say(
                            Diagnostic::error(
                                Diagnosis::InvalidName,
                                "an expression in the name of a field",
                            )
                            .at(entry.span, "names of fields are taken as they are")
                            .help("put expressions into values only"),
                        );
                        ok = false;
                    }
                    ok &= self.check_json(&entry.node);
                }
                ok
            }
        }
    }

    /// A JSON value that has to be known before anything is sent.
    pub(crate) fn known_json(&mut self, node: &Node) -> Option<Json> {
        match &node.value {
            Value::Scalar(_) => self.known_value(node),
            Value::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.known_json(item)).collect();
                items.into_iter().collect::<Option<_>>().map(Json::Array)
            }
            Value::Map(entries) => {
                let members: Vec<_> = entries
                    .iter()
                    .map(|entry| Some((entry.name.clone(), self.known_json(&entry.node)?)))
                    .collect();
                members.into_iter().collect::<Option<_>>().map(Json::Object)
            }
        }
    }

    /// A JSONPath that may hold expressions inside quotes. `field` is its name,
    /// for messages.
    pub(crate) fn json_path(&mut self, node: &Node, field: &str) -> Option<Template> {
        let expected = "a JSONPath such as `$.items[*]`";
        let Some(text) = node.text() else {
            self.wrong_type(node, expected);
            return None;
        };
        if !self.check_expressions(node) || !self.check_json_path(node, text, 0, field) {
            return None;
        }
        self.resolve(
            &Template(text.to_owned()),
            node.span,
            Escape::JsonPathQuoted,
            Of::Request,
        )
    }

    /// A JSONPath without expressions.
    pub(crate) fn plain_json_path(&mut self, node: &Node, field: &str) -> Option<String> {
        let path = self.json_path(node, field)?;
        if path.has_expressions() {
            self.say(
                Diagnostic::error(
                    Diagnosis::InvalidJsonpath,
                    format!("`{field}` cannot hold an expression"),
                )
                .at(
                    node.span,
                    "a path that is the same for every trial was expected",
                ),
            );
            return None;
        }
        Some(path.0)
    }

    /// Whether a JSONPath parses, with the place of the mistake. `offset` is where
    /// the path begins in the scalar.
    pub(crate) fn check_json_path(
        &mut self,
        node: &Node,
        text: &str,
        offset: usize,
        field: &str,
    ) -> bool {
        let Some(scalar) = node.scalar() else {
            return false;
        };
        // Expressions become letters of the same number of bytes, so that the
        // parser's positions stay those of the text.
        let mut masked = text.to_owned();
        for expr in Template::parse_check(text).unwrap_or_default() {
            if open_quote(&text[..expr.range.start]).is_none() {
                let part = expr.range.start + offset..expr.range.end + offset;
                let span = scalar.locate(self.files, node.span, part);
                self.say(
                    Diagnostic::error(
                        Diagnosis::InvalidJsonpath,
                        format!("`{field}` has an expression outside quotes"),
                    )
                    .at(
                        span,
                        "in a JSONPath an expression stands only inside quotes",
                    )
                    .help("compare with it, e.g. `$[?@.reference == '${{ marker }}']`"),
                );
                return false;
            }
            let length = expr.range.len();
            masked.replace_range(expr.range, &"x".repeat(length));
        }
        let Err(error) = serde_json_path::JsonPath::parse(&masked) else {
            return true;
        };
        let (at, label) = explain_path(&masked, error.position(), error.message());
        let end = at + masked[at..].chars().next().map_or(0, char::len_utf8);
        let span = scalar.locate(self.files, node.span, at + offset..end + offset);
        self.say(
            Diagnostic::error(
                Diagnosis::InvalidJsonpath,
                format!("`{field}` is not a valid JSONPath"),
            )
            .at(span, label),
        );
        false
    }

    /// A regular expression.
    pub(crate) fn regex(&mut self, node: &Node) -> Option<String> {
        let text = self.text(node, "a regular expression")?;
        match regex::Regex::new(&text) {
            Ok(_) => Some(text),
            Err(error) => {
                let message = error.to_string();
                let last = message.lines().last().unwrap_or_default();
                self.say(
                    Diagnostic::error(
                        Diagnosis::InvalidRegex,
                        "this regular expression does not parse",
                    )
                    .at(node.span, last.trim_start_matches("error: "))
                    .help("put it in single quotes: YAML then leaves the backslashes alone"),
                );
                None
            }
        }
    }
}

/// Undoes the quoting of resolved texts: nothing in them is an expression.
fn unquoted(value: Json) -> Json {
    match value {
        Json::String(text) => Json::String(text.replace("${{ '${{' }}", "${{")),
        other => other,
    }
}

/// Where a JSONPath goes wrong and what was expected there, for the usual slips.
fn explain_path(path: &str, position: usize, message: &str) -> (usize, String) {
    if !path.starts_with('$') {
        let label = if path.starts_with('.') || path.starts_with('[') {
            "a JSONPath begins with `$`"
        } else {
            "a JSONPath begins with `$`, e.g. `$.items[*]`"
        };
        return (0, label.to_owned());
    }
    let mut quote = None;
    let bytes = path.as_bytes();
    for (at, next) in path.char_indices() {
        match (quote, next) {
            (Some(open), next) if open == next => quote = None,
            (None, '\'' | '"') => quote = Some(next),
            (None, '=') => {
                let before = at.checked_sub(1).map(|before| bytes[before]);
                let after = bytes.get(at + 1);
                let single = !matches!(before, Some(b'=' | b'!' | b'<' | b'>'))
                    && !matches!(after, Some(b'=' | b'~'));
                if single {
                    return (at, "expected a comparison; write `==`".to_owned());
                }
                if after == Some(&b'=') && bytes.get(at + 2) == Some(&b'=') {
                    return (at, "expected a comparison; write `==`".to_owned());
                }
                if after == Some(&b'~') {
                    return (
                        at,
                        "expected a comparison; write `match(@.a, 'regex')`".to_owned(),
                    );
                }
            }
            _ => {}
        }
    }
    if quote.is_some() {
        let at = path.len() - path.chars().next_back().map_or(0, char::len_utf8);
        return (at, "a quote is not closed".to_owned());
    }
    if path.contains("[?(@") && path.matches('(').count() != path.matches(')').count() {
        let at = path.find("[?(").map_or(0, |at| at + 2);
        return (at, "this parenthesis is not closed".to_owned());
    }
    if path.matches('[').count() > path.matches(']').count() {
        let at = path.rfind('[').unwrap_or(0);
        return (at, "this bracket is not closed".to_owned());
    }
    // The parser counts from 1, in characters.
    let at = path
        .char_indices()
        .nth(position.saturating_sub(1))
        .map_or(path.len(), |(at, _)| at);
    let at = if at >= path.len() {
        path.len() - path.chars().next_back().map_or(0, char::len_utf8)
    } else {
        at
    };
    let words = message
        .rsplit(", ")
        .next()
        .unwrap_or(message)
        .trim_start_matches("in ");
    (at, format!("not understood from here: {words}"))
}
