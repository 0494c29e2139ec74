//! What the tests of the whole line share: a scenario as text, a target that is
//! running, a report.

#![expect(clippy::print_stderr, reason = "a test that is left out says so")]

use retrial::engine::{self, Caps, GoOn, Options, Rounds, Stop};
use retrial::history::History;
use retrial::oracle::{self, JudgeOptions};
use retrial::plan::{self, GenerateOptions, Plan, Salt, Seed};
use retrial::probe::HostPolicy;
use retrial::report::{self, BuildOptions, Report};
use retrial::scenario::{self, SourceFile, Sources};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Everything that came of a run.
pub(crate) struct Outcome {
    pub(crate) plan: Plan,
    pub(crate) report: Report,
}

/// Reads a scenario; its `target` is replaced by `address`.
pub(crate) fn plan(text: &str, address: SocketAddr, seed: u64) -> Plan {
    let mut sources = Sources::default();
    sources.scenarios.push(SourceFile {
        name: "scenario.yaml".to_owned(),
        text: Ok(text.as_bytes().to_vec()),
    });
    sources.settings.target = Some(format!("http://{address}"));
    sources.settings.for_run = true;
    let loaded = scenario::load(&sources).unwrap_or_else(|errors| {
        panic!("{}", errors.render(scenario::diagnostic::Style::default()))
    });
    plan::generate(&loaded.scenarios, Seed(seed), &GenerateOptions::default())
        .expect("the scenario can be planned")
}

/// Options of a run without limits worth the name.
pub(crate) fn options(plan: &Plan, salt: u32) -> Options {
    let (_asking, stop) = Stop::new();
    Options {
        run: "20261124-000000-0000".to_owned(),
        started_at: "2026-11-24T00:00:00Z".to_owned(),
        salt: Salt(salt),
        environment: None,
        plan_sha256: plan.digest(),
        secrets: BTreeMap::new(),
        env: BTreeMap::new(),
        redact_headers: Vec::new(),
        redact_json: Vec::new(),
        hosts: HostPolicy::default(),
        caps: Caps {
            requests: 1_000_000,
            rate: None,
            time: Duration::from_mins(10),
        },
        jobs: 8,
        keep: false,
        hold: Vec::new(),
        rounds: Rounds::Scenario,
        stop,
    }
}

/// Runs a scenario against a target, judges, reports.
pub(crate) async fn run(text: &str, address: SocketAddr, seed: u64, salt: u32) -> Outcome {
    let plan = plan(text, address, seed);
    let options = options(&plan, salt);
    let history = engine::run(
        Arc::new(plan.clone()),
        options,
        Arc::new(|_: engine::Notice<'_>| {}),
        |_: &History| GoOn::Yes,
    )
    .await
    .expect("the run can be done");
    let judgement = oracle::judge(&plan, &history, JudgeOptions::default());
    let report = report::build(&plan, &history, &judgement, &BuildOptions::default());
    Outcome { plan, report }
}

impl Outcome {
    /// `case: verdict hazard hazard…`, one line a case, for assertions.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.report
            .cases
            .iter()
            .map(|case| {
                let name = case.id.rsplit("::").next().unwrap_or_default();
                let found = case
                    .findings
                    .iter()
                    .map(|finding| format!(" {}", finding.hazard));
                let why = case
                    .reasons
                    .iter()
                    .map(|reason| format!(" {}", reason.code));
                format!(
                    "{name}: {}{}",
                    case.verdict.word(),
                    found.chain(why).collect::<String>()
                )
            })
            .collect()
    }
}

/// A salt of this test's own, so that tests that share a database do not share
/// keys.
pub(crate) fn salt() -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let mut hasher = RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    u32::try_from(hasher.finish() & u64::from(u32::MAX)).expect("it was cut to 32 bits")
}

/// The PostgreSQL of the tests; `None`, said aloud, where none answers. In CI that
/// is a failure.
pub(crate) fn postgres() -> Option<String> {
    let url = std::env::var("RETRIAL_TEST_POSTGRES")
        .unwrap_or_else(|_| "postgres://postgres@127.0.0.1:5432/test".to_owned());
    let address = url
        .split('@')
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let answers = address.is_some_and(|address| std::net::TcpStream::connect(address).is_ok());
    if answers {
        return Some(url);
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no PostgreSQL answers at {url}; set RETRIAL_TEST_POSTGRES"
    );
    eprintln!("left out: no PostgreSQL answers at {url}");
    None
}
