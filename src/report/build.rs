//! (Plan, History, Judgement) → [`Report`].

use super::curl::{self, Known};
use super::exit::{self, Exit, ExitRules};
use super::index::{self, Index};
use super::latency::Latencies;
use super::notes;
use super::sweep;
use super::tightness;
use super::timeline::{self, Focus};
use super::words;
use super::{
    AllowedReport, CaseReport, ClientGoneReport, ConductWord, ControlReport, EffectEvidence,
    EffectReport, EvidenceReport, FindingReport, PatternReport, ReasonReport, Report, Run, SCHEMA,
    Saw, Spread, Timeline, Tool, Totals, TrialsReport, VerdictWord,
};
use crate::codes::{Hazard, Reason, Severity};
use crate::contract::{Allowed, Outcome};
use crate::history::{EventKind, Exchange, History, Observation, Part, Redactor, SkipReason};
use crate::oracle::population::{self, Sample};
use crate::oracle::{
    CaseJudgement, Conduct, ControlJudgement, Evidence, Finding, Ground, Judgement, Verdict,
};
use crate::plan::seed;
use crate::plan::{Case, Overlay, Plan, PlannedScenario, Role, Trial, TrialId};
use std::collections::{BTreeMap, BTreeSet};

/// What a report needs to know beside plan, history and judgement.
#[derive(Debug, Clone, Default)]
pub struct BuildOptions {
    /// What the flags say about the end of a run.
    pub rules: ExitRules,
    /// What must not be shown.
    pub redactor: Redactor,
    /// Flags that made the plan or the target what they were (`-e staging`),
    /// word by word: they go into the command that repeats a finding.
    pub again: Vec<String>,
}

/// The report of a run.
pub fn build(
    plan: &Plan,
    history: &History,
    judgement: &Judgement,
    options: &BuildOptions,
) -> Report {
    let plan = &*history.carried_out(plan);
    let context = Context {
        plan,
        history,
        index: Index::of(history),
        trials: plan.trials.iter().map(|trial| (trial.id, trial)).collect(),
        samples: samples(plan, history),
        options,
    };
    let mut latency = Latencies::default();
    let mut cases = Vec::with_capacity(judgement.cases.len());
    for case in &judgement.cases {
        let (report, of_case) = context.case(case);
        latency.add(&of_case);
        cases.push(report);
    }
    let run = context.run(judgement);
    let mut notes = notes::notes(&plan.scenarios);
    notes.extend(notes::clients_gone(&run.controls));
    Report {
        schema: SCHEMA.to_owned(),
        tool: Tool {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        },
        run,
        verdict: word(exit::verdict(judgement, options.rules)),
        totals: totals(&cases),
        cases,
        reasons: judgement
            .grounds
            .iter()
            .map(|ground| reason(ground, None))
            .collect(),
        notes,
        latency: latency.report(),
    }
}

struct Context<'a> {
    plan: &'a Plan,
    history: &'a History,
    index: Index<'a>,
    trials: BTreeMap<TrialId, &'a Trial>,
    /// Latencies by case.
    samples: BTreeMap<usize, Vec<Sample>>,
    options: &'a BuildOptions,
}

fn samples(plan: &Plan, history: &History) -> BTreeMap<usize, Vec<Sample>> {
    let mut by_case: BTreeMap<usize, Vec<Sample>> = BTreeMap::new();
    for sample in population::samples(plan, history) {
        if let Some(case) = sample.case {
            by_case.entry(case).or_default().push(sample);
        }
    }
    by_case
}

impl Context<'_> {
    fn run(&self, judgement: &Judgement) -> Run {
        let header = &self.history.header;
        let events = &self.history.events;
        let through = matches!(
            events.last().map(|event| &event.kind),
            Some(EventKind::Finished)
        );
        let last = events
            .iter()
            .map(|event| event.at)
            .max()
            .unwrap_or_default();
        let targets: BTreeSet<&str> = self
            .plan
            .scenarios
            .iter()
            .map(|scenario| scenario.target.url.as_str())
            .collect();
        let targets: Vec<String> = targets.into_iter().map(curl::without_credentials).collect();
        let exit: Exit = exit::exit_code(judgement, self.options.rules);
        Run {
            id: header.run.clone(),
            seed: header.seed.to_string(),
            started_at: header.started_at.clone(),
            salt: header.salt.to_string(),
            duration_ms: last.0 / 1_000_000,
            environment: header.environment.clone(),
            target: self.options.redactor.text(&targets.join(", ")).into_owned(),
            plan_sha256: header.plan_sha256.clone(),
            shards: vec![header.shard.clone()],
            interrupted: judgement.interrupted.is_some() || !through,
            exit_code: exit.code(),
            controls: judgement
                .controls
                .iter()
                .filter_map(|control| self.control(control))
                .collect(),
        }
    }

    fn control(&self, control: &ControlJudgement) -> Option<ControlReport> {
        let scenario = self.plan.scenarios.get(control.scenario)?;
        let operation = scenario.operations.get(control.operation)?;
        let [one, two, ten] = control.saw;
        Some(ControlReport {
            scenario: scenario.name.clone(),
            operation: operation.name.clone(),
            operation_named: operation.named,
            matrix: scenario.row.clone(),
            h_p50_us: control.h_us.map(|(p50, _)| p50),
            h_p99_us: control.h_us.map(|(_, p99)| p99),
            trials: control.trials,
            attempts: control.attempts,
            saw: Saw { one, two, ten },
            client_gone: control.client_gone.map(|gone| ClientGoneReport {
                conduct: match gone.conduct() {
                    Conduct::Completes => ConductWord::Completes,
                    Conduct::Cancels => ConductWord::Cancels,
                    Conduct::Either => ConductWord::Either,
                    Conduct::NotKnown => ConductWord::NotKnown,
                },
                seen: gone.seen,
                of: gone.of,
            }),
            reasons: control
                .grounds
                .iter()
                .map(|ground| reason(ground, Some(scenario)))
                .collect(),
        })
    }

    /// The report of a case, and its latencies.
    fn case(&self, judged: &CaseJudgement) -> (CaseReport, Latencies) {
        let case = judged.index.and_then(|index| self.plan.cases.get(index));
        let scenario = self.plan.scenarios.get(judged.scenario);
        let operation = scenario.and_then(|scenario| scenario.operations.get(judged.operation));
        let (latency, attempts) = self.measure(judged);
        let strict = judged
            .findings
            .iter()
            .any(|finding| exit::fails_when_strict(finding, self.options.rules));
        let verdict = if strict {
            VerdictWord::Fail
        } else if self.is_skipped(judged) {
            VerdictWord::Skipped
        } else {
            word(judged.verdict)
        };
        let bound = judged.bound.filter(|_| verdict == VerdictWord::Pass);
        let report = CaseReport {
            id: judged.case.0.clone(),
            scenario: scenario.map_or_else(String::new, |scenario| scenario.name.clone()),
            operation: operation.map_or_else(String::new, |operation| operation.name.clone()),
            operation_named: operation.is_some_and(|operation| operation.named),
            pattern: pattern(case),
            matrix: scenario
                .map(|scenario| scenario.row.clone())
                .unwrap_or_default(),
            file: scenario.map_or_else(String::new, |scenario| scenario.file.clone()),
            line: operation.map_or(1, |operation| operation.place.line),
            verdict,
            bound,
            bound_confidence: bound.map(|_| 0.95),
            reasons: judged
                .grounds
                .iter()
                .map(|ground| reason(ground, scenario))
                .collect(),
            trials: TrialsReport {
                planned: judged.trials.planned,
                run: judged.trials.run,
                powered: judged.trials.powered,
                off_pattern: judged.trials.off_pattern,
                failed: judged.trials.failed,
                inconclusive: judged.trials.inconclusive,
            },
            attempts,
            effects: scenario.map_or_else(Vec::new, |scenario| effects(judged, scenario)),
            findings: judged
                .findings
                .iter()
                .map(|finding| self.finding(finding, judged, case))
                .collect(),
            release_spread_us: judged.spread_ns.map(|(p50, max)| Spread {
                p50: p50 / 1_000,
                max: max / 1_000,
            }),
            tightness: judged.tightness.as_ref().map(|tightness| {
                tightness::report(tightness, scenario.map(|scenario| &scenario.target))
            }),
            sweep: judged.sweep.as_ref().map(sweep::report),
            latency: latency.report(),
        };
        (report, latency)
    }

    /// A case that nobody asked about any more: it does not apply, or the run
    /// stopped at an earlier failure as it was told to.
    fn is_skipped(&self, judged: &CaseJudgement) -> bool {
        if judged.verdict != Verdict::Inconclusive || judged.trials.run > 0 {
            return false;
        }
        let not_applicable = !judged.grounds.is_empty()
            && judged
                .grounds
                .iter()
                .all(|ground| ground.reason == Reason::NotApplicable);
        let mut trials = self.trials_of(judged).peekable();
        let stopped = trials.peek().is_some()
            && trials.all(|trial| {
                self.index
                    .trial(trial.id)
                    .is_some_and(|facts| facts.skipped == Some(&SkipReason::FailFast))
            });
        not_applicable || stopped
    }

    fn trials_of(&self, judged: &CaseJudgement) -> impl Iterator<Item = &Trial> {
        let index = judged.index;
        self.plan
            .trials
            .iter()
            .filter(move |trial| match trial.role {
                Role::Case(case) => Some(case) == index,
                Role::Control(_) | Role::WarmUp => false,
            })
    }

    /// Latencies and attempts of a case, void trials left out.
    fn measure(&self, judged: &CaseJudgement) -> (Latencies, u32) {
        let mut latencies = Latencies::default();
        let mut attempts = 0;
        for sample in judged
            .index
            .and_then(|index| self.samples.get(&index))
            .into_iter()
            .flatten()
        {
            latencies.record(sample.population, sample.latency_ns / 1_000);
        }
        for trial in self.trials_of(judged) {
            let Some(facts) = self.index.trial(trial.id).filter(|facts| !facts.void) else {
                continue;
            };
            for instance in 0..trial.instances.len() {
                let exchanges = facts.of_instance(instance, trial.operation);
                attempts += exchanges
                    .iter()
                    .map(|exchange| u32::from(matches!(exchange.part, Part::Attempt(_))))
                    .sum::<u32>();
            }
        }
        (latencies, attempts)
    }

    fn finding(
        &self,
        finding: &Finding,
        judged: &CaseJudgement,
        case: Option<&Case>,
    ) -> FindingReport {
        let severity = if exit::fails_when_strict(finding, self.options.rules) {
            // The least that fails a build.
            Severity::Low
        } else {
            finding.severity
        };
        FindingReport {
            hazard: finding.hazard,
            title: finding.hazard.line().to_owned(),
            severity,
            summary: finding.summary.clone(),
            explanation: finding.explanation.clone(),
            trials: finding.trials.iter().map(|trial| trial.0).collect(),
            evidence: self.evidence(finding, judged, case),
            cause: finding.cause.clone(),
            why: finding.why.clone(),
            remedy: finding.remedy.clone(),
            explain: format!("retrial explain {}", finding.hazard.code()),
            reproduce: self.reproduce(judged, case),
        }
    }

    /// The command that sends the same plan again, as far as it concerns this
    /// case. A control's case cannot be chosen: the controls run before any
    /// case of their operation.
    fn reproduce(&self, judged: &CaseJudgement, case: Option<&Case>) -> String {
        let file = self
            .plan
            .scenarios
            .get(judged.scenario)
            .map_or("", |scenario| scenario.file.as_str());
        let glob = match case {
            Some(case) => case.id.0.clone(),
            None => match judged.case.0.split_once("::control") {
                Some((operation, row)) => format!("{operation}::*{row}"),
                None => judged.case.0.clone(),
            },
        };
        let seed = self.plan.seed.to_string();
        let fixed = ["retrial", "run", file, "--seed", &seed, "--case", &glob];
        let words: Vec<String> = fixed
            .into_iter()
            .chain(self.options.again.iter().map(String::as_str))
            .map(curl::quoted)
            .collect();
        self.options.redactor.text(&words.join(" ")).into_owned()
    }

    fn evidence(
        &self,
        finding: &Finding,
        judged: &CaseJudgement,
        case: Option<&Case>,
    ) -> EvidenceReport {
        let evidence = &finding.evidence;
        let mut report = EvidenceReport {
            trial: evidence.trial.0,
            events: evidence.events.clone(),
            release_spread_us: None,
            overlap: None,
            attempts: None,
            key: String::new(),
            marker: String::new(),
            effect: None,
            timeline: Timeline::default(),
            curl: None,
        };
        let (Some(trial), Some(scenario)) = (
            self.trials.get(&evidence.trial),
            self.plan.scenarios.get(judged.scenario),
        ) else {
            return report;
        };
        let (Some(operation), Some(instance)) = (
            scenario.operations.get(judged.operation),
            trial.instances.get(evidence.instance),
        ) else {
            return report;
        };
        let salt = self.history.header.salt;
        report.marker = seed::marker(salt, &instance.0);
        let default_key = seed::key(salt, &instance.0, &operation.name);
        let marker = report.marker.clone();
        let mut known = Known {
            marker: &marker,
            key: &default_key,
            run: &self.history.header.run,
            trial: evidence.trial.0,
        };
        let key = known.key_of(operation);
        known.key = &key;
        report.key = words::middle(&key);
        let nothing = Overlay::default();
        let with = case.map_or(&nothing, |case| &case.with);
        report.curl = Some(curl::curl(
            scenario,
            operation,
            with,
            &known,
            &self.options.redactor,
        ));

        let Some(facts) = self.index.trial(evidence.trial) else {
            return report;
        };
        let exchanges = facts.of_instance(evidence.instance, judged.operation);
        report.release_spread_us = facts.spread_ns.map(|ns| ns / 1_000);
        report.overlap = case
            .filter(|case| case.pattern.kind.overlaps() && case.pattern.attempts > 1)
            .map(|_| index::overlap(&exchanges));
        report.attempts = report.overlap.and_then(|_| {
            let of_key = |attempt: &&crate::plan::Attempt| attempt.instance == evidence.instance;
            u32::try_from(trial.attempts.iter().filter(of_key).count()).ok()
        });
        let effect = Self::effect(finding, scenario, &exchanges, facts);
        let exceeded = effect.as_ref().is_some_and(|(_, exceeded)| *exceeded);
        report.effect = effect.map(|(effect, _)| effect);
        let focus = Focus {
            instance: evidence.instance,
            operation: judged.operation,
            effects: shown_effects(finding, scenario),
            closing: closing_belongs(finding, self.history),
            other_result: other_result(finding.hazard, exceeded),
        };
        report.timeline = timeline::timeline(trial, facts, &scenario.contract, &focus);
        report
    }

    /// The effect that shows a finding, and whether it is more than allowed.
    fn effect(
        finding: &Finding,
        scenario: &PlannedScenario,
        exchanges: &[&Exchange],
        facts: &index::TrialFacts<'_>,
    ) -> Option<(EffectEvidence, bool)> {
        let number = finding.effect?;
        let effect = scenario.effects.get(number)?;
        let outcomes: Vec<Outcome> = exchanges
            .iter()
            .map(|exchange| scenario.contract.outcome(exchange.claim()))
            .collect();
        let (observation, rendered) = Self::telling(&finding.evidence, number, facts);
        let (expected, allowed) = words::expected(effect, &scenario.contract, rendered, outcomes);
        let seen = observation.and_then(words::as_number);
        let exceeded = allowed
            .zip(seen)
            .is_some_and(|(allowed, seen)| Allowed::exceeded_by(allowed, seen));
        let evidence = EffectEvidence {
            name: effect.name.clone(),
            file: effect.place.file.clone(),
            line: effect.place.line,
            expected,
            found: observation.map_or_else(|| "not read".to_owned(), words::found),
        };
        Some((evidence, exceeded))
    }

    /// The reading that shows a finding: the last that the oracle points at,
    /// else the last there is; and the expectation that was rendered with it.
    fn telling<'f>(
        evidence: &Evidence,
        effect: usize,
        facts: &index::TrialFacts<'f>,
    ) -> (Option<&'f Observation>, Option<&'f serde_json::Value>) {
        let of_effect = |observation: &Observation| {
            observation.effect == effect
                && observation
                    .instance
                    .is_none_or(|instance| instance == evidence.instance)
        };
        let seen: Vec<(usize, &'f Observation)> = facts
            .observations
            .iter()
            .copied()
            .filter(|(_, observation)| of_effect(observation))
            .collect();
        let observation = seen
            .iter()
            .rev()
            .find(|(index, _)| evidence.events.contains(index))
            .or(seen.last())
            .map(|(_, observation)| *observation);
        let rendered = seen
            .iter()
            .rev()
            .find_map(|(_, observation)| observation.expected.as_ref());
        (observation, rendered)
    }
}

/// The effects of a timeline: the one that shows the finding, else all.
fn shown_effects<'a>(finding: &Finding, scenario: &'a PlannedScenario) -> Vec<(usize, &'a str)> {
    let mut effects: Vec<(usize, &str)> = scenario
        .effects
        .iter()
        .enumerate()
        .map(|(index, effect)| (index, effect.name.as_str()))
        .collect();
    // Parts of one thing are told beside each other.
    if finding.hazard != Hazard::PartialSideEffect
        && finding.hazard != Hazard::CancelMidHandler
        && let Some(effect) = finding.effect
    {
        effects.retain(|(index, _)| *index == effect);
    }
    effects.sort_by_key(|(index, _)| (Some(*index) != finding.effect, *index));
    effects
}

/// Whether the story of a finding has closing retries in it.
fn closing_belongs(finding: &Finding, history: &History) -> bool {
    finding.hazard == Hazard::StuckKey
        || finding.evidence.events.iter().any(|event| {
            history.events.get(*event).is_some_and(|event| {
                matches!(&event.kind, EventKind::Exchange(exchange)
                    if matches!(exchange.part, Part::Closing(_)))
            })
        })
}

/// What another result than the first is called.
fn other_result(hazard: Hazard, exceeded: bool) -> Option<&'static str> {
    if exceeded {
        Some("effect")
    } else if hazard == Hazard::DivergentReplay {
        Some("result")
    } else {
        None
    }
}

fn effects(judged: &CaseJudgement, scenario: &PlannedScenario) -> Vec<EffectReport> {
    let finite = |value: f64| value.is_finite().then_some(value);
    judged
        .effects
        .iter()
        .filter_map(|tally| {
            let effect = scenario.effects.get(tally.effect)?;
            Some(EffectReport {
                name: effect.name.clone(),
                line: effect.place.line,
                allowed: AllowedReport {
                    min: finite(tally.min),
                    max: finite(tally.max),
                },
                observed: tally.observed.clone(),
            })
        })
        .collect()
}

fn pattern(case: Option<&Case>) -> PatternReport {
    match case {
        Some(case) => PatternReport {
            name: case.pattern.kind.word().to_owned(),
            label: case.pattern.label.clone(),
            shown: case.pattern.shown.clone(),
            attempts: case.pattern.attempts,
            keys: case.pattern.keys,
        },
        None => PatternReport {
            name: "control".to_owned(),
            label: None,
            shown: "control".to_owned(),
            attempts: 1,
            keys: 1,
        },
    }
}

fn reason(ground: &Ground, scenario: Option<&PlannedScenario>) -> ReasonReport {
    let effect = ground.effect.and_then(|index| scenario?.effects.get(index));
    ReasonReport {
        code: ground.reason,
        message: ground.message.clone(),
        effect: effect.map(|effect| effect.name.clone()),
        line: ground.line.or(effect.map(|effect| effect.probe_line)),
    }
}

fn word(verdict: Verdict) -> VerdictWord {
    match verdict {
        Verdict::Pass => VerdictWord::Pass,
        Verdict::Inconclusive => VerdictWord::Inconclusive,
        Verdict::Error => VerdictWord::Error,
        Verdict::Fail => VerdictWord::Fail,
    }
}

fn totals(cases: &[CaseReport]) -> Totals {
    let mut totals = Totals::default();
    for case in cases {
        totals.cases += 1;
        totals.trials += case.trials.run;
        totals.attempts += case.attempts;
        *match case.verdict {
            VerdictWord::Skipped => &mut totals.skipped,
            VerdictWord::Pass => &mut totals.pass,
            VerdictWord::Inconclusive => &mut totals.inconclusive,
            VerdictWord::Error => &mut totals.error,
            VerdictWord::Fail => &mut totals.fail,
        } += 1;
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::super::{BarEnd, sample, schema};
    use super::*;
    use crate::history::{End, Offset};
    use crate::plan::Fault;
    use serde_json::json;

    fn built() -> Report {
        build(
            &sample::plan(),
            &sample::history(),
            &sample::judgement(),
            &BuildOptions::default(),
        )
    }

    fn evidence(plan: &Plan, history: &History) -> EvidenceReport {
        let options = BuildOptions::default();
        let report = build(plan, history, &sample::judgement(), &options);
        report.cases[0].findings[0].evidence.clone()
    }

    fn told(timeline: &Timeline) -> Vec<(&str, &str)> {
        timeline
            .attempts
            .iter()
            .map(|bar| (bar.label.as_str(), bar.outcome.as_str()))
            .collect()
    }

    #[test]
    fn a_report_fits_its_schema_and_reads_back() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let report = built();
        let value = serde_json::to_value(&report).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&value)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        assert_eq!(serde_json::from_value::<Report>(value).unwrap(), report);
    }

    #[test]
    fn the_schema_misses_what_is_missing_and_knows_every_member() {
        let validator = jsonschema::validator_for(&schema()).unwrap();
        let whole = serde_json::to_value(built()).unwrap();
        for pointer in [
            "/schema",
            "/run/salt",
            "/cases/0/verdict",
            "/cases/0/findings/0/remedy",
        ] {
            let mut without = whole.clone();
            let (parent, member) = pointer.rsplit_once('/').unwrap();
            let parent = without.pointer_mut(parent).unwrap();
            parent.as_object_mut().unwrap().remove(member).unwrap();
            assert!(!validator.is_valid(&without), "{pointer}");
        }
        let mut later = whole.clone();
        later["a_field_of_a_later_version"] = json!(1);
        assert!(validator.is_valid(&later));

        // Every member that is written is described: with additional members
        // forbidden everywhere the report is still valid.
        let mut closed = schema();
        close(&mut closed);
        let closed = jsonschema::validator_for(&closed).unwrap();
        let errors: Vec<String> = closed
            .iter_errors(&whole)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(errors, Vec::<String>::new());
        assert!(!closed.is_valid(&later));
    }

    fn close(schema: &mut serde_json::Value) {
        if let Some(members) = schema.as_object_mut() {
            if members.contains_key("properties") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            members.values_mut().for_each(close);
        } else if let Some(items) = schema.as_array_mut() {
            items.iter_mut().for_each(close);
        }
    }

    #[test]
    fn totals_count_cases_and_never_closing_retries() {
        let report = built();
        assert_eq!(
            report.totals,
            Totals {
                cases: 2,
                pass: 1,
                fail: 1,
                trials: 3,
                attempts: 16,
                ..Totals::default()
            }
        );
        assert_eq!(report.cases[1].attempts, 6);
        assert_eq!(report.run.duration_ms, 4_200);
        assert_eq!((report.run.exit_code, report.run.interrupted), (1, false));
        assert_eq!(report.verdict, VerdictWord::Fail);
    }

    #[test]
    fn latency_is_told_by_population_for_a_case_and_for_the_run() {
        let report = built();
        let counts = |latency: &BTreeMap<String, super::super::Latency>| {
            latency
                .iter()
                .map(|(population, latency)| (population.clone(), latency.count))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            counts(&report.cases[1].latency),
            [
                ("closing".to_owned(), 2),
                ("first".to_owned(), 2),
                ("replay".to_owned(), 4)
            ]
        );
        assert_eq!(
            counts(&report.latency),
            [
                ("closing".to_owned(), 2),
                ("first".to_owned(), 3),
                ("held".to_owned(), 1),
                ("refused".to_owned(), 8),
                ("replay".to_owned(), 4),
            ]
        );
        // Three significant digits.
        let p50 = report.cases[1].latency["first"].p50_us;
        assert!((20_000..=20_020).contains(&p50), "{p50}");
    }

    #[test]
    fn the_evidence_of_a_burst_tells_the_claims_first_and_the_losers_together() {
        let evidence = evidence(&sample::plan(), &sample::history());
        assert_eq!(
            told(&evidence.timeline),
            [
                ("#4", "201 ord_4812"),
                ("#9", "201 ord_4813"),
                ("#1–#3, #5–#8, #10", "409 ×8"),
            ]
        );
        let notes: Vec<_> = evidence
            .timeline
            .attempts
            .iter()
            .map(|bar| bar.note.clone())
            .collect();
        assert_eq!(notes, [None, Some("second effect".to_owned()), None]);
        assert_eq!(evidence.timeline.end_us, 23_989);
        assert_eq!(evidence.release_spread_us, Some(110));
        assert_eq!(evidence.overlap, Some(10));
        let effect = evidence.effect.unwrap();
        assert_eq!(
            (effect.expected.as_str(), effect.found.as_str()),
            ("1", "2: ord_4812, ord_4813")
        );
        assert_eq!((effect.name.as_str(), effect.line), ("orders", 11));
        let readings: Vec<_> = evidence
            .timeline
            .readings
            .iter()
            .map(|mark| (mark.effect.as_str(), mark.at_us, mark.value.as_str()))
            .collect();
        assert_eq!(
            readings,
            [("orders", 298_989, "2"), ("orders", 1_098_989, "2")]
        );
    }

    #[test]
    fn keys_and_markers_are_those_that_were_sent() {
        let evidence = evidence(&sample::plan(), &sample::history());
        assert_eq!(evidence.marker, "rt-b41c09d2-0000000000001f");
        let key = seed::key(crate::plan::Salt(0xb41c_09d2), "0000000000001f", "order");
        assert_eq!(evidence.key, words::middle(&key));
        insta::assert_snapshot!(evidence.curl.unwrap().replace(&key, "KEY"), @r#"
        curl -X POST http://127.0.0.1:8080/orders \
          -H 'Authorization: Bearer '"$SHOP_TOKEN" \
          -H 'Content-Type: application/json' \
          -H 'Idempotency-Key: KEY' \
          --data-raw '{"sku":"TSHIRT-M","note":"it'\''s '"$RETRIAL_SECRET_note"'","reference":"rt-b41c09d2-0000000000001f"}'
        "#);
    }

    #[test]
    fn the_command_repeats_the_case_with_the_flags_of_the_run() {
        let options = BuildOptions {
            again: vec!["-e".to_owned(), "my staging".to_owned()],
            ..BuildOptions::default()
        };
        let (plan, history) = (sample::plan(), sample::history());
        let mut judgement = sample::judgement();
        let report = build(&plan, &history, &judgement, &options);
        assert_eq!(
            report.cases[0].findings[0].reproduce,
            "retrial run scenarios/create-order.yaml --seed 7f3a9c21 \
             --case create-order::order::burst-10 -e 'my staging'"
        );
        let control = &mut judgement.cases[0];
        control.index = None;
        control.case.0 = "create-order::order::control".to_owned();
        let report = build(&plan, &history, &judgement, &BuildOptions::default());
        assert_eq!(report.cases[0].pattern.name, "control");
        assert!(
            report.cases[0].findings[0]
                .reproduce
                .ends_with("--case 'create-order::order::*'")
        );
    }

    #[test]
    fn attempts_that_were_cut_lost_or_hidden_are_drawn_and_told_so() {
        let mut plan = sample::plan();
        let attempts = &mut plan.trials[0].attempts;
        attempts.truncate(4);
        for attempt in attempts.iter_mut() {
            attempt.release = crate::plan::Release::AfterPrevious { gap_us: 0 };
        }
        attempts[0].fault = Fault::CutRequest {
            at: crate::plan::CutPoint::Percent(50),
            end: crate::plan::Ending::Fin,
        };
        attempts[1].fault = Fault::Timeout {
            after: crate::plan::Moment::Us(5_000),
            then: crate::plan::Then::KeepOpen,
        };
        let mut history = sample::history();
        let of =
            |number| sample::exchange(Part::Attempt(number), 1_000, 21_000, 201, Some("ord_1"));
        let mut cut = of(1);
        cut.end = End::WeClosed;
        cut.response = None;
        let mut gave_up = of(2);
        gave_up.timing.gave_up = Some(Offset(6_000_000));
        gave_up.hidden = true;
        let mut dropped = of(3);
        dropped.hidden = true;
        let mut reset = of(4);
        reset.end = End::PeerReset;
        reset.response = None;
        history.events = [cut, gave_up, dropped, reset]
            .into_iter()
            .map(|exchange| sample::event(31, 0, EventKind::Exchange(Box::new(exchange))))
            .collect();
        let timeline = evidence(&plan, &history).timeline;
        assert_eq!(
            told(&timeline),
            [
                ("#1", "cut inside the request"),
                ("#2", "gave up; 201 ord_1 came later"),
                ("#3", "201 ord_1, lost on the way"),
                ("#4", "reset by the target"),
            ]
        );
        let ends: Vec<_> = timeline
            .attempts
            .iter()
            .map(|bar| (bar.end, bar.end_us))
            .collect();
        assert_eq!(
            ends,
            [
                (BarEnd::Cut, 20_000),
                (BarEnd::Hidden, 5_000),
                (BarEnd::Hidden, 20_000),
                (BarEnd::Lost, 20_000),
            ]
        );
    }

    #[test]
    fn closing_retries_are_told_where_the_finding_is_about_them() {
        let mut history = sample::history();
        history
            .events
            .retain(|event| !matches!(event.kind, EventKind::Finished));
        for number in 1..=5 {
            let at = 300_000 * u64::from(number);
            let retry = sample::exchange(Part::Closing(number), at, at + 2_000, 409, None);
            history
                .events
                .push(sample::event(31, at, EventKind::Exchange(Box::new(retry))));
        }
        let mut judgement = sample::judgement();
        judgement.cases[0].findings[0].hazard = Hazard::StuckKey;
        let report = build(
            &sample::plan(),
            &history,
            &judgement,
            &BuildOptions::default(),
        );
        let timeline = &report.cases[0].findings[0].evidence.timeline;
        assert_eq!(told(timeline).last(), Some(&("closing 1–5", "409 ×5")));
        assert!(timeline.end_us < 30_000, "the axis is that of the attempts");
        assert!(
            report.run.interrupted,
            "a record without its last event ends early"
        );
    }

    #[test]
    fn strict_makes_a_failure_of_a_finding_that_was_toned_down() {
        let mut judgement = sample::judgement();
        judgement.verdict = Verdict::Pass;
        judgement.grounds.clear();
        judgement.cases[0].verdict = Verdict::Pass;
        judgement.cases[0].bound = Some(0.5);
        judgement.cases[0].findings[0].severity = Severity::Info;
        let (plan, history) = (sample::plan(), sample::history());
        let lenient = build(&plan, &history, &judgement, &BuildOptions::default());
        assert_eq!(
            (lenient.verdict, lenient.run.exit_code),
            (VerdictWord::Pass, 0)
        );
        let rules = ExitRules {
            strict: true,
            exit_zero: false,
        };
        let options = BuildOptions {
            rules,
            ..BuildOptions::default()
        };
        let strict = build(&plan, &history, &judgement, &options);
        assert_eq!(
            (strict.verdict, strict.run.exit_code),
            (VerdictWord::Fail, 1)
        );
        let case = &strict.cases[0];
        assert_eq!((case.verdict, case.bound), (VerdictWord::Fail, None));
        assert_eq!(case.findings[0].severity, Severity::Low);
    }

    #[test]
    fn a_case_that_the_run_did_not_come_to_is_skipped() {
        let mut history = sample::history();
        history.events = [40, 41]
            .into_iter()
            .map(|trial| {
                let why = SkipReason::FailFast;
                sample::event(trial, 0, EventKind::Skipped { why })
            })
            .collect();
        let mut judgement = sample::judgement();
        judgement.cases[1].verdict = Verdict::Inconclusive;
        judgement.cases[1].trials.run = 0;
        let report = build(
            &sample::plan(),
            &history,
            &judgement,
            &BuildOptions::default(),
        );
        assert_eq!(report.cases[1].verdict, VerdictWord::Skipped);
        assert_eq!(report.totals.skipped, 1);
    }

    #[test]
    fn evidence_that_is_not_in_the_plan_does_no_harm() {
        let mut judgement = sample::judgement();
        judgement.cases[0].findings[0].evidence.trial = TrialId(999);
        judgement.cases[0].scenario = 7;
        let report = build(
            &sample::plan(),
            &sample::history(),
            &judgement,
            &BuildOptions::default(),
        );
        let evidence = &report.cases[0].findings[0].evidence;
        assert_eq!(
            (evidence.timeline.clone(), &evidence.curl),
            (Timeline::default(), &None)
        );
    }
}
