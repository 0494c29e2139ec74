//! `${{ placeholders }}`: parsed once, rendered many times; secrets stay
//! references.
//!
//! An expression is a bare dotted name (looked up directly: rendering sits on
//! the path of every attempt) or anything else that minijinja calls an
//! expression; blocks and loops do not exist, `{% %}` is plain text. This file
//! must not know where names get their values, nor what a request is.

mod expression;

pub(super) use expression::find_name;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// A text with `${{ … }}` expressions in it; stored as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Template(pub String);

/// A JSON value whose strings are templates; a string that is exactly one
/// expression becomes the expression's value with its type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonTemplate(pub Value);

/// One expression of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expr {
    /// What stands between the braces, trimmed.
    pub source: String,
    /// Bytes of the template from `$` to behind the last brace.
    pub range: Range<usize>,
    /// Bytes of the template that [`Expr::source`] covers.
    pub inner: Range<usize>,
}

/// A free name of an expression, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The name, dotted: `vars.amount`, `marker`.
    pub name: String,
    /// Bytes of the template that it covers.
    pub range: Range<usize>,
}

/// A template that does not parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// Bytes of the template that are to blame.
    pub range: Range<usize>,
    /// What is wrong with them.
    pub message: String,
}

/// Why a template could not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    /// A name that nothing defines.
    #[error("`{name}` is not defined here")]
    Undefined {
        /// The name, dotted.
        name: String,
    },
    /// A value that has no text.
    #[error(
        "`{expression}` is {found}, which has no text; only a string, a number or true/false can stand inside a text"
    )]
    NotText {
        /// The expression.
        expression: String,
        /// What it turned out to be, with its article.
        found: &'static str,
    },
    /// An expression of a JSONPath outside quotes.
    #[error(
        "`${{{{ {expression} }}}}` stands outside quotes; in a JSONPath an expression stands only inside quotes"
    )]
    Unquoted {
        /// The expression.
        expression: String,
    },
    /// An expression that parses but cannot be computed.
    #[error("`{expression}` cannot be computed: {message}")]
    Failed {
        /// The expression.
        expression: String,
        /// What minijinja says.
        message: String,
    },
    /// A template that does not parse.
    #[error(transparent)]
    Syntax(#[from] TemplateError),
}

/// How values are put into a text; the author's own text is never touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Escape {
    /// As they are: headers, bodies, form values, query parameters given as a map.
    None,
    /// Percent-encoded, but for an expression at the very start: a path or URL.
    UrlPart,
    /// Escaped for the quotes around them: a JSONPath.
    JsonPathQuoted,
}

/// What names stand for. A scope may have a parent that it shares with others:
/// a run's names are built once, a trial's on top of them.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    values: BTreeMap<String, Value>,
    parent: Option<Arc<Scope>>,
}

impl Scope {
    /// A scope without names.
    pub fn new() -> Self {
        Self::default()
    }

    /// A scope that knows all that `parent` knows.
    pub fn within(parent: Arc<Self>) -> Self {
        Self {
            values: BTreeMap::new(),
            parent: Some(parent),
        }
    }

    /// Defines a name; `vars`, `matrix`, `secrets` and `env` are objects.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) -> &mut Self {
        self.values.insert(name.into(), value.into());
        self
    }

    /// Defines one member of an object such as `vars`, keeping the others that
    /// this scope itself (not its parent) holds.
    pub fn set_member(
        &mut self,
        object: &str,
        name: impl Into<String>,
        value: impl Into<Value>,
    ) -> &mut Self {
        let slot = self
            .values
            .entry(object.to_owned())
            .or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Value::Object(members) = slot {
            members.insert(name.into(), value.into());
        }
        self
    }

    /// What a dotted name stands for. A member that this scope's object lacks is
    /// looked for in the parent's.
    pub fn lookup(&self, dotted: &str) -> Option<&Value> {
        let mut steps = dotted.split('.');
        let root = steps.next()?;
        let found = self
            .values
            .get(root)
            .and_then(|value| steps.try_fold(value, |value, step| member(value, step)));
        found.or_else(|| self.parent.as_ref()?.lookup(dotted))
    }
}

fn member<'v>(value: &'v Value, step: &str) -> Option<&'v Value> {
    match value {
        Value::Object(members) => members.get(step),
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// A piece of a template.
enum Segment<'t> {
    Text(&'t str),
    Expr(&'t str, Range<usize>),
}

const OPEN: &str = "${{";

/// Unreserved characters of RFC 3986 stay, everything else is encoded, so that a
/// value can stand in a path segment or a query value and stay one.
const URL_VALUE: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Template {
    /// Every expression of a text, each parsed.
    ///
    /// # Errors
    /// The first expression that is not closed, empty, or not an expression.
    pub fn parse_check(text: &str) -> Result<Vec<Expr>, TemplateError> {
        let mut found = Vec::new();
        for segment in segments(text)? {
            if let Segment::Expr(source, range) = segment {
                let start = range.start + text[range.clone()].find(source).unwrap_or(0);
                let inner = start..start + source.len();
                expression::check(source).map_err(|message| TemplateError {
                    range: inner.clone(),
                    message,
                })?;
                found.push(Expr {
                    source: source.to_owned(),
                    range,
                    inner,
                });
            }
        }
        Ok(found)
    }

    /// Whether there is an expression in it.
    pub fn has_expressions(&self) -> bool {
        self.0.contains(OPEN)
    }

    /// The free names of its expressions, in the order in which they stand.
    /// Empty where the template does not parse.
    pub fn names(&self) -> Vec<Name> {
        let mut names = Vec::new();
        for expr in Self::parse_check(&self.0).unwrap_or_default() {
            for (name, range) in expression::names(&expr.source) {
                names.push(Name {
                    name,
                    range: expr.inner.start + range.start..expr.inner.start + range.end,
                });
            }
        }
        names
    }

    /// The text with every expression replaced by its value.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub fn render(&self, scope: &Scope, escape: Escape) -> Result<String, RenderError> {
        if !self.has_expressions() {
            return Ok(self.0.clone());
        }
        let mut out = String::with_capacity(self.0.len() + 32);
        for segment in segments(&self.0)? {
            match segment {
                Segment::Text(text) => out.push_str(text),
                Segment::Expr(source, range) => {
                    let value = expression::eval(source, scope)?;
                    let value = text_of(&value, source)?;
                    out.push_str(&escaped(&value, source, &self.0[..range.start], escape)?);
                }
            }
        }
        Ok(out)
    }

    /// The value with its type where the template is exactly one expression, else
    /// the rendered text.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub fn value(&self, scope: &Scope) -> Result<Value, RenderError> {
        match single(&self.0) {
            Some(source) => expression::eval(source, scope),
            None => self.render(scope, Escape::None).map(Value::String),
        }
    }

    /// Puts every expression in place all of whose names are in the scope, and
    /// leaves the others as written. A value that looks like an expression is
    /// written so that it stays a text.
    ///
    /// # Errors
    /// See [`RenderError`]; names that are not in the scope are none.
    pub fn resolve(&self, scope: &Scope, escape: Escape) -> Result<Self, RenderError> {
        if !self.has_expressions() {
            return Ok(self.clone());
        }
        let mut literal = String::new();
        let mut out = String::new();
        for segment in segments(&self.0)? {
            match segment {
                Segment::Text(text) => literal.push_str(text),
                Segment::Expr(source, range) if known(source, scope) => {
                    let value = expression::eval(source, scope)?;
                    let value = text_of(&value, source)?;
                    literal.push_str(&escaped(&value, source, &self.0[..range.start], escape)?);
                }
                Segment::Expr(_, range) => {
                    out.push_str(&quote(&literal));
                    literal.clear();
                    out.push_str(&self.0[range]);
                }
            }
        }
        out.push_str(&quote(&literal));
        Ok(Self(out))
    }
}

impl JsonTemplate {
    /// The value itself where it holds no expression.
    pub fn literal(&self) -> Option<&Value> {
        let mut open = false;
        visit_strings(&self.0, &mut |text| open |= text.contains(OPEN));
        (!open).then_some(&self.0)
    }

    /// The value with every string rendered; members keep their order.
    ///
    /// # Errors
    /// See [`RenderError`].
    pub fn render(&self, scope: &Scope) -> Result<Value, RenderError> {
        map_strings(&self.0, &mut |text| {
            if !text.contains(OPEN) {
                return Ok(Value::String(text.to_owned()));
            }
            Template(text.to_owned()).value(scope)
        })
    }

    /// The same value with every expression put in place whose names are known.
    ///
    /// # Errors
    /// See [`RenderError`]; names that are not in the scope are none.
    pub fn resolve(&self, scope: &Scope) -> Result<Self, RenderError> {
        map_strings(&self.0, &mut |text| {
            if let Some(source) = single(text)
                && known(source, scope)
            {
                return map_strings(&expression::eval(source, scope)?, &mut |text| {
                    Ok(Value::String(quote(text)))
                });
            }
            let resolved = Template(text.to_owned()).resolve(scope, Escape::None)?;
            Ok(Value::String(resolved.0))
        })
        .map(Self)
    }

    /// The free names of all strings in it.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        visit_strings(&self.0, &mut |text| {
            if text.contains(OPEN) {
                let found = Template(text.to_owned()).names();
                names.extend(found.into_iter().map(|name| name.name));
            }
        });
        names
    }
}

fn map_strings(
    value: &Value,
    with: &mut dyn FnMut(&str) -> Result<Value, RenderError>,
) -> Result<Value, RenderError> {
    Ok(match value {
        Value::String(text) => with(text)?,
        Value::Array(items) => items
            .iter()
            .map(|item| map_strings(item, with))
            .collect::<Result<_, _>>()
            .map(Value::Array)?,
        Value::Object(members) => members
            .iter()
            .map(|(name, item)| Ok((name.clone(), map_strings(item, with)?)))
            .collect::<Result<_, RenderError>>()
            .map(Value::Object)?,
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

fn visit_strings(value: &Value, with: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => with(text),
        Value::Array(items) => items.iter().for_each(|item| visit_strings(item, with)),
        Value::Object(members) => members.values().for_each(|item| visit_strings(item, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// Cuts a text into what stands outside and inside `${{ }}`.
fn segments(text: &str) -> Result<Vec<Segment<'_>>, TemplateError> {
    let mut found = Vec::new();
    let mut rest = 0;
    while let Some(at) = text[rest..].find(OPEN) {
        let start = rest + at;
        if start > rest {
            found.push(Segment::Text(&text[rest..start]));
        }
        let Some(length) = close(&text[start + OPEN.len()..]) else {
            return Err(TemplateError {
                range: start..start + OPEN.len(),
                message: "`${{` is not closed by `}}`".to_owned(),
            });
        };
        let end = start + OPEN.len() + length + 2;
        let source = text[start + OPEN.len()..end - 2].trim();
        if source.is_empty() {
            return Err(TemplateError {
                range: start..end,
                message: "there is nothing between `${{` and `}}`".to_owned(),
            });
        }
        found.push(Segment::Expr(source, start..end));
        rest = end;
    }
    if rest < text.len() {
        found.push(Segment::Text(&text[rest..]));
    }
    Ok(found)
}

/// Bytes before the `}}` that closes an expression: one inside quotes or inside
/// a map of the expression does not.
fn close(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut quote = None;
    let mut depth = 0_u32;
    let mut at = 0;
    while at < bytes.len() {
        match (quote, bytes[at]) {
            (Some(_), b'\\') => at += 1,
            (Some(open), byte) if byte == open => quote = None,
            (None, byte @ (b'\'' | b'"')) => quote = Some(byte),
            (None, b'{') => depth += 1,
            (None, b'}') if depth > 0 => depth -= 1,
            (None, b'}') if bytes.get(at + 1) == Some(&b'}') => return Some(at),
            (Some(_) | None, _) => {}
        }
        at += 1;
    }
    None
}

/// The expression of a text that is exactly one.
fn single(text: &str) -> Option<&str> {
    if !text.starts_with(OPEN) {
        return None;
    }
    match segments(text).ok()?.as_slice() {
        [Segment::Expr(source, _)] => Some(source),
        _ => None,
    }
}

/// Whether all names of an expression are in the scope.
fn known(source: &str, scope: &Scope) -> bool {
    expression::check(source).is_ok()
        && expression::names(source)
            .iter()
            .all(|(name, _)| scope.lookup(name).is_some())
}

/// Writes `${{` in a literal text as an expression that yields it.
fn quote(literal: &str) -> String {
    literal.replace(OPEN, "${{ '${{' }}")
}

fn text_of(value: &Value, source: &str) -> Result<String, RenderError> {
    let found = match value {
        Value::String(text) => return Ok(text.clone()),
        Value::Number(number) => return Ok(number.to_string()),
        Value::Bool(flag) => return Ok(flag.to_string()),
        Value::Null => "null",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    };
    Err(RenderError::NotText {
        expression: source.to_owned(),
        found,
    })
}

fn escaped(value: &str, source: &str, before: &str, escape: Escape) -> Result<String, RenderError> {
    match escape {
        Escape::None => Ok(value.to_owned()),
        Escape::UrlPart if before.is_empty() => Ok(value.to_owned()),
        Escape::UrlPart => Ok(utf8_percent_encode(value, URL_VALUE).to_string()),
        Escape::JsonPathQuoted => match open_quote(before) {
            Some(quote) => Ok(escape_json_path(value, quote)),
            None => Err(RenderError::Unquoted {
                expression: source.to_owned(),
            }),
        },
    }
}

/// The quote that is open at the end of a JSONPath's beginning. Quotes inside
/// earlier expressions are none of the path's.
pub(super) fn open_quote(before: &str) -> Option<char> {
    let mut open = None;
    for segment in segments(before).ok()? {
        let Segment::Text(text) = segment else {
            continue;
        };
        let mut chars = text.chars();
        while let Some(next) = chars.next() {
            match (open, next) {
                (Some(_), '\\') => {
                    chars.next();
                }
                (Some(quote), next) if quote == next => open = None,
                (None, '\'' | '"') => open = Some(next),
                _ => {}
            }
        }
    }
    open
}

/// RFC 9535 section 2.3.1: string literals escape their quote, the backslash and
/// control characters.
fn escape_json_path(value: &str, quote: char) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(value.len());
    for next in value.chars() {
        if next == quote || next == '\\' {
            out.push('\\');
            out.push(next);
        } else if u32::from(next) < 0x20 {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(next));
        } else {
            out.push(next);
        }
    }
    out
}

#[cfg(test)]
mod tests;
