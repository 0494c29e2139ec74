//! [`Report`] → bytes. Pure: a renderer opens no file and
//! asks no question. It must not know plan, history or oracle.

#![warn(clippy::wildcard_enum_match_arm)]

mod block;
mod json;
mod junit;
mod table;
mod terminal;
mod text;
mod timeline;

use crate::report::Report;

/// What a report can be rendered as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// For people, on a terminal or in a log.
    Terminal,
    /// `report.json`: the report itself.
    Json,
    /// `JUnit`'s XML, for build servers.
    Junit,
}

/// The letters that a terminal report is drawn with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Charset {
    /// Box drawing and typographic characters.
    #[default]
    Unicode,
    /// Nothing but ASCII, except in what the target said.
    Ascii,
}

/// How much is told.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Verbosity {
    /// Failures and the result.
    Quiet,
    /// What a reader needs.
    #[default]
    Normal,
    /// The requests and all populations of latency too.
    Verbose,
}

/// What `JUnit` is told of a case that could not be judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words are JUnit's")]
pub enum JunitInconclusive {
    #[default]
    Error,
    Skipped,
    Failure,
}

/// How a report is rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderOptions {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether escape sequences for colour may be written.
    pub color: bool,
    /// What is drawn with.
    pub charset: Charset,
    /// How much is told.
    pub verbosity: Verbosity,
    /// What was written, to be told at the end: the folder, then its files.
    pub written: Vec<String>,
    /// What `JUnit` is told of a case that could not be judged.
    pub junit_inconclusive: JunitInconclusive,
}

impl Default for RenderOptions {
    /// As in a build log.
    fn default() -> Self {
        Self {
            width: 100,
            color: false,
            charset: Charset::default(),
            verbosity: Verbosity::default(),
            written: Vec::new(),
            junit_inconclusive: JunitInconclusive::default(),
        }
    }
}

/// The report in a format.
pub fn render(report: &Report, format: Format, options: &RenderOptions) -> Vec<u8> {
    match format {
        Format::Terminal => terminal::render(report, options).into_bytes(),
        Format::Json => json::render(report),
        Format::Junit => junit::render(report, options),
    }
}

#[cfg(test)]
mod sample;
