//! Report files: which are asked for, where they go, and writing them.

use super::args::{JunitInconclusive, ReportKind, ReportWish};
use super::exit_code::Exit;
use super::failure::{Failure, not_supported_yet};
use super::terminal::Terminal;
use crate::codes::Diagnosis;
use crate::record::write_file;
use crate::render::{self, Charset, Format, RenderOptions, Verbosity, render};
use crate::report::Report;
use crate::scenario::Diagnostic;
use anyhow::Context;
use std::path::{Path, PathBuf};

/// The reports that flags ask for, else the project; those of later versions are
/// refused before anything is sent.
pub(crate) fn wishes(flags: &[ReportWish], project: &[String]) -> Result<Vec<ReportWish>, Failure> {
    let mut wishes = flags.to_vec();
    if flags.is_empty() {
        for words in project {
            wishes.push(words.parse().map_err(|error: String| {
                Failure::because(
                    Diagnostic::error(Diagnosis::InvalidValue, error)
                        .note("`reports` of the project file asks for it"),
                    Exit::Usage,
                )
            })?);
        }
    }
    for wish in &wishes {
        if let ReportKind::Later(kind) = wish.kind {
            return Err(not_supported_yet(&format!("--report {kind}")));
        }
    }
    Ok(wishes)
}

/// What was written, and what could not be.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Names of the files, as the last line of the report shows them.
    pub(crate) files: Vec<String>,
    /// What went wrong.
    pub(crate) trouble: Vec<anyhow::Error>,
}

/// Writes `report.json` and what else is wished for; goes on after a file that
/// cannot be written.
pub(crate) fn write(
    report: &Report,
    wishes: &[ReportWish],
    folder: &Path,
    junit: JunitInconclusive,
) -> Written {
    let always = ReportWish {
        kind: ReportKind::Json,
        file: None,
    };
    let mut written = Written::default();
    let rest = wishes.iter().filter(|wish| **wish != always);
    for wish in rest.chain([&always]) {
        let path = place(wish, folder);
        match write_one(report, wish.kind, &path, junit) {
            Ok(()) => written.files.push(match &wish.file {
                Some(file) => file.clone(),
                None => usual_name(wish.kind).to_owned(),
            }),
            Err(error) => written.trouble.push(error),
        }
    }
    written
}

fn place(wish: &ReportWish, folder: &Path) -> PathBuf {
    match &wish.file {
        Some(file) => PathBuf::from(file),
        None => folder.join(usual_name(wish.kind)),
    }
}

fn usual_name(kind: ReportKind) -> &'static str {
    match kind {
        ReportKind::Junit => "junit.xml",
        ReportKind::Json => "report.json",
        ReportKind::Later(kind) => kind,
    }
}

fn write_one(
    report: &Report,
    kind: ReportKind,
    path: &Path,
    junit: JunitInconclusive,
) -> anyhow::Result<()> {
    let format = match kind {
        ReportKind::Junit => Format::Junit,
        ReportKind::Json => Format::Json,
        ReportKind::Later(kind) => anyhow::bail!("`{kind}` is not supported yet"),
    };
    let options = RenderOptions {
        junit_inconclusive: match junit {
            JunitInconclusive::Error => render::JunitInconclusive::Error,
            JunitInconclusive::Skipped => render::JunitInconclusive::Skipped,
            JunitInconclusive::Failure => render::JunitInconclusive::Failure,
        },
        ..RenderOptions::default()
    };
    if let Some(parent) = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty())
    {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot make the folder `{}`", parent.display()))?;
    }
    write_file(path, &render(report, format, &options))?;
    Ok(())
}

/// Prints the report as people read it; `written` is the folder, then its files.
pub(crate) fn show(
    report: &Report,
    written: Vec<String>,
    terminal: &Terminal,
) -> Result<(), Failure> {
    let options = RenderOptions {
        width: terminal.width,
        color: terminal.colored(),
        charset: if terminal.ascii {
            Charset::Ascii
        } else {
            Charset::Unicode
        },
        verbosity: match (terminal.quiet, terminal.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, true) => Verbosity::Verbose,
            (false, false) => Verbosity::Normal,
        },
        written,
        ..RenderOptions::default()
    };
    let bytes = render(report, Format::Terminal, &options);
    terminal.out(&String::from_utf8_lossy(&bytes))
}

/// The folder and its files, as the last line of a report tells them.
pub(crate) fn told(folder: &Path, files: &[String]) -> Vec<String> {
    if files.is_empty() {
        return Vec::new();
    }
    let folder = format!("{}/", folder.display().to_string().trim_end_matches('/'));
    std::iter::once(folder)
        .chain(files.iter().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_outrank_the_project_and_later_reports_are_refused() {
        let junit: ReportWish = "junit=a.xml".parse().unwrap();
        let project = ["html".to_owned()];
        assert_eq!(
            wishes(std::slice::from_ref(&junit), &project).unwrap(),
            [junit]
        );
        assert!(matches!(
            wishes(&[], &project),
            Err(Failure::Because(_, Exit::Usage))
        ));
    }

    #[test]
    fn a_report_without_a_place_goes_into_the_runs_folder() {
        let place = |text: &str| place(&text.parse().unwrap(), Path::new("runs/1"));
        assert_eq!(place("junit"), Path::new("runs/1/junit.xml"));
        assert_eq!(place("junit=build/j.xml"), Path::new("build/j.xml"));
        assert_eq!(place("json"), Path::new("runs/1/report.json"));
    }
}
