//! What must be accused, each under its own name.

use super::builder::{World, effect, operation};
use super::{check, check_all, check_trials, last, told};
use crate::codes::Severity;
use crate::history::{EventKind, Reading, Round, Settled};
use crate::oracle::{JudgeOptions, Verdict};
use crate::plan::{
    AnswerPoint, Control, CutPoint, Ending, Expectation, Fault, Invariant, JsonTemplate, Kind,
    Moment, Population, ResetPoint, Role, Threshold,
};

#[test]
fn an_excess_is_named_by_the_pattern_that_showed_it() {
    let sequential = "#1 0-20 201 a; #2 30-50 201 b; >1 500-503 201 a; orders=2 excess";
    let together = "#1 0-20 201 a; #2 0-21 201 b; >1 500-503 201 a; orders=2 excess";
    let lost = "#1 0-20 201 a hidden; #2 30-50 201 b; >1 500-503 201 a; orders=2 excess";
    check_all(&[
        (Kind::Replay, sequential, "fail duplicate-effect-sequential"),
        (
            Kind::ChangedHeaders,
            sequential,
            "fail duplicate-effect-sequential",
        ),
        (
            Kind::Reserialised,
            sequential,
            "fail duplicate-effect-sequential",
        ),
        (Kind::Burst, together, "fail duplicate-effect-concurrent"),
        (Kind::Stagger, together, "fail duplicate-effect-in-flight"),
        (
            Kind::Timeout,
            "#1 0-20 201 a hidden; #2 5-26 201 b; >1 500-503 201 a; orders=2 excess",
            "fail duplicate-effect-in-flight",
        ),
        (
            Kind::DropResponse,
            lost,
            "fail duplicate-effect-dropped-response",
        ),
        (
            Kind::CutResponse,
            "#1 0-20 heard; #2 21-40 201 b; >1 500-503 201 b; orders=2 excess",
            "fail duplicate-effect-dropped-response",
        ),
        (
            Kind::Reset,
            "#1 0-20 heard; #2 21-40 201 b; >1 500-503 201 b; orders=2 excess",
            "fail duplicate-effect-dropped-response",
        ),
        (
            Kind::Reset,
            "#1 0-5 gone; #2 6-26 201 b; >1 500-503 201 b; orders=2 excess",
            "fail cancel-mid-handler",
        ),
        (
            Kind::CutRequest,
            "#1 0-5 gone; #2 6-26 201 b; >1 500-503 201 b; orders=2 excess",
            "fail partial-upload-executed",
        ),
    ]);
}

#[test]
fn an_excess_is_named_by_where_and_how_the_fault_struck() {
    let cut = |at, end| Fault::CutRequest { at, end };
    let sent = ResetPoint::RequestSent(Moment::Us(5_000));
    let nothing_left = "#1 0-0 refused; #2 1-26 201 b; >1 500-530 201 c; orders=2 excess";
    let gone = "#1 0-5 gone; #2 6-26 201 b; >1 500-530 201 c; orders=2 excess";
    for (kind, fault, trial, wanted) in [
        (
            Kind::CutRequest,
            cut(CutPoint::Connect, Ending::Fin),
            nothing_left,
            "fail duplicate-effect-sequential",
        ),
        (
            Kind::CutRequest,
            cut(CutPoint::FirstByte, Ending::Silence),
            nothing_left,
            "fail duplicate-effect-sequential",
        ),
        (
            Kind::CutRequest,
            cut(CutPoint::Head(50), Ending::Rst),
            gone,
            "fail duplicate-effect-sequential",
        ),
        (
            Kind::CutRequest,
            cut(CutPoint::Body(3), Ending::Silence),
            gone,
            "fail partial-upload-executed",
        ),
        (
            Kind::CutRequest,
            cut(CutPoint::Bytes(300), Ending::HalfClose),
            gone,
            "fail partial-upload-executed",
        ),
        (
            Kind::Reset,
            Fault::Reset {
                after: sent,
                end: Ending::HalfClose,
            },
            gone,
            "fail cancel-mid-handler",
        ),
        (
            Kind::Reset,
            Fault::Reset {
                after: sent,
                end: Ending::Silence,
            },
            gone,
            "fail duplicate-effect-in-flight",
        ),
        (
            Kind::CutResponse,
            Fault::CutResponse {
                at: AnswerPoint::Whole,
                end: Ending::Rst,
            },
            "#1 0-20 201 a hidden; #2 21-40 201 b; >1 500-503 201 b; orders=2 excess",
            "fail duplicate-effect-dropped-response",
        ),
    ] {
        let world = World::orders()
            .with_controls()
            .with_case(kind, &[trial; 12]);
        let judgement = world.with_first_fault(fault).judge();
        assert_eq!(last(&judgement), wanted, "{fault:?}");
    }
}

#[test]
fn what_the_target_does_without_its_client_is_told_in_the_cause() {
    let trial = "#1 0-5 gone; #2 6-26 201 b; >1 500-530 201 c; orders=2 excess";
    let (there, gone) = ("#1 0-10 gone; orders=1", "#1 0-10 gone; orders=0");
    let (late, blind) = (
        "#1 0-10 heard; orders=1",
        "#1 0-10 gone; orders=0 unreadable",
    );
    for (calibration, seen_of, cause, why) in [
        ([there; 5], Some((5, 5)), "record-at-end", "(5 of 5 seen)"),
        (
            [gone; 5],
            Some((0, 5)),
            "cancelled-handler",
            "(none of 5 was",
        ),
        (
            [there, gone, gone, gone, there],
            Some((2, 5)),
            "cancelled-handler",
            "(2 of 5 were",
        ),
        (
            [there, late, late, gone, blind],
            Some((1, 2)),
            "cancelled-handler",
            "(1 of 2 were",
        ),
        (
            [blind; 5],
            Some((0, 0)),
            "cancelled-handler",
            "is not known.",
        ),
    ] {
        let mut world = World::orders().with_controls();
        world.trial(Role::Control(Control::ClientGone), None, &calibration);
        let judgement = world.with_case(Kind::Reset, &[trial; 12]).judge();
        assert_eq!(last(&judgement), "fail cancel-mid-handler");
        let known = judgement.controls[0].client_gone;
        assert_eq!(known.map(|gone| (gone.seen, gone.of)), seen_of);
        let finding = &judgement.cases.last().unwrap().findings[0];
        assert_eq!(finding.cause, cause, "{calibration:?}");
        let told = finding.why.contains(why) || cause == "record-at-end";
        assert!(told, "{}", finding.why);
        // It is no clean control: it neither counts as one nor makes them worse.
        assert_eq!(judgement.controls[0].saw, [Some(1), Some(2), Some(10)]);
        assert!(judgement.controls[0].grounds.is_empty());
    }
}

#[test]
fn a_calibration_accuses_nobody() {
    let good = "#1 0-5 gone; #2 6-26 201 b; >1 500-503 201 b; orders=1";
    let mut world = World::orders().with_controls();
    let odd = "#1 0-10 gone; orders=3 excess";
    world.trial(Role::Control(Control::ClientGone), None, &[odd; 5]);
    let judgement = world.with_case(Kind::Reset, &[good; 12]).judge();
    assert_eq!(last(&judgement), "pass");
    assert_eq!(judgement.verdict, Verdict::Pass);
}

#[test]
fn one_duplicate_in_many_trials_is_a_failure() {
    let good = "#1 0-20 201 a; #2 0-21 409; >1 500-503 201 a; orders=1";
    let bad = "#1 0-20 201 a; #2 0-21 201 b; >1 500-503 201 a; orders=2 excess";
    let mut trials = [good; 40];
    trials[17] = bad;
    check_trials(
        World::orders(),
        Kind::Burst,
        &trials,
        "fail duplicate-effect-concurrent",
    );
}

#[test]
fn an_excess_that_is_gone_later_is_proof() {
    check(
        World::orders(),
        Kind::Burst,
        "#1 0-20 201 a; #2 0-21 201 a; @orders=2; >1 500-503 201 a; orders=1",
        "fail duplicate-effect-concurrent",
    );
}

#[test]
fn an_excess_without_overlap_still_accuses() {
    check(
        World::orders(),
        Kind::Burst,
        "#1 0-5 201 a; #2 10-15 201 b; >1 500-503 201 a; orders=2 excess",
        "fail duplicate-effect-concurrent",
    );
}

#[test]
fn an_amount_charged_twice_is_a_duplicate() {
    let number = Expectation::Number(JsonTemplate(serde_json::json!(1999)));
    check(
        World::new(vec![effect("charged", number)]),
        Kind::Replay,
        "#1 0-20 201 a; #2 30-50 201 a; >1 500-503 201 a; charged=3998 excess",
        "fail duplicate-effect-sequential",
    );
}

#[test]
fn an_effect_that_must_never_be_is_an_excess_when_it_is() {
    check(
        World::new(vec![
            effect("orders", Expectation::Once),
            effect("refunds", Expectation::Never),
        ]),
        Kind::DropResponse,
        "#1 0-20 201 a hidden; #2 30-33 201 a; >1 500-503 201 a; orders=1; refunds=1 excess",
        "fail duplicate-effect-dropped-response",
    );
}

#[test]
fn an_error_before_the_retry_makes_an_excess_its_own_hazard() {
    check_all(&[
        (
            Kind::Replay,
            "#1 0-20 500; #2 30-50 201 b; #3 60-63 201 b; >1 500-503 201 b; orders=2 excess",
            "fail error-after-effect",
        ),
        (
            Kind::DropResponse,
            "#1 0-20 500 hidden; #2 30-50 201 b; >1 500-503 201 b; orders=2 excess",
            "fail error-after-effect",
        ),
        // All were refused before the closing retry, and two effects are there.
        (
            Kind::Burst,
            "#1 0-20 422; #2 0-21 422; >1 500-520 201 b; orders=2 excess",
            "fail error-after-effect",
        ),
        // Nothing but refusals, and an effect.
        (
            Kind::Replay,
            "#1 0-20 422; #2 30-33 422; >1 500-503 422; orders=1 excess",
            "fail error-after-effect",
        ),
    ]);
}

#[test]
fn success_without_an_effect_is_lost() {
    check_all(&[
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=0 lacking",
            "fail lost-effect",
        ),
        (
            Kind::DropResponse,
            "#1 0-20 201 a hidden; #2 30-33 201 a; >1 500-503 201 a; orders=0 lacking",
            "fail lost-effect",
        ),
        // It was there, and went.
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-21 409; @orders=1; >1 500-503 201 a; orders=0 lacking",
            "fail lost-effect",
        ),
    ]);
}

#[test]
fn a_value_that_did_not_stay_is_a_lost_effect() {
    let equals = Expectation::Equals(JsonTemplate(serde_json::json!("PAID")));
    check(
        World::new(vec![effect("state", equals)]),
        Kind::Replay,
        "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; state=OPEN lacking",
        "fail lost-effect",
    );
}

#[test]
fn a_value_that_moved_twice_is_a_duplicate() {
    let equals = Expectation::Equals(JsonTemplate(serde_json::json!(90)));
    check(
        World::new(vec![effect("balance", equals)]),
        Kind::Replay,
        "-balance=100; #1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; balance=80 lacking",
        "fail duplicate-effect-sequential",
    );
}

#[test]
fn answers_for_one_key_that_name_two_results_diverge() {
    check_all(&[
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 201 b; >1 500-503 201 a; orders=1",
            "fail divergent-replay",
        ),
        (
            Kind::DropResponse,
            "#1 0-20 201 a hidden; #2 30-33 200 b; >1 500-503 201 b; orders=1",
            "fail divergent-replay",
        ),
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 b; orders=1",
            "fail divergent-replay",
        ),
    ]);
}

#[test]
fn an_exact_replay_has_the_same_status_and_body() {
    let exact = || {
        let mut world = World::orders();
        world.scenario().contract.replay = crate::contract::Replay::Exact;
        world
    };
    let body = "#1 0-20 201 a; #2 30-33 201 a other; >1 500-503 201 a; orders=1";
    let status = "#1 0-20 201 a; #2 30-33 200 a; >1 500-503 201 a; orders=1";
    check(exact(), Kind::Replay, body, "fail divergent-replay");
    check(exact(), Kind::Replay, status, "fail divergent-replay");
    check(World::orders(), Kind::Replay, body, "pass");
    check(World::orders(), Kind::Replay, status, "pass");
}

#[test]
fn two_results_are_a_duplicate_where_no_effect_can_be_counted() {
    check(
        World::new(Vec::new()),
        Kind::Burst,
        "#1 0-20 201 a; #2 0-21 201 b; >1 500-503 201 a",
        "fail duplicate-effect-concurrent",
    );
}

#[test]
fn divergence_is_said_beside_a_duplicate_only_where_it_stands_alone() {
    let duplicate = "#1 0-20 201 a; #2 30-50 201 b; >1 500-503 201 a; orders=2 excess";
    let divergent = "#1 0-20 201 a; #2 30-33 201 b; >1 500-503 201 a; orders=1";
    check_trials(
        World::orders(),
        Kind::Replay,
        &[duplicate, divergent],
        "fail duplicate-effect-sequential divergent-replay",
    );
}

#[test]
fn an_unfinished_record_must_not_be_replayed() {
    check_all(&[
        (
            Kind::Stagger,
            "#1 0-20 201 a; #2 5-8 200 null; #3 25-28 201 a; >1 500-503 201 a; orders=1",
            "fail in-progress-replayed",
        ),
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-3 201; >1 500-503 201 a; orders=1",
            "fail in-progress-replayed",
        ),
        (
            Kind::Timeout,
            "#1 0-5 gone; #2 6-8 200 null; >1 500-503 201 a; orders=1",
            "fail in-progress-replayed",
        ),
    ]);
}

#[test]
fn a_key_that_never_answers_is_stuck() {
    let stuck = "#1 0-5 gone; #2 6-8 409; >1 500-503 409; >2 30000-30003 409; \
                 >3 60600-60603 409; orders=1";
    check_all(&[
        (Kind::Reset, stuck, "fail stuck-key"),
        (Kind::Timeout, stuck, "fail stuck-key"),
        (
            Kind::CutRequest,
            &stuck.replace("orders=1", "orders=0"),
            "fail stuck-key",
        ),
        (
            Kind::DropResponse,
            "#1 0-20 201 a hidden; #2 30-33 409; >1 500-503 409; >2 60600-60603 409; orders=1",
            "fail stuck-key",
        ),
        // After an error, as one library of the world does.
        (
            Kind::Replay,
            "#1 0-20 500; #2 30-33 409; >1 500-503 409; >2 60600-60603 409; orders=1",
            "fail stuck-key",
        ),
    ]);
}

#[test]
fn stuck_after_is_the_contracts() {
    let mut world = World::orders();
    world.scenario().contract.stuck_after = Some(std::time::Duration::from_secs(5));
    check(
        world,
        Kind::Reset,
        "#1 0-5 gone; #2 6-8 409; >1 500-503 409; >2 5600-5603 409; orders=0",
        "fail stuck-key",
    );
}

#[test]
fn a_retry_with_the_same_meaning_must_be_accepted() {
    for status in [400, 409, 417, 422] {
        let trial = format!("#1 0-20 201 a; #2 30-33 {status}; >1 500-503 201 a; orders=1");
        for kind in [Kind::ChangedHeaders, Kind::Reserialised] {
            check(World::orders(), kind, &trial, "fail false-payload-mismatch");
        }
    }
}

#[test]
fn losers_of_a_race_must_not_meet_the_constraint() {
    check_all(&[
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-18 500; >1 500-503 201 a; orders=1",
            "fail constraint-leaks-500",
        ),
        (
            Kind::Timeout,
            "#1 0-20 201 a hidden; #2 5-18 500; >1 500-503 201 a; orders=1",
            "fail constraint-leaks-500",
        ),
    ]);
}

#[test]
fn a_retry_after_the_answer_must_not_fail() {
    check_all(&[
        (
            Kind::ChangedHeaders,
            "#1 0-20 201 a; #2 30-33 500; >1 500-503 201 a; orders=1",
            "fail key-handling-5xx",
        ),
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 500; >1 500-503 500; >2 900-903 201 a; orders=1",
            "fail key-handling-5xx",
        ),
    ]);
}

#[test]
fn a_client_that_went_away_must_not_leave_half_of_it() {
    // The retry was told that all is well, and nothing is there.
    check(
        World::orders(),
        Kind::Reset,
        "#1 0-5 gone; #2 6-26 201 a; >1 500-503 201 a; orders=0 lacking",
        "fail cancel-mid-handler",
    );
    let half = "#1 0-5 gone; #2 6-8 201 a; >1 500-503 201 a; orders=1; mails=0 lacking";
    check(
        World::orders_and_mails(),
        Kind::Reset,
        half,
        "fail partial-side-effect cancel-mid-handler",
    );
    check(
        World::orders_and_mails(),
        Kind::Timeout,
        half,
        "fail partial-side-effect cancel-mid-handler",
    );
}

#[test]
fn what_shows_where_the_client_stayed_is_not_blamed_on_its_going() {
    let lost = "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=0 lacking";
    let judgement = World::orders()
        .with_controls()
        .with_case(Kind::Replay, &[lost; 10])
        .with_case(
            Kind::Reset,
            &["#1 0-5 gone; #2 6-26 201 a; >1 500-503 201 a; orders=0 lacking"; 10],
        )
        .judge();
    let cases: Vec<_> = judgement.cases.iter().map(told).collect();
    assert_eq!(cases, ["fail lost-effect", "fail lost-effect"]);
}

#[test]
fn a_request_that_was_cut_must_not_be_executed() {
    check_all(&[
        // Nothing else was accepted before the count, and the effect is there.
        (
            Kind::CutRequest,
            "#1 0-5 gone; #2 6-8 409; @orders=1; >1 500-503 201 a; orders=1",
            "fail partial-upload-executed",
        ),
        // Its key is burned: the whole request is refused for good.
        (
            Kind::CutRequest,
            "#1 0-5 gone; #2 6-8 422; >1 500-503 422; orders=0",
            "fail partial-upload-executed",
        ),
        (
            Kind::CutRequest,
            "#1 0-5 gone; #2 6-8 201 a; >1 500-503 201 a; orders=0 lacking",
            "fail partial-upload-executed",
        ),
    ]);
}

#[test]
fn parts_of_one_operation_go_together() {
    let table = [
        // Which part is off explains everything: it is not accused again.
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1; mails=0 lacking",
            "fail partial-side-effect",
        ),
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-20 201 a; >1 500-503 201 a; orders=2 excess; mails=1",
            "fail partial-side-effect",
        ),
        // No part is right.
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-20 201 a; >1 500-503 201 a; orders=2 excess; mails=0 lacking",
            "fail duplicate-effect-concurrent lost-effect partial-side-effect",
        ),
        // All parts are off alike.
        (
            Kind::Burst,
            "#1 0-20 201 a; #2 0-20 201 b; >1 500-503 201 a; orders=2 excess; mails=2 excess",
            "fail duplicate-effect-concurrent",
        ),
        (
            Kind::Replay,
            "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=0 lacking; mails=0 lacking",
            "fail lost-effect",
        ),
        // Stuck, and half of it there: both are true.
        (
            Kind::Replay,
            "#1 0-20 500; #2 30-33 409; >1 500-503 409; >2 60600-60603 409; orders=1; mails=0",
            "fail partial-side-effect stuck-key",
        ),
    ];
    for (kind, trial, wanted) in table {
        check(World::orders_and_mails(), kind, trial, wanted);
    }
}

#[test]
fn one_of_two_is_a_part() {
    let mut world = World::orders();
    world.scenario().contract.expected_effects = 2;
    let judgement = world
        .with_controls_of("#1 0-20 201 a; orders=2", &["#1 0-20 201 a; orders=2"; 10])
        .with_case(
            Kind::Reset,
            &["#1 0-5 gone; #2 6-9 500; >1 500-503 500; orders=1 lacking"; 10],
        )
        .judge();
    assert_eq!(last(&judgement), "fail cancel-mid-handler");
}

#[test]
fn unrelated_keys_must_not_be_refused() {
    let good = "#1 0-20 201 a; orders=1";
    let refused = "#1 0-3 423; orders=0";
    let mut ten = [good; 10];
    ten[3] = refused;
    ten[7] = refused;
    let judgement = World::orders()
        .with_controls_of(good, &ten)
        .with_case(
            Kind::Burst,
            &["#1 0-20 201 a; #2 0-3 423; >1 500-503 201 a; orders=1"; 12],
        )
        .with_case(
            Kind::Replay,
            &["#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1"; 12],
        )
        .judge();
    let cases: Vec<_> = judgement
        .cases
        .iter()
        .map(|case| format!("{}: {}", case.case, told(case)))
        .collect();
    assert_eq!(
        cases,
        [
            "create-order::order::control: fail unrelated-keys-refused",
            "create-order::order::burst: inconclusive control-mismatch",
            "create-order::order::replay: pass",
        ]
    );
    assert_eq!(judgement.cases[0].index, None);
}

#[test]
fn an_invariant_that_broke_is_named_with_its_values() {
    let mut world = World::new(vec![
        effect("orders", Expectation::Once),
        effect("charged", Expectation::AtMostOnce),
    ]);
    world.scenario().invariants = vec![Invariant {
        expression: "charged == orders".to_owned(),
        effects: vec!["charged".to_owned(), "orders".to_owned()],
        place: super::builder::place(20),
    }];
    check(
        world,
        Kind::Replay,
        "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1; charged=0",
        "fail invariant-broken",
    );
}

fn stock() -> World {
    let mut world = World::new(vec![effect(
        "stock",
        Expectation::Between {
            min: None,
            max: None,
        },
    )]);
    let scenario = world.scenario();
    scenario.effects[0].marked = false;
    scenario.invariants = vec![Invariant {
        expression: "stock >= 3".to_owned(),
        effects: vec!["stock".to_owned()],
        place: super::builder::place(20),
    }];
    let good = "-stock=9; #1 0-20 201 a; stock=9";
    world.with_controls_of(good, &[good])
}

#[test]
fn an_invariant_over_everything_is_blamed_on_the_trial_after_which_it_broke() {
    let good = "-stock=9; #1 0-20 201 a; #2 0-20 201 a; >1 500-503 201 a; stock=9";
    let bad = "-stock=9; #1 0-20 201 a; #2 0-20 201 a; >1 500-503 201 a; stock=2";
    let judgement = stock().with_case(Kind::Burst, &[good, bad]).judge();
    assert_eq!(last(&judgement), "fail invariant-broken");
    assert_eq!(judgement.cases[0].findings[0].trials.len(), 1);
}

#[test]
fn an_invariant_over_the_run_is_held_against_its_first_and_last_readings() {
    let quiet = "-stock=9; #1 0-20 201 a; #2 0-20 201 a; >1 500-503 201 a; stock=9";
    let mut world = stock().with_case(Kind::Burst, &[quiet; 10]);
    for (round, n) in [(Round::Before, 9), (Round::Final, 1)] {
        world.event(
            None,
            EventKind::Observation(crate::history::Observation {
                scenario: 0,
                effect: 0,
                instance: None,
                round,
                since: crate::history::Offset(0),
                until: crate::history::Offset(0),
                readings: 3,
                reading: Ok(Reading::Count {
                    n,
                    sample: Vec::new(),
                }),
                expected: None,
                settled: Some(Settled::Stable),
            }),
        );
    }
    assert_eq!(last(&world.judge()), "fail invariant-broken");
}

#[test]
fn in_progress_after_the_answer_is_worth_knowing_and_fails_only_when_strict() {
    let world = World::orders().with_controls().with_case(
        Kind::DropResponse,
        &["#1 0-20 201 a hidden; #2 21-23 409; >1 500-503 201 a; orders=1"; 12],
    );
    assert_eq!(last(&world.judge()), "pass (stuck-key)");
    let strict = world.judge_with(JudgeOptions { strict: true });
    assert_eq!(last(&strict), "fail stuck-key");
    assert_eq!(strict.cases[0].findings[0].severity, Severity::Low);
}

#[test]
fn a_flow_is_judged_for_all_of_its_operations() {
    let mut world = World::new(vec![
        effect("orders", Expectation::Once),
        effect("payments", Expectation::Once),
    ]);
    world.scenario().operations = vec![operation("order", true), operation("payment", true)];
    let line = "~1 0-9 201 o; #1 10-20 201 a; orders=1; payments=1";
    let bad = "~1 0-9 201 o; #1 10-20 201 a; #2 30-50 201 b; >1 500-503 201 a; \
               orders=1; payments=2 excess";
    let judgement = world
        .with_controls_of(line, &[line; 10])
        .with_case(Kind::Replay, &[bad; 10])
        .judge();
    assert_eq!(last(&judgement), "fail duplicate-effect-sequential");
}

#[test]
fn a_missed_threshold_is_a_finding_of_its_own() {
    let mut world = World::orders();
    world.scenario().latency = vec![Threshold {
        population: Population::Replay,
        quantile: 0.5,
        limit: std::time::Duration::from_millis(2),
        place: super::builder::place(30),
    }];
    check(
        world,
        Kind::Replay,
        "#1 0-20 201 a; #2 30-33 201 a; >1 500-503 201 a; orders=1",
        "fail latency-threshold",
    );
}

#[test]
fn a_finding_is_told_as_a_person_would() {
    let lines = "#1 0-20 201 a; #2 0-21 201 b; #3 0-9 409; #4 0-9 409; #5 0-9 409; #6 0-9 409; \
                 #7 0-9 409; #8 0-9 409; #9 0-9 409; #10 0-9 409; >1 500-503 201 a; \
                 orders=2 excess";
    let judgement = World::orders()
        .with_controls()
        .with_case(Kind::Burst, &[lines; 3])
        .judge();
    assert_eq!(judgement.verdict, Verdict::Fail);
    let finding = &judgement.cases[0].findings[0];
    assert_eq!(finding.summary, "two orders exist for one Idempotency-Key");
    assert_eq!(
        finding.explanation,
        "Ten identical attempts arrived together; two orders exist for one Idempotency-Key. \
         The answers were 201 ×2 and 409 ×8; the closing retry was answered 201."
    );
    assert_eq!(finding.cause, "check-then-act");
    assert_eq!(finding.trials.len(), 3);
    let proves = finding.evidence.events.last().copied().unwrap();
    let world = World::orders()
        .with_controls()
        .with_case(Kind::Burst, &[lines; 3]);
    assert!(matches!(
        &world.history.events[proves].kind,
        EventKind::Observation(seen) if seen.settled == Some(Settled::Excess)
    ));
    assert_eq!(judgement.cases[0].effects[0].observed["2"], 3);
}
