//! From flags to scenarios: find the files, read them, say what is wrong with
//! all of them at once.

use super::args::{Http, Net, Size, Values};
use super::exit_code::Exit;
use super::failure::Failure;
use super::sources::Found;
use super::terminal::Terminal;
use super::values::Given;
use crate::codes::Diagnosis;
use crate::scenario::{self, Diagnostic, Diagnostics, Loaded, Profile, Settings, Sources};
use std::path::PathBuf;

/// Whether what is read is going to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// It is only looked at: a variable that is not set is worth a warning.
    Look,
    /// It is sent: a variable that is not set is an error.
    Send,
}

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
    /// What for.
    pub(crate) purpose: Purpose,
}

/// Everything that was read.
#[derive(Debug)]
pub(crate) struct Read {
    /// The folder of the project.
    pub(crate) folder: PathBuf,
    /// How many scenario files there are.
    pub(crate) files: usize,
    /// Values from outside.
    pub(crate) given: Given,
    /// What the files say, or what is wrong with them.
    pub(crate) loaded: Result<Loaded, Diagnostics>,
}

/// Reads everything and prints nothing.
pub(crate) fn read(request: Request<'_>) -> Result<Read, Failure> {
    let values = request.values;
    let environment = values.environment.as_deref();
    let found = Found::project(values.project.as_deref(), request.files, environment)
        .with_scenarios(request.files)?;
    let given = Given::read(values, &found.outline.env_files)?;
    let files = found.scenarios.len();
    let folder = found.folder.clone();
    let settings = Settings {
        environment: values.environment.clone(),
        target: request.net.target.clone(),
        vars: given.vars.clone(),
        secrets: given.secrets.keys().cloned().collect(),
        profile: request.patterns.map(profile),
        ca_file: request
            .net
            .ca_file
            .as_ref()
            .map(|path| path.to_string_lossy().into_owned()),
        insecure: request.net.insecure,
        timeout: request.net.timeout,
        http: request.net.http.map(Http::version),
        for_run: request.purpose == Purpose::Send,
    };
    let loaded = scenario::load(&sources(found, &given, settings));
    Ok(Read {
        folder,
        files,
        given,
        loaded,
    })
}

/// What the scenario room reads from.
pub(crate) fn sources(found: Found, given: &Given, settings: Settings) -> Sources {
    Sources {
        scenarios: found.scenarios,
        project: found.project,
        used: found.used,
        environment: given.env.clone(),
        settings,
    }
}

fn profile(size: Size) -> Profile {
    match size {
        Size::Quick => Profile::Quick,
        Size::Standard => Profile::Standard,
        Size::Thorough => Profile::Thorough,
    }
}

/// Reads everything, prints what is wrong with it, and ends where that is an
/// error or where there is nothing.
pub(crate) fn scenarios(
    request: Request<'_>,
    terminal: &Terminal,
) -> Result<(Read, Loaded), Failure> {
    let read = read(request)?;
    match &read.loaded {
        Err(diagnostics) => {
            terminal.error(&terminal.words(diagnostics));
            Err(Failure::Told(Exit::Usage))
        }
        Ok(loaded) if loaded.scenarios.is_empty() => Err(nothing(request.files)),
        Ok(loaded) => {
            terminal.note(&terminal.words(&loaded.warnings));
            let loaded = loaded.clone();
            Ok((read, loaded))
        }
    }
}

/// There is no scenario.
pub(crate) fn nothing(files: &[PathBuf]) -> Failure {
    let message = Diagnostic::error(Diagnosis::NothingToRun, "no scenario was found");
    let message = if files.is_empty() {
        message
            .note("looked for the `scenarios:` of retrial.yaml, else scenarios/**/*.yaml")
            .help("retrial init writes a first scenario")
    } else {
        message.note("the folders named hold no .yaml file")
    };
    Failure::because(message, Exit::NothingToRun)
}
