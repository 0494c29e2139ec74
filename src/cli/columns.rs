//! Tables of the command line's own lists. Reports have tables of their own, in
//! the room that renders them.

use super::terminal::Terminal;
use std::fmt::Write;

/// The narrowest that the last column gets.
const NARROWEST: usize = 24;

/// Aligned columns below a header; the last one wraps at the terminal's edge.
pub(crate) fn columns(header: &[&str], rows: &[Vec<String>], terminal: &Terminal) -> String {
    let last = header.len().saturating_sub(1);
    let widths: Vec<usize> = (0..last)
        .map(|column| {
            rows.iter()
                .map(|row| row[column].chars().count())
                .chain([header[column].chars().count()])
                .max()
                .unwrap_or(0)
        })
        .collect();
    let before: usize = widths.iter().map(|width| width + 2).sum();
    let room = terminal.width.saturating_sub(before + 1).max(NARROWEST);
    let rule = if terminal.ascii { "-" } else { "─" };
    let longest = rows
        .iter()
        .filter_map(|row| row.last())
        .chain([&header.last().copied().unwrap_or_default().to_owned()])
        .map(|cell| cell.chars().count().min(room))
        .max()
        .unwrap_or(0);

    let mut text = String::new();
    let titles: Vec<String> = header.iter().map(|title| (*title).to_owned()).collect();
    line(&mut text, &titles, &widths, room);
    let rules: Vec<String> = widths
        .iter()
        .chain([&longest])
        .map(|width| rule.repeat(*width))
        .collect();
    line(&mut text, &rules, &widths, room);
    for row in rows {
        line(&mut text, row, &widths, room);
    }
    text
}

fn line(text: &mut String, cells: &[String], widths: &[usize], room: usize) {
    let mut start = String::from(" ");
    for (cell, width) in cells.iter().zip(widths) {
        // Writing to a String cannot fail.
        let _ = write!(start, "{cell:<width$}  ");
    }
    let indent = " ".repeat(start.chars().count());
    let tail = cells.last().map_or("", String::as_str);
    for (index, part) in wrap(tail, room).iter().enumerate() {
        let lead = if index == 0 { &start } else { &indent };
        text.push_str(format!("{lead}{part}").trim_end());
        text.push('\n');
    }
}

/// Breaks a text at spaces so that no line is longer than `room`, where a word
/// allows it; never empty.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split_whitespace() {
        let width = word.chars().count();
        if length > 0 && length + 1 + width > room {
            lines.push(String::new());
            length = 0;
        }
        let line = lines.last_mut().expect("there is always a line");
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += width;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::Screen;

    #[test]
    fn the_last_column_wraps_below_itself() {
        let terminal = Terminal {
            width: 31,
            ascii: true,
            ..Terminal::new(&Screen::default())
        };
        let rows = vec![
            vec!["a".to_owned(), "one two three four five six".to_owned()],
            vec!["bb".to_owned(), String::new()],
        ];
        assert_eq!(
            columns(&["N", "What"], &rows, &terminal),
            " N   What\n --  --------------------------\n a   one two three four five\n     six\n bb\n"
        );
    }
}
