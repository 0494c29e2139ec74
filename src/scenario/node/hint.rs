//! What people did when YAML says something else: tabs, expressions in braces
//! without quotes, a space missing after a colon, a slip of indentation.

use crate::codes::Diagnosis;
use crate::scenario::diagnostic::{Diagnostic, FileId, Span};
use std::ops::Range;

/// Says why the text is no YAML. Where the mistake is one that can be undone
/// without moving anything, the repaired text is returned, so that the other
/// mistakes of the file can be said at once.
pub(super) fn explain(
    text: &str,
    file: FileId,
    at: usize,
    info: &str,
    out: &mut Vec<Diagnostic>,
) -> Option<String> {
    let braces = unquoted_expressions(text);
    let tabs = tab_indents(text);
    for brace in &braces {
        out.push(braces_error(text, file, brace));
    }
    if let Some(first) = tabs.first() {
        let more = match tabs.len() {
            1 => String::new(),
            lines => format!(" (and on {} more lines)", lines - 1),
        };
        out.push(
            Diagnostic::error(
                Diagnosis::TabIndent,
                format!("this line is indented with a tab{more}"),
            )
            .at(
                Span::new(file, first.clone()),
                "YAML does not allow tabs as indentation",
            )
            .help("use two spaces for each level"),
        );
    }
    if !braces.is_empty() || !tabs.is_empty() {
        return Some(repaired(text, &braces, &tabs));
    }
    out.push(
        colon(text, file, at)
            .or_else(|| quote(text, file, at))
            .or_else(|| indentation(text, file, at))
            .unwrap_or_else(|| plain(text, file, at, info)),
    );
    None
}

/// An expression that stands without quotes inside a flow collection.
struct Braces {
    range: Range<usize>,
    /// The bracket that it stands in.
    bracket: u8,
}

fn braces_error(text: &str, file: FileId, braces: &Braces) -> Diagnostic {
    let (open, close, what) = match braces.bracket {
        b'[' => ('[', ']', "YAML reads the inner braces as maps"),
        _ => ('{', '}', "YAML reads the inner braces as a map"),
    };
    let expression = &text[braces.range.clone()];
    let before = text[..braces.range.start].trim_end();
    let name = before.strip_suffix(':').map(|before| {
        let start = before
            .rfind(|next: char| !next.is_alphanumeric() && next != '_' && next != '-')
            .map_or(0, |at| at + 1);
        format!("{}: ", &before[start..])
    });
    Diagnostic::error(
        Diagnosis::UnquotedBraces,
        format!("`${{{{ … }}}}` needs quotes inside `{open} {close}`"),
    )
    .at(Span::new(file, braces.range.clone()), what)
    .help(format!(
        "write {}\"{expression}\" (it stays a number), or put each field on its own line",
        name.unwrap_or_default()
    ))
}

/// Scans line by line, keeping count of flow brackets outside quotes and comments.
fn unquoted_expressions(text: &str) -> Vec<Braces> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut open: Vec<u8> = Vec::new();
    let mut quote: Option<u8> = None;
    let mut at = 0;
    // Where a value may begin: only there do brackets and quotes mean anything.
    let mut fresh = true;
    while at < bytes.len() {
        let byte = bytes[at];
        if let Some(mark) = quote {
            if byte == b'\\' && mark == b'"' {
                at += 1;
            } else if byte == mark {
                quote = None;
            }
            at += 1;
            continue;
        }
        if text.get(at..).is_some_and(|rest| rest.starts_with("${{")) {
            let line = text[at..].lines().next().unwrap_or("");
            let length = line.find("}}").map(|end| end + 2);
            if let Some(length) = length {
                if let Some(bracket) = open.last() {
                    found.push(Braces {
                        range: word(text, at, length),
                        bracket: *bracket,
                    });
                }
                at += length;
                fresh = false;
                continue;
            }
        }
        match byte {
            b'#' if at == 0 || bytes[at - 1].is_ascii_whitespace() => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
                continue;
            }
            b'\'' | b'"' if fresh => quote = Some(byte),
            b'{' | b'[' if fresh || !open.is_empty() => open.push(byte),
            b'}' | b']' if !open.is_empty() => {
                open.pop();
            }
            _ => {}
        }
        fresh = match byte {
            b' ' => fresh,
            b'\n' => true,
            b':' | b'-' | b'?' => bytes.get(at + 1).is_none_or(u8::is_ascii_whitespace),
            b'{' | b'[' | b',' => !open.is_empty(),
            _ => false,
        };
        at += 1;
    }
    found
}

/// The expression with the letters that touch it (`rt-${{ n }}/x`).
fn word(text: &str, at: usize, length: usize) -> Range<usize> {
    let edge = |next: char| next.is_whitespace() || ",{}[]\"'".contains(next);
    let start = text[..at]
        .char_indices()
        .rev()
        .find(|(_, next)| edge(*next))
        .map_or(0, |(before, next)| before + next.len_utf8());
    let mut end = at + length;
    // More expressions may follow at once.
    loop {
        let rest = &text[end..];
        if rest.starts_with("${{") {
            match rest.lines().next().unwrap_or("").find("}}") {
                Some(more) => end += more + 2,
                None => return start..end,
            }
            continue;
        }
        let more = rest
            .find(|next: char| edge(next) || next == '$')
            .unwrap_or(rest.len());
        if more == 0 {
            return start..end;
        }
        end += more;
    }
}

fn tab_indents(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start_matches([' ', '\t']).len();
        let blank = line.trim().is_empty() || line.trim_start().starts_with('#');
        if !blank && let Some(tab) = line[..indent].find('\t') {
            found.push(start + tab..start + indent);
        }
        start += line.len();
    }
    found
}

/// The same number of bytes, with expressions quoted and tabs made spaces.
fn repaired(text: &str, braces: &[Braces], tabs: &[Range<usize>]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for tab in tabs {
        for byte in &mut bytes[tab.clone()] {
            *byte = b' ';
        }
    }
    for Braces { range, .. } in braces {
        // Quotes take the place of the first and last byte of the expression;
        // what is between them only has to be a text.
        for byte in &mut bytes[range.clone()] {
            *byte = b'_';
        }
        bytes[range.start] = b'\'';
        bytes[range.end - 1] = b'\'';
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn line_around(text: &str, at: usize) -> Range<usize> {
    let at = at.min(text.len());
    let start = text[..at].rfind('\n').map_or(0, |end| end + 1);
    let end = text[at..].find('\n').map_or(text.len(), |end| at + end);
    start..end
}

/// The line with the error and the non-blank ones before it, nearest first.
fn lines_back(text: &str, at: usize, most: usize) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut line = line_around(text, at);
    loop {
        if !text[line.clone()].trim().is_empty() {
            lines.push(line.clone());
        }
        if line.start == 0 || lines.len() == most {
            return lines;
        }
        line = line_around(text, line.start - 1);
    }
}

/// `request:POST /orders`, which YAML takes for a text.
fn colon(text: &str, file: FileId, at: usize) -> Option<Diagnostic> {
    lines_back(text, at, 3).into_iter().find_map(|line| {
        let content = text[line.clone()].trim_start().trim_start_matches("- ");
        let start = line.end - content.len();
        let colon = content.find(':')?;
        let name = &content[..colon];
        let rest = &content[colon + 1..];
        let is_name = !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let glued = rest
            .chars()
            .next()
            .is_some_and(|next| !next.is_whitespace());
        if !is_name || !glued || rest.starts_with("//") || content.contains(": ") {
            return None;
        }
        Some(
            Diagnostic::error(
                Diagnosis::InvalidYaml,
                format!("a space is missing after `{name}:`"),
            )
            .at(
                Span::new(file, start + colon..start + colon + 1),
                "YAML needs a space after the colon",
            )
            .help(format!("write `{name}: {}`", rest.trim_end())),
        )
    })
}

/// A value with `: ` or ` #` or a leading special character and no quotes.
fn quote(text: &str, file: FileId, at: usize) -> Option<Diagnostic> {
    let line = line_around(text, at);
    let content = &text[line.clone()];
    let first = content.find(": ")?;
    let value_start = line.start + first + 2;
    let value = content[first + 2..].trim();
    let second = value.find(": ")?;
    if value.starts_with(['"', '\'', '{', '[', '|', '>']) {
        return None;
    }
    let start =
        value_start + (content[first + 2..].len() - content[first + 2..].trim_start().len());
    Some(
        Diagnostic::error(Diagnosis::InvalidYaml, "a second `: ` on one line")
            .at(
                Span::new(file, start + second..start + second + 1),
                "YAML takes this for another field",
            )
            .help(format!(
                "put the value in quotes: `\"{}\"`",
                value.replace('"', "\\\"")
            )),
    )
}

/// A line that is indented like none of those around it.
fn indentation(text: &str, file: FileId, at: usize) -> Option<Diagnostic> {
    let lines = lines_back(text, at, 40);
    let indent = |line: &Range<usize>| {
        let line = &text[line.clone()];
        line.len() - line.trim_start().len()
    };
    let (line, above) = lines.split_first()?;
    let own = indent(line);
    let before = above.first().map(indent)?;
    let levels: Vec<usize> = above.iter().map(indent).collect();
    let opens = above
        .first()
        .is_some_and(|line| text[line.clone()].trim_end().ends_with(':'));
    let odd = if own > before {
        !opens
    } else {
        !levels.contains(&own)
    };
    if !odd {
        return None;
    }
    let content = text[line.clone()].trim_start();
    let start = line.end - content.len();
    let end = start + content.trim_end().len();
    let fit = levels
        .iter()
        .copied()
        .min_by_key(|level| level.abs_diff(own))
        .unwrap_or(0);
    Some(
        Diagnostic::error(
            Diagnosis::InvalidYaml,
            "this line is indented like none of those above it",
        )
        .at(Span::new(file, start..end), format!("{own} spaces"))
        .help(format!(
            "lines of one map start in one column; {fit} spaces would fit"
        )),
    )
}

fn plain(text: &str, file: FileId, at: usize, info: &str) -> Diagnostic {
    let at = at.min(text.len());
    let end = text[at..].chars().next().map_or(at, |next| {
        if next == '\n' {
            at
        } else {
            at + next.len_utf8()
        }
    });
    if info.contains("recursion limit") {
        return Diagnostic::error(Diagnosis::TooDeep, "the file nests deeper than 64 levels")
            .at(Span::new(file, at..end), "far deeper, here");
    }
    Diagnostic::error(Diagnosis::InvalidYaml, "this is not valid YAML")
        .at(Span::new(file, at..end), info)
        .help("look at this line and the one above it: quotes, brackets, indentation")
}
