//! What the target does with an operation whose client goes away half-way:
//! completes it, cancels it, either (`transport.md` section 7, *Telling apart*).
//! It accuses nobody; explanations use it.

use super::effects::{Judged, State};
use super::sanity::Sight;
use super::verdict::ClientGone;
use super::view::View;
use crate::plan::{Control, PlannedScenario, Role};

/// What the calibration of one operation shows; `None` where none was planned.
pub(crate) fn calibration(
    view: &View<'_>,
    judged: &[Vec<Judged<'_>>],
    scenario: &PlannedScenario,
    operation: (usize, usize),
    sights: &[Sight],
) -> Option<ClientGone> {
    let mut found = None;
    for (trial, judged) in view.trials.iter().zip(judged) {
        let place = (trial.trial.scenario, trial.trial.operation);
        if trial.trial.role != Role::Control(Control::ClientGone) || place != operation {
            continue;
        }
        let found = found.get_or_insert(ClientGone { seen: 0, of: 0 });
        if !trial.ran() {
            continue;
        }
        for instance in 0..trial.instances.len() {
            // Only a client that left before any byte of an answer says something.
            let left = trial
                .deliveries(instance, operation.1, &scenario.contract)
                .iter()
                .any(|one| {
                    one.delivered()
                        && one.exchange.fault_happened
                        && one.exchange.timing.first_in.is_none()
                });
            let shown = left
                .then(|| completed(judged, scenario, operation.1, instance, sights))
                .flatten();
            if let Some(completed) = shown {
                found.of += 1;
                found.seen += u32::from(completed);
            }
        }
    }
    found
}

/// Whether all effects of one operation are there; `None` where none of them can
/// tell, or one cannot be read.
fn completed(
    judged: &[Judged<'_>],
    scenario: &PlannedScenario,
    operation: usize,
    instance: usize,
    sights: &[Sight],
) -> Option<bool> {
    let telling = judged.iter().filter(|one| {
        one.instance == instance
            && scenario.tells_alone(operation, &scenario.effects[one.effect])
            && sights
                .get(one.effect)
                .is_some_and(|sight| sight.shows_lack())
    });
    let mut all = None;
    for one in telling {
        let unread = matches!(one.state, State::Unclear { .. } | State::Untold);
        let (Some(each), Some(value), false) = (one.each, one.value, unread) else {
            return None;
        };
        if each == 0.0 {
            continue;
        }
        let there = value / each > 1.0 - 1e-9;
        all = Some(all.unwrap_or(true) && there);
    }
    all
}
