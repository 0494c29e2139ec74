//! What is shown while a run goes on: a bar on a terminal, a line a scenario
//! elsewhere. It reads the events that are recorded anyway and can be thrown
//! away without loss.

use super::args::ProgressStyle;
use super::terminal::Terminal;
use crate::history::{Event, EventKind, Phase};
use crate::plan::{Plan, TrialId};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a bar is drawn anew though nothing happened.
const TICK: Duration = Duration::from_millis(200);

/// The progress of one run.
pub(crate) struct Progress {
    shown: Shown,
    scenarios: Vec<ScenarioWords>,
    begun: BTreeSet<usize>,
    seen: BTreeSet<TrialId>,
}

enum Shown {
    Nothing,
    Lines(Terminal),
    Bar(ProgressBar),
}

/// What is said of a scenario.
struct ScenarioWords {
    name: String,
    cases: usize,
    trials: usize,
}

impl Progress {
    /// Nothing is shown.
    pub(crate) fn none() -> Self {
        Self {
            shown: Shown::Nothing,
            scenarios: Vec::new(),
            begun: BTreeSet::new(),
            seen: BTreeSet::new(),
        }
    }

    /// What the terminal asks for, below a line that says which run it is.
    pub(crate) fn start(terminal: &Terminal, plan: &Plan, header: &str) -> Self {
        let shown = match terminal.progress {
            ProgressStyle::None => Shown::Nothing,
            ProgressStyle::Bar => Shown::Bar(bar(terminal, plan, header)),
            ProgressStyle::Lines | ProgressStyle::Auto => {
                terminal.note(&format!("{header}\n"));
                Shown::Lines(terminal.clone())
            }
        };
        Self {
            shown,
            scenarios: words(plan),
            ..Self::none()
        }
    }

    /// Takes note of an event.
    pub(crate) fn event(&mut self, event: &Event) {
        if let EventKind::Phase { scenario, phase } = event.kind {
            self.phase(scenario, phase);
        }
        if let (Some(trial), Shown::Bar(bar)) = (event.trial, &self.shown) {
            if self.seen.insert(trial) {
                bar.set_position(self.seen.len() as u64);
            }
        }
    }

    fn phase(&mut self, scenario: usize, phase: Phase) {
        let Some(words) = self.scenarios.get(scenario) else {
            return;
        };
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => bar.set_message(format!("{}: {}", words.name, doing(phase))),
            Shown::Lines(terminal) => {
                if self.begun.insert(scenario) {
                    terminal.note(&format!(
                        "{}: {} cases, {} trials\n",
                        words.name, words.cases, words.trials
                    ));
                }
            }
        }
    }

    /// Takes away what was drawn.
    pub(crate) fn finish(self) {
        if let Shown::Bar(bar) = self.shown {
            bar.finish_and_clear();
        }
    }
}

fn words(plan: &Plan) -> Vec<ScenarioWords> {
    plan.scenarios
        .iter()
        .enumerate()
        .map(|(index, scenario)| {
            let row: Vec<String> = scenario
                .row
                .iter()
                .map(|(axis, value)| match value {
                    serde_json::Value::String(text) => format!("{axis}={text}"),
                    other => format!("{axis}={other}"),
                })
                .collect();
            ScenarioWords {
                name: if row.is_empty() {
                    scenario.name.clone()
                } else {
                    format!("{} [{}]", scenario.name, row.join(", "))
                },
                cases: plan
                    .cases
                    .iter()
                    .filter(|case| case.scenario == index)
                    .count(),
                trials: plan
                    .trials
                    .iter()
                    .filter(|trial| trial.scenario == index)
                    .count(),
            }
        })
        .collect()
}

fn bar(terminal: &Terminal, plan: &Plan, header: &str) -> ProgressBar {
    let bar =
        ProgressBar::with_draw_target(Some(plan.trials.len() as u64), ProgressDrawTarget::stderr());
    let template = format!(
        "{}\n{{bar:30}} {{pos}}/{{len}} trials  {{elapsed}}  {{wide_msg}}",
        // Braces in a URL would be read as a placeholder.
        header.replace('{', "{{").replace('}', "}}")
    );
    if let Ok(style) = BarStyle::with_template(&template) {
        bar.set_style(style.progress_chars(if terminal.ascii { "=> " } else { "━╸─" }));
    }
    bar.enable_steady_tick(TICK);
    bar
}

fn doing(phase: Phase) -> &'static str {
    match phase {
        Phase::Setup => "setting up",
        Phase::WarmUp => "warming up",
        Phase::Controls => "control trials",
        Phase::Trials => "trials",
        Phase::Quiet => "waiting for quiet",
        Phase::Count => "counting effects",
        Phase::Closing => "closing retries",
        Phase::Verification => "verifying effects",
        Phase::Cleanup => "cleaning up",
    }
}
