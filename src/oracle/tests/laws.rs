//! What holds for any history.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::builder::World;
use crate::history::{
    BodyFacts, ByteCounts, ConnectFailure, End, Event, EventKind, Exchange, IdentityFact,
    Observation, Offset, Part, Phase, ProbeFailure, Reading, ResponseFacts, Round, Settled,
    SkipReason, Stage, Timing,
};
use crate::oracle::{JudgeOptions, Judgement, Verdict, judge};
use crate::plan::{Invariant, Kind, Role, TrialId};

/// Trials of all sorts, right and wrong, whole and unreadable.
const TRIALS: [&str; 16] = [
    "#1 0-20 201 a; #2 0-3 409; >1 500-503 201 a; orders=1; mails=1",
    "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1; mails=1",
    "#1 0-20 201 a; #2 30-50 201 b; >1 500-503 201 a; orders=2 excess; mails=2 excess",
    "#1 0-20 201 a; #2 0-21 201 b; @orders=2; >1 500-503 201 a; orders=1; mails=1",
    "#1 0-20 500; #2 30-50 201 b; >1 500-503 201 b; orders=2 excess; mails=1",
    "#1 0-20 201 a; #2 30-33 422; >1 500-503 201 a; orders=1; mails=1",
    "#1 0-20 201 a; #2 0-9 500; >1 500-503 201 a; orders=1; mails=1",
    "#1 0-20 201 a; #2 5-8 200 null; >1 500-503 201 a; orders=1; mails=0 lacking",
    "#1 0-5 gone; #2 6-26 201 a; >1 500-503 201 a; orders=0 lacking; mails=0 lacking",
    "#1 0-5 gone; #2 6-8 409; >1 500-503 409; >2 60600-60603 409; orders=1; mails=0",
    "#1 0-5 gone; #2 6-8 503; >1 500-503 503; orders=0; mails=0",
    "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1 moving; mails=1",
    "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=0 once; mails=0 unreadable",
    "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1 interrupted; mails=1",
    "#1 0-3 422; #2 30-33 422; >1 500-503 422; orders=0; mails=0",
    "#1 0-20 201 a; #2 30-33 201 b; >1 500-503 201 a; orders=1; mails=1",
];

type Recipe = Vec<(Kind, Vec<&'static str>)>;

fn recipes() -> impl Strategy<Value = Recipe> {
    prop::collection::vec(
        (
            select(Kind::ALL.to_vec()),
            prop::collection::vec(select(TRIALS.to_vec()), 1..14),
        ),
        1..4,
    )
}

fn world(recipe: &Recipe) -> World {
    let mut world = World::orders_and_mails();
    world.scenario().invariants = vec![Invariant {
        expression: "orders == mails".to_owned(),
        effects: vec!["orders".to_owned(), "mails".to_owned()],
        place: super::builder::place(20),
    }];
    recipe
        .iter()
        .fold(world.with_controls(), |world, (kind, trials)| {
            world.with_case(*kind, trials)
        })
}

/// Whether an event is a reading in a trial of a case.
fn is_reading_of_a_case(world: &World, event: &Event) -> bool {
    let of_case = event.trial.is_some_and(|id| {
        let trial = &world.plan.trials[id.0 as usize];
        matches!(trial.role, Role::Case(_))
    });
    of_case && matches!(event.kind, EventKind::Observation(_))
}

fn verdicts(judgement: &Judgement) -> Vec<Verdict> {
    judgement.cases.iter().map(|case| case.verdict).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn one_more_effect_than_too_many_never_turns_fail_into_pass(
        recipe in recipes(),
        which in any::<Index>(),
    ) {
        let mut world = world(&recipe);
        let before = verdicts(&world.judge());
        let readings: Vec<usize> = (0..world.history.events.len())
            .filter(|at| is_reading_of_a_case(&world, &world.history.events[*at]))
            .collect();
        prop_assume!(!readings.is_empty());
        let at = *which.get(&readings);
        if let EventKind::Observation(one) = &mut world.history.events[at].kind
            && let Ok(Reading::Count { n, .. }) = &mut one.reading
        {
            // One more than none may be what was missing.
            prop_assume!(*n > 0);
            *n += 1;
        }
        for (before, after) in before.iter().zip(verdicts(&world.judge())) {
            prop_assert!(!(*before == Verdict::Fail && after == Verdict::Pass));
        }
    }

    #[test]
    fn dropping_readings_of_a_case_never_turns_inconclusive_into_fail(
        recipe in recipes(),
        dropped in prop::collection::vec(any::<Index>(), 1..20),
    ) {
        let mut world = world(&recipe);
        let before = verdicts(&world.judge());
        for which in dropped {
            let at = which.index(world.history.events.len());
            if is_reading_of_a_case(&world, &world.history.events[at]) {
                world.history.events.remove(at);
            }
        }
        for (before, after) in before.iter().zip(verdicts(&world.judge())) {
            prop_assert!(!(*before < Verdict::Fail && after == Verdict::Fail));
            // And what was not judged does not pass by knowing less.
            prop_assert!(!(*before > Verdict::Pass && after == Verdict::Pass) || *before == Verdict::Fail);
        }
    }

    #[test]
    fn volatile_headers_never_change_the_judgement(
        recipe in recipes(),
        headers in prop::collection::vec(
            (select(vec!["date", "age", "etag", "x-request-id", "set-cookie", "content-length"]), "[a-z0-9]{0,6}"),
            0..5,
        ),
    ) {
        let mut world = world(&recipe);
        let before = world.judge();
        for (place, event) in world.history.events.iter_mut().enumerate() {
            if let EventKind::Exchange(exchange) = &mut event.kind
                && let Some(response) = &mut exchange.response
            {
                let mut own: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), format!("{value}{place}")))
                    .collect();
                let len = own.len().max(1);
                own.rotate_left(place % len);
                response.headers.extend(own);
            }
        }
        prop_assert_eq!(before, world.judge());
    }

    #[test]
    fn the_order_of_cases_in_a_plan_is_the_order_of_their_verdicts(recipe in recipes()) {
        let world = world(&recipe);
        let judgement = world.judge();
        let ids: Vec<_> = judgement.cases.iter().filter_map(|case| case.index).collect();
        prop_assert_eq!(ids, (0..world.plan.cases.len()).collect::<Vec<_>>());
        for case in &judgement.cases {
            prop_assert_eq!(case.bound.is_some(), case.verdict == Verdict::Pass);
            prop_assert!(case.trials.powered <= case.trials.run);
        }
    }

    #[test]
    fn no_history_makes_it_panic(
        recipe in recipes(),
        strange in prop::collection::vec((any::<Index>(), events()), 0..40),
        strict in any::<bool>(),
    ) {
        let mut world = world(&recipe);
        for (which, event) in strange {
            let at = which.index(world.history.events.len());
            world.history.events.insert(at, event);
        }
        let judgement = judge(&world.plan, &world.history, JudgeOptions { strict });
        prop_assert!(judgement.cases.len() >= world.plan.cases.len());
    }
}

fn offsets() -> impl Strategy<Value = Offset> {
    prop_oneof![0_u64..3_000_000_000, Just(0), Just(u64::MAX)].prop_map(Offset)
}

fn events() -> impl Strategy<Value = Event> {
    let kinds = prop_oneof![
        4 => exchanges().prop_map(|one| EventKind::Exchange(Box::new(one))),
        4 => observations().prop_map(EventKind::Observation),
        1 => (0_usize..3, 0_usize..3, any::<u64>(), any::<u64>()).prop_map(
            |(scenario, operation, h_p50_us, h_p99_us)| EventKind::Measured {
                scenario,
                operation,
                h_p50_us: h_p50_us >> 16,
                h_p99_us: h_p99_us >> 16,
            }
        ),
        1 => any::<u64>().prop_map(|spread_ns| EventKind::Released {
            spread_ns,
            attempts: 2,
            real_time: false,
            stood_still: false,
        }),
        1 => (0_usize..3, select(vec![Stage::Setup, Stage::Before, Stage::Cleanup])).prop_map(
            |(scenario, stage)| EventKind::Step {
                scenario,
                stage,
                step: 4,
                instance: None,
                status: None,
                failure: Some("failed".to_owned()),
            }
        ),
        1 => Just(EventKind::Void { why: String::new() }),
        1 => select(vec![SkipReason::Time, SkipReason::FailFast, SkipReason::Interrupted])
            .prop_map(|why| EventKind::Skipped { why }),
        1 => Just(EventKind::Interrupted { signal: "SIGINT".to_owned() }),
        1 => Just(EventKind::Phase { scenario: 9, phase: Phase::Count }),
        1 => Just(EventKind::Finished),
    ];
    (
        offsets(),
        prop::option::of((0_u32..60).prop_map(TrialId)),
        kinds,
    )
        .prop_map(|(at, trial, kind)| Event { at, trial, kind })
}

fn exchanges() -> impl Strategy<Value = Exchange> {
    let ends = select(vec![
        End::Complete,
        End::PeerClosed,
        End::PeerReset,
        End::WeClosed,
        End::WeReset,
        End::TimedOut,
        End::ConnectFailed(ConnectFailure::Refused),
        End::NotSent(String::new()),
        End::BrokenAnswer(String::new()),
    ]);
    let parts = prop_oneof![
        (0_u32..4).prop_map(Part::Attempt),
        Just(Part::Clean),
        (0_u32..4).prop_map(Part::Closing),
    ];
    let timings = (
        offsets(),
        prop::option::of(offsets()),
        prop::option::of(offsets()),
        prop::option::of(offsets()),
        prop::option::of(offsets()),
        offsets(),
    );
    let responses =
        prop::option::of(
            (100_u16..1000, 0_usize..4).prop_map(|(status, ids)| ResponseFacts {
                status,
                interim: vec![102],
                headers: Vec::new(),
                body: BodyFacts::default(),
                identity: vec![IdentityFact::Is("a".to_owned()); ids],
                expected: None,
            }),
        );
    (
        0_usize..3,
        0_usize..3,
        parts,
        timings,
        ends,
        any::<bool>(),
        responses,
    )
        .prop_map(
            |(instance, operation, part, timing, end, flag, response)| Exchange {
                instance,
                operation,
                part,
                connection: 1,
                reused: flag,
                timing: Timing {
                    intended: timing.0,
                    first_out: timing.1,
                    last_out: timing.2,
                    first_in: timing.3,
                    last_in: timing.4,
                    ended: timing.5,
                    gave_up: None,
                },
                bytes: ByteCounts {
                    out: u64::from(flag),
                    incoming: 0,
                },
                end,
                fault_happened: flag,
                hidden: flag,
                response,
            },
        )
}

fn observations() -> impl Strategy<Value = Observation> {
    let readings = prop_oneof![
        (0_u64..4).prop_map(|n| Ok(Reading::Count {
            n,
            sample: Vec::new()
        })),
        select(vec![0.0, -1.5, f64::NAN, f64::INFINITY]).prop_map(|sum| Ok(Reading::Sum(sum))),
        Just(Ok(Reading::Value(None))),
        Just(Ok(Reading::Value(Some(serde_json::json!({"a": [1]}))))),
        any::<bool>().prop_map(|passing| {
            Err(ProbeFailure {
                status: None,
                what: String::new(),
                passing,
            })
        }),
    ];
    let settled = prop::option::of(select(vec![
        Settled::Stable,
        Settled::Excess,
        Settled::Lacking,
        Settled::Moving,
        Settled::Unreadable,
        Settled::Interrupted,
    ]));
    let rounds = select(vec![Round::Before, Round::Count, Round::Final]);
    (
        0_usize..3,
        prop::option::of(0_usize..3),
        rounds,
        offsets(),
        any::<u32>(),
        readings,
        settled,
    )
        .prop_map(
            |(effect, instance, round, at, n, reading, settled)| Observation {
                scenario: 0,
                effect,
                instance,
                round,
                since: at,
                until: at,
                readings: n,
                reading,
                expected: None,
                settled,
            },
        )
}
