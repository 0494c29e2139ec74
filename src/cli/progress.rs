//! What is shown while a run goes on: a bar on a terminal, a line a scenario
//! elsewhere. It reads what the engine tells anyway and can be thrown away
//! without loss.

use super::args::ProgressStyle;
use super::terminal::Terminal;
use crate::engine::Notice;
use crate::history::{EventKind, Phase};
use crate::plan::{Plan, TrialId};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};
use std::collections::BTreeSet;
use std::time::Duration;

/// How often a bar is drawn.
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
    pub(crate) fn start(terminal: &Terminal, plan: &Plan, headline: &str) -> Self {
        let shown = match terminal.progress {
            ProgressStyle::None => Shown::Nothing,
            ProgressStyle::Bar => {
                // Braces in a URL would be read as a placeholder.
                let headline = headline.replace('{', "{{").replace('}', "}}");
                let below = "{bar:30} {pos}/{len} trials  {elapsed}  {wide_msg}";
                let template = format!("{headline}\n{below}");
                Shown::Bar(bar(terminal, plan.trials.len(), &template))
            }
            ProgressStyle::Lines | ProgressStyle::Auto => {
                terminal.note(&format!("{headline}\n"));
                Shown::Lines(terminal.clone())
            }
        };
        Self {
            shown,
            scenarios: words(plan),
            ..Self::none()
        }
    }

    /// Takes note of what the engine tells.
    pub(crate) fn notice(&mut self, notice: &Notice<'_>) {
        match notice {
            Notice::Event(event) => {
                if let EventKind::Phase { scenario, phase } = event.kind {
                    self.phase(scenario, phase, None);
                }
                if let (Some(trial), Shown::Bar(bar)) = (event.trial, &self.shown)
                    && self.seen.insert(trial)
                {
                    bar.set_position(self.seen.len() as u64);
                }
            }
            Notice::Progress {
                scenario,
                phase,
                done,
                total,
            } => self.phase(*scenario, *phase, Some((*done, *total))),
        }
    }

    fn phase(&mut self, scenario: usize, phase: Phase, of: Option<(usize, usize)>) {
        let Some(words) = self.scenarios.get(scenario) else {
            return;
        };
        match &self.shown {
            Shown::Nothing => {}
            Shown::Bar(bar) => {
                let of = of.map_or_else(String::new, |(done, total)| format!(" {done}/{total}"));
                bar.set_message(format!("{}: {}{of}", words.name, doing(phase)));
            }
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

/// A bar on stderr, whether or not the system calls it a terminal.
pub(crate) fn bar(terminal: &Terminal, length: usize, template: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(length as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = BarStyle::with_template(template) {
        bar.set_style(style.progress_chars(if terminal.ascii { "=> " } else { "━╸─" }));
    }
    bar.enable_steady_tick(TICK);
    bar
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
