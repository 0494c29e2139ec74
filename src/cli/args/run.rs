//! The flags of `run` in their groups, and those groups that other commands
//! share. Flags of later versions are here too: hidden, so that nobody is led to
//! them, and recognised, so that nobody is told that they do not exist.

#![expect(
    clippy::doc_markdown,
    reason = "comments of arguments are help texts, which a terminal shows as they are"
)]

use super::value::{ReportWish, SeedChoice, Variable, some_duration as duration};
use crate::plan::HttpVersion;
use crate::scenario::units::rate;
use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// `retrial run`.
#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) what: What,
    #[command(flatten)]
    pub(crate) values: Values,
    #[command(flatten)]
    pub(crate) how: How,
    #[command(flatten)]
    pub(crate) net: Net,
    #[command(flatten)]
    pub(crate) safety: Safety,
    #[command(flatten)]
    pub(crate) report: Reports,
    #[command(flatten)]
    pub(crate) end: End,
    #[command(flatten)]
    pub(crate) later: Later,
}

/// Which scenarios and cases.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "What")]
pub(crate) struct What {
    /// Scenario files, or folders to search; without any, those that the project
    /// file names, else scenarios/**/*.yaml
    #[arg(value_name = "FILES", help_heading = None::<&str>)]
    pub(crate) files: Vec<PathBuf>,
    /// Only cases whose id matches, e.g. 'create-order::*::burst-*'
    #[arg(long, value_name = "GLOB", env = "RETRIAL_CASE")]
    pub(crate) case: Vec<String>,
    /// Put patterns only on this operation of a flow
    #[arg(
        long,
        value_name = "NAME",
        env = "RETRIAL_OPERATION",
        value_delimiter = ','
    )]
    pub(crate) operation: Vec<String>,
    /// Only cases of this pattern, by kind or name
    #[arg(
        long,
        value_name = "PATTERN",
        env = "RETRIAL_PATTERN",
        value_delimiter = ','
    )]
    pub(crate) pattern: Vec<String>,
    /// Only scenarios with this tag
    #[arg(long, value_name = "TAG", env = "RETRIAL_TAG", value_delimiter = ',')]
    pub(crate) tag: Vec<String>,
    /// No scenarios with this tag
    #[arg(
        long,
        value_name = "TAG",
        env = "RETRIAL_NOT_TAG",
        value_delimiter = ','
    )]
    pub(crate) not_tag: Vec<String>,
}

/// Where values come from.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Values")]
pub(crate) struct Values {
    /// The project file; without it, retrial.yaml is searched upwards from the
    /// first scenario to the repository's root
    #[arg(long, value_name = "FILE", env = "RETRIAL_PROJECT")]
    pub(crate) project: Option<PathBuf>,
    /// An environment of the project file
    #[arg(short, long, value_name = "NAME", env = "RETRIAL_ENVIRONMENT")]
    pub(crate) environment: Option<String>,
    /// A variable, above RETRIAL_VAR_name and all files; never a secret
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) var: Vec<Variable>,
    /// A YAML or JSON file of variables; the last one wins
    #[arg(
        long,
        value_name = "FILE",
        env = "RETRIAL_VARS_FILE",
        value_delimiter = ','
    )]
    pub(crate) vars_file: Vec<PathBuf>,
    /// A .env file for ${{ env.X }}, below the process's own environment; none
    /// is read unasked
    #[arg(
        long,
        value_name = "FILE",
        env = "RETRIAL_ENV_FILE",
        value_delimiter = ','
    )]
    pub(crate) env_file: Vec<PathBuf>,
    /// A file of secrets, name=value on each line, below RETRIAL_SECRET_name
    #[arg(
        long,
        value_name = "FILE",
        env = "RETRIAL_SECRET_FILE",
        value_delimiter = ','
    )]
    pub(crate) secret_file: Vec<PathBuf>,
}

/// The three sizes of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Size {
    /// For a pull request
    Quick,
    /// For the main branch
    Standard,
    /// For the night
    Thorough,
}

/// How it is run.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "How")]
pub(crate) struct How {
    /// 1 to 16 hex digits, or random; the same seed plans the same trials.
    /// Without it: 1 when CI is set, else random
    #[arg(long, value_name = "HEX|random", env = "RETRIAL_SEED")]
    pub(crate) seed: Option<SeedChoice>,
    /// Trials of each case, in place of the pattern's own number
    #[arg(
        long,
        value_name = "N",
        env = "RETRIAL_TRIALS",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) trials: Option<u32>,
    /// The most time that the run takes, e.g. 5m
    #[arg(long, value_name = "DURATION", env = "RETRIAL_TIME", value_parser = duration)]
    pub(crate) time: Option<Duration>,
    /// The most requests a second, probes included, e.g. 50/s
    #[arg(long, value_name = "N/s", env = "RETRIAL_RATE", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// The most trials in flight
    #[arg(
        long,
        value_name = "N",
        env = "RETRIAL_JOBS",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) jobs: Option<u32>,
    /// The size of the standard list of patterns, in place of the scenarios' own
    #[arg(long, value_name = "SIZE", env = "RETRIAL_PATTERNS")]
    pub(crate) patterns: Option<Size>,
    /// Stop after the first case that fails
    #[arg(long, env = "RETRIAL_FAIL_FAST", value_parser = FalseyValueParser::new(), conflicts_with = "max_failures")]
    pub(crate) fail_fast: bool,
    /// Stop after so many cases that fail
    #[arg(
        long,
        value_name = "N",
        env = "RETRIAL_MAX_FAILURES",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub(crate) max_failures: Option<u32>,
    /// Processes of a local target that stand still while a burst is laid, so
    /// that it meets all of it at once (SIGSTOP, SIGCONT)
    #[arg(
        long,
        value_name = "PID",
        env = "RETRIAL_HOLD_PID",
        value_delimiter = ',',
        value_parser = clap::value_parser!(u32).range(2..)
    )]
    pub(crate) hold_pid: Vec<u32>,
}

/// The way to the target.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct Net {
    /// The target's URL, in place of the environment's and the scenarios'
    #[arg(long, value_name = "URL", env = "RETRIAL_TARGET")]
    pub(crate) target: Option<String>,
    /// Certificates to trust, in place of the platform's (PEM)
    #[arg(long, value_name = "FILE", env = "RETRIAL_CA_FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Accept any certificate
    #[arg(long, env = "RETRIAL_INSECURE", value_parser = FalseyValueParser::new())]
    pub(crate) insecure: bool,
    /// How long an attempt may take, in place of the scenarios' own (30 s)
    #[arg(long, value_name = "DURATION", env = "RETRIAL_TIMEOUT", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// The version of HTTP, in place of the scenarios' own (1.1): 2 is chosen by
    /// ALPN over TLS, and spoken with prior knowledge in the clear
    #[arg(long, value_name = "VERSION", env = "RETRIAL_HTTP")]
    pub(crate) http: Option<Http>,
}

/// The versions of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Http {
    /// HTTP/1.1
    #[value(name = "1.1")]
    One,
    /// HTTP/2
    #[value(name = "2")]
    Two,
}

impl Http {
    /// As the scenario room names it.
    pub(crate) fn version(self) -> HttpVersion {
        match self {
            Self::One => HttpVersion::Http1,
            Self::Two => HttpVersion::Http2,
        }
    }
}

/// What keeps a run from doing harm.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Safety")]
pub(crate) struct Safety {
    /// A host that may be sent to beside loopback, e.g. api.example.com or
    /// '*.example.com'
    #[arg(
        long,
        value_name = "HOST",
        env = "RETRIAL_ALLOW_HOST",
        value_delimiter = ','
    )]
    pub(crate) allow_host: Vec<String>,
    /// Print the plan in words and send nothing
    #[arg(long, env = "RETRIAL_DRY_RUN", value_parser = FalseyValueParser::new())]
    pub(crate) dry_run: bool,
    /// Answer every question with yes (retrial asks none so far)
    #[arg(long, env = "RETRIAL_YES", value_parser = FalseyValueParser::new())]
    pub(crate) yes: bool,
    /// The most requests that are sent (100000 where the project file has no
    /// limit; its limit is never raised)
    #[arg(
        long,
        value_name = "N",
        env = "RETRIAL_MAX_REQUESTS",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    pub(crate) max_requests: Option<u64>,
    /// Skip clean-up: leave what the run made
    #[arg(long, env = "RETRIAL_KEEP", value_parser = FalseyValueParser::new())]
    pub(crate) keep: bool,
}

/// How JUnit tells of an inconclusive case.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum JunitInconclusive {
    /// As an <error>
    #[default]
    Error,
    /// As <skipped>
    Skipped,
    /// As a <failure>
    Failure,
}

/// What is written.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Report")]
pub(crate) struct Reports {
    /// Reports to write beside report.json: junit, json; KIND=FILE names a place
    #[arg(
        long,
        value_name = "KIND[=FILE]",
        env = "RETRIAL_REPORT",
        value_delimiter = ','
    )]
    pub(crate) report: Vec<ReportWish>,
    /// The run's folder, in place of .retrial/runs/<id>; it must not hold a run yet
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
}

/// How it ends.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "End")]
pub(crate) struct End {
    /// End with 0 where it would be 1 or 3: for jobs that only report
    #[arg(long, env = "RETRIAL_EXIT_ZERO", value_parser = FalseyValueParser::new())]
    pub(crate) exit_zero: bool,
    /// Inconclusive is as bad as failed, and an in-progress answer after a success
    /// is a failure
    #[arg(long, env = "RETRIAL_STRICT", value_parser = FalseyValueParser::new())]
    pub(crate) strict: bool,
    /// Nothing to run is fine: 0 instead of 6
    #[arg(long, env = "RETRIAL_ALLOW_EMPTY", value_parser = FalseyValueParser::new())]
    pub(crate) allow_empty: bool,
}

/// Flags of `run` that later versions do.
#[derive(Debug, Default, Args)]
pub(crate) struct Later {
    #[arg(long, hide = true, env = "RETRIAL_SHARD")]
    shard: Option<String>,
    #[arg(long, hide = true, env = "RETRIAL_FAILED")]
    failed: Option<String>,
    #[arg(long, hide = true, env = "RETRIAL_FULL", value_parser = FalseyValueParser::new())]
    full: bool,
    #[arg(long, hide = true, env = "RETRIAL_BACKGROUND")]
    background: Option<String>,
    #[arg(long, hide = true, env = "RETRIAL_PROXY")]
    proxy: Option<String>,
    #[arg(long, hide = true, env = "RETRIAL_CERT")]
    cert: Option<String>,
    #[arg(long, hide = true, env = "RETRIAL_KEY_FILE")]
    key_file: Option<String>,
    #[arg(long, hide = true, env = "RETRIAL_CONNECT_TO")]
    connect_to: Option<String>,
    #[arg(long, hide = true, env = "RETRIAL_BASELINE")]
    baseline: Option<String>,
    #[arg(long, hide = true, env = "RETRIAL_TRACE_LINK")]
    trace_link: Option<String>,
    #[arg(long, hide = true, env = "RETRIAL_SHRUNK", value_parser = FalseyValueParser::new())]
    shrunk: bool,
}

impl Later {
    /// The first flag of a later version that was given.
    pub(crate) fn asked(&self) -> Option<&'static str> {
        let flags = [
            ("--shard", self.shard.is_some()),
            ("--failed", self.failed.is_some()),
            ("--full", self.full),
            ("--background", self.background.is_some()),
            ("--proxy", self.proxy.is_some()),
            ("--cert", self.cert.is_some()),
            ("--key-file", self.key_file.is_some()),
            ("--connect-to", self.connect_to.is_some()),
            ("--baseline", self.baseline.is_some()),
            ("--trace-link", self.trace_link.is_some()),
            ("--shrunk", self.shrunk),
        ];
        flags
            .into_iter()
            .find_map(|(flag, given)| given.then_some(flag))
    }
}
