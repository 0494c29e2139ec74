//! Single values: the YAML 1.2 core schema, and where a part of a value stands
//! in the file.

use crate::scenario::diagnostic::{Files, Span};
use std::ops::Range;

/// A single value.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// Its text, escapes and folding undone.
    pub text: String,
    /// What the core schema makes of it.
    pub typed: Typed,
    /// How it was written.
    pub form: ScalarForm,
}

/// What the core schema makes of a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Typed {
    /// Nothing.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer; `None` where it does not fit.
    Integer(Option<serde_json::Number>),
    /// A number with a fraction or an exponent; `None` where it is not finite.
    Float(Option<serde_json::Number>),
    /// A string.
    Text,
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarForm {
    /// Without quotes.
    Plain,
    /// In quotes.
    Quoted,
    /// After `|` or `>`.
    Block,
}

impl Scalar {
    /// A scalar of this text; only a plain one can be something else than a string.
    pub(super) fn read(text: &str, plain: bool, form: ScalarForm) -> Self {
        Self {
            text: text.to_owned(),
            typed: if plain { core(text) } else { Typed::Text },
            form,
        }
    }

    /// The value of a flag such as `--var k=v`, typed as a plain YAML scalar is.
    pub(in crate::scenario) fn of_flag(text: &str) -> Self {
        Self::read(text, true, ScalarForm::Plain)
    }

    /// What is wrong with a number.
    pub(super) fn problem(&self) -> Option<String> {
        match self.typed {
            Typed::Integer(None) => Some(format!(
                "the integer {} does not fit into 64 bits",
                self.text
            )),
            Typed::Float(None) => Some(format!("{} is not a finite number", self.text)),
            Typed::Null | Typed::Bool(_) | Typed::Integer(_) | Typed::Float(_) | Typed::Text => {
                None
            }
        }
    }

    /// The value as JSON.
    pub fn json(&self) -> serde_json::Value {
        use serde_json::Value;
        match &self.typed {
            Typed::Null => Value::Null,
            Typed::Bool(flag) => Value::Bool(*flag),
            Typed::Integer(Some(number)) | Typed::Float(Some(number)) => {
                Value::Number(number.clone())
            }
            Typed::Integer(None) | Typed::Float(None) | Typed::Text => {
                Value::String(self.text.clone())
            }
        }
    }

    /// Where a part of the text stands in the file: exact where that part was
    /// written as it is, the whole scalar where escapes or folding changed it.
    pub fn locate(&self, files: &Files, whole: Span, part: Range<usize>) -> Span {
        let source = files.slice(whole);
        let base = whole.range().start;
        if let Some(at) = source
            .find(self.text.as_str())
            .filter(|_| !self.text.is_empty())
        {
            return Span::new(whole.file, base + at + part.start..base + at + part.end);
        }
        // Block scalars lose their indentation line by line, so look for the line.
        let line_start = self.text[..part.start].rfind('\n').map_or(0, |at| at + 1);
        let line_end = self.text[part.start..]
            .find('\n')
            .map_or(self.text.len(), |at| part.start + at);
        let line = &self.text[line_start..line_end];
        let earlier = self.text[..line_start]
            .split('\n')
            .filter(|other| other.trim() == line.trim())
            .count();
        let found = source
            .match_indices('\n')
            .map(|(at, _)| at + 1)
            .filter(|at| source[*at..].lines().next().unwrap_or("").trim() == line.trim())
            .nth(earlier);
        if let Some(at) = found
            && !line.trim().is_empty()
            && part.end <= line_end
            && let Some(inside) = source[at..].find(line)
        {
            let start = base + at + inside + (part.start - line_start);
            return Span::new(whole.file, start..start + part.len());
        }
        let words = &self.text[part.clone()];
        let earlier = self.text[..part.start].matches(words).count();
        match source.match_indices(words).nth(earlier) {
            Some((at, _)) if !words.is_empty() => {
                Span::new(whole.file, base + at..base + at + words.len())
            }
            _ => whole,
        }
    }
}

/// YAML 1.2.2 section 10.3.2.
fn core(text: &str) -> Typed {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Typed::Null,
        "true" | "True" | "TRUE" => return Typed::Bool(true),
        "false" | "False" | "FALSE" => return Typed::Bool(false),
        _ => {}
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let all = |digits: &str, of: fn(u8) -> bool| !digits.is_empty() && digits.bytes().all(of);
    if all(unsigned, |byte| byte.is_ascii_digit()) {
        return Typed::Integer(integer(text));
    }
    for (prefix, radix) in [("0o", 8), ("0x", 16)] {
        if let Some(digits) = text.strip_prefix(prefix)
            && digits.chars().all(|digit| digit.is_digit(radix))
            && !digits.is_empty()
        {
            return Typed::Integer(u64::from_str_radix(digits, radix).ok().map(Into::into));
        }
    }
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return Typed::Float(None);
    }
    if is_float(unsigned) {
        let number = text.trim_start_matches('+').parse().ok();
        return Typed::Float(number.and_then(serde_json::Number::from_f64));
    }
    Typed::Text
}

fn integer(text: &str) -> Option<serde_json::Number> {
    let text = text.strip_prefix('+').unwrap_or(text);
    text.parse::<u64>()
        .map(Into::into)
        .or_else(|_| text.parse::<i64>().map(Into::into))
        .ok()
}

/// `( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`
fn is_float(text: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let mantissa_ok = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_ok = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa_ok && exponent_ok
}
