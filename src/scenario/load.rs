//! All files of a run → scenarios, or everything that is wrong with them.
//!
//! This file opens nothing: what it needs of the world is in [`Sources`], and
//! [`uses`] and [`outline`] say beforehand what else has to be read.

use super::diagnostic::{Diagnostic, Diagnostics, FileId, Files, Severity, Span};
use super::document::names::Names;
use super::document::{Context, beside, target};
use super::lower;
use super::node::{self, Node, Scalar, Value};
use super::project::{self, Outline, Project, ProjectParts};
use super::template::Scope;
use super::{Profile, Scenario};
use crate::codes::Diagnosis;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A file that was read, or could not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// As the user named it.
    pub name: String,
    /// What it holds, or why it could not be read.
    pub text: Result<Vec<u8>, String>,
}

/// Everything that scenarios are made of.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The scenario files, in the order in which they run.
    pub scenarios: Vec<SourceFile>,
    /// The project file, if there is one.
    pub project: Option<SourceFile>,
    /// What `use:` names, by the path that [`uses`] gives for it.
    pub used: BTreeMap<String, SourceFile>,
    /// The process's environment and the environment files, merged.
    pub environment: BTreeMap<String, String>,
    /// What flags and the environment set.
    pub settings: Settings,
}

/// What flags and the environment set, already merged by precedence.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings {
    /// `-e`.
    pub environment: Option<String>,
    /// `--target`.
    pub target: Option<String>,
    /// `--var`, `RETRIAL_VAR_…` (typed by [`flag_value`]), `--vars-file`.
    pub vars: BTreeMap<String, Json>,
    /// Names of secrets that come from outside the files (`RETRIAL_SECRET_…`,
    /// `--secret-file`).
    pub secrets: BTreeSet<String>,
    /// `--patterns`.
    pub profile: Option<Profile>,
    /// `--ca-file`.
    pub ca_file: Option<String>,
    /// `--insecure`.
    pub insecure: bool,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--http`.
    pub http: Option<super::parts::HttpVersion>,
    /// Whether something is going to be sent: then an environment variable that
    /// is not set is an error rather than a warning.
    pub for_run: bool,
}

/// Scenarios that can be run.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    /// In the order of the files.
    pub scenarios: Vec<Scenario>,
    /// The project, empty where there is no file.
    pub project: Project,
    /// What is worth knowing.
    pub warnings: Diagnostics,
}

/// Reads everything.
///
/// # Errors
/// All mistakes of all files, with the warnings, in the order of the files.
pub fn load(sources: &Sources) -> Result<Loaded, Diagnostics> {
    let mut files = Files::default();
    let mut out = Vec::new();
    let mut used = BTreeMap::new();
    let project_id = sources
        .project
        .as_ref()
        .map(|file| add(&mut files, file, &mut out));
    let ids: Vec<Added> = sources
        .scenarios
        .iter()
        .map(|file| add(&mut files, file, &mut out))
        .collect();
    for (path, file) in &sources.used {
        used.insert(path.clone(), add(&mut files, file, &mut out));
    }
    let mut reader = Reader {
        files: &files,
        used: &used,
        nodes: BTreeMap::new(),
        out: &mut out,
    };
    let project_node = project_id.and_then(|added| Some((added.id, reader.node(added)?)));
    let nodes: Vec<Option<(FileId, Node)>> = ids
        .iter()
        .map(|added| {
            let node = reader.with_uses(*added, &mut Vec::new())?;
            Some((added.id, node))
        })
        .collect();

    let settings = &sources.settings;
    check_flag(settings, &mut out);
    let environment = Json::Object(
        sources
            .environment
            .iter()
            .map(|(name, value)| (name.clone(), Json::String(value.clone())))
            .collect(),
    );
    let base = Names {
        env: sources.environment.keys().cloned().collect(),
        ..Names::default()
    };
    let mut values = Scope::new();
    values.set("env", environment);
    let parts = read_project(&files, project_node, &values, &base, settings, &mut out);
    let mut scenarios = Vec::new();
    for (position, node) in nodes.into_iter().enumerate() {
        let Some((file, node)) = node else {
            continue;
        };
        let bytes = sources.scenarios[position]
            .text
            .as_deref()
            .unwrap_or_default();
        let one = lower::Given {
            files: &files,
            file,
            node: &node,
            bytes,
            parts: &parts,
            settings,
            values: &values,
            names: &base,
        };
        scenarios.push(lower::scenario(&one, &mut out));
    }
    say_duplicates(&scenarios, &mut out);
    drop_followers(&mut out);
    let diagnostics = Diagnostics::new(files, out);
    if diagnostics.errors() > 0 {
        return Err(diagnostics);
    }
    Ok(Loaded {
        scenarios: scenarios
            .into_iter()
            .filter_map(|lowered| lowered.scenario)
            .collect(),
        project: parts.project,
        warnings: diagnostics,
    })
}

/// The value of a variable that is given as a word (`--var k=v`): typed as a plain
/// YAML scalar is.
pub fn flag_value(text: &str) -> Json {
    Scalar::of_flag(text).json()
}

/// The paths that `use:` of a file names, resolved against that file; empty where
/// the file does not parse. Those files may name others.
pub fn uses(file: &SourceFile) -> Vec<String> {
    let Some(node) = peek(file) else {
        return Vec::new();
    };
    used_paths(&node)
        .into_iter()
        .map(|(path, _)| beside(&file.name, &path))
        .collect()
}

/// What has to be known of a project file before scenarios are read.
pub fn outline(project: &SourceFile, environment: Option<&str>) -> Outline {
    peek(project)
        .map(|node| project::outline(&node, &project.name, environment))
        .unwrap_or_default()
}

/// A file's tree, mistakes left for [`load`] to say.
fn peek(file: &SourceFile) -> Option<Node> {
    let mut files = Files::default();
    let mut out = Vec::new();
    let added = add(&mut files, file, &mut out);
    if !added.readable {
        return None;
    }
    node::read(&files, added.id, &mut out)
}

fn used_paths(node: &Node) -> Vec<(String, Span)> {
    let text = |node: &Node| Some((node.text()?.to_owned(), node.span));
    match node.field("use") {
        None => Vec::new(),
        Some(field) => match &field.value {
            Value::List(items) => items.iter().filter_map(text).collect(),
            Value::Scalar(_) | Value::Map(_) => text(field).into_iter().collect(),
        },
    }
}

#[derive(Debug, Clone, Copy)]
struct Added {
    id: FileId,
    readable: bool,
}

/// Takes a file's text in, or says why there is none.
fn add(files: &mut Files, file: &SourceFile, out: &mut Vec<Diagnostic>) -> Added {
    let none = |files: &mut Files, error: Diagnostic, label: &str, out: &mut Vec<Diagnostic>| {
        let id = files.add(&file.name, "");
        out.push(error.at(Span::new(id, 0..0), label));
        Added {
            id,
            readable: false,
        }
    };
    let bytes = match &file.text {
        Ok(bytes) => bytes,
        Err(why) => {
            let error = Diagnostic::error(
                Diagnosis::UnreadableFile,
                format!("`{}` could not be read", file.name),
            );
            return none(files, error, why, out);
        }
    };
    if bytes.len() > node::BYTES_MAX {
        let error = Diagnostic::error(
            Diagnosis::FileTooLarge,
            format!("`{}` has {} bytes", file.name, bytes.len()),
        )
        .help("split it, and name the parts in `use:`");
        return none(files, error, "a file may have at most 1 MiB", out);
    }
    let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Added {
            id: files.add(&file.name, text),
            readable: true,
        },
        Err(error) => {
            let id = files.add(&file.name, String::from_utf8_lossy(bytes));
            let at = error.valid_up_to();
            let error = Diagnostic::error(
                Diagnosis::NotUtf8,
                format!("`{}` is not UTF-8 text", file.name),
            )
            .at(
                Span::new(id, at..at + char::REPLACEMENT_CHARACTER.len_utf8()),
                format!("byte 0x{:02x} does not belong here", bytes[at]),
            )
            .help("save it as UTF-8");
            out.push(error);
            Added {
                id,
                readable: false,
            }
        }
    }
}

struct Reader<'a> {
    files: &'a Files,
    used: &'a BTreeMap<String, Added>,
    /// Used files that were read already: what is wrong with them is said once.
    nodes: BTreeMap<FileId, Option<Node>>,
    out: &'a mut Vec<Diagnostic>,
}

impl Reader<'_> {
    fn node(&mut self, added: Added) -> Option<Node> {
        if !added.readable {
            return None;
        }
        if let Some(known) = self.nodes.get(&added.id) {
            return known.clone();
        }
        let node = node::read(self.files, added.id, self.out);
        self.nodes.insert(added.id, node.clone());
        node
    }

    /// A file with all that it uses merged below it; `above` are the files that
    /// led here.
    fn with_uses(&mut self, added: Added, above: &mut Vec<FileId>) -> Option<Node> {
        let node = self.node(added)?;
        above.push(added.id);
        let mut below: Option<Node> = None;
        for (path, span) in used_paths(&node) {
            let resolved = beside(self.files.name(added.id), &path);
            let Some(next) = self.used.get(&resolved).copied() else {
                self.out.push(
                    Diagnostic::error(
                        Diagnosis::UnreadableFile,
                        format!("`{resolved}` could not be read"),
                    )
                    .at(span, "used here")
                    .help("paths in `use:` are relative to the file that names them"),
                );
                continue;
            };
            if above.contains(&next.id) {
                self.out.push(
                    Diagnostic::error(Diagnosis::InvalidValue, format!("`{resolved}` uses itself"))
                        .at(span, "this closes a circle"),
                );
                continue;
            }
            if let Some(more) = self.with_uses(next, above) {
                below = Some(match below {
                    Some(below) => below.merged_under(more),
                    None => more,
                });
            }
        }
        above.pop();
        Some(match below {
            Some(below) => below.merged_under(node),
            None => node,
        })
    }
}

fn read_project(
    files: &Files,
    node: Option<(FileId, Node)>,
    values: &Scope,
    names: &Names,
    settings: &Settings,
    out: &mut Vec<Diagnostic>,
) -> ProjectParts {
    let Some((file, node)) = node else {
        if let Some(name) = &settings.environment {
            out.push(
                Diagnostic::error(
                    Diagnosis::UnknownEnvironment,
                    format!("there is no environment `{name}`"),
                )
                .help("environments stand in retrial.yaml, and none was found; `retrial init` writes one"),
            );
        }
        return ProjectParts::default();
    };
    let entries = project::auth_entries(&node);
    let mut cx = Context {
        files,
        out,
        values: values.clone(),
        values_in_auth: Scope::new(),
        names: names.clone(),
        uses: super::document::names::Uses::default(),
        auth_entries: &entries,
        unset: Some(severity(settings)),
    };
    let mut parts = project::decode(&mut cx, &node, file, settings);
    // An entry may use a secret that only some scenarios declare, and a variable
    // that only another environment needs: with each scenario it is read again.
    cx.names.secrets = parts
        .project
        .secrets
        .iter()
        .map(|secret| secret.name.clone())
        .chain(settings.secrets.iter().cloned())
        .collect();
    cx.unset = None;
    let before = cx.out.len();
    project::check_auth(&mut cx);
    let undefined = Diagnosis::UndefinedValue.code();
    let mut at = before;
    while at < cx.out.len() {
        if cx.out[at].code == undefined {
            cx.out.remove(at);
        } else {
            at += 1;
        }
    }
    parts.auth = entries;
    parts
}

/// How an environment variable that is not set is taken.
pub(super) fn severity(settings: &Settings) -> Severity {
    if settings.for_run {
        Severity::Error
    } else {
        Severity::Warning
    }
}

fn check_flag(settings: &Settings, out: &mut Vec<Diagnostic>) {
    if let Some(url) = &settings.target
        && let Err((problem, help)) = target::check_url(url)
    {
        out.push(
            Diagnostic::error(
                Diagnosis::InvalidUrl,
                format!("--target `{url}` is not the URL of a target"),
            )
            .note(problem)
            .help(help),
        );
    }
}

fn say_duplicates(scenarios: &[lower::Lowered], out: &mut Vec<Diagnostic>) {
    let mut seen: BTreeMap<&str, Span> = BTreeMap::new();
    for lowered in scenarios {
        let Some((name, span)) = &lowered.name else {
            continue;
        };
        match seen.get(name.as_str()) {
            None => {
                seen.insert(name, *span);
            }
            Some(first) => out.push(
                Diagnostic::error(
                    Diagnosis::DuplicateScenario,
                    format!("two scenarios are called `{name}`"),
                )
                .at(*span, "a second time here")
                .and_at(*first, "first here")
                .help("give one of them another name: it is part of every case id"),
            ),
        }
    }
}

/// An expression without quotes has been replaced by something harmless to read
/// on; what that something is not is nobody's mistake.
fn drop_followers(out: &mut Vec<Diagnostic>) {
    let code = Diagnosis::UnquotedBraces.code();
    let replaced: Vec<Span> = out
        .iter()
        .filter(|said| said.code == code)
        .filter_map(|said| said.primary.as_ref())
        .map(|label| label.span)
        .collect();
    out.retain(|said| {
        let Some(label) = &said.primary else {
            return true;
        };
        let span = label.span;
        let inside = |replaced: &Span| {
            replaced.file == span.file && span.start >= replaced.start && span.end <= replaced.end
        };
        said.code == code || !replaced.iter().any(inside)
    });
    drop_missing_that_are_misspelt(out);
}

/// A needed field that is misspelt is one mistake: what is unknown names what is
/// missing.
fn drop_missing_that_are_misspelt(out: &mut Vec<Diagnostic>) {
    let of_code = |said: &Diagnostic, code: Diagnosis| said.code == code.code();
    let meant: Vec<(FileId, String)> = out
        .iter()
        .filter(|said| of_code(said, Diagnosis::UnknownField))
        .filter_map(|said| said.primary.as_ref())
        .filter_map(|label| {
            let name = label.text.strip_prefix("did you mean `")?;
            let name = name.strip_suffix("`?")?;
            Some((label.span.file, format!("`{name}` is missing")))
        })
        .collect();
    out.retain(|said| {
        let Some(label) = &said.primary else {
            return true;
        };
        let file = label.span.file;
        !of_code(said, Diagnosis::MissingField)
            || !meant
                .iter()
                .any(|(in_file, message)| *in_file == file && *message == said.message)
    });
}
