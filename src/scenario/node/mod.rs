//! YAML events → a tree of nodes that know where they stand.
//!
//! Limits hold before anything is built: size, depth, and the number of nodes
//! after aliases are followed (they are counted before they are copied). This
//! file knows YAML and its traps; it must not know what a scenario is.

mod hint;
mod scalar;

pub use scalar::{Scalar, ScalarForm, Typed};

use super::diagnostic::{Diagnostic, FileId, Files, Span};
use crate::codes::Diagnosis;
use saphyr_parser::{Event, Parser, ScalarStyle, Tag};
use std::borrow::Cow;
use std::collections::HashMap;

/// The most bytes that a file may have.
pub const BYTES_MAX: usize = 1 << 20;
/// The deepest nesting.
pub const DEPTH_MAX: usize = 64;
/// The most nodes after aliases are followed.
pub const NODES_MAX: usize = 20_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where.
    pub span: Span,
    /// What.
    pub value: Value,
}

/// What a node holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map.
    Map(Vec<Entry>),
}

/// One field of a map.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub span: Span,
    /// Its value.
    pub node: Node,
}

impl Node {
    /// What it is, with an article, for messages.
    pub fn found(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar(scalar) => match scalar.typed {
                Typed::Null => "nothing",
                Typed::Bool(_) => "true or false",
                Typed::Integer(_) | Typed::Float(_) => "a number",
                Typed::Text => "a text",
            },
        }
    }

    /// The scalar that it is.
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The text of a scalar that YAML calls a string.
    pub fn text(&self) -> Option<&str> {
        self.scalar()
            .filter(|scalar| scalar.typed == Typed::Text)
            .map(|scalar| scalar.text.as_str())
    }

    /// The field of this name, if it is a map that has one.
    pub fn field(&self, name: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|entry| entry.name == name)
                .map(|entry| &entry.node),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// Its items where it is a list, else the node alone: one thing or several.
    pub fn items(&self) -> Vec<&Self> {
        match &self.value {
            Value::List(items) => items.iter().collect(),
            Value::Scalar(_) | Value::Map(_) => vec![self],
        }
    }

    /// Whether nothing is written there.
    pub fn is_null(&self) -> bool {
        self.scalar()
            .is_some_and(|scalar| scalar.typed == Typed::Null)
    }

    /// The value as JSON, members in the author's order.
    pub fn json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match &self.value {
            Value::Scalar(scalar) => scalar.json(),
            Value::List(items) => Json::Array(items.iter().map(Self::json).collect()),
            Value::Map(entries) => Json::Object(
                entries
                    .iter()
                    .map(|entry| (entry.name.clone(), entry.node.json()))
                    .collect(),
            ),
        }
    }

    /// Puts `over` on top of this node: maps deep, everything else replaced.
    #[must_use]
    pub fn merged_under(self, over: Self) -> Self {
        match (self.value, over.value) {
            (Value::Map(mut base), Value::Map(top)) => {
                for entry in top {
                    match base.iter().position(|known| known.name == entry.name) {
                        Some(at) => {
                            let below = base[at].node.clone();
                            base[at] = Entry {
                                node: below.merged_under(entry.node),
                                ..entry
                            };
                        }
                        None => base.push(entry),
                    }
                }
                Self {
                    span: over.span,
                    value: Value::Map(base),
                }
            }
            (_, value) => Self {
                span: over.span,
                value,
            },
        }
    }
}

/// Reads the text of a file. Mistakes go to `out`; where the text is no YAML at
/// all there is no node.
pub fn read(files: &Files, file: FileId, out: &mut Vec<Diagnostic>) -> Option<Node> {
    let text = files.text(file);
    if text.len() > BYTES_MAX {
        let error = Diagnostic::error(
            Diagnosis::FileTooLarge,
            format!("the file has {} bytes", text.len()),
        );
        out.push(
            error
                .at(Span::new(file, 0..0), "a scenario file has at most 1 MiB")
                .help("split it, and name the parts in `use:`"),
        );
        return None;
    }
    if text.lines().all(|line| {
        let line = line.trim();
        line.is_empty() || line.starts_with('#')
    }) {
        let error = Diagnostic::error(Diagnosis::EmptyFile, "the file holds nothing");
        out.push(
            error
                .at(Span::new(file, 0..0), "a scenario was expected here")
                .help("`retrial init` writes a first one"),
        );
        return None;
    }
    match build(text, file, out) {
        Ok(node) => Some(node),
        Err(Stop::Said) => None,
        Err(Stop::Yaml(at, info)) => {
            let repaired = hint::explain(text, file, at, &info, out)?;
            // The text is as long as before, so every place is still right; what
            // else is wrong with it was said already if it does not parse now.
            build(&repaired, file, out).ok()
        }
    }
}

/// Why no tree could be built.
enum Stop {
    /// The parser's own message, at a byte.
    Yaml(usize, String),
    /// It has been said already.
    Said,
}

fn build(text: &str, file: FileId, out: &mut Vec<Diagnostic>) -> Result<Node, Stop> {
    let mut builder = Builder {
        file,
        text,
        offsets: Offsets::of(text),
        stack: Vec::new(),
        root: None,
        anchors: HashMap::new(),
        nodes: 0,
        out,
    };
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let at = builder.offsets.byte(error.marker().index());
            Stop::Yaml(at, error.info().to_owned())
        })?;
        let start = builder.offsets.byte(span.start.index());
        let end = builder.offsets.byte(span.end.index());
        builder.event(event, Span::new(file, start..end.max(start)))?;
    }
    builder.root.take().ok_or(Stop::Said)
}

/// Byte offsets of characters, which is what the parser counts.
enum Offsets {
    Ascii(usize),
    Wide(Vec<u32>),
}

impl Offsets {
    fn of(text: &str) -> Self {
        if text.is_ascii() {
            return Self::Ascii(text.len());
        }
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self::Wide(
            text.char_indices()
                .map(|(at, _)| offset(at))
                .chain(std::iter::once(offset(text.len())))
                .collect(),
        )
    }

    fn byte(&self, character: usize) -> usize {
        match self {
            Self::Ascii(length) => character.min(*length),
            Self::Wide(offsets) => offsets
                .get(character)
                .or(offsets.last())
                .map_or(0, |at| *at as usize),
        }
    }
}

/// A collection whose end has not been seen.
struct Open {
    span: Span,
    anchor: usize,
    nodes_before: usize,
    content: OpenContent,
}

enum OpenContent {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// Position by name: a map may have thousands of fields.
        positions: HashMap<String, usize>,
        merges: Vec<Node>,
        name: Option<(String, Span, bool)>,
    },
}

struct Builder<'t> {
    file: FileId,
    text: &'t str,
    offsets: Offsets,
    stack: Vec<Open>,
    root: Option<Node>,
    /// Anchored nodes that are complete, with their number of nodes.
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    out: &'t mut Vec<Diagnostic>,
}

impl Builder<'_> {
    fn event(&mut self, event: Event<'_>, span: Span) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.count(1, span)?;
                let span = self.tight(span);
                self.check_tag(tag.as_ref(), span);
                let plain = style == ScalarStyle::Plain;
                let as_text = tag
                    .as_ref()
                    .is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
                let scalar = Scalar::read(&text, plain && !as_text, form(style));
                if let Some(problem) = scalar.problem() {
                    self.out.push(
                        Diagnostic::error(Diagnosis::InvalidValue, problem)
                            .at(span, "not a value that JSON can hold")
                            .help("put it in quotes if a text is meant"),
                    );
                }
                let node = Node {
                    span,
                    value: Value::Scalar(scalar),
                };
                self.complete(node, anchor, 1, plain)
            }
            Event::SequenceStart(anchor, tag) => {
                self.check_tag(tag.as_ref(), span);
                self.open(span, anchor, OpenContent::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.check_tag(tag.as_ref(), span);
                let content = OpenContent::Map {
                    entries: Vec::new(),
                    positions: HashMap::new(),
                    merges: Vec::new(),
                    name: None,
                };
                self.open(span, anchor, content)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::DocumentStart(_) if self.root.is_some() => {
                self.out.push(
                    Diagnostic::error(Diagnosis::InvalidYaml, "a second YAML document begins here")
                        .at(span, "one file holds one scenario")
                        .help("put each scenario into a file of its own"),
                );
                Err(Stop::Said)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    /// The parser lets scalars end behind the white space that follows them.
    fn tight(&self, span: Span) -> Span {
        let slice = self.text.get(span.range()).unwrap_or("");
        let length = slice.trim_end().len();
        Span::new(self.file, span.range().start..span.range().start + length)
    }

    fn check_tag(&mut self, tag: Option<&Cow<'_, Tag>>, span: Span) {
        if let Some(tag) = tag
            && !tag.is_yaml_core_schema()
        {
            self.out.push(
                Diagnostic::error(Diagnosis::InvalidYaml, format!("YAML tag `{tag}`"))
                    .at(span, "tags mean nothing here")
                    .help("to share parts between files, name them in `use:`"),
            );
        }
    }

    fn count(&mut self, nodes: usize, span: Span) -> Result<(), Stop> {
        self.nodes += nodes;
        if self.nodes <= NODES_MAX {
            return Ok(());
        }
        let error = Diagnostic::error(
            Diagnosis::TooManyNodes,
            "the file holds more than 20 000 values after its aliases are followed",
        );
        self.out.push(error.at(span, "counted up to here"));
        Err(Stop::Said)
    }

    fn open(&mut self, span: Span, anchor: usize, content: OpenContent) -> Result<(), Stop> {
        self.count(1, span)?;
        if self.stack.len() >= DEPTH_MAX {
            self.out.push(
                Diagnostic::error(Diagnosis::TooDeep, "the file nests deeper than 64 levels")
                    .at(span, "this is level 65"),
            );
            return Err(Stop::Said);
        }
        self.stack.push(Open {
            span,
            anchor,
            nodes_before: self.nodes - 1,
            content,
        });
        Ok(())
    }

    fn close(&mut self, end: Span) -> Result<(), Stop> {
        let Some(open) = self.stack.pop() else {
            return Ok(());
        };
        let nodes = self.nodes - open.nodes_before;
        let last = match &open.content {
            OpenContent::List(items) => items.last().map(|item| item.span.end),
            OpenContent::Map { entries, .. } => entries.last().map(|entry| entry.node.span.end),
        };
        // A flow collection ends with its bracket, a block one with its last member.
        let flow = self
            .text
            .as_bytes()
            .get(open.span.start as usize)
            .is_some_and(|first| matches!(first, b'{' | b'['));
        let end = if flow {
            end.end
        } else {
            last.unwrap_or(open.span.end)
        };
        let start = match &open.content {
            OpenContent::Map { entries, .. } if !flow => entries
                .first()
                .map_or(open.span.start, |entry| entry.span.start),
            _ => open.span.start,
        };
        let span = Span {
            file: self.file,
            start,
            end: end.max(start),
        };
        let value = match open.content {
            OpenContent::List(items) => Value::List(items),
            OpenContent::Map {
                entries, merges, ..
            } => Value::Map(merged(entries, merges)),
        };
        self.complete(Node { span, value }, open.anchor, nodes, false)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some((_, nodes)) = self.anchors.get(&anchor) else {
            self.out.push(
                Diagnostic::error(
                    Diagnosis::InvalidYaml,
                    "an alias to a value that contains it",
                )
                .at(span, "this would never end"),
            );
            return Err(Stop::Said);
        };
        let nodes = *nodes;
        self.count(nodes, span)?;
        let node = self.anchors[&anchor].0.clone();
        if self.stack.len() + depth(&node) > DEPTH_MAX {
            self.out.push(
                Diagnostic::error(Diagnosis::TooDeep, "the file nests deeper than 64 levels")
                    .at(span, "with what this alias stands for"),
            );
            return Err(Stop::Said);
        }
        self.complete(node, 0, nodes, false)
    }

    /// Hands a finished node to what it is part of.
    fn complete(
        &mut self,
        node: Node,
        anchor: usize,
        nodes: usize,
        plain: bool,
    ) -> Result<(), Stop> {
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), nodes));
        }
        match self.stack.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(OpenContent::List(items)) => items.push(node),
            Some(OpenContent::Map {
                entries,
                positions,
                merges,
                name,
            }) => match name.take() {
                None => match &node.value {
                    Value::Scalar(scalar) => *name = Some((scalar.text.clone(), node.span, plain)),
                    Value::List(_) | Value::Map(_) => {
                        let error = Diagnostic::error(
                            Diagnosis::InvalidYaml,
                            format!("the name of a field is {}", node.found()),
                        );
                        self.out
                            .push(error.at(node.span, "a name was expected here").help(
                                "`{{ … }}` needs a `$` in front, and quotes inside `{ }` or `[ ]`",
                            ));
                        return Err(Stop::Said);
                    }
                },
                Some((word, _, true)) if word == "<<" => merges.push(node),
                Some((word, span, _)) => {
                    if let Some(first) = positions.get(&word) {
                        self.out.push(
                            Diagnostic::error(
                                Diagnosis::DuplicateField,
                                format!("field `{word}` is given twice"),
                            )
                            .at(span, "a second time here")
                            .and_at(entries[*first].span, "first given here")
                            .help("keep one of them"),
                        );
                    } else {
                        positions.insert(word.clone(), entries.len());
                        entries.push(Entry {
                            name: word,
                            span,
                            node,
                        });
                    }
                }
            },
        }
        Ok(())
    }
}

/// A map with its merge keys in place: what the map says itself wins, then the
/// earlier of several merged ones.
fn merged(mut entries: Vec<Entry>, merges: Vec<Node>) -> Vec<Entry> {
    let mut add = |node: Node| {
        if let Value::Map(more) = node.value {
            for entry in more {
                if !entries.iter().any(|known| known.name == entry.name) {
                    entries.push(entry);
                }
            }
        }
    };
    for merge in merges {
        match merge.value {
            Value::List(items) => items.into_iter().for_each(&mut add),
            Value::Scalar(_) | Value::Map(_) => add(merge),
        }
    }
    entries
}

fn depth(node: &Node) -> usize {
    match &node.value {
        Value::Scalar(_) => 0,
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Map(entries) => {
            1 + entries
                .iter()
                .map(|entry| depth(&entry.node))
                .max()
                .unwrap_or(0)
        }
    }
}

fn form(style: ScalarStyle) -> ScalarForm {
    match style {
        ScalarStyle::Plain => ScalarForm::Plain,
        ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => ScalarForm::Quoted,
        ScalarStyle::Literal | ScalarStyle::Folded => ScalarForm::Block,
    }
}

#[cfg(test)]
mod tests;
