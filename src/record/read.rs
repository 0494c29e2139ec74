//! Reading a record, also one whose run was killed: a history may end in the
//! middle of a line, but nowhere else may there be anything that is no event.

use super::RecordError;
use crate::history::{Event, EventKind, FORMAT, History, RunHeader};
use crate::plan::Plan;
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The most bytes of a plan that are read; a plan of 2 000 000 attempts has fewer.
const PLAN_MOST: u64 = 512 << 20;
/// The most bytes of one line of a history: an answer is kept up to 4 KiB, a value
/// that a probe read may be larger.
const LINE_MOST: u64 = 16 << 20;
/// The most bytes of a history: some million events.
const HISTORY_MOST: u64 = 4 << 30;

/// Whether a history has its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completeness {
    /// Whether its last event says that the run was through.
    pub ended: bool,
    /// Whether it ends in the middle of a line, which was left out.
    pub torn_line: bool,
}

/// The plan in a file.
///
/// # Errors
/// Where it cannot be read, is too large, or no plan of this version.
pub fn read_plan(path: &Path) -> Result<Plan, RecordError> {
    let mut text = String::new();
    open(path)?
        .take(PLAN_MOST + 1)
        .read_to_string(&mut text)
        .map_err(|source| unreadable(path, source))?;
    if text.len() as u64 > PLAN_MOST {
        return Err(RecordError::TooLarge {
            path: path.to_owned(),
            most: PLAN_MOST,
        });
    }
    Plan::from_json(&text).map_err(|source| RecordError::Plan {
        path: path.to_owned(),
        source,
    })
}

/// The history in a file, and whether it has its end.
///
/// # Errors
/// Where it cannot be read, is too large, of another version, or holds a line
/// that is no event.
pub fn read_history(path: &Path) -> Result<(History, Completeness), RecordError> {
    let mut lines = Lines {
        file: BufReader::with_capacity(1 << 20, open(path)?),
        path,
        line: Vec::new(),
        number: 0,
        read: 0,
    };
    let header = match lines.next()? {
        Line::Whole => header(path, &lines.line)?,
        Line::Torn | Line::End => {
            return Err(RecordError::NoHeader {
                path: path.to_owned(),
            });
        }
    };
    let mut events: Vec<Event> = Vec::new();
    let torn_line = loop {
        match lines.next()? {
            Line::End => break false,
            Line::Torn => match serde_json::from_slice(&lines.line) {
                // Only the line's end is missing.
                Ok(event) => events.push(event),
                Err(_) => break true,
            },
            Line::Whole => {
                let event =
                    serde_json::from_slice(&lines.line).map_err(|source| RecordError::Line {
                        path: path.to_owned(),
                        line: lines.number,
                        source,
                    })?;
                events.push(event);
            }
        }
    };
    let ended = !torn_line
        && events
            .last()
            .is_some_and(|event| event.kind == EventKind::Finished);
    Ok((
        History { header, events },
        Completeness { ended, torn_line },
    ))
}

fn header(path: &Path, line: &[u8]) -> Result<RunHeader, RecordError> {
    #[derive(Deserialize)]
    struct Head {
        format: String,
    }
    let no_header = |_| RecordError::NoHeader {
        path: path.to_owned(),
    };
    // The format is looked at first: a history of another version is not broken.
    let head: Head = serde_json::from_slice(line).map_err(no_header)?;
    if head.format != FORMAT {
        return Err(RecordError::Format {
            path: path.to_owned(),
            found: head.format,
        });
    }
    serde_json::from_slice(line).map_err(no_header)
}

/// What was found where a line was looked for.
enum Line {
    /// A line with its end.
    Whole,
    /// The rest of the file, without a line's end.
    Torn,
    /// Nothing.
    End,
}

struct Lines<'a> {
    file: BufReader<File>,
    path: &'a Path,
    /// The line that was found last, without its end.
    line: Vec<u8>,
    /// Its number, from 1.
    number: usize,
    /// Bytes read so far.
    read: u64,
}

impl Lines<'_> {
    fn next(&mut self) -> Result<Line, RecordError> {
        self.line.clear();
        self.number += 1;
        let read = (&mut self.file)
            .take(LINE_MOST + 1)
            .read_until(b'\n', &mut self.line)
            .map_err(|source| unreadable(self.path, source))? as u64;
        self.read += read;
        for (size, most) in [(read, LINE_MOST), (self.read, HISTORY_MOST)] {
            if size > most {
                return Err(RecordError::TooLarge {
                    path: self.path.to_owned(),
                    most,
                });
            }
        }
        if read == 0 {
            Ok(Line::End)
        } else if self.line.pop_if(|byte| *byte == b'\n').is_some() {
            Ok(Line::Whole)
        } else {
            Ok(Line::Torn)
        }
    }
}

fn open(path: &Path) -> Result<File, RecordError> {
    File::open(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &Path, source: io::Error) -> RecordError {
    RecordError::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{event, header as run_header};
    use std::fmt::Write;

    /// A history of the header and these lines, each as it stands.
    fn history(lines: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let header = serde_json::to_string(&run_header()).unwrap();
        std::fs::write(file.path(), format!("{header}\n{lines}")).unwrap();
        file
    }

    fn line(index: u64) -> String {
        serde_json::to_string(&event(index)).unwrap()
    }

    #[test]
    fn a_torn_last_line_is_left_out_and_told() {
        let whole = format!("{}\n{}\n", line(1), line(2));
        let cut = format!("{whole}{}", &line(3)[..20]);
        let (history, completeness) = read_history(history(&cut).path()).unwrap();
        assert_eq!(history.events, [event(1), event(2)]);
        assert_eq!(
            completeness,
            Completeness {
                ended: false,
                torn_line: true
            }
        );
    }

    #[test]
    fn every_place_where_a_kill_can_tear_is_survived() {
        let text = format!("{}\n{}\n", line(1), line(2));
        for end in 0..text.len() {
            let (history, _) = read_history(history(&text[..end]).path()).unwrap();
            let whole = [line(1).len(), line(1).len() + 1 + line(2).len()];
            let expected = whole.iter().filter(|needed| **needed <= end).count();
            assert_eq!(history.events.len(), expected, "cut at {end}");
        }
    }

    #[test]
    fn zeros_at_the_end_are_torn_too() {
        let text = format!("{}\n\0\0\0\0", line(1));
        let (history, completeness) = read_history(history(&text).path()).unwrap();
        assert_eq!(history.events.len(), 1);
        assert!(completeness.torn_line);
    }

    #[test]
    fn garbage_in_the_middle_is_an_error_with_its_line() {
        let text = format!("{}\n{}\n{}\n", line(1), &line(2)[..20], line(3));
        let file = history(&text);
        let error = read_history(file.path()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("line 3 of `{}` is not an event", file.path().display())
        );
    }

    #[test]
    fn another_version_is_told_apart_from_no_history() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = |text: &str| {
            std::fs::write(file.path(), text).unwrap();
            let message = read_history(file.path()).unwrap_err().to_string();
            message.replace(&file.path().display().to_string(), "FILE")
        };
        assert_eq!(
            message("{\"format\":\"retrial.history/2\",\"else\":1}\n"),
            "`FILE` has the format `retrial.history/2`, this version reads `retrial.history/1`"
        );
        let none = "`FILE` does not begin with the header of a history";
        assert_eq!(message(""), none);
        assert_eq!(message("{\"format\":\"retrial.hi"), none);
        assert_eq!(message("{\"format\":\"retrial.history/1\"}\n"), none);
        assert_eq!(message("hello\nworld\n"), none);
    }

    #[test]
    fn a_line_without_end_is_not_read_into_memory() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // Sparse: takes no room on disk.
        file.as_file().set_len(LINE_MOST * 4).unwrap();
        assert!(matches!(
            read_history(file.path()),
            Err(RecordError::TooLarge {
                most: LINE_MOST,
                ..
            })
        ));
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = read_plan(Path::new("no/plan.json")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read `no/plan.json`");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "{\"format\":\"retrial.plan/9\"}").unwrap();
        let error = read_plan(file.path()).unwrap_err();
        assert!(matches!(error, RecordError::Plan { .. }));
    }

    #[test]
    fn a_long_history_is_read_whole() {
        let mut text = String::new();
        for index in 0..2_000 {
            writeln!(text, "{}", line(index)).unwrap();
        }
        let (history, _) = read_history(history(&text).path()).unwrap();
        assert_eq!(history.events.len(), 2_000);
        assert_eq!(history.events[1_999], event(1_999));
    }
}
