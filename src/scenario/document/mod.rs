//! Nodes → typed values, field by field. Everything collects and nothing stops:
//! a mistake is said where it stands and decoding goes on with the next field.
//!
//! Variables, matrix values and the environment are put in place here, at each
//! leaf, so that every field may be an expression and is still checked against
//! its type. This room must not know where files lie or what is sent when.

pub(super) mod answer;
pub(super) mod auth;
pub(super) mod contract;
pub(super) mod effect;
mod key;
mod leaf;
pub(super) mod names;
pub(super) mod pattern;
pub(super) mod request;
pub(super) mod target;

pub(super) use leaf::Of;

use super::diagnostic::{Diagnostic, FileId, Files, Severity, Span};
use super::node::{Entry, Node, Value};
use super::parts::Place;
use super::suggest;
use super::template::Scope;
use crate::codes::Diagnosis;
use names::{Names, Uses};
use std::collections::BTreeMap;

/// What every decoder is handed.
pub(super) struct Context<'a> {
    /// The texts, for places.
    pub(super) files: &'a Files,
    /// Everything said so far.
    pub(super) out: &'a mut Vec<Diagnostic>,
    /// Values that are put in place: `vars`, `matrix`, `env`.
    pub(super) values: Scope,
    /// The same for credentials, where the environment stays a reference so that
    /// no plan ever stores it.
    pub(super) values_in_auth: Scope,
    /// Names that are defined at this point of the scenario.
    pub(super) names: Names,
    /// What the expressions read since this was last reset have used.
    pub(super) uses: Uses,
    /// The project's `auth:` entries.
    pub(super) auth_entries: &'a BTreeMap<String, Node>,
    /// How an environment variable that is not set is taken; `None` says nothing
    /// (an environment that was not chosen).
    pub(super) unset: Option<Severity>,
}

impl Context<'_> {
    /// Says something.
    pub(super) fn say(&mut self, diagnostic: Diagnostic) {
        self.out.push(diagnostic);
    }

    /// Where a span stands, as reports show it.
    pub(super) fn place(&self, span: Span) -> Place {
        Place {
            file: self.files.name(span.file).to_owned(),
            line: self.files.line(span.file, span.start),
        }
    }

    /// A path named in a file, relative to that file.
    pub(super) fn path(&self, file: FileId, path: &str) -> String {
        beside(self.files.name(file), path)
    }

    /// Says that a value has the wrong type.
    pub(super) fn wrong_type(&mut self, node: &Node, expected: &str) {
        let mut error = Diagnostic::error(
            Diagnosis::WrongType,
            format!("expected {expected}, found {}", node.found()),
        )
        .at(node.span, "");
        if let Some(text) = node.text()
            && let Some((name, rest)) = text.split_once(':')
            && !rest.is_empty()
            && !rest.starts_with(['/', ' '])
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            error = error.help(format!(
                "a space is missing after the colon: `{name}: {rest}`"
            ));
        }
        self.say(error);
    }

    /// Says that something is known and not built.
    pub(super) fn later(&mut self, span: Span, what: &str, instead: &str) {
        self.say(
            Diagnostic::error(
                Diagnosis::NotSupportedYet,
                format!("{what} is known, but this version does not do it yet"),
            )
            .at(span, "not supported yet")
            .help(instead),
        );
    }

    /// The fields of a map; says so where it is none.
    pub(super) fn fields<'n>(
        &mut self,
        node: &'n Node,
        what: &'static str,
        known: &'static [&'static str],
    ) -> Option<Fields<'n>> {
        match &node.value {
            Value::Map(entries) => Some(Fields {
                entries,
                known,
                what,
                span: node.span,
            }),
            Value::Scalar(_) | Value::List(_) => {
                self.wrong_type(node, &format!("{what}: a map with {}", listed(known)));
                None
            }
        }
    }

    /// The entries of a map whose field names are the author's own.
    pub(super) fn entries<'n>(&mut self, node: &'n Node, expected: &str) -> &'n [Entry] {
        match &node.value {
            Value::Map(entries) => entries,
            Value::Scalar(_) | Value::List(_) => {
                self.wrong_type(node, expected);
                &[]
            }
        }
    }

    /// Checks a name that becomes part of an id or of an expression.
    pub(super) fn name(&mut self, word: &str, span: Span, letters: Letters) -> bool {
        let first_ok = match letters {
            Letters::Id | Letters::ScenarioId => true,
            Letters::Identifier => !word.starts_with(|first: char| first.is_ascii_digit()),
        };
        let inside = |byte: u8| match letters {
            Letters::ScenarioId => {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
            }
            Letters::Id => byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'),
            Letters::Identifier => byte.is_ascii_alphanumeric() || byte == b'_',
        };
        let ok = !word.is_empty() && first_ok && word.bytes().all(inside);
        if !ok {
            let (expected, suggestion) = match letters {
                Letters::ScenarioId => (
                    "lower case letters, digits and hyphens",
                    word.to_lowercase().replace([' ', '_', '.', '/'], "-"),
                ),
                Letters::Id => (
                    "letters, digits, hyphens and underscores",
                    word.replace([' ', '.', '/', ':'], "-"),
                ),
                Letters::Identifier => (
                    "letters, digits and underscores, a letter first",
                    word.replace([' ', '-', '.'], "_"),
                ),
            };
            self.say(
                Diagnostic::error(
                    Diagnosis::InvalidName,
                    format!("`{word}` cannot be a name here"),
                )
                .at(span, format!("a name has {expected}"))
                .help(format!("write, for example, `{suggestion}`")),
            );
        }
        ok
    }
}

/// Which letters a name may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Letters {
    /// A scenario: `[a-z0-9-]`.
    ScenarioId,
    /// An operation or pattern: nothing that a shell would split or expand.
    Id,
    /// What expressions use.
    Identifier,
}

/// The fields of one map.
pub(super) struct Fields<'n> {
    entries: &'n [Entry],
    known: &'static [&'static str],
    what: &'static str,
    /// The whole map.
    pub(super) span: Span,
}

impl<'n> Fields<'n> {
    /// A field that may be there.
    pub(super) fn optional(&self, name: &str) -> Option<&'n Entry> {
        debug_assert!(
            self.known.contains(&name),
            "`{name}` is not listed in {}",
            self.what
        );
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// A field that has to be there.
    pub(super) fn required(
        &self,
        cx: &mut Context<'_>,
        name: &str,
        help: &str,
    ) -> Option<&'n Entry> {
        let found = self.optional(name);
        if found.is_none() {
            cx.say(
                Diagnostic::error(Diagnosis::MissingField, format!("`{name}` is missing"))
                    .at(self.span.start_only(), format!("{} needs it", self.what))
                    .help(help),
            );
        }
        found
    }

    /// A field that is known and not built.
    pub(super) fn later(&self, cx: &mut Context<'_>, name: &str, instead: &str) -> bool {
        let found = self.optional(name);
        if let Some(entry) = found {
            cx.later(entry.span, &format!("`{name}`"), instead);
        }
        found.is_some()
    }

    /// Of several fields that exclude each other, the one that is there.
    pub(super) fn one_of(&self, cx: &mut Context<'_>, names: &[&str]) -> Option<&'n Entry> {
        let mut found = names.iter().filter_map(|name| self.optional(name));
        let first = found.next();
        if let (Some(first), Some(second)) = (first, found.next()) {
            cx.say(
                Diagnostic::error(
                    Diagnosis::ConflictingFields,
                    format!("`{}` and `{}` exclude each other", first.name, second.name),
                )
                .at(second.span, "")
                .and_at(first.span, "the other one")
                .help(format!("keep one of {}", listed(names))),
            );
        }
        first
    }

    /// Says which fields do not exist; `x_…` may always stand.
    pub(super) fn finish(self, cx: &mut Context<'_>) {
        for entry in self.entries {
            let word = entry.name.as_str();
            if self.known.contains(&word) || word.starts_with("x_") {
                continue;
            }
            let label = suggest::field(word, self.known).map_or_else(
                || "no such field".to_owned(),
                |meant| format!("did you mean `{meant}`?"),
            );
            cx.say(
                Diagnostic::error(
                    Diagnosis::UnknownField,
                    format!("unknown field `{word}` in {}", self.what),
                )
                .at(entry.span, label)
                .help(format!("{} may have: {}", self.what, shortened(self.known))),
            );
        }
    }
}

/// The first eight of a list of words.
pub(super) fn shortened(words: &[&str]) -> String {
    if words.len() <= 9 {
        return words.join(", ");
    }
    format!("{}, …", words[..8].join(", "))
}

/// `a`, `b` or `c`.
pub(super) fn listed(words: &[&str]) -> String {
    let quoted: Vec<_> = words
        .iter()
        .take(9)
        .map(|word| format!("`{word}`"))
        .collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] if words.len() <= 9 => format!("{} or {last}", first.join(", ")),
        all => format!("{}, …", all.join(", ")),
    }
}

/// A path relative to the folder of `file`, `.` and `..` undone as far as the
/// text allows.
pub(super) fn beside(file: &str, path: &str) -> String {
    let path = path.trim();
    let absolute =
        path.starts_with(['/', '\\']) || path.get(1..3).is_some_and(|drive| drive.starts_with(':'));
    if absolute {
        return path.to_owned();
    }
    let folder = file.rfind(['/', '\\']).map_or("", |at| &file[..=at]);
    let rooted = folder.starts_with('/');
    let mut steps: Vec<&str> = Vec::new();
    for step in folder.split(['/', '\\']).chain(path.split('/')) {
        match step {
            "" | "." => {}
            ".." if steps.last().is_some_and(|last| *last != "..") => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    let joined = steps.join("/");
    if rooted { format!("/{joined}") } else { joined }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_file_that_names_them() {
        assert_eq!(
            beside("scenarios/a.yaml", "common/auth.yaml"),
            "scenarios/common/auth.yaml"
        );
        assert_eq!(beside("scenarios/a.yaml", "../x/./b.yaml"), "x/b.yaml");
        assert_eq!(beside("a.yaml", "../b.yaml"), "../b.yaml");
        assert_eq!(beside("/s/a.yaml", "b.yaml"), "/s/b.yaml");
        assert_eq!(beside("s/a.yaml", "/etc/b.yaml"), "/etc/b.yaml");
    }

    #[test]
    fn long_lists_are_cut() {
        assert_eq!(listed(&["a", "b", "c"]), "`a`, `b` or `c`");
        assert_eq!(shortened(&["a"; 12]), "a, a, a, a, a, a, a, a, …");
    }
}
