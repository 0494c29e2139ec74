//! What must not be accused, and what must not pass either.

use std::time::Duration;

use super::builder::{World, effect, operation, place};
use super::{check, check_all, check_trials, last, told};
use crate::contract::{Replay, Reserialised, TransientExcess};
use crate::history::{EventKind, SkipReason, Stage};
use crate::oracle::Verdict;
use crate::plan::{
    Each, Expectation, Invariant, JsonTemplate, Key, KeyPlace, Kind, Population, Role, Step,
    Threshold,
};

#[test]
fn what_a_right_target_does_passes() {
    check_all(&[
        // Any mix of success and refusals with one effect.
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-3 409; #3 0-3 425; #4 0-3 423; #5 0-3 429; #6 0-3 503; \
             #7 0-3 400; #8 0-3 422; >1 500-503 201 a; orders=1",
            "pass",
        ),
        // Losers that wait for seconds.
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-12000 201 a; >1 12500-12503 201 a; orders=1",
            "pass",
        ),
        // Another status for the replay.
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 200 a; >1 500-503 200 a; orders=1",
            "pass",
        ),
        // A conflict that names what exists: an answer, not a lock.
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 409 a; >1 500-503 409 a; orders=1",
            "pass",
        ),
        (
            Kind::DropResponse,
            "#1 0-20 201 a hidden; #2 30-33 409 a; >1 500-503 409 a; orders=1",
            "pass",
        ),
        (
            Kind::Timeout,
            "#1 0-20 201 a hidden; #2 5-7 409; >1 500-503 201 a; orders=1",
            "pass",
        ),
        (
            Kind::Timeout,
            "#1 0-5 gone; #2 6-21 201 a; >1 500-503 201 a; orders=1",
            "pass",
        ),
        (
            Kind::Stagger,
            "#1 0-20 201 a; #2 4-6 409; #3 8-20 201 a; >1 500-503 201 a; orders=1",
            "pass",
        ),
        (
            Kind::CutResponse,
            "#1 0-20 heard; #2 21-24 201 a; >1 500-503 201 a; orders=1",
            "pass",
        ),
        // A cancelled handler that had done nothing yet.
        (
            Kind::Reset,
            "#1 0-5 gone; #2 6-8 409; @orders=0; >1 500-520 201 a; orders=1",
            "pass",
        ),
        // The client's own retry was accepted before the count.
        (
            Kind::CutRequest,
            "#1 0-5 gone; #2 6-26 201 a; @orders=1; >1 500-503 201 a; orders=1",
            "pass",
        ),
        (
            Kind::CutRequest,
            "#1 0-5 400; #2 6-26 201 a; @orders=1; >1 500-503 201 a; orders=1",
            "pass",
        ),
        // An error, one effect, and a retry that tells so.
        (
            Kind::Replay,
            "#1 0-20 500; #2 30-50 201 a; >1 500-503 201 a; orders=1",
            "pass",
        ),
        (
            Kind::ChangedHeaders,
            "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1",
            "pass",
        ),
    ]);
}

#[test]
fn a_passing_case_states_its_bound_over_powered_trials() {
    let overlaps = "#1 0-20 201 a; #2 0-3 409; >1 500-503 201 a; orders=1";
    let apart = "#1 0-5 201 a; #2 10-12 201 a; >1 500-503 201 a; orders=1";
    let mut trials = vec![overlaps; 20];
    trials.extend([apart; 30]);
    let judgement = World::orders()
        .with_controls()
        .with_case(Kind::Burst, &trials)
        .judge();
    let case = &judgement.cases[0];
    assert_eq!(told(case), "pass");
    assert_eq!((case.trials.run, case.trials.powered), (50, 20));
    assert!((case.bound.unwrap() - 0.139).abs() < 0.001);
}

#[test]
fn a_race_without_overlap_is_no_pass() {
    let overlaps = "#1 0-20 201 a; #2 0-3 409; >1 500-503 201 a; orders=1";
    let apart = "#1 0-5 201 a; #2 10-12 201 a; >1 500-503 201 a; orders=1";
    let mut trials = vec![apart; 91];
    trials.extend([overlaps; 9]);
    let judgement = World::orders()
        .with_controls()
        .with_case(Kind::Burst, &trials)
        .judge();
    assert_eq!(last(&judgement), "inconclusive no-overlap");
    let message = &judgement.cases[0].grounds[0].message;
    assert!(
        message.starts_with("91 of 100 trials did not overlap, and 10 must"),
        "{message}"
    );
    // Of three planned trials all three have to.
    check_trials(
        World::orders(),
        Kind::Stagger,
        &[overlaps, overlaps, apart],
        "inconclusive no-overlap",
    );
}

#[test]
fn a_fault_that_did_not_strike_is_no_pass() {
    check_all(&[
        (
            Kind::Reset,
            "#1 0-3 heard; #2 6-9 201 a; >1 500-503 201 a; orders=1",
            "inconclusive no-overlap",
        ),
        (
            Kind::CutRequest,
            "#1 0-3 201 a missed; #2 6-9 201 a; >1 500-503 201 a; orders=1",
            "inconclusive no-overlap",
        ),
        (
            Kind::Replay,
            "#1 0-0 refused; #2 6-26 201 a; >1 500-503 201 a; orders=1",
            "inconclusive no-overlap",
        ),
    ]);
}

#[test]
fn an_asynchronous_target_overlaps_while_its_effects_settle() {
    let mut world = World::orders();
    world.scenario().contract.accepted_is_ok = true;
    check(
        world,
        Kind::Burst,
        "#1 0-3 202 a; #2 5-8 202 a; @orders=0; @orders=1; >1 900-903 202 a; orders=1",
        "pass",
    );
}

#[test]
fn accepted_for_later_is_neither_yes_nor_no() {
    // 202 is unknown: no effect and one effect are both fine, two are not.
    let line = "#1 0-3 202; orders=1";
    for (orders, wanted) in [
        ("orders=0", "pass"),
        ("orders=1", "pass"),
        ("orders=2 excess", "fail duplicate-effect-sequential"),
    ] {
        let trial = format!("#1 0-3 202; #2 30-33 202; >1 500-503 202; {orders}");
        let judgement = World::orders()
            .with_controls_of(line, &[line; 10])
            .with_case(Kind::Replay, &[trial.as_str(); 10])
            .judge();
        assert_eq!(last(&judgement), wanted, "{orders}");
    }
    // And where no clean operation ever shows an effect, the probe is blind.
    let unseen = "#1 0-3 202; orders=0";
    let judgement = World::orders()
        .with_controls_of(unseen, &[unseen; 10])
        .with_case(
            Kind::Replay,
            &["#1 0-3 202; #2 30-33 202; >1 500-503 202; orders=0"; 10],
        )
        .judge();
    assert_eq!(last(&judgement), "inconclusive blind-probe");
}

#[test]
fn a_lack_is_proof_only_after_settle() {
    let trial =
        |how: &str| format!("#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders={how}");
    for (how, wanted) in [
        ("0 moving", "inconclusive not-settled"),
        ("0 once", "inconclusive not-settled"),
        ("0 stable", "inconclusive not-settled"),
        ("0 unread", "inconclusive not-settled"),
        ("0 interrupted", "inconclusive interrupted"),
        ("0 unreadable", "error probe-unreadable"),
        ("0 lacking", "fail lost-effect"),
    ] {
        check(World::orders(), Kind::Replay, &trial(how), wanted);
    }
}

#[test]
fn a_proof_stands_beside_a_probe_that_could_not_be_read() {
    check(
        World::orders_and_mails(),
        Kind::Replay,
        "#1 0-20 201 a; #2 30-50 201 b; >1 500-503 201 a; orders=2 excess; mails=0 unreadable",
        "fail duplicate-effect-sequential",
    );
}

#[test]
fn an_excess_that_goes_is_forgiven_where_that_is_allowed() {
    let passing = "#1 0-20 201 a; #2 0-21 201 a; @orders=2; >1 500-503 201 a; orders=1";
    let staying = "#1 0-20 201 a; #2 0-21 201 a; @orders=2; >1 500-503 201 a; orders=2 lacking";
    let world = || {
        let mut world = World::orders();
        world.scenario().effects[0].transient_excess = TransientExcess::Allowed;
        world
    };
    check(world(), Kind::Burst, passing, "pass");
    check(
        world(),
        Kind::Burst,
        staying,
        "fail duplicate-effect-concurrent",
    );
}

#[test]
fn an_answer_that_leaves_a_field_out_does_not_diverge() {
    check_all(&[
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 200; >1 500-503 200; orders=1",
            "pass",
        ),
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 201 a other; >1 500-503 201 a other; orders=1",
            "pass",
        ),
        // Refusals and silence name nothing.
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-3 409 b; >1 500-503 201 a; orders=1",
            "pass",
        ),
    ]);
    let mut world = World::orders();
    world.scenario().contract.replay = Replay::State;
    check(
        world,
        Kind::Replay,
        "#1 0-20 201 a; #2 30-33 200 a other; >1 500-503 200 a other; orders=1",
        "pass",
    );
}

#[test]
fn a_success_without_a_result_is_fine_where_replays_have_none() {
    check_all(&[
        (
            Kind::Stagger,
            "#1 0-20 201 a; #2 5-8 204; #3 25-28 204; >1 500-503 204; orders=1",
            "pass",
        ),
        (
            Kind::Stagger,
            "#1 0-20 201 a; #2 5-8 202; #3 25-28 201 a; >1 500-503 201 a; orders=1",
            "pass",
        ),
        (
            Kind::Stagger,
            "#1 0-20 201 a; #2 5-8 200; #3 25-28 200; >1 500-503 201 a; orders=1",
            "pass",
        ),
        // It came after the first was through.
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-21 200 null; >1 500-503 201 a; orders=1",
            "pass",
        ),
    ]);
}

#[test]
fn a_key_is_not_stuck_before_its_time() {
    check_all(&[
        // Not for long enough.
        (
            Kind::Reset,
            "#1 0-5 gone; #2 6-8 409; >1 500-503 409; >2 40000-40003 409; orders=0",
            "inconclusive not-settled",
        ),
        // A lease that lapsed.
        (
            Kind::Reset,
            "#1 0-5 gone; #2 6-8 409; >1 500-503 409; >2 30000-30020 201 a; orders=1",
            "pass",
        ),
        // The conflict names what the client wanted to know.
        (
            Kind::DropResponse,
            "#1 0-20 201 a hidden; #2 30-33 409 a; >1 500-503 409 a; >2 61000-61003 409 a; \
             orders=1",
            "pass",
        ),
        // A service that is down, and one that sheds load.
        (
            Kind::Reset,
            "#1 0-5 gone; #2 6-8 503; >1 500-503 503; >2 61000-61003 503; orders=0",
            "inconclusive indeterminate-final",
        ),
        (
            Kind::Reset,
            "#1 0-5 gone; #2 6-8 201 a; >1 500-503 429 shed; >2 61000-61003 429 shed; orders=1",
            "pass",
        ),
    ]);
}

#[test]
fn a_stored_error_is_indeterminate() {
    let judgement = World::orders()
        .with_controls()
        .with_case(
            Kind::Replay,
            &["#1 0-20 500; #2 30-33 500; >1 500-503 500; orders=1"; 10],
        )
        .judge();
    let reasons: Vec<_> = judgement.cases[0]
        .grounds
        .iter()
        .map(|ground| ground.reason.code())
        .collect();
    assert_eq!(judgement.cases[0].verdict, Verdict::Inconclusive);
    assert!(reasons.contains(&"indeterminate-final"), "{reasons:?}");
}

#[test]
fn a_refused_variant_is_proof_only_where_the_variation_is_refused() {
    let refused = "#1 0-20 201 a; #2 30-33 422; >1 500-503 201 a; orders=1";
    let accepted = "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1";
    // The contract lets the target compare bytes.
    let mut world = World::orders();
    world.scenario().contract.reserialised = Reserialised::Any;
    check(world, Kind::Reserialised, refused, "pass");
    // Once may be a lock.
    let mut once = [accepted; 12];
    once[4] = "#1 0-20 201 a; #2 30-33 409; >1 500-503 201 a; orders=1";
    check_trials(World::orders(), Kind::ChangedHeaders, &once, "pass");
    check_all(&[
        // Who is asking, and how often, is no payload.
        (
            Kind::ChangedHeaders,
            "#1 0-20 201 a; #2 30-33 401; >1 500-503 201 a; orders=1",
            "pass",
        ),
        (
            Kind::ChangedHeaders,
            "#1 0-20 201 a; #2 30-33 429 shed; >1 500-503 201 a; orders=1",
            "pass",
        ),
        // The identical closing retry is refused alike.
        (
            Kind::Reserialised,
            "#1 0-20 201 a; #2 30-33 422; >1 500-503 422; orders=1",
            "pass",
        ),
        // The answer names the result.
        (
            Kind::Reserialised,
            "#1 0-20 201 a; #2 30-33 409 a; >1 500-503 201 a; orders=1",
            "pass",
        ),
        // The retry came before the answer.
        (
            Kind::Reserialised,
            "#1 0-20 201 a; #2 10-12 409; >1 500-503 201 a; orders=1",
            "pass",
        ),
    ]);
    // Identical retries are refused, too.
    let judgement = World::orders()
        .with_controls()
        .with_case(Kind::Replay, &[refused; 10])
        .with_case(Kind::Reserialised, &[refused; 10])
        .judge();
    assert_eq!(last(&judgement), "pass");
}

#[test]
fn a_server_error_is_a_leak_only_when_it_is_one() {
    let clean = "#1 0-20 201 a; #2 0-3 409; >1 500-503 201 a; orders=1";
    let failed = "#1 0-20 201 a; #2 0-18 500; >1 500-503 201 a; orders=1";
    // Once is not reproducible.
    let mut once = [clean; 12];
    once[4] = failed;
    check_trials(World::orders(), Kind::Burst, &once, "pass");
    check_all(&[
        // What the contract allows a duplicate to be answered.
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-3 503; >1 500-503 201 a; orders=1",
            "pass",
        ),
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 503 shed; >1 500-503 201 a; orders=1",
            "pass",
        ),
    ]);
    let mut once = ["#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1"; 12];
    once[4] = "#1 0-20 201 a; #2 30-33 503; >1 500-503 201 a; orders=1";
    check_trials(World::orders(), Kind::Replay, &once, "pass");
    // A target that fails with fresh keys, too.
    let good = "#1 0-20 201 a; orders=1";
    let mut ten = [good; 10];
    ten[2] = "#1 0-20 500; orders=0";
    ten[5] = "#1 0-20 500; orders=0";
    let mut trials = [clean; 12];
    trials[3] = failed;
    trials[8] = failed;
    let judgement = World::orders()
        .with_controls_of(good, &ten)
        .with_case(Kind::Burst, &trials)
        .judge();
    assert_eq!(last(&judgement), "pass");
}

#[test]
fn refused_operations_under_load_are_no_lock() {
    let good = "#1 0-20 201 a; orders=1";
    let table = [
        // One alone may be chance.
        (["#1 0-3 409; orders=0", good], "pass"),
        (
            ["#1 0-3 429 shed; orders=0", "#1 0-3 429 shed; orders=0"],
            "pass",
        ),
        (["#1 0-3 503; orders=0", "#1 0-3 503; orders=0"], "pass"),
        // The key was sent twice.
        (
            [
                "#1 0-20 201 a; #2 0-3 409; orders=1",
                "#1 0-20 201 a; #2 0-3 409; orders=1",
            ],
            "pass",
        ),
    ];
    for (two, wanted) in table {
        let mut ten = [good; 10];
        ten[..2].copy_from_slice(&two);
        let judgement = World::orders()
            .with_controls_of(good, &ten)
            .with_case(
                Kind::Burst,
                &["#1 0-20 201 a; #2 0-3 409; >1 500-503 201 a; orders=1"; 12],
            )
            .judge();
        assert_eq!(judgement.cases.len(), 1, "{two:?}");
        assert_eq!(last(&judgement), wanted, "{two:?}");
    }
}

#[test]
fn the_controls_are_asked_before_anything_is_believed() {
    let duplicate = "#1 0-20 201 a; #2 30-50 201 b; >1 500-503 201 a; orders=2 excess";
    let lost = "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=0 lacking";
    let judged = |line: &str, trial: &str| {
        let judgement = World::orders()
            .with_controls_of(line, &[line; 10])
            .with_case(Kind::Replay, &[trial; 10])
            .judge();
        last(&judgement)
    };
    // One clean operation already shows two.
    let two = "#1 0-20 201 a; orders=2 excess";
    // (Two results for one key are a proof of their own.)
    assert_eq!(judged(two, duplicate), "fail divergent-replay");
    assert_eq!(
        judged(
            two,
            "#1 0-20 201 a; #2 30-50 201 a; >1 500-503 201 a; orders=2 excess"
        ),
        "inconclusive control-mismatch"
    );
    // The probe never saw anything.
    let blind = "#1 0-20 201 a; orders=0 lacking";
    assert_eq!(judged(blind, lost), "inconclusive blind-probe");
    assert_eq!(judged(blind, duplicate), "fail duplicate-effect-sequential");
    // It was seen now and then: a missing one is judged like any other.
    let mut ten = ["#1 0-20 201 a; orders=1"; 10];
    ten[3] = blind;
    let judgement = World::orders()
        .with_controls_of("#1 0-20 201 a; orders=1", &ten)
        .with_case(Kind::Replay, &[lost; 10])
        .judge();
    assert_eq!(last(&judgement), "fail lost-effect");
    // The target could not be reached, or refuses every clean operation.
    for line in ["#1 0-0 refused; orders=0", "#1 0-3 401; orders=0"] {
        assert_eq!(
            judged(line, "#1 0-3 401; #2 30-33 401; >1 500-503 401; orders=0"),
            "error target-unreachable"
        );
    }
    assert_eq!(
        judged("#1 0-20 201 a; orders=0 unreadable", lost),
        "error probe-unreadable"
    );
}

#[test]
fn without_controls_there_is_no_pass() {
    let good = "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1";
    let judgement = World::orders().with_case(Kind::Replay, &[good; 10]).judge();
    assert_eq!(last(&judgement), "inconclusive blind-probe");
}

#[test]
fn a_target_that_tells_operations_apart_by_their_content_proves_nothing() {
    let mut world = World::orders();
    let line = "#1 0-20 201 a; orders=1";
    for role in [crate::plan::Control::One, crate::plan::Control::Two] {
        let lines: &[&str] = match role {
            crate::plan::Control::One => &[line],
            crate::plan::Control::Two
            | crate::plan::Control::Ten
            | crate::plan::Control::ClientGone => &[line, line],
        };
        world.trial(Role::Control(role), None, lines);
    }
    let judgement = world
        .with_case(
            Kind::Replay,
            &["#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1"; 10],
        )
        .judge();
    assert_eq!(last(&judgement), "inconclusive blind-probe");
}

#[test]
fn a_probe_that_shows_two_operations_as_one_proves_nothing() {
    let mut world = World::orders();
    world.scenario().effects[0].marked = false;
    let one = "-orders=0; #1 0-20 201 a; orders=1";
    let two = "-orders=1; #1 0-20 201 a; orders=2 lacking";
    world.trial(Role::Control(crate::plan::Control::One), None, &[one]);
    let other = "#1 0-20 201 b";
    world.trial(
        Role::Control(crate::plan::Control::Two),
        None,
        &[two, other],
    );
    let trial = "-orders=2; #1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=3";
    let judgement = world.with_case(Kind::Replay, &[trial]).judge();
    assert_eq!(last(&judgement), "inconclusive blind-probe");
}

#[test]
fn a_target_that_fails_now_and_then_does_not_leak_its_constraint() {
    let clean = "#1 0-20 201 a; #2 0-3 409; >1 500-503 201 a; orders=1";
    let mut trials = [clean; 100];
    let failed = "#1 0-20 201 a; #2 0-18 500; >1 500-503 201 a; orders=1";
    trials[13] = failed;
    trials[54] = failed;
    check_trials(World::orders(), Kind::Burst, &trials, "pass");
    trials[20..30].fill(failed);
    check_trials(
        World::orders(),
        Kind::Burst,
        &trials,
        "fail constraint-leaks-500",
    );
}

#[test]
fn a_count_that_moves_without_us_proves_nothing() {
    let unmarked = || {
        let mut world = World::orders();
        world.scenario().effects[0].marked = false;
        let line = "-orders=5; #1 0-20 201 a; orders=6";
        let two = "-orders=6; #1 0-20 201 a; orders=7";
        world.trial(Role::Control(crate::plan::Control::One), None, &[line]);
        world.trial(Role::Control(crate::plan::Control::One), None, &[two]);
        world
    };
    let duplicate = "-orders=7; #1 0-20 201 a; #2 30-50 201 a; >1 500-503 201 a; orders=9 excess";
    let judgement = unmarked().with_case(Kind::Replay, &[duplicate; 1]).judge();
    assert_eq!(last(&judgement), "fail duplicate-effect-sequential");
    // Somebody else added two between our trials.
    let moved = "-orders=9; #1 0-20 201 a; #2 30-50 201 a; >1 500-503 201 a; orders=11 excess";
    let judgement = unmarked().with_case(Kind::Replay, &[moved; 1]).judge();
    assert_eq!(last(&judgement), "inconclusive noisy-target");
}

#[test]
fn stock_that_goes_down_is_an_effect_like_any_other() {
    let world = |stock: &str| {
        let number = Expectation::Number(JsonTemplate(serde_json::json!(-1)));
        let mut world = World::new(vec![effect("stock", number)]);
        world.scenario().effects[0].delta = true;
        let line = "-stock=9; #1 0-20 201 a; stock=8";
        let trial =
            format!("-stock=9; #1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; stock={stock}");
        let judgement = world
            .with_controls_of(line, &[line; 10])
            .with_case(Kind::Replay, &[trial.as_str(); 10])
            .judge();
        last(&judgement)
    };
    assert_eq!(world("8"), "pass");
    assert_eq!(world("7 lacking"), "fail duplicate-effect-sequential");
    assert_eq!(world("9 lacking"), "fail lost-effect");
    assert_eq!(world("9 excess"), "inconclusive not-settled");
}

#[test]
fn parts_that_are_on_their_way_are_not_missing() {
    // No answer said yes, and the mail may still come: the controls' took a while.
    let line = "#1 0-20 201 a; orders=1; mails=1";
    let trial = "#1 0-5 gone; #2 6-9 500; >1 500-503 500; orders=1; mails=0";
    let mut world = World::orders_and_mails().with_controls_of(line, &[line; 10]);
    // In one control the mail was first seen after four seconds.
    for event in &mut world.history.events {
        if let EventKind::Observation(one) = &mut event.kind
            && one.effect == 1
        {
            one.since = one.until;
        }
    }
    let judgement = world.with_case(Kind::Reset, &[trial; 10]).judge();
    assert!(
        judgement.cases[0].findings.is_empty(),
        "{}",
        last(&judgement)
    );
    // All at zero is none of it.
    check(
        World::orders_and_mails(),
        Kind::Reset,
        "#1 0-5 gone; #2 6-26 422; >1 500-503 422; orders=0; mails=0",
        "inconclusive control-mismatch",
    );
}

#[test]
fn closing_after_the_head_of_a_request_without_body_loses_only_its_answer() {
    let world = || {
        let mut world = World::orders();
        world.scenario().operations = vec![operation("order", false)];
        world
    };
    check(
        world(),
        Kind::CutRequest,
        "#1 0-5 gone; #2 6-8 409; @orders=1; >1 500-503 201 a; orders=1",
        "pass",
    );
    check(
        world(),
        Kind::CutRequest,
        "#1 0-5 gone; #2 6-26 201 b; >1 500-503 201 b; orders=2 excess",
        "fail duplicate-effect-dropped-response",
    );
}

#[test]
fn a_case_whose_every_attempt_is_refused_shows_nothing() {
    let refused = "#1 0-3 401; #2 30-33 401; >1 500-503 401; orders=0";
    check(
        World::orders(),
        Kind::Replay,
        refused,
        "inconclusive control-mismatch",
    );
    // Unless its author wants that: the overlay makes the operation fail.
    let mut world = World::orders()
        .with_controls()
        .with_case(Kind::Replay, &[refused; 10]);
    world.plan.cases[0].with.json = Some(JsonTemplate(serde_json::json!({"quantity": -1})));
    assert_eq!(last(&world.judge()), "pass");
}

#[test]
fn a_bound_with_a_place_holds_from_there_on() {
    let mut world = World::new(vec![effect("customers", Expectation::Never)]);
    world.scenario().operations = vec![operation("create", true), operation("remove", false)];
    world.scenario().effects[0].at = Some("remove".to_owned());
    let line = "~1 0-9 201 c; #1 10-20 204; customers=0";
    // Before the removal went through there is a customer, and rightly so.
    let trial = "~1 0-9 201 c; #1 10-15 gone; #2 16-18 409; @customers=1; >1 500-520 204; \
                 customers=0";
    let judgement = world
        .with_controls_of(line, &[line; 10])
        .with_case(Kind::Reset, &[trial; 10])
        .judge();
    assert_eq!(last(&judgement), "pass");
}

#[test]
fn in_a_flow_whatever_one_of_its_operations_may_have_done_is_allowed() {
    let mut world = World::new(vec![
        effect("orders", Expectation::Once),
        effect("payments", Expectation::Once),
    ]);
    world.scenario().operations = vec![operation("order", true), operation("payment", true)];
    let line = "~1 0-9 201 o; #1 10-20 201 a; orders=1; payments=1";
    let mut world = world.with_controls_of(line, &[line; 10]).with_case(
        Kind::Replay,
        &["~1 0-9 201 o; #1 10-20 402; #2 30-33 402; >1 500-503 402; orders=1; payments=0"; 10],
    );
    world.plan.cases[0].with.json = Some(JsonTemplate(serde_json::json!({"amount": -1})));
    assert_eq!(last(&world.judge()), "pass");
}

#[test]
fn an_invariant_is_judged_at_rest_and_after_an_answer() {
    let world = || {
        let mut world = World::new(vec![
            effect("orders", Expectation::Once),
            effect("charged", Expectation::AtMostOnce),
        ]);
        world.scenario().invariants = vec![Invariant {
            expression: "charged == orders".to_owned(),
            effects: vec!["charged".to_owned(), "orders".to_owned()],
            place: place(20),
        }];
        world
    };
    let trial = |charged: &str| {
        format!("#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1; charged={charged}")
    };
    check(world(), Kind::Replay, &trial("1"), "pass");
    check(
        world(),
        Kind::Replay,
        &trial("0 moving"),
        "inconclusive not-settled",
    );
    // No answer said what happened: it may still be happening.
    check(
        world(),
        Kind::Timeout,
        "#1 0-5 gone; #2 6-9 500; >1 500-503 202; orders=1; charged=0",
        "pass",
    );
    // One clean operation breaks it already.
    let line = "#1 0-20 201 a; orders=1; charged=0";
    let judgement = world()
        .with_controls_of(line, &[line; 10])
        .with_case(Kind::Replay, &[trial("0").as_str(); 10])
        .judge();
    assert_eq!(last(&judgement), "inconclusive control-mismatch");
}

#[test]
fn a_budget_that_ran_out_leaves_too_few_trials() {
    let good = "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1";
    let bad = "#1 0-20 201 a; #2 30-50 201 b; >1 500-503 201 a; orders=2 excess";
    let world = |trial: &str, kind: Kind, why: SkipReason| {
        let mut world = World::orders().with_controls().with_case(kind, &[trial; 4]);
        for _ in 0..8 {
            let id = world.trial(Role::Case(0), Some(kind), &[""]);
            world.event(Some(id), EventKind::Skipped { why: why.clone() });
        }
        last(&world.judge())
    };
    let wanted = [
        (
            good,
            Kind::Replay,
            SkipReason::Time,
            "inconclusive too-few-trials",
        ),
        (good, Kind::Reserialised, SkipReason::Time, "pass"),
        (
            bad,
            Kind::Replay,
            SkipReason::Requests,
            "fail duplicate-effect-sequential",
        ),
        (
            good,
            Kind::Replay,
            SkipReason::Interrupted,
            "inconclusive interrupted",
        ),
        (
            good,
            Kind::Reserialised,
            SkipReason::Interrupted,
            "inconclusive interrupted",
        ),
        (
            good,
            Kind::Replay,
            SkipReason::Unreachable,
            "error target-unreachable",
        ),
        (good, Kind::Replay, SkipReason::Setup, "error setup-failed"),
    ];
    for (trial, kind, why, wanted) in wanted {
        assert_eq!(world(trial, kind, why.clone()), wanted, "{why:?}");
    }
}

#[test]
fn a_record_that_ends_early_is_interrupted() {
    let good = "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1";
    let mut world = World::orders()
        .with_controls()
        .with_case(Kind::Replay, &[good; 4]);
    world.trial(Role::Case(0), Some(Kind::Replay), &[""]);
    let judgement = super::super::judge(
        &world.plan,
        &world.history,
        crate::oracle::JudgeOptions::default(),
    );
    assert_eq!(last(&judgement), "inconclusive interrupted");
    assert!(judgement.interrupted.is_some());
}

#[test]
fn a_void_trial_is_not_judged() {
    let bad = "#1 0-20 201 a; #2 30-50 201 b; >1 500-503 201 a; orders=2 excess";
    let good = "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1";
    let mut world = World::orders()
        .with_controls()
        .with_case(Kind::Replay, &[good; 12]);
    let id = world.trial(Role::Case(0), Some(Kind::Replay), &[bad]);
    let why = "its connection was lost before the release".to_owned();
    world.event(Some(id), EventKind::Void { why });
    let judgement = world.judge();
    assert_eq!(last(&judgement), "pass");
    assert_eq!(judgement.cases[0].trials.planned, 13);
    assert_eq!(judgement.cases[0].trials.run, 12);
}

#[test]
fn steps_that_fail_are_errors_and_a_proof_still_stands() {
    let step = Step {
        name: "customer".to_owned(),
        request: operation("step", true).request,
        key: Key {
            place: KeyPlace::None,
            value: None,
            quoted: false,
        },
        capture: Vec::new(),
        expect: None,
        each: Each::Run,
        place: place(6),
    };
    let failed = |stage: Stage, trial: &str| {
        let mut world = World::orders()
            .with_controls()
            .with_case(Kind::Replay, &[trial; 10]);
        world.scenario().setup = vec![step.clone()];
        world.scenario().cleanup = vec![step.clone()];
        world.event(
            None,
            EventKind::Step {
                scenario: 0,
                stage,
                step: 0,
                instance: None,
                status: Some(500),
                failure: Some("answered 500 Internal Server Error".to_owned()),
            },
        );
        let judgement = world.judge();
        (judgement.verdict, last(&judgement))
    };
    let good = "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1";
    let bad = "#1 0-20 201 a; #2 30-50 201 b; >1 500-503 201 a; orders=2 excess";
    let told = |verdict, words: &str| (verdict, words.to_owned());
    assert_eq!(
        failed(Stage::Setup, good),
        told(Verdict::Error, "error setup-failed")
    );
    assert_eq!(failed(Stage::Cleanup, good), told(Verdict::Error, "pass"));
    assert_eq!(
        failed(Stage::Cleanup, bad),
        told(Verdict::Fail, "fail duplicate-effect-sequential")
    );
}

#[test]
fn a_threshold_needs_its_samples() {
    let world = |quantile: f64, limit: u64| {
        let mut world = World::orders();
        world.scenario().latency = vec![Threshold {
            population: Population::First,
            quantile,
            limit: Duration::from_millis(limit),
            place: place(30),
        }];
        world
    };
    let trial = "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1";
    check(world(0.5, 50), Kind::Replay, trial, "pass");
    check(
        world(0.95, 50),
        Kind::Replay,
        trial,
        "inconclusive too-few-samples",
    );
    // Cases with few samples each are judged together.
    let judgement = world(0.95, 50)
        .with_controls()
        .with_case(Kind::Replay, &[trial; 30])
        .with_case(Kind::ChangedHeaders, &[trial; 30])
        .judge();
    assert_eq!(judgement.verdict, Verdict::Pass);
}

#[test]
fn nothing_to_judge_is_no_pass() {
    assert_eq!(World::orders().judge().verdict, Verdict::Inconclusive);
}

#[test]
fn each_key_of_a_release_is_judged_for_itself() {
    let good = "#1 0-20 201 a; #2 0-3 409; >1 500-503 201 a; orders=1";
    let bad = "#1 0-20 201 b; #2 0-21 201 c; >1 500-503 201 b; orders=2 excess";
    let judged = |lines: Vec<&str>| {
        let mut world = World::orders().with_controls();
        world.add_case(Kind::Burst, std::iter::repeat_n(lines, 10));
        world.judge()
    };
    // Different keys have different results, and that is no divergence.
    let other = "#1 0-20 201 z; #2 0-3 409; >1 500-503 201 z; orders=1";
    assert_eq!(last(&judged(vec![good, other, good])), "pass");
    let judgement = judged(vec![good, bad, other]);
    assert_eq!(last(&judgement), "fail duplicate-effect-concurrent");
    let finding = &judgement.cases[0].findings[0];
    assert_eq!(finding.evidence.instance, 1);
    assert_eq!(judgement.cases[0].effects[0].observed["1"], 20);
}

#[test]
fn ten_thousand_trials_are_judged_in_one_pass() {
    let good = "#1 0-20 201 a; #2 0-3 409; #3 0-3 409; #4 0-3 409; #5 0-3 409; \
                >1 500-503 201 a; @orders=1; orders=1";
    let mut trials = vec![good; 10_000];
    trials[7_777] = "#1 0-20 201 a; #2 0-21 201 b; >1 500-503 201 a; orders=2 excess";
    let judgement = World::orders()
        .with_controls()
        .with_case(Kind::Burst, &trials)
        .judge();
    assert_eq!(last(&judgement), "fail duplicate-effect-concurrent");
    assert_eq!(judgement.cases[0].trials.run, 10_000);
}
