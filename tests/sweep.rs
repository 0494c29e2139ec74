//! Sweeps against a target whose lock is released before its answer is stored: a
//! duplicate is refused for 80 % of the work, executed for one millisecond, and
//! answered from the record after that. The walk up and down to that edge finds what
//! evenly spread times pass by; that it does so is shown on a simulated axis (in
//! `plan::refine`), that the whole line does it is shown here.

#[expect(dead_code, reason = "each test file uses a part of it")]
#[path = "support/server.rs"]
mod server;
#[expect(dead_code, reason = "each test file uses a part of it")]
mod support;

use retrial::codes::Hazard;
use retrial::history::{EventKind, History};
use retrial::oracle::{self, JudgeOptions};
use retrial::plan::Role;
use retrial::report::{self, BuildOptions, CaseReport, VerdictWord};
use serde_json::{Value, json};
use server::{Answer, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

const WORK: Duration = Duration::from_millis(30);
const OPENS: Duration = Duration::from_millis(24);
const CLOSES: Duration = Duration::from_millis(25);

const SCENARIO: &str = "
scenario: create-order
target: http://127.0.0.1:1
operation:
  request: POST /orders
  json: { reference: '${{ marker }}' }
effects:
  orders:
    get: /orders?reference=${{ marker }}
    count: $[*]
    stable_for: 300ms
    every: 100ms
patterns: [stagger, timeout, reset]
";

#[derive(Default)]
struct Shop {
    /// When the first request of each key came, and its order.
    first: BTreeMap<String, (Instant, Value)>,
    /// References of the orders.
    orders: Vec<String>,
}

impl Shop {
    fn execute(&mut self, reference: &str) -> Value {
        let id = format!("ord_{}", self.orders.len());
        self.orders.push(reference.to_owned());
        json!({ "id": id, "reference": reference })
    }
}

/// The shop. When its window is open is told by its own clock, so that the test needs
/// no sleep to be short.
fn shop() -> Server {
    let shop = Mutex::new(Shop::default());
    Server::start(move |request, stream| {
        #[expect(
            clippy::disallowed_methods,
            reason = "the server under test has a clock of its own"
        )]
        let now = Instant::now();
        if !request.is_order() {
            let reference = request
                .target
                .split_once("reference=")
                .map_or("", |it| it.1);
            let shop = shop.lock().expect("no handler panics");
            let mine = shop.orders.iter().filter(|one| *one == reference);
            let orders = mine.map(|one| json!({ "reference": one })).collect();
            return Answer::json(200, &Value::Array(orders)).write(stream);
        }
        let reference = request.body["reference"].as_str().unwrap_or_default();
        let key = request.header("idempotency-key").unwrap_or_default();
        let (answer, works) = {
            let mut shop = shop.lock().expect("no handler panics");
            match shop.first.get(key).cloned() {
                None => {
                    let order = shop.execute(reference);
                    shop.first.insert(key.to_owned(), (now, order.clone()));
                    (Answer::json(201, &order), true)
                }
                Some((first, order)) => {
                    let late = now - first;
                    if late < OPENS {
                        let problem = json!({ "title": "in progress" });
                        (Answer::json(409, &problem), false)
                    } else if late < CLOSES {
                        (Answer::json(201, &shop.execute(reference)), true)
                    } else {
                        (Answer::json(201, &order), false)
                    }
                }
            }
        };
        if works {
            thread::sleep(WORK);
        }
        // A client that has gone does not undo the work.
        answer.write(stream)
    })
}

fn case<'r>(report: &'r report::Report, name: &str) -> &'r CaseReport {
    let mut named = report.cases.iter().filter(|case| case.id.ends_with(name));
    named.next().expect("the case is there")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_opens_late_is_walked_to_and_found() {
    let server = shop();
    let address = server.url.trim_start_matches("http://").parse().unwrap();
    let support::Ran { plan, history } = support::history(SCENARIO, address, 11, 1).await;
    let built = |history: &History| {
        let judgement = oracle::judge(&plan, history, JudgeOptions::default());
        report::build(&plan, history, &judgement, &BuildOptions::default())
    };
    let report = built(&history);

    // Of the three sweeps one at least meets the millisecond.
    let found: BTreeSet<Hazard> = report
        .cases
        .iter()
        .flat_map(|case| &case.findings)
        .map(|finding| finding.hazard)
        .collect();
    assert_eq!(report.verdict, VerdictWord::Fail, "{:#?}", report.cases);
    assert!(
        found.contains(&Hazard::DuplicateEffectInFlight)
            || found.contains(&Hazard::CancelMidHandler)
            || found.contains(&Hazard::DuplicateEffectDroppedResponse),
        "{found:?}"
    );

    // A quarter of each sweep is as planned, the rest has looked around the edge.
    let refined: BTreeSet<u32> = history
        .events
        .iter()
        .filter(|event| matches!(event.kind, EventKind::Refined { .. }))
        .filter_map(|event| Some(event.trial?.0))
        .collect();
    for name in ["::stagger", "::timeout", "::reset"] {
        let case = case(&report, name);
        let sweep = case.sweep.as_ref().expect("it sweeps");
        assert_eq!(sweep.points.len(), 20, "{name}: {sweep:#?}");
        let edge = sweep.edge.as_ref().expect("the answers change");
        assert_eq!(edge.before, "in_progress", "{name}: {sweep:#?}");
        assert_eq!(edge.after, "replayed", "{name}: {sweep:#?}");
        let walked = sweep
            .points
            .iter()
            .filter(|point| refined.contains(&point.trial))
            .count();
        assert!((10..=15).contains(&walked), "{name}: {walked}");
        assert_eq!((case.trials.run, case.attempts % 20), (20, 0), "{name}");
    }

    // What the record holds is judged with the offsets that were run; the plan as it
    // was drawn says nothing of them.
    let carried_out = history.carried_out(&plan);
    let moved = plan
        .trials
        .iter()
        .zip(&carried_out.trials)
        .filter(|(planned, run)| planned.attempts != run.attempts)
        .inspect(|(planned, run)| {
            assert!(matches!(planned.role, Role::Case(_)));
            assert_eq!(planned.instances, run.instances);
        })
        .count();
    assert_eq!(moved, refined.len());

    // A record that ends early, in the middle of the walk, can still be read.
    let middle = history
        .events
        .iter()
        .rposition(|event| matches!(event.kind, EventKind::Refined { .. }))
        .expect("something was refined");
    let killed = History {
        header: history.header.clone(),
        events: history.events[..=middle].to_vec(),
    };
    let report = built(&killed);
    assert!(report.run.interrupted);
    let points = &case(&report, "::stagger").sweep.as_ref().unwrap().points;
    assert!((5..=20).contains(&points.len()), "{}", points.len());
}
