//! What is wrong with something a person wrote: words, places, remedies, and
//! how they are shown. Rendering is text → text; this file must not know what a
//! scenario is.

use crate::codes::{Diagnosis, Reason};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::ops::Range;

/// A file by its number in [`Files`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub u32);

/// Bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// The byte after the last.
    pub end: u32,
}

impl Span {
    /// A span from byte offsets; files are at most a few MiB, so they fit.
    pub fn new(file: FileId, range: Range<usize>) -> Self {
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self {
            file,
            start: offset(range.start),
            end: offset(range.end),
        }
    }

    /// The bytes that it covers.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// An empty span at its start.
    #[must_use]
    pub fn start_only(self) -> Self {
        Self {
            end: self.start,
            ..self
        }
    }
}

/// The texts that spans point into.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Files {
    list: Vec<FileText>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FileText {
    name: String,
    text: String,
    line_starts: Vec<u32>,
}

impl Files {
    /// Adds a file; its text may be empty where it could not be read.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let text = text.into();
        let line_starts = std::iter::once(0)
            .chain(
                text.bytes()
                    .enumerate()
                    .filter(|(_, byte)| *byte == b'\n')
                    .map(|(at, _)| u32::try_from(at + 1).unwrap_or(u32::MAX)),
            )
            .collect();
        self.list.push(FileText {
            name: name.into(),
            text,
            line_starts,
        });
        FileId(u32::try_from(self.list.len() - 1).unwrap_or(u32::MAX))
    }

    /// The file as the user named it.
    pub fn name(&self, file: FileId) -> &str {
        self.list
            .get(file.0 as usize)
            .map_or("", |file| file.name.as_str())
    }

    /// Its whole text.
    pub fn text(&self, file: FileId) -> &str {
        self.list
            .get(file.0 as usize)
            .map_or("", |file| file.text.as_str())
    }

    /// The text under a span.
    pub fn slice(&self, span: Span) -> &str {
        self.text(span.file).get(span.range()).unwrap_or("")
    }

    /// Line of a byte, from 1.
    pub fn line(&self, file: FileId, at: u32) -> u32 {
        let Some(file) = self.list.get(file.0 as usize) else {
            return 1;
        };
        let line = file.line_starts.partition_point(|start| *start <= at);
        u32::try_from(line).unwrap_or(u32::MAX).max(1)
    }

    /// Column of a byte, in characters, from 1.
    pub fn column(&self, file: FileId, at: u32) -> u32 {
        let start = self.line_range(file, self.line(file, at)).start;
        let before = self.text(file).get(start..at as usize).unwrap_or("");
        u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX)
    }

    /// Bytes of a line (from 1), without its end.
    pub fn line_range(&self, file: FileId, line: u32) -> Range<usize> {
        let Some(text) = self.list.get(file.0 as usize) else {
            return 0..0;
        };
        let index = line.saturating_sub(1) as usize;
        let start = text
            .line_starts
            .get(index)
            .map_or(text.text.len(), |start| *start as usize);
        let end = text
            .line_starts
            .get(index + 1)
            .map_or(text.text.len(), |next| *next as usize);
        let line = text.text[start..end].trim_end_matches(['\n', '\r']);
        start..start + line.len()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.list.len()
    }
}

/// Whether something can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Nothing is sent while there is one.
    Error,
    /// Worth knowing.
    Warning,
}

impl Severity {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// A place with what is to be said there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Label {
    /// The place.
    pub span: Span,
    /// What is said; may be empty.
    pub text: String,
}

/// How the place of a diagnostic is underlined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Underline {
    /// `^^^`: this is wrong.
    Carets,
    /// `---`: something is missing around here.
    Dashes,
}

/// One mistake, or one thing worth knowing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Whether it stops everything.
    pub severity: Severity,
    /// The word that `retrial explain` takes.
    pub code: &'static str,
    /// What is wrong; lower case, no stop.
    pub message: String,
    /// Where; `None` for what has no place in a file.
    pub primary: Option<Label>,
    /// How the place is underlined.
    pub underline: Underline,
    /// Other places that matter.
    pub secondary: Vec<Label>,
    /// Why it matters.
    pub notes: Vec<String>,
    /// What to write.
    pub helps: Vec<String>,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: Diagnosis, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code.code(), message.into())
    }

    /// A warning.
    pub fn warning(code: Diagnosis, message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, code.code(), message.into())
    }

    /// An error that came up while a run was under way.
    pub fn of_run(code: Reason, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code.code(), message.into())
    }

    fn new(severity: Severity, code: &'static str, message: String) -> Self {
        Self {
            severity,
            code,
            message,
            primary: None,
            underline: Underline::Carets,
            secondary: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
        }
    }

    /// Says where, and what is to be said there.
    #[must_use]
    pub fn at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.primary = Some(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Says around where something is missing.
    #[must_use]
    pub fn around(self, span: Span, text: impl Into<String>) -> Self {
        Self {
            underline: Underline::Dashes,
            ..self.at(span, text)
        }
    }

    /// Adds another place.
    #[must_use]
    pub fn and_at(mut self, span: Span, text: impl Into<String>) -> Self {
        self.secondary.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds why it matters.
    #[must_use]
    pub fn note(mut self, text: impl Into<String>) -> Self {
        self.notes.push(text.into());
        self
    }

    /// Adds what to write.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.helps.push(text.into());
        self
    }

    /// The refusal of a host that nobody allowed (no place in a file).
    pub fn host_not_allowed(host: &str, environment: Option<&str>) -> Self {
        let environment = environment.unwrap_or("<name>");
        Self::error(
            Diagnosis::HostNotAllowed,
            format!("refusing to send to {host}"),
        )
        .note("retrial sends duplicates on purpose; only loopback is allowed without asking")
        .help(format!(
            "add \"{host}\" to `environments.{environment}.allow_hosts` in retrial.yaml,\n\
             or pass --allow-host {host} for this run"
        ))
    }

    /// A probe that could not be read, with the line of its effect.
    /// `answer` says what happened (`answered 403 Forbidden, not retried`),
    /// `probe` is where the probe stands, `trials` how many were sent before.
    pub fn probe_unreadable(effect: &str, probe: Span, answer: &str, trials: usize) -> Self {
        let sent = match trials {
            0 => "no trial was sent before this".to_owned(),
            1 => "1 trial was sent before this; its verdict is `error`, not `pass`".to_owned(),
            more => {
                format!("{more} trials were sent before this; their verdict is `error`, not `pass`")
            }
        };
        Self::of_run(
            Reason::ProbeUnreadable,
            format!("the effect `{effect}` could not be read"),
        )
        .at(probe, answer)
        .note(sent)
        .help("retrial check --online tries every probe before anything is sent")
    }
}

/// Where the probe of an effect stands in a text: the word at the given line
/// (`get`, `request`), for a diagnostic of a run that knows lines only.
pub fn probe_span(files: &Files, file: FileId, line: u32) -> Span {
    let range = files.line_range(file, line);
    let text = files.text(file).get(range.clone()).unwrap_or("");
    for word in ["get", "request"] {
        if let Some(at) = text.find(&format!("{word}:")) {
            let start = range.start + at;
            return Span::new(file, start..start + word.len());
        }
    }
    let start = range.start + text.len() - text.trim_start().len();
    Span::new(file, start..range.end.max(start))
}

/// How diagnostics are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// With ANSI colours.
    pub color: bool,
    /// Without letters beyond ASCII in the frame.
    pub ascii: bool,
    /// Columns of the screen.
    pub width: usize,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            color: false,
            ascii: true,
            width: 100,
        }
    }
}

/// More blocks than anybody reads; the count below them is of all.
const SHOWN_MAX: usize = 100;

/// All that is wrong with all files, with the texts to show it in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    /// The texts.
    pub files: Files,
    /// Sorted by file, then by line.
    pub list: Vec<Diagnostic>,
}

/// One diagnostic as `check --format json` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its code.
    pub code: &'static str,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// The file as the user named it.
    pub file: Option<String>,
    /// Line and column of its start, from 1, the column in characters.
    pub start: Option<(u32, u32)>,
    /// The same of its end, which is behind the last character.
    pub end: Option<(u32, u32)>,
    /// What is wrong, with what is said at the place.
    pub message: String,
    /// What to write.
    pub help: Vec<String>,
}

impl Row {
    /// The row as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "code": self.code,
            "severity": self.severity,
            "file": self.file,
            "line": self.start.map(|(line, _)| line),
            "column": self.start.map(|(_, column)| column),
            "end_line": self.end.map(|(line, _)| line),
            "end_column": self.end.map(|(_, column)| column),
            "message": self.message,
            "help": self.help,
        })
    }
}

impl Diagnostics {
    /// Diagnostics over these texts, each said once, in the order of the files.
    pub fn new(files: Files, mut list: Vec<Diagnostic>) -> Self {
        let place = |diagnostic: &Diagnostic| {
            diagnostic
                .primary
                .as_ref()
                .map(|label| (label.span.file, label.span.start))
        };
        list.sort_by_key(|diagnostic| (place(diagnostic), diagnostic.severity));
        // One line of a file is read once for each matrix row, and says the same.
        let mut said = std::collections::HashSet::new();
        list.retain(|diagnostic| said.insert(diagnostic.clone()));
        Self { files, list }
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Number of errors.
    pub fn errors(&self) -> usize {
        self.count(Severity::Error)
    }

    /// Number of warnings.
    pub fn warnings(&self) -> usize {
        self.count(Severity::Warning)
    }

    fn count(&self, severity: Severity) -> usize {
        self.list
            .iter()
            .filter(|diagnostic| diagnostic.severity == severity)
            .count()
    }

    /// Every block, a blank line between them, then the count.
    pub fn render(&self, style: Style) -> String {
        let mut blocks: Vec<String> = self
            .list
            .iter()
            .take(SHOWN_MAX)
            .map(|diagnostic| render(&self.files, diagnostic, style))
            .collect();
        if self.list.len() > SHOWN_MAX {
            blocks.push(format!("… and {} more\n", self.list.len() - SHOWN_MAX));
        }
        if self.list.is_empty() {
            return String::new();
        }
        format!("{}\n{}\n", blocks.join("\n"), self.summary())
    }

    /// `2 errors in 2 of 14 files, nothing was sent`.
    pub fn summary(&self) -> String {
        let many = |count: usize, word: &str| match count {
            1 => format!("1 {word}"),
            count => format!("{count} {word}s"),
        };
        let mut parts = Vec::new();
        if self.errors() > 0 {
            parts.push(many(self.errors(), "error"));
        }
        if self.warnings() > 0 {
            parts.push(many(self.warnings(), "warning"));
        }
        let mut touched: Vec<_> = self
            .list
            .iter()
            .filter_map(|diagnostic| Some(diagnostic.primary.as_ref()?.span.file))
            .collect();
        touched.sort();
        touched.dedup();
        let files = format!("{} of {}", touched.len(), many(self.files.count(), "file"));
        let sent = if self.errors() > 0 {
            ", nothing was sent"
        } else {
            ""
        };
        // A mistake on the command line stands in no file.
        let files = if touched.is_empty() {
            String::new()
        } else {
            format!(" in {files}")
        };
        format!("{}{files}{sent}", parts.join(" and "))
    }

    /// One row for each diagnostic, for machines.
    pub fn rows(&self) -> Vec<Row> {
        self.list
            .iter()
            .map(|diagnostic| self.row(diagnostic))
            .collect()
    }

    fn row(&self, diagnostic: &Diagnostic) -> Row {
        let span = diagnostic.primary.as_ref().map(|label| label.span);
        let place = |span: Span, at: u32| {
            (
                self.files.line(span.file, at),
                self.files.column(span.file, at),
            )
        };
        let said = diagnostic
            .primary
            .as_ref()
            .map(|label| label.text.as_str())
            .filter(|text| !text.is_empty());
        Row {
            code: diagnostic.code,
            severity: diagnostic.severity.word(),
            file: span.map(|span| self.files.name(span.file).to_owned()),
            start: span.map(|span| place(span, span.start)),
            end: span.map(|span| place(span, span.end)),
            message: match said {
                Some(said) => format!("{}: {said}", diagnostic.message),
                None => diagnostic.message.clone(),
            },
            help: diagnostic.helps.clone(),
        }
    }
}

/// One diagnostic as a block that ends with a line break.
pub fn render(files: &Files, diagnostic: &Diagnostic, style: Style) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(
        level
            .primary_title(diagnostic.message.as_str())
            .id(diagnostic.code),
    );
    if let Some(primary) = &diagnostic.primary {
        let line = |label: &Label| {
            (
                label.span.file,
                files.line(label.span.file, label.span.start),
            )
        };
        // What stands on the same line is shown there, everything else in a
        // snippet of its own below.
        let (beside, below): (Vec<_>, Vec<_>) = diagnostic
            .secondary
            .iter()
            .partition(|label| line(label) == line(primary));
        let kind = match diagnostic.underline {
            Underline::Carets => AnnotationKind::Primary,
            Underline::Dashes => AnnotationKind::Context,
        };
        group = group.element(snippet(files, Some((primary, kind)), &beside));
        for label in below {
            group = group.element(snippet(files, None, &[label]));
        }
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(note.as_str()));
    }
    for help in &diagnostic.helps {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let decor = if style.ascii {
        DecorStyle::Ascii
    } else {
        DecorStyle::Unicode
    };
    let renderer = if style.color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let renderer = renderer.decor_style(decor).term_width(style.width.max(40));
    let mut block = renderer.render(&[group]);
    block.push('\n');
    block
}

/// The lines under some labels of one file. Only those lines are handed over, so
/// that a long file costs no more than a short one.
fn snippet<'f>(
    files: &'f Files,
    primary: Option<(&'f Label, AnnotationKind)>,
    others: &[&'f Label],
) -> Snippet<'f, annotate_snippets::Annotation<'f>> {
    let labels: Vec<(&Label, AnnotationKind)> = primary
        .into_iter()
        .chain(others.iter().map(|label| (*label, AnnotationKind::Context)))
        .collect();
    let file = labels
        .first()
        .map_or(FileId::default(), |(label, _)| label.span.file);
    let first = labels
        .iter()
        .map(|(label, _)| label.span.start)
        .min()
        .unwrap_or(0);
    let last = labels
        .iter()
        .map(|(label, _)| label.span.end)
        .max()
        .unwrap_or(0);
    let first_line = files.line(file, first);
    let start = files.line_range(file, first_line).start;
    let end = files
        .line_range(file, files.line(file, last.max(first)))
        .end
        .max(start);
    let window = files.text(file).get(start..end).unwrap_or("");
    let annotations = labels.into_iter().map(|(label, kind)| {
        let range = label.span.range();
        let inside = |at: usize| at.saturating_sub(start).min(window.len());
        let annotation = kind.span(inside(range.start)..inside(range.end));
        if label.text.is_empty() {
            annotation
        } else {
            annotation.label(label.text.as_str())
        }
    });
    Snippet::source(window)
        .path(files.name(file))
        .line_start(first_line as usize)
        .annotations(annotations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> (Files, FileId) {
        let mut files = Files::default();
        let file = files.add("a.yaml", "scénario: x\npatern: 1\n");
        (files, file)
    }

    #[test]
    fn columns_count_characters_not_bytes() {
        let (files, file) = files();
        let at = u32::try_from(files.text(file).find(": x").unwrap()).unwrap();
        assert_eq!((files.line(file, at), files.column(file, at)), (1, 9));
    }

    #[test]
    fn the_count_names_files_and_what_was_sent() {
        let (mut files, file) = files();
        files.add("b.yaml", "");
        let span = Span::new(file, 13..19);
        let error = Diagnostic::error(Diagnosis::UnknownField, "unknown field").at(span, "");
        let warning = Diagnostic::warning(Diagnosis::SlowCase, "slow").at(span, "");
        let all = Diagnostics::new(files.clone(), vec![warning.clone(), error.clone(), error]);
        assert_eq!(
            all.summary(),
            "1 error and 1 warning in 1 of 2 files, nothing was sent"
        );
        let calm = Diagnostics::new(files, vec![warning]);
        assert_eq!(calm.summary(), "1 warning in 1 of 2 files");
    }

    #[test]
    fn rows_hold_places_for_machines() {
        let (files, file) = files();
        let error = Diagnostic::error(Diagnosis::UnknownField, "unknown field `patern`")
            .at(Span::new(file, 13..19), "did you mean `patterns`?");
        let row = Diagnostics::new(files, vec![error]).rows().remove(0);
        assert_eq!((row.start, row.end), (Some((2, 1)), Some((2, 7))));
        assert_eq!(
            row.message,
            "unknown field `patern`: did you mean `patterns`?"
        );
        assert_eq!(row.json()["line"], 2);
    }

    #[test]
    fn a_span_at_the_very_end_does_not_panic() {
        let (files, file) = files();
        let end = files.text(file).len();
        let error =
            Diagnostic::error(Diagnosis::InvalidYaml, "x").at(Span::new(file, end..end + 9), "y");
        assert!(render(&files, &error, Style::default()).contains("a.yaml:"));
    }
}
