//! A plan in words, for `--dry-run`: what would be sent where, how often, and for
//! how long at least. Templates are shown as they stand; no value of a secret is
//! in a plan, so none can be shown.

use super::{
    Body, Case, Control, Each, Effect, Expectation, Extraction, Operation, Plan, PlannedScenario,
    Request, Role, Step, Trial,
};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

/// How long a key may answer "in progress" where the contract says nothing; it
/// is longer where the target is slow.
const STUCK_AFTER: Duration = Duration::from_mins(1);
/// The quiet before the count where the target says nothing; likewise.
const QUIET: Duration = Duration::from_millis(250);
/// Readings before a number is believed (`retry-safety.md` section 2.0).
const READINGS: u64 = 3;

/// The plan in words.
pub fn describe(plan: &Plan) -> String {
    let mut text = String::new();
    let mut sum = Span::default();
    let mut time = Duration::ZERO;
    for (index, scenario) in plan.scenarios.iter().enumerate() {
        let trials: Vec<&Trial> = plan
            .trials
            .iter()
            .filter(|trial| trial.scenario == index)
            .collect();
        let requests = trials
            .iter()
            .map(|trial| trial_requests(plan, scenario, trial))
            .fold(run_requests(scenario), Span::plus);
        let least_time = least_time(scenario, &trials);
        describe_scenario(&mut text, plan, index, &trials);
        line(
            &mut text,
            "requests",
            &format!("{requests}, probes and closing retries counted"),
        );
        line(&mut text, "time", &format!("at least {least_time:?}"));
        text.push('\n');
        sum = sum.plus(requests);
        time += least_time;
    }
    let keys: usize = plan.trials.iter().map(|trial| trial.instances.len()).sum();
    let attempts: usize = plan.trials.iter().map(|trial| trial.attempts.len()).sum();
    let of_cases = plan
        .trials
        .iter()
        .filter(|trial| matches!(trial.role, Role::Case(_)))
        .count();
    let _ = writeln!(
        text,
        "In all    {}, {}, {} and {} for controls; {} attempts with {} keys\n\
         Requests  {sum}\n\
         Time      at least {time:?}\n\
         Hosts     {}\n\
         Seed      {}",
        count(plan.scenarios.len(), "scenario"),
        count(plan.cases.len(), "case"),
        count(of_cases, "trial"),
        grouped((plan.trials.len() - of_cases) as u64),
        grouped(attempts as u64),
        grouped(keys as u64),
        hosts(plan).into_iter().collect::<Vec<_>>().join(", "),
        plan.seed
    );
    text
}

fn describe_scenario(text: &mut String, plan: &Plan, index: usize, trials: &[&Trial]) {
    let scenario = &plan.scenarios[index];
    let _ = write!(
        text,
        "{} ({}:{})",
        scenario.name, scenario.file, scenario.line
    );
    for (axis, value) in &scenario.row {
        let _ = write!(text, " {axis}={value}");
    }
    let _ = writeln!(text, " against {}", without_user(&scenario.target.url));
    steps(text, "set-up", &scenario.setup);
    for operation in &scenario.operations {
        line(
            text,
            "operation",
            &format!("{}: {}", operation.name, request_line(&operation.request)),
        );
    }
    for (operation_index, operation) in scenario.operations.iter().enumerate() {
        let controls = controls(trials, operation_index);
        if !controls.is_empty() {
            line(text, "controls", &format!("{}: {controls}", operation.name));
        }
    }
    for (case_index, case) in plan.cases.iter().enumerate() {
        if case.scenario == index {
            let own: Vec<&Trial> = trials
                .iter()
                .copied()
                .filter(|trial| trial.role == Role::Case(case_index))
                .collect();
            line(text, "case", &case_line(case, &own));
        }
    }
    for effect in &scenario.effects {
        line(text, "effect", &effect_line(effect));
    }
    if scenario.one_at_a_time() {
        line(
            text,
            "lanes",
            "one trial at a time, since an effect cannot tell one from another",
        );
    }
    steps(text, "clean-up", &scenario.cleanup);
}

fn controls(trials: &[&Trial], operation: usize) -> String {
    let mut parts = Vec::new();
    let of = |role: Role| {
        trials
            .iter()
            .filter(|trial| trial.operation == operation && trial.role == role)
            .map(|trial| trial.instances.len())
            .collect::<Vec<_>>()
    };
    for (role, what) in [
        (Role::WarmUp, "to warm up"),
        (Role::Control(Control::One), "alone"),
        (Role::Control(Control::Two), "one after the other"),
        (Role::Control(Control::Ten), "at once"),
        (Role::Control(Control::ClientGone), "whose client goes away"),
    ] {
        let sizes = of(role);
        if let Some(size) = sizes.first() {
            let times = match sizes.len() {
                1 => String::new(),
                2 => ", twice".to_owned(),
                times => format!(", {times} times"),
            };
            parts.push(format!("{size} {what}{times}"));
        }
    }
    parts.join("; ")
}

fn case_line(case: &Case, trials: &[&Trial]) -> String {
    let copies: BTreeSet<usize> = trials
        .iter()
        .map(|trial| trial.attempts.len() / trial.instances.len().max(1))
        .collect();
    let copies = match (copies.first(), copies.last()) {
        (Some(few), Some(many)) if few < many => format!("{few} or {}", count(*many, "attempt")),
        _ => count(case.pattern.attempts as usize, "attempt"),
    };
    let keys = match case.pattern.keys {
        1 => String::new(),
        keys => format!(" of each of {keys} keys"),
    };
    format!(
        "{}: {} with {copies}{keys}",
        case.id,
        count(trials.len(), "trial"),
    )
}

fn effect_line(effect: &Effect) -> String {
    let what = match &effect.extraction {
        Extraction::Count(path) => format!("count of {}", path.0),
        Extraction::Value(path) => format!("value of {}", path.0),
        Extraction::Sum(path) => format!("sum of {}", path.0),
    };
    let expected = match &effect.expectation {
        Expectation::Once => "once".to_owned(),
        Expectation::Number(number) => number.0.to_string(),
        Expectation::Never => "never".to_owned(),
        Expectation::AtMostOnce => "at most once".to_owned(),
        Expectation::Between { min, max } => match (min, max) {
            (Some(min), Some(max)) => format!("between {min} and {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, Some(max)) => format!("at most {max}"),
            (None, None) => "anything".to_owned(),
        },
        Expectation::Equals(value) => format!("equal to {}", value.0),
        Expectation::Matches(regex) => format!("like /{regex}/"),
        Expectation::OneOf(values) => {
            let values: Vec<_> = values.iter().map(|value| value.0.to_string()).collect();
            format!("one of {}", values.join(", "))
        }
    };
    format!(
        "{}: {what} in {}, expected {expected}",
        effect.name,
        request_line(&effect.request)
    )
}

fn steps(text: &mut String, stage: &str, steps: &[Step]) {
    for step in steps {
        let often = match step.each {
            Each::Run => "once",
            Each::Trial => "for each operation of each trial",
        };
        let name = if step.name == request_line(&step.request) {
            String::new()
        } else {
            format!("{}: ", step.name)
        };
        line(
            text,
            stage,
            &format!("{name}{}, {often}", request_line(&step.request)),
        );
    }
}

fn request_line(request: &Request) -> String {
    let body = match &request.body {
        Body::None => "",
        Body::Json(_) => " with JSON",
        Body::Form(_) => " with a form",
        Body::Multipart(_) => " with parts",
        Body::Text(_) => " with text",
    };
    format!(
        "{} {}{body}",
        request.method.word(),
        without_user(&request.path.0)
    )
}

fn line(text: &mut String, name: &str, what: &str) {
    let _ = writeln!(text, "  {name:<9} {what}");
}

/// A least and a most of something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    least: u64,
    most: u64,
}

impl Span {
    fn exactly(number: u64) -> Self {
        Self {
            least: number,
            most: number,
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            least: self.least.saturating_add(other.least),
            most: self.most.saturating_add(other.most),
        }
    }

    fn times(self, factor: u64) -> Self {
        Self {
            least: self.least.saturating_mul(factor),
            most: self.most.saturating_mul(factor),
        }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "at least {}", grouped(self.least))?;
        if self.most > self.least {
            write!(formatter, ", at most {}", grouped(self.most))?;
        }
        Ok(())
    }
}

/// Requests of a scenario that belong to no trial.
fn run_requests(scenario: &PlannedScenario) -> Span {
    let steps = scenario
        .setup
        .iter()
        .chain(&scenario.cleanup)
        .filter(|step| step.each == Each::Run)
        .count();
    Span::exactly(steps as u64)
}

/// Requests of one trial. The least is what a target needs that answers every
/// closing retry at once and shows its effects in the first three readings; the
/// most what one costs whose keys stay in progress until they count as stuck and
/// whose effects change until the patience is over.
fn trial_requests(plan: &Plan, scenario: &PlannedScenario, trial: &Trial) -> Span {
    let instances = trial.instances.len() as u64;
    let operation = &scenario.operations[trial.operation];
    let steps = scenario
        .setup
        .iter()
        .chain(&scenario.cleanup)
        .filter(|step| step.each == Each::Trial)
        .count() as u64;
    let others = scenario.operations.len() as u64 - 1;
    let sent = Span::exactly(trial.attempts.len() as u64)
        .plus(Span::exactly(steps + others).times(instances));
    let readings = |rounds_before: u64| {
        scenario
            .effects
            .iter()
            .map(|effect| {
                let before = rounds_before + u64::from(effect.delta || !effect.marked);
                Span {
                    least: before + READINGS,
                    most: (before + 1).saturating_mul(most_readings(effect)),
                }
            })
            .fold(Span::default(), Span::plus)
    };
    match trial.role {
        Role::WarmUp => Span {
            // It ends when its time is over.
            least: 0,
            ..sent
        },
        Role::Control(_) => sent.plus(readings(0).times(instances)),
        Role::Case(case) => {
            let before = plan.cases[case].before.len() as u64;
            let closing = Span {
                least: 1,
                most: most_closing(scenario, operation),
            };
            sent.plus(
                Span::exactly(before)
                    .plus(closing)
                    .plus(readings(1))
                    .times(instances),
            )
        }
    }
}

fn most_readings(effect: &Effect) -> u64 {
    let every = effect.every.max(Duration::from_millis(1));
    let patience = (effect.within + effect.stable_for).as_nanos() / every.as_nanos();
    u64::try_from(patience).unwrap_or(u64::MAX).max(READINGS) + 1
}

/// The most closing retries of one key: those after answers that say neither yes
/// nor no, or those that fit into `stuck_after`.
fn most_closing(scenario: &PlannedScenario, operation: &Operation) -> u64 {
    let patience = scenario.contract.stuck_after.unwrap_or(STUCK_AFTER);
    let longest = operation.retry.backoff_max.max(Duration::from_millis(1));
    let mut pause = operation
        .retry
        .backoff_min
        .clamp(Duration::from_millis(1), longest);
    let (mut waited, mut tries) = (Duration::ZERO, 1);
    while pause < longest && waited < patience {
        waited += pause;
        tries += 1;
        pause = (pause * 2).min(longest);
    }
    let rest = patience
        .saturating_sub(waited)
        .as_nanos()
        .div_ceil(longest.as_nanos());
    let in_progress = u64::try_from(rest)
        .unwrap_or(u64::MAX)
        .saturating_add(tries);
    in_progress.max(u64::from(operation.retry.max))
}

/// How long a scenario takes at least, the target's own time not counted: quiet,
/// and as long as effects have to be unchanged; once for all trials, or for each
/// where they run one at a time.
fn least_time(scenario: &PlannedScenario, trials: &[&Trial]) -> Duration {
    let quiet = scenario.target.quiet.unwrap_or(QUIET);
    let stable = scenario
        .effects
        .iter()
        .map(|effect| effect.stable_for)
        .max()
        .unwrap_or_default();
    let rounds = if scenario.one_at_a_time() {
        trials
            .iter()
            .filter(|trial| matches!(trial.role, Role::Case(_)))
            .count()
    } else {
        1
    };
    // A silent client stays for as long as an attempt may take.
    let silent = |trial: &&&Trial| {
        trial
            .attempts
            .iter()
            .any(|attempt| attempt.fault.is_silent())
    };
    let silences = trials.iter().filter(silent).count();
    let side_by_side = if scenario.one_at_a_time() {
        silences
    } else {
        silences.min(1)
    };
    let silence = scenario.target.timeout * u32::try_from(side_by_side).unwrap_or(u32::MAX);
    // The controls settle before the first trial begins.
    silence + (quiet + stable).saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX)) + stable
}

/// Every host that something may be sent to.
fn hosts(plan: &Plan) -> BTreeSet<String> {
    let mut hosts = BTreeSet::new();
    for scenario in &plan.scenarios {
        hosts.extend(host(&scenario.target.url));
        let requests = scenario
            .effects
            .iter()
            .map(|effect| &effect.request)
            .chain(scenario.setup.iter().map(|step| &step.request))
            .chain(scenario.cleanup.iter().map(|step| &step.request))
            .chain(scenario.operations.iter().map(|it| &it.request));
        hosts.extend(requests.filter_map(|request| host(&request.path.0)));
    }
    for step in plan.cases.iter().flat_map(|case| &case.before) {
        hosts.extend(host(&step.request.path.0));
    }
    hosts
}

/// Host and port of an absolute URL; what an expression renders to is not known
/// before the run, so the expression itself is named.
fn host(url: &str) -> Option<String> {
    if url.trim_start().starts_with("${{") {
        let end = url.find("}}").map_or(url.len(), |at| at + 2);
        return Some(format!("wherever {} leads", url[..end].trim()));
    }
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, it)| it);
    (!host.is_empty() && !url.starts_with('/')).then(|| host.to_owned())
}

/// The URL without user name and password.
fn without_user(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => url.to_owned(),
    }
}

fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number as u64))
}

/// `1 234 567`, as in the report.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_named_with_port_and_without_credentials() {
        for (url, expected) in [
            ("http://localhost:8080", Some("localhost:8080")),
            (
                "https://user:pass@a.example/x?y=http://b",
                Some("a.example"),
            ),
            ("http://[::1]:80/", Some("[::1]:80")),
            ("/orders?u=http://b", None),
            ("${{ location }}/x", Some("wherever ${{ location }} leads")),
        ] {
            assert_eq!(host(url).as_deref(), expected, "{url}");
        }
        assert_eq!(without_user("https://u:p@h/x@y"), "https://h/x@y");
        assert_eq!(without_user("/x?a=b@c"), "/x?a=b@c");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1990), "1 990");
        assert_eq!(grouped(1_234_567), "1 234 567");
    }
}
