//! `retrial.yaml`: defaults, limits, environments, credentials, redaction.

use super::diagnostic::{Diagnostic, FileId, Span};
use super::document::names::IN_STEP;
use super::document::{Context, Fields, auth, beside, listed, pattern, target};
use super::node::{Entry, Node, Value};
use super::{Budget, Profile, SecretFrom, SecretSource, Settings, suggest};
use crate::codes::Diagnosis;
use std::collections::BTreeMap;
use std::time::Duration;

/// The project as a run needs it; the chosen environment is in place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Project {
    /// The project file as the user named it; `None` where there is none.
    pub file: Option<String>,
    /// The environment that was chosen.
    pub environment: Option<String>,
    /// Globs of scenario files, relative to the project file's folder.
    pub scenarios: Vec<String>,
    /// The size of a run where neither flag nor scenario names one.
    pub profile: Option<Profile>,
    /// Budget where neither flag nor scenario names one.
    pub budget: Budget,
    /// What nothing may go above.
    pub limits: Limits,
    /// Hosts that may be sent to, beside loopback; `*.` stands for any subdomain.
    pub allow_hosts: Vec<String>,
    /// What reports and records must not show.
    pub redact: Redact,
    /// Reports to write: `junit`, `json`, each with `=FILE` if the author says so.
    pub reports: Vec<String>,
    /// Where a trace is looked at; `${{ trace_id }}` stands for its id.
    pub trace_link: Option<String>,
    /// Secrets of the project and the chosen environment.
    pub secrets: Vec<SecretSource>,
    /// Environment files of the chosen environment, paths resolved.
    pub env_files: Vec<String>,
}

/// What nothing may go above.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Limits {
    /// Requests of a run.
    pub requests: Option<u64>,
    /// Requests a second.
    pub rate: Option<f64>,
    /// Length of a run.
    pub time: Option<Duration>,
}

/// What reports and records must not show, beside secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redact {
    /// Names of headers.
    pub headers: Vec<String>,
    /// JSONPaths into bodies.
    pub json: Vec<String>,
}

/// What has to be known of a project file before scenarios are read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outline {
    /// Globs of scenario files.
    pub scenarios: Vec<String>,
    /// Environment files of the chosen environment, paths resolved.
    pub env_files: Vec<String>,
}

/// The project with the parts that are read again with each scenario.
#[derive(Debug, Default)]
pub(super) struct ProjectParts {
    pub(super) project: Project,
    /// The `auth:` entries.
    pub(super) auth: BTreeMap<String, Node>,
    /// The chosen environment's target, long form.
    pub(super) environment_target: Option<Node>,
    /// The default target, long form.
    pub(super) default_target: Option<Node>,
    pub(super) patterns: Option<Node>,
    pub(super) contract: Option<Node>,
    /// Variables of the chosen environment.
    pub(super) vars: Vec<Entry>,
}

/// Fields of a project file.
pub(crate) const PROJECT: &[&str] = &[
    "version",
    "scenarios",
    "defaults",
    "limits",
    "environments",
    "auth",
    "databases",
    "secrets",
    "redact",
    "reports",
    "trace_link",
    "allow_hosts",
];
/// Fields of `defaults`.
pub(crate) const DEFAULTS: &[&str] = &["target", "auth", "patterns", "contract", "budget"];
/// Fields of an environment.
pub(crate) const ENVIRONMENT: &[&str] = &[
    "target",
    "auth",
    "allow_hosts",
    "env_file",
    "vars",
    "secrets",
    "patterns",
    "budget",
];

const REPORTS: [&str; 2] = ["junit", "json"];
const REPORTS_LATER: [&str; 6] = ["html", "markdown", "github", "curl", "har", "sarif"];

/// Globs and environment files, read without complaint: what is wrong with the
/// file is said when everything is loaded.
pub(super) fn outline(node: &Node, file: &str, environment: Option<&str>) -> Outline {
    let texts = |node: Option<&Node>| -> Vec<String> {
        match node.map(|node| &node.value) {
            Some(Value::List(items)) => items
                .iter()
                .filter_map(Node::text)
                .map(str::to_owned)
                .collect(),
            Some(Value::Scalar(scalar)) => vec![scalar.text.clone()],
            Some(Value::Map(_)) | None => Vec::new(),
        }
    };
    let chosen = environment.and_then(|name| node.field("environments")?.field(name));
    Outline {
        scenarios: texts(node.field("scenarios")),
        env_files: texts(chosen.and_then(|chosen| chosen.field("env_file")))
            .iter()
            .map(|path| beside(file, path))
            .collect(),
    }
}

/// Reads the project file.
pub(super) fn decode(
    cx: &mut Context<'_>,
    node: &Node,
    file: FileId,
    settings: &Settings,
) -> ProjectParts {
    let mut parts = ProjectParts::default();
    parts.project.file = Some(cx.files.name(file).to_owned());
    let Some(fields) = cx.fields(node, "a project file", PROJECT) else {
        return parts;
    };
    if let Some(entry) = fields.optional("version") {
        cx.integer(&entry.node, 1..=1);
    }
    if let Some(entry) = fields.optional("scenarios") {
        parts.project.scenarios = cx.texts(&entry.node, "a glob such as `scenarios/**/*.yaml`");
    }
    fields.later(
        cx,
        "databases",
        "they are for `sql:`, which comes later; what works now: effects over HTTP",
    );
    if let Some(entry) = fields.optional("allow_hosts") {
        parts.project.allow_hosts = hosts(cx, &entry.node);
    }
    if let Some(entry) = fields.optional("secrets") {
        parts.project.secrets = secrets(cx, &entry.node);
    }
    if let Some(entry) = fields.optional("limits") {
        parts.project.limits = limits(cx, &entry.node);
    }
    if let Some(entry) = fields.optional("redact") {
        parts.project.redact = redact(cx, &entry.node);
    }
    if let Some(entry) = fields.optional("reports") {
        parts.project.reports = reports(cx, &entry.node);
    }
    if let Some(entry) = fields.optional("trace_link") {
        cx.names.words = &["trace_id"];
        parts.project.trace_link = cx
            .template(
                &entry.node,
                "a URL with `${{ trace_id }}`",
                super::template::Escape::None,
                super::document::Of::Request,
            )
            .map(|link| link.0);
    }
    if let Some(entry) = fields.optional("auth") {
        cx.entries(
            &entry.node,
            "a map of auth entries, e.g. `{shop_api: {bearer: …}}`",
        );
    }
    if let Some(entry) = fields.optional("defaults") {
        defaults(cx, &entry.node, &mut parts);
    }
    environments(cx, &fields, settings, &mut parts);
    fields.finish(cx);
    parts
}

/// The `auth:` entries as written; they are read where they are used.
pub(super) fn auth_entries(node: &Node) -> BTreeMap<String, Node> {
    match node.field("auth").map(|auth| &auth.value) {
        Some(Value::Map(entries)) => entries
            .iter()
            .map(|entry| (entry.name.clone(), entry.node.clone()))
            .collect(),
        Some(Value::Scalar(_) | Value::List(_)) | None => BTreeMap::new(),
    }
}

/// Checks the `auth:` entries once, used or not, with the names that only the
/// project defines.
pub(super) fn check_auth(cx: &mut Context<'_>) {
    cx.names.words = IN_STEP;
    let entries = cx.auth_entries;
    for entry in entries.values() {
        auth::decode_entry(cx, entry);
    }
}

fn defaults(cx: &mut Context<'_>, node: &Node, parts: &mut ProjectParts) {
    let Some(fields) = cx.fields(node, "`defaults`", DEFAULTS) else {
        return;
    };
    parts.default_target = target_with_auth(&fields);
    if let Some(entry) = fields.optional("patterns") {
        profile(&entry.node, &mut parts.project);
        parts.patterns = Some(entry.node.clone());
    }
    parts.contract = fields.optional("contract").map(|entry| entry.node.clone());
    if let Some(entry) = fields.optional("budget") {
        parts.project.budget = budget(cx, &entry.node);
    }
    fields.finish(cx);
}

/// `target` in its long form, with the `auth` that stands beside it.
fn target_with_auth(fields: &Fields<'_>) -> Option<Node> {
    let target = fields
        .optional("target")
        .map(|entry| target::long_form(entry.node.clone()));
    let auth = fields.optional("auth").map(|entry| Node {
        span: entry.node.span,
        value: Value::Map(vec![entry.clone()]),
    });
    match (target, auth) {
        (Some(target), Some(auth)) => Some(auth.merged_under(target)),
        (target, auth) => target.or(auth),
    }
}

fn profile(node: &Node, project: &mut Project) {
    if let Some(word) = node.text() {
        let found = pattern::PROFILES.iter().find(|(known, _)| *known == word);
        project.profile = found.map(|(_, profile)| *profile).or(project.profile);
    }
}

fn environments(
    cx: &mut Context<'_>,
    fields: &Fields<'_>,
    settings: &Settings,
    parts: &mut ProjectParts,
) {
    let Some(entry) = fields.optional("environments") else {
        if let Some(name) = &settings.environment {
            say_unknown(cx, name, &[], fields.span.start_only());
        }
        return;
    };
    let entries = cx.entries(
        &entry.node,
        "a map of environments, e.g. `{local: {target: …}}`",
    );
    let chosen = settings.environment.as_deref();
    if let Some(name) = chosen
        && !entries.iter().any(|entry| entry.name == name)
    {
        let known: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        say_unknown(cx, name, &known, entry.span);
    }
    for entry in entries {
        let unset = cx.unset;
        if Some(entry.name.as_str()) == chosen {
            parts.project.environment = Some(entry.name.clone());
            environment(cx, &entry.node, parts);
        } else {
            // Checked all the same, into nothing; but what is not chosen may use
            // environment variables that are not set.
            cx.unset = None;
            let mut aside = ProjectParts::default();
            environment(cx, &entry.node, &mut aside);
            if let Some(target) = &aside.environment_target
                && target.field("url").is_some()
            {
                target::decode(cx, target, &Settings::default());
            }
        }
        cx.unset = unset;
    }
}

fn say_unknown(cx: &mut Context<'_>, name: &str, known: &[&str], span: Span) {
    let near = suggest::nearest(name, known.iter().copied())
        .map_or_else(String::new, |near| format!("did you mean `{near}`?"));
    let help = if known.is_empty() {
        "the project file has no `environments:`".to_owned()
    } else {
        format!("environments are {}", listed(known))
    };
    cx.say(
        Diagnostic::error(
            Diagnosis::UnknownEnvironment,
            format!("there is no environment `{name}`"),
        )
        .at(span, near)
        .help(help),
    );
}

fn environment(cx: &mut Context<'_>, node: &Node, parts: &mut ProjectParts) {
    let Some(fields) = cx.fields(node, "an environment", ENVIRONMENT) else {
        return;
    };
    parts.environment_target = target_with_auth(&fields);
    if let Some(entry) = fields.optional("allow_hosts") {
        parts.project.allow_hosts.extend(hosts(cx, &entry.node));
    }
    if let Some(entry) = fields.optional("env_file") {
        let paths = cx.texts(&entry.node, "the path of an environment file");
        let file = entry.node.span.file;
        parts.project.env_files = paths.iter().map(|path| cx.path(file, path)).collect();
    }
    if let Some(entry) = fields.optional("vars") {
        parts.vars = cx.entries(&entry.node, "a map of variables").to_vec();
    }
    if let Some(entry) = fields.optional("secrets") {
        let own = secrets(cx, &entry.node);
        parts
            .project
            .secrets
            .retain(|secret| !own.iter().any(|above| above.name == secret.name));
        parts.project.secrets.extend(own);
    }
    if let Some(entry) = fields.optional("patterns") {
        profile(&entry.node, &mut parts.project);
        parts.patterns = Some(entry.node.clone());
    }
    if let Some(entry) = fields.optional("budget") {
        parts.project.budget = budget(cx, &entry.node).over(&parts.project.budget);
    }
    fields.finish(cx);
}

/// Host names, `*.` in front for any subdomain; never a URL.
fn hosts(cx: &mut Context<'_>, node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    for item in node.items() {
        let Some(host) = cx.text(item, "the name of a host") else {
            continue;
        };
        let name = host.strip_prefix("*.").unwrap_or(&host);
        if name.is_empty() || name.contains(['/', '*', ' ']) {
            cx.say(
                Diagnostic::error(
                    Diagnosis::InvalidValue,
                    format!("`{host}` is not the name of a host"),
                )
                .at(item.span, "")
                .help("write `api.example.com`, or `*.example.com` for its subdomains"),
            );
            continue;
        }
        found.push(host);
    }
    found
}

/// Reads `secrets:`; values never enter here.
pub(super) fn secrets(cx: &mut Context<'_>, node: &Node) -> Vec<SecretSource> {
    let mut found = Vec::new();
    for entry in cx.entries(node, "a map of secrets, e.g. `{token: {env: TOKEN}}`") {
        if !cx.name(
            &entry.name,
            entry.span,
            super::document::Letters::Identifier,
        ) {
            continue;
        }
        found.extend(secret(cx, entry));
    }
    found
}

fn secret(cx: &mut Context<'_>, entry: &Entry) -> Option<SecretSource> {
    let Value::Map(_) = &entry.node.value else {
        cx.wrong_type(
            &entry.node,
            "where the secret is: `{env: NAME}` or `{file: PATH}`",
        );
        return None;
    };
    let fields = cx.fields(&entry.node, "a secret", &["env", "file"])?;
    let from = match fields.one_of(cx, &["env", "file"]) {
        Some(source) if source.name == "env" => cx
            .text(&source.node, "the name of an environment variable")
            .map(SecretFrom::Env),
        Some(source) => cx
            .text(&source.node, "the path of a file")
            .map(|path| SecretFrom::File(cx.path(source.node.span.file, &path))),
        None => fields
            .required(cx, "env", "write `{env: NAME}` or `{file: PATH}`")
            .and(None),
    };
    fields.finish(cx);
    Some(SecretSource {
        name: entry.name.clone(),
        from: from?,
        place: cx.place(entry.span),
    })
}

fn limits(cx: &mut Context<'_>, node: &Node) -> Limits {
    let Some(fields) = cx.fields(node, "`limits`", &["requests", "rate", "time"]) else {
        return Limits::default();
    };
    let read = Limits {
        requests: fields
            .optional("requests")
            .and_then(|entry| cx.integer(&entry.node, 1..=u64::MAX)),
        rate: fields
            .optional("rate")
            .and_then(|entry| cx.rate(&entry.node)),
        time: fields
            .optional("time")
            .and_then(|entry| cx.duration(&entry.node)),
    };
    fields.finish(cx);
    read
}

/// Reads `budget:`, of a project or a scenario.
pub(super) fn budget(cx: &mut Context<'_>, node: &Node) -> Budget {
    let Some(fields) = cx.fields(node, "`budget`", &["trials", "time", "rate", "concurrency"])
    else {
        return Budget::default();
    };
    let read = Budget {
        trials: fields
            .optional("trials")
            .and_then(|entry| cx.small_integer(&entry.node, 1..=1_000_000)),
        time: fields
            .optional("time")
            .and_then(|entry| cx.duration(&entry.node)),
        rate: fields
            .optional("rate")
            .and_then(|entry| cx.rate(&entry.node)),
        concurrency: fields
            .optional("concurrency")
            .and_then(|entry| cx.small_integer(&entry.node, 1..=10_000)),
    };
    fields.finish(cx);
    read
}

impl Budget {
    /// This budget, and where it says nothing, the one below.
    pub(super) fn over(self, below: &Self) -> Self {
        Self {
            trials: self.trials.or(below.trials),
            time: self.time.or(below.time),
            rate: self.rate.or(below.rate),
            concurrency: self.concurrency.or(below.concurrency),
        }
    }
}

fn redact(cx: &mut Context<'_>, node: &Node) -> Redact {
    let Some(fields) = cx.fields(node, "`redact`", &["headers", "json"]) else {
        return Redact::default();
    };
    let headers = fields
        .optional("headers")
        .map(|entry| cx.texts(&entry.node, "the name of a header"))
        .unwrap_or_default();
    let mut json = Vec::new();
    if let Some(entry) = fields.optional("json") {
        for item in entry.node.items() {
            json.extend(cx.plain_json_path(item, "json"));
        }
    }
    fields.finish(cx);
    Redact { headers, json }
}

fn reports(cx: &mut Context<'_>, node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    for item in node.items() {
        let Some(report) = cx.text(item, "a kind of report such as `junit`") else {
            continue;
        };
        let kind = report.split('=').next().unwrap_or_default();
        if REPORTS.contains(&kind) {
            found.push(report);
        } else if REPORTS_LATER.contains(&kind) {
            cx.later(
                item.span,
                &format!("the report `{kind}`"),
                "what works now: `junit` and `json`",
            );
        } else {
            cx.unknown_word(item.span, kind, "a kind of report", &REPORTS);
        }
    }
    found
}
