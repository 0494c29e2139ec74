//! The command line as it is typed: what is understood, and the help texts.
//!
//! Every flag can be given as `RETRIAL_<FLAG>` too. This file does not know what
//! the commands do.

#![expect(
    clippy::doc_markdown,
    reason = "comments of arguments are help texts, which a terminal shows as they are"
)]

mod run;
mod value;

pub(crate) use run::{How, Http, JunitInconclusive, Net, RunArgs, Safety, Size, Values, What};
pub(crate) use value::{ReportKind, ReportWish, SeedChoice};

use clap::builder::FalseyValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Puts an API's retries on trial.
#[derive(Debug, Parser)]
#[command(
    name = "retrial",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    about = "Puts an API's retries on trial",
    long_about = "Puts an API's retries on trial: fires duplicate, dropped, cut and late attempts that \
                  share an idempotency key, then counts the effects.",
    after_help = "The newcomer's path:\n  \
                  retrial demo                      see it catch real duplicate orders\n  \
                  retrial init                      write a project file and a first scenario\n  \
                  retrial check                     all errors and warnings, no traffic\n  \
                  retrial run -e staging --report junit\n\n\
                  Exit codes: 0 passed, 1 failed, 2 usage or scenario wrong, 3 inconclusive, 4 error,\n\
                  5 refused by a safety rule, 6 nothing to run, 130 and 143 interrupted."
)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What the screen shows.
    #[command(flatten)]
    pub(crate) screen: Screen,
}

/// When something is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ProgressStyle {
    /// A bar on a terminal without CI, else lines
    #[default]
    Auto,
    /// A bar
    Bar,
    /// One line a scenario
    Lines,
    /// Nothing
    None,
}

/// What the screen shows; for every command.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Screen")]
pub(crate) struct Screen {
    /// Errors only beside what was asked for
    #[arg(short, long, global = true, env = "RETRIAL_QUIET", value_parser = FalseyValueParser::new(), conflicts_with = "verbose")]
    pub(crate) quiet: bool,
    /// Say what happens inside; -vv more of it
    #[arg(short, long, global = true, env = "RETRIAL_VERBOSE", action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// How progress is shown
    #[arg(
        long,
        global = true,
        value_name = "HOW",
        env = "RETRIAL_PROGRESS",
        default_value = "auto"
    )]
    pub(crate) progress: ProgressStyle,
    /// When output is coloured
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        env = "RETRIAL_COLOR",
        default_value = "auto"
    )]
    pub(crate) color: Color,
    /// Draw with ASCII characters only
    #[arg(long, global = true, env = "RETRIAL_ASCII", value_parser = FalseyValueParser::new())]
    pub(crate) ascii: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Plan, send, verify, judge, report
    #[command(after_help = "Examples:\n  \
        retrial run\n  \
        retrial run scenarios/create-order.yaml --target http://localhost:8080\n  \
        retrial run -e staging --report junit=build/junit.xml\n  \
        retrial run --case 'create-order::*::burst-*' --seed 7f3a9c21")]
    Run(Box<RunArgs>),
    /// All errors and warnings of scenarios and project file, without traffic
    #[command(after_help = "Examples:\n  \
        retrial check\n  \
        retrial check scenarios/ --deny warnings --format json\n  \
        retrial check --online -e staging    (one clean operation and every probe)")]
    Check(Box<CheckArgs>),
    /// Write a project file, a first scenario and the schema for your editor
    #[command(after_help = "Examples:\n  retrial init\n  retrial init --ci github")]
    Init(InitArgs),
    /// List scenarios, cases, or what there is: patterns, contracts, codes, flaws
    #[command(after_help = "Examples:\n  \
        retrial list\n  retrial list --cases\n  retrial list --codes --format json")]
    List(Box<ListArgs>),
    /// Explain a code, a pattern, a topic, a contract, or a scenario file in prose
    #[command(after_help = "Examples:\n  \
        retrial explain duplicate-effect-concurrent\n  \
        retrial explain burst\n  \
        retrial explain wait\n  \
        retrial explain scenarios/create-order.yaml")]
    Explain(Box<ExplainArgs>),
    /// Print a JSON Schema
    #[command(after_help = "Example:\n  retrial schema --of report > report.schema.json")]
    Schema(SchemaArgs),
    /// Judge and render a stored run again
    #[command(
        visible_alias = "merge",
        after_help = "Examples:\n  \
        retrial report 20261124-024512-b41c\n  \
        retrial report .retrial/runs/20261124-024512-b41c --report junit=junit.xml"
    )]
    Report(ReportArgs),
    /// See it work: the gallery against a shop that does it right, then against each flaw
    #[command(after_help = "Examples:\n  \
        retrial demo\n  \
        retrial demo --flaw check-then-act\n  \
        retrial demo --serve --listen 127.0.0.1:8080 --flaw ignores-key")]
    Demo(DemoArgs),
    /// Print a completion script for a shell
    #[command(
        after_help = "Example:\n  retrial completions bash > ~/.local/share/bash-completion/completions/retrial"
    )]
    Completions(CompletionsArgs),
    /// Print the manual page
    #[command(after_help = "Examples:\n  retrial man | man -l -\n  retrial man --out man/man1")]
    Man(ManArgs),
    /// Continue processes that a run held, should it be killed.
    #[command(hide = true)]
    HoldGuard(HoldGuardArgs),
    /// Known, and done by a later version.
    #[command(hide = true, disable_help_flag = true)]
    Replay(Anything),
    /// Known, and done by a later version.
    #[command(hide = true, disable_help_flag = true)]
    Shrink(Anything),
    /// Known, and done by a later version.
    #[command(hide = true, disable_help_flag = true)]
    Sink(Anything),
    /// Known, and done by a later version.
    #[command(hide = true, disable_help_flag = true)]
    Proxy(Anything),
}

/// Whatever is said to a command of a later version.
#[derive(Debug, Args)]
pub(crate) struct Anything {
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    _words: Vec<OsString>,
}

/// How diagnostics are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum CheckFormat {
    /// For people
    Text,
    /// For programs
    Json,
    /// Known, and done by a later version
    #[value(hide = true)]
    Sarif,
}

/// What `--deny` turns into errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Deny {
    /// Warnings
    Warnings,
}

/// `retrial check`.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Scenario files, or folders to search
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    /// Send one clean operation and read every probe
    #[arg(long, env = "RETRIAL_ONLINE", value_parser = FalseyValueParser::new())]
    pub(crate) online: bool,
    /// How diagnostics are printed
    #[arg(
        long,
        value_name = "FORMAT",
        env = "RETRIAL_FORMAT",
        default_value = "text"
    )]
    pub(crate) format: CheckFormat,
    /// What counts as an error too
    #[arg(long, value_name = "WHAT", env = "RETRIAL_DENY")]
    pub(crate) deny: Option<Deny>,
    #[command(flatten)]
    pub(crate) values: Values,
    #[command(flatten)]
    pub(crate) net: Net,
    /// A host that may be sent to beside loopback (with --online)
    #[arg(
        long,
        value_name = "HOST",
        env = "RETRIAL_ALLOW_HOST",
        value_delimiter = ',',
        help_heading = "Safety"
    )]
    pub(crate) allow_host: Vec<String>,
}

/// The CI systems that `init` knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ci {
    /// A workflow under .github/workflows
    Github,
    /// A job to include in .gitlab-ci.yml
    Gitlab,
}

/// `retrial init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The project's folder
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// Write a job for this CI system too
    #[arg(long, value_name = "SYSTEM", env = "RETRIAL_CI")]
    pub(crate) ci: Option<Ci>,
    /// Overwrite files that are there already
    #[arg(long, env = "RETRIAL_FORCE", value_parser = FalseyValueParser::new())]
    pub(crate) force: bool,
    #[arg(long, hide = true, value_name = "FILE", env = "RETRIAL_FROM_OPENAPI")]
    pub(crate) from_openapi: Option<String>,
    #[arg(long, hide = true, value_name = "COMMAND", env = "RETRIAL_FROM_CURL")]
    pub(crate) from_curl: Option<String>,
}

/// How lists are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ListFormat {
    /// For people
    Text,
    /// For programs
    Json,
}

/// `retrial list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Scenario files, or folders to search
    #[arg(value_name = "FILES")]
    pub(crate) files: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) of: Catalogue,
    /// How lists are printed
    #[arg(
        long,
        value_name = "FORMAT",
        env = "RETRIAL_FORMAT",
        default_value = "text"
    )]
    pub(crate) format: ListFormat,
    #[command(flatten)]
    pub(crate) values: Values,
    #[command(flatten)]
    pub(crate) net: Net,
}

/// What is listed; scenarios where nothing else is asked for.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line, and at most one can be set"
)]
pub(crate) struct Catalogue {
    /// The cases of the scenarios
    #[arg(long)]
    pub(crate) cases: bool,
    /// The patterns
    #[arg(long)]
    pub(crate) patterns: bool,
    /// The contracts
    #[arg(long)]
    pub(crate) contracts: bool,
    /// Every code that can be printed
    #[arg(long)]
    pub(crate) codes: bool,
    /// The flaws of the demo shop
    #[arg(long)]
    pub(crate) flaws: bool,
}

/// `retrial explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// A code, pattern, topic or contract, or a scenario file
    #[arg(value_name = "THING")]
    pub(crate) thing: String,
    /// Show an example of it only
    #[arg(long, env = "RETRIAL_EXAMPLE", value_parser = FalseyValueParser::new())]
    pub(crate) example: bool,
    #[command(flatten)]
    pub(crate) values: Values,
    #[command(flatten)]
    pub(crate) net: Net,
}

/// What has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaOf {
    /// Scenario files
    Scenario,
    /// retrial.yaml
    Project,
    /// report.json
    Report,
}

/// `retrial schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArgs {
    /// What the schema describes
    #[arg(
        long,
        value_name = "WHAT",
        env = "RETRIAL_OF",
        default_value = "scenario"
    )]
    pub(crate) of: SchemaOf,
}

/// `retrial report`.
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// A run: its id or its folder
    #[arg(value_name = "RUN", required = true)]
    pub(crate) runs: Vec<String>,
    /// The project file, in whose folder the runs lie
    #[arg(long, value_name = "FILE", env = "RETRIAL_PROJECT")]
    pub(crate) project: Option<PathBuf>,
    /// Reports to write: junit, json; KIND=FILE names a place
    #[arg(
        long,
        value_name = "KIND[=FILE]",
        env = "RETRIAL_REPORT",
        value_delimiter = ','
    )]
    pub(crate) report: Vec<ReportWish>,
    /// Where reports go that name no place; the run's folder without it
    #[arg(long, value_name = "DIR", env = "RETRIAL_OUT")]
    pub(crate) out: Option<PathBuf>,
    /// How JUnit tells of an inconclusive case
    #[arg(
        long,
        value_name = "HOW",
        env = "RETRIAL_JUNIT_INCONCLUSIVE",
        default_value = "error"
    )]
    pub(crate) junit_inconclusive: JunitInconclusive,
    /// End with 0 where it would be 1 or 3
    #[arg(long, env = "RETRIAL_EXIT_ZERO", value_parser = FalseyValueParser::new())]
    pub(crate) exit_zero: bool,
    /// Inconclusive is as bad as failed
    #[arg(long, env = "RETRIAL_STRICT", value_parser = FalseyValueParser::new())]
    pub(crate) strict: bool,
    /// Judge under this contract in place of the scenarios' own: core
    #[arg(long, value_name = "NAME", env = "RETRIAL_CONTRACT")]
    pub(crate) contract: Option<String>,
    #[arg(long, hide = true, env = "RETRIAL_BASELINE")]
    pub(crate) baseline: Option<String>,
}

/// `retrial demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// Only this flaw, with its full report; `retrial list --flaws` shows all.
    /// check-then-act takes the width of its window: check-then-act=300us
    #[arg(long, value_name = "NAME[=WINDOW]")]
    pub(crate) flaw: Vec<String>,
    /// Leave the shop running, for trying by hand
    #[arg(long, env = "RETRIAL_SERVE", value_parser = FalseyValueParser::new())]
    pub(crate) serve: bool,
    /// Where the shop listens
    #[arg(
        long,
        value_name = "ADDR",
        env = "RETRIAL_LISTEN",
        default_value = "127.0.0.1:8080"
    )]
    pub(crate) listen: SocketAddr,
    /// A PostgreSQL or SQLite database for the shop, in place of a temporary file
    #[arg(
        long,
        value_name = "URL",
        env = "RETRIAL_STORE",
        hide_env_values = true
    )]
    pub(crate) store: Option<String>,
    /// The seed of the trials; random without it
    #[arg(long, value_name = "HEX|random", env = "RETRIAL_SEED")]
    pub(crate) seed: Option<SeedChoice>,
    #[arg(long, hide = true)]
    pub(crate) quirk: Vec<String>,
    #[arg(long, hide = true)]
    pub(crate) matrix: bool,
}

/// `retrial hold-guard`.
#[derive(Debug, Args)]
pub(crate) struct HoldGuardArgs {
    /// Processes to continue once the input ends
    #[arg(value_name = "PID", required = true)]
    pub(crate) ids: Vec<u32>,
}

/// `retrial completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
    /// Write the script into this folder, under the name that the shell expects
    #[arg(long, value_name = "DIR", env = "RETRIAL_OUT")]
    pub(crate) out: Option<PathBuf>,
}

/// `retrial man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "DIR", env = "RETRIAL_OUT")]
    pub(crate) out: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_run_can_be_given_in_the_environment() {
        let mut command = Cli::command();
        command.build();
        let run = command.find_subcommand("run").expect("run is a command");
        for argument in run.get_arguments() {
            let Some(flag) = argument.get_long() else {
                continue;
            };
            // `--var` has a form of its own, RETRIAL_VAR_name.
            if matches!(flag, "var" | "help" | "version") {
                continue;
            }
            let expected = format!("RETRIAL_{}", flag.replace('-', "_").to_uppercase());
            assert_eq!(
                argument.get_env().and_then(|name| name.to_str()),
                Some(expected.as_str()),
                "--{flag}"
            );
        }
    }
}
