//! From flags to scenarios: find the files, read them, say what is wrong with
//! all of them at once.

use super::args::{Net, Size, Values};
use super::exit_code::Exit;
use super::message::{Failure, Message};
use super::rooms::{self, Loaded, Look, Overrides, Project, Sources, Told, Unset};
use super::sources::Found;
use super::terminal::Terminal;
use super::values::Given;
use crate::codes::Diagnosis;
use std::path::PathBuf;

/// What a command that works on scenarios asks for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    /// Files and folders.
    pub(crate) files: &'a [PathBuf],
    /// Where values come from.
    pub(crate) values: &'a Values,
    /// What stands in place of the target's settings.
    pub(crate) net: &'a Net,
    /// The size of the standard patterns.
    pub(crate) patterns: Option<Size>,
    /// What an unset variable is.
    pub(crate) unset: Unset,
}

/// Everything that was read.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// The files.
    pub(crate) found: Found,
    /// Values from outside.
    pub(crate) given: Given,
    /// The project.
    pub(crate) project: Project,
    /// The scenarios; `None` where something is wrong.
    pub(crate) loaded: Option<Loaded>,
    /// What the scenario room said.
    pub(crate) told: Told,
}

impl Read {
    /// How many errors there are in all.
    pub(crate) fn errors(&self) -> usize {
        self.told.errors + self.found.unreadable.len()
    }
}

/// How diagnostics on stderr look.
pub(crate) fn look(terminal: &Terminal) -> Look {
    Look {
        color: terminal.errors_colored(),
        ascii: terminal.ascii,
        width: terminal.width,
    }
}

/// Reads everything and prints nothing.
pub(crate) fn read(request: Request<'_>, look: Look) -> Result<Read, Failure> {
    let found = Found::project(request.values.project.as_deref(), request.files)?;
    let project = match found
        .project
        .as_ref()
        .map(|file| rooms::project(file, look))
    {
        None => Project::default(),
        Some(Ok(project)) => project,
        // The project's errors are told with those of the scenarios, which are
        // looked for where they usually are.
        Some(Err(told)) if told.errors == 0 => Project::default(),
        Some(Err(told)) => {
            return Ok(Read {
                found,
                told,
                ..Read::default()
            });
        }
    };
    let found = found.scenarios(request.files, &project.scenarios)?;
    let env_files = request
        .values
        .environment
        .as_deref()
        .and_then(|name| project.environments.get(name))
        .map_or_else(Vec::new, |environment| {
            environment
                .env_files
                .iter()
                .map(|file| found.folder.join(file))
                .collect()
        });
    let given = Given::read(request.values, &env_files)?;
    let mut read = Read {
        found,
        given,
        project,
        ..Read::default()
    };
    if read.found.scenarios.is_empty() && read.found.unreadable.is_empty() {
        return Ok(read);
    }
    let overrides = Overrides {
        target: request.net.target.clone(),
        ca_file: request.net.ca_file.clone(),
        insecure: request.net.insecure,
        timeout: request.net.timeout,
        patterns: request.patterns,
    };
    let sources = Sources {
        found: &read.found,
        given: &read.given,
        environment: request.values.environment.as_deref(),
        overrides: &overrides,
        unset: request.unset,
    };
    if !read.found.scenarios.is_empty() {
        (read.loaded, read.told) = rooms::load(sources, look)?;
    }
    if !read.found.unreadable.is_empty() {
        read.loaded = None;
    }
    Ok(read)
}

/// Reads everything, prints what is wrong with it, and ends where that is an
/// error or where there is nothing.
pub(crate) fn scenarios(
    request: Request<'_>,
    terminal: &Terminal,
) -> Result<(Read, Loaded), Failure> {
    let mut read = read(request, look(terminal))?;
    say(&read, terminal);
    if read.errors() > 0 {
        return Err(Failure::Told(Exit::Usage));
    }
    match read.loaded.take() {
        Some(loaded) if !loaded.scenarios.is_empty() => Ok((read, loaded)),
        Some(_) | None => Err(nothing(request.files)),
    }
}

/// Prints what is wrong; warnings only where they are wanted.
pub(crate) fn say(read: &Read, terminal: &Terminal) {
    for message in &read.found.unreadable {
        terminal.error(&message.text());
    }
    if read.told.errors > 0 {
        terminal.error(&read.told.text);
    } else {
        terminal.note(&read.told.text);
    }
}

/// There is no scenario.
pub(crate) fn nothing(files: &[PathBuf]) -> Failure {
    let message = Message::error(Diagnosis::NothingToRun, "no scenario was found");
    let message = if files.is_empty() {
        message
            .note("looked for the `scenarios:` of retrial.yaml, else scenarios/**/*.yaml")
            .help("retrial init writes a first scenario")
    } else {
        message.note("the folders named hold no .yaml file")
    };
    message.exit(Exit::Nothing)
}
