//! What the command line itself has to say: messages with a code but without a
//! place in a file, in the shape of error E7 of `language.md` section 5.

use super::exit_code::Exit;
use crate::codes::Diagnosis;
use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};
use std::fmt::Write;

/// How bad a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// The command does not go on.
    Error,
    /// The command goes on.
    Warning,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// How bad it is.
    pub(crate) level: Level,
    /// Its code.
    pub(crate) code: Diagnosis,
    /// Lower case, without a stop.
    pub(crate) headline: String,
    /// What else is known.
    pub(crate) notes: Vec<String>,
    /// What to do; lines after the first are indented below it.
    pub(crate) help: Option<String>,
}

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something to be said, and how to end.
    Message(Box<Message>, Exit),
    /// Everything has been said.
    Told(Exit),
    /// The world did not play along: a file, a socket, a full disk.
    World(anyhow::Error),
}

impl Message {
    /// An error.
    pub(crate) fn error(code: Diagnosis, headline: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            code,
            headline: headline.into(),
            notes: Vec::new(),
            help: None,
        }
    }

    /// A warning.
    pub(crate) fn warning(code: Diagnosis, headline: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(code, headline)
        }
    }

    /// The same with a note.
    pub(crate) fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// The same with a remedy.
    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The message as a reason to end.
    pub(crate) fn exit(self, exit: Exit) -> Failure {
        Failure::Message(Box::new(self), exit)
    }

    /// The message as people read it, with ANSI styles in it.
    pub(crate) fn text(&self) -> String {
        let (word, style) = match self.level {
            Level::Error => ("error", AnsiColor::Red.on_default().bold()),
            Level::Warning => ("warning", AnsiColor::Yellow.on_default().bold()),
        };
        let bold = Style::new().bold();
        let code = self.code;
        let headline = &self.headline;
        let mut text = format!("{style}{word}[{code}]{style:#}{bold}: {headline}{bold:#}\n");
        for note in &self.notes {
            push(&mut text, "note", note);
        }
        if let Some(help) = &self.help {
            push(&mut text, "help", help);
        }
        text
    }

    /// The message as programs read it.
    pub(crate) fn json(&self) -> Value {
        json!({
            "severity": match self.level { Level::Error => "error", Level::Warning => "warning" },
            "code": self.code.code(),
            "message": self.headline,
            "notes": self.notes,
            "help": self.help,
        })
    }
}

fn push(text: &mut String, word: &str, lines: &str) {
    let dim = AnsiColor::Cyan.on_default().bold();
    for (index, line) in lines.lines().enumerate() {
        // Writing to a String cannot fail.
        let _ = match index {
            0 => writeln!(text, "   {dim}= {word}{dim:#}: {line}"),
            _ => writeln!(text, "           {line}"),
        };
    }
}

/// The answer to whatever this version knows but does not do yet.
pub(crate) fn not_supported_yet(what: &str) -> Failure {
    Message::error(
        Diagnosis::NotSupportedYet,
        format!("`{what}` is known, but this version does not do it yet"),
    )
    .help("retrial explain not-supported-yet")
    .exit(Exit::Usage)
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::World(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_reads_like_e7() {
        let message = Message::error(Diagnosis::HostNotAllowed, "refusing to send to a.example")
            .note("only loopback is allowed without asking")
            .help("add it,\nor pass --allow-host");
        let plain = anstream::adapter::strip_str(&message.text()).to_string();
        assert_eq!(
            plain,
            "error[host-not-allowed]: refusing to send to a.example\n\
             \x20  = note: only loopback is allowed without asking\n\
             \x20  = help: add it,\n\
             \x20          or pass --allow-host\n"
        );
    }
}
