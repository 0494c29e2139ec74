//! Which names an expression may use where, found without running anything.

use super::{Context, Letters, listed};
use crate::codes::Diagnosis;
use crate::scenario::diagnostic::{Diagnostic, Severity, Span};
use crate::scenario::node::Node;
use crate::scenario::parts::Each;
use crate::scenario::suggest;
use crate::scenario::template::Template;
use std::collections::BTreeSet;

/// Names that have a meaning of their own; nothing else may take them.
pub(crate) const RESERVED: [&str; 12] = [
    "marker", "key", "attempt", "run", "trial", "vars", "matrix", "secrets", "env", "call", "step",
    "trace_id",
];

/// Names of the operation at hand that a request under test may use.
pub(crate) const IN_OPERATION: &[&str] = &["marker", "key", "attempt", "run", "trial"];
/// The same for set-up, clean-up and probes, which are sent once.
pub(crate) const IN_STEP: &[&str] = &["marker", "key", "run", "trial"];

/// A captured value.
#[derive(Debug, Clone)]
pub(crate) struct Captured {
    /// Its name.
    pub(crate) name: String,
    /// Where it is captured.
    pub(crate) span: Span,
    /// Whether each trial has its own.
    pub(crate) each: Each,
}

/// What is defined at one point of a scenario.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    /// Variables.
    pub(crate) vars: BTreeSet<String>,
    /// Axes of the matrix.
    pub(crate) axes: BTreeSet<String>,
    /// Secrets.
    pub(crate) secrets: BTreeSet<String>,
    /// Environment variables that are set.
    pub(crate) env: BTreeSet<String>,
    /// Captures made before this point.
    pub(crate) captures: Vec<Captured>,
    /// Captures of the whole scenario, for hints.
    pub(crate) all_captures: Vec<Captured>,
    /// Names of the operation at hand.
    pub(crate) words: &'static [&'static str],
}

/// What expressions have used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Uses {
    /// Something that differs from trial to trial.
    pub(crate) per_trial: bool,
    /// Something that tells one operation from another in a probe.
    pub(crate) mark: bool,
}

/// What a name turned out to be.
enum Known {
    Yes,
    Unset,
    No,
}

impl Context<'_> {
    /// Checks every expression of a scalar: that it parses and that its names are
    /// defined. `false` where a text cannot be used at all.
    pub(super) fn check_expressions(&mut self, node: &Node) -> bool {
        let Some(scalar) = node.scalar() else {
            return true;
        };
        if !scalar.text.contains("${{") {
            return true;
        }
        if let Err(error) = Template::parse_check(&scalar.text) {
            let span = scalar.locate(self.files, node.span, error.range.clone());
            self.say(
                Diagnostic::error(Diagnosis::InvalidExpression, "this expression does not parse")
                    .at(span, error.message)
                    .help("an expression is a name such as `${{ vars.amount }}`, with operators and filters if need be"),
            );
            return false;
        }
        let mut all = true;
        for name in Template(scalar.text.clone()).names() {
            let span = scalar.locate(self.files, node.span, name.range);
            match self.known(&name.name) {
                Known::Yes => {}
                Known::Unset => {
                    self.say_unset(&name.name, span);
                    all &= self.unset != Some(Severity::Error);
                }
                Known::No => {
                    self.say_undefined(&name.name, span);
                    all = false;
                }
            }
        }
        all
    }

    fn known(&mut self, name: &str) -> Known {
        let (root, member) = match name.split_once('.') {
            Some((root, rest)) => (root, rest.split('.').next()),
            None => (name, None),
        };
        let has = |set: &BTreeSet<String>| match member {
            Some(member) if set.contains(member) => Known::Yes,
            _ => Known::No,
        };
        match root {
            "vars" => has(&self.names.vars),
            "matrix" => has(&self.names.axes),
            "secrets" => has(&self.names.secrets),
            "env" if member.is_some() => match has(&self.names.env) {
                Known::No => Known::Unset,
                found => found,
            },
            _ if self.names.words.contains(&root) => {
                self.uses.per_trial |= root != "run";
                self.uses.mark |= matches!(root, "marker" | "key");
                Known::Yes
            }
            _ => match self
                .names
                .captures
                .iter()
                .rev()
                .find(|made| made.name == root)
            {
                Some(made) => {
                    self.uses.per_trial |= made.each == Each::Trial;
                    self.uses.mark |= made.each == Each::Trial;
                    Known::Yes
                }
                None => Known::No,
            },
        }
    }

    pub(super) fn say_unset(&mut self, name: &str, span: Span) {
        let variable = name.trim_start_matches("env.");
        let message = format!("environment variable `{variable}` is not set");
        let diagnostic = match self.unset {
            None => return,
            Some(Severity::Error) => Diagnostic::error(Diagnosis::UnsetEnvironment, message),
            Some(Severity::Warning) => Diagnostic::warning(Diagnosis::UnsetEnvironment, message)
                .note("`run` refuses to start without it"),
        };
        let near = suggest::nearest(variable, self.names.env.iter().map(String::as_str))
            .map_or_else(String::new, |near| format!("`{near}` is set"));
        self.say(diagnostic.at(span, near).help(format!(
            "set it, or put `{variable}=…` into a file and name that with --env-file"
        )));
    }

    fn say_undefined(&mut self, name: &str, span: Span) {
        let mut error = Diagnostic::error(
            Diagnosis::UndefinedValue,
            format!("`{name}` is not defined here"),
        )
        .at(span, "");
        let (root, member) = name.split_once('.').unwrap_or((name, ""));
        let group = match root {
            "vars" => Some(("variables", &self.names.vars)),
            "matrix" => Some(("axes of the matrix", &self.names.axes)),
            "secrets" => Some(("secrets", &self.names.secrets)),
            _ => None,
        };
        if let Some((what, set)) = group {
            if let Some(near) = suggest::nearest(member, set.iter().map(String::as_str)) {
                error = error.at(span, format!("did you mean `{root}.{near}`?"));
            }
            let defined: Vec<_> = set.iter().map(|known| format!("{root}.{known}")).collect();
            error = error.help(if defined.is_empty() {
                format!("there are no {what}; declare them in `{root}:`")
            } else {
                format!("{what} defined: {}", defined.join(", "))
            });
            self.say(error);
            return;
        }
        if let Some(made) = self
            .names
            .all_captures
            .iter()
            .find(|made| made.name == root)
        {
            error = error.and_at(made.span, "captured here, which is later or out of sight");
        } else if let Some(near) = suggest::nearest(
            root,
            self.names.captures.iter().map(|made| made.name.as_str()),
        ) && let Some(made) = self.names.captures.iter().find(|made| made.name == near)
        {
            error = error.and_at(made.span, "a similar name is captured here");
        } else if let Some(near) = suggest::nearest(root, self.names.words.iter().copied()) {
            error = error.at(span, format!("did you mean `{near}`?"));
        } else if self.names.vars.contains(root) {
            error = error.at(span, format!("did you mean `vars.{root}`?"));
        } else if RESERVED.contains(&root) {
            error = error.at(span, "this name has no value in this place");
        }
        let captured: Vec<_> = self
            .names
            .captures
            .iter()
            .map(|made| made.name.as_str())
            .collect();
        error = error.help(if captured.is_empty() {
            let mut defined: Vec<String> = self
                .names
                .words
                .iter()
                .map(|word| (*word).to_owned())
                .collect();
            defined.extend(self.names.vars.iter().map(|var| format!("vars.{var}")));
            defined.extend(self.names.axes.iter().map(|axis| format!("matrix.{axis}")));
            defined.push("env.…".to_owned());
            format!(
                "defined here: {}; nothing is captured so far",
                defined.join(", ")
            )
        } else {
            format!("captured so far: {}", captured.join(", "))
        });
        self.say(error);
    }
}

/// Whether a capture or variable may have this name.
pub(crate) fn free_name(cx: &mut Context<'_>, name: &str, span: Span, what: &str) -> bool {
    if RESERVED.contains(&name) {
        cx.say(
            Diagnostic::error(
                Diagnosis::ReservedName,
                format!("{what} cannot be called `{name}`"),
            )
            .at(span, "this name has a meaning of its own in expressions")
            .help(format!("reserved are {}", listed(&RESERVED[..9]))),
        );
        return false;
    }
    cx.name(name, span, Letters::Identifier)
}
