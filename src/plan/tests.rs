//! Laws of plans: same input, same bytes; and taking something away leaves the
//! rest as it was.

use super::*;
use crate::scenario::{Budget, Pattern, PatternKind, Profile, ResetAfter, Scenario, ScenarioRow};
use crate::scenario::{When, With};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

fn place(line: u32) -> Place {
    Place {
        file: "shop.yaml".to_owned(),
        line,
    }
}

fn request(method: Method, path: &str, body: Body) -> Request {
    Request {
        method,
        path: Template(path.to_owned()),
        query: Vec::new(),
        headers: Vec::new(),
        body,
        auth: None,
    }
}

fn operation(name: &str, body: Body) -> Operation {
    Operation {
        name: name.to_owned(),
        named: true,
        request: request(Method::Post, "/orders", body),
        key: Key {
            place: KeyPlace::Header("Idempotency-Key".to_owned()),
            value: None,
            quoted: false,
        },
        capture: Vec::new(),
        expect: None,
        retry: Retry {
            until: Until::Answered,
            max: 8,
            backoff_min: Duration::from_millis(100),
            backoff_max: Duration::from_secs(2),
        },
        repeatable: true,
        place: place(4),
    }
}

fn json() -> Body {
    Body::Json(JsonTemplate(
        serde_json::json!({"sku": "A", "price": 19.99}),
    ))
}

fn effect(name: &str) -> Effect {
    Effect {
        name: name.to_owned(),
        request: request(Method::Get, "/orders?reference=${{ marker }}", Body::None),
        extraction: Extraction::Count(Template("$[*]".to_owned())),
        expectation: Expectation::Once,
        within: Duration::from_secs(5),
        stable_for: Duration::from_secs(1),
        every: Duration::from_millis(200),
        transient_excess: crate::contract::TransientExcess::Proof,
        at: None,
        delta: false,
        marked: true,
        place: place(9),
        probe_line: 10,
    }
}

pub(super) fn pattern(kind: PatternKind, line: u32) -> Pattern {
    Pattern {
        kind,
        name: None,
        profile: Profile::Standard,
        from_profile: false,
        with: With::default(),
        before: Vec::new(),
        place: place(line),
    }
}

fn burst(attempts: u32, keys: u32) -> PatternKind {
    PatternKind::Burst {
        attempts,
        keys,
        hold: HoldPoint::Head,
        connections: Connections::Fitting,
    }
}

fn replay() -> PatternKind {
    PatternKind::Replay {
        attempts: 3,
        gap: Duration::ZERO,
    }
}

fn sweep() -> PatternKind {
    PatternKind::Reset {
        after: ResetAfter::Sweep,
        end: Ending::Rst,
    }
}

/// The patterns that `standard` and its kin stand for.
fn profile(profile: Profile) -> Vec<Pattern> {
    [
        replay(),
        burst(10, 1),
        burst(2, 10),
        PatternKind::Stagger {
            attempts: 3,
            gap: When::Sweep,
        },
        PatternKind::DropResponse,
        PatternKind::Timeout {
            after: vec![When::Sweep],
        },
        PatternKind::CutRequest {
            at: vec![
                CutPoint::Headers,
                CutPoint::Percent(50),
                CutPoint::BeforeEnd(1),
            ],
            end: Ending::Fin,
        },
        PatternKind::CutResponse {
            at: vec![AnswerPoint::Headers],
            end: Ending::Fin,
        },
        sweep(),
        PatternKind::ChangedHeaders,
        PatternKind::Reserialised,
    ]
    .into_iter()
    .map(|kind| Pattern {
        profile,
        from_profile: true,
        ..pattern(kind, 7)
    })
    .collect()
}

fn row(values: &[(&str, &str)]) -> ScenarioRow {
    ScenarioRow {
        row: values
            .iter()
            .map(|(axis, value)| ((*axis).to_owned(), serde_json::json!(value)))
            .collect(),
        target: Target {
            url: "http://localhost:8080".to_owned(),
            headers: Vec::new(),
            auth: None,
            tls: Tls::default(),
            timeout: Duration::from_secs(30),
            quiet: None,
            http: HttpVersion::default(),
        },
        operations: vec![operation("order", json())],
        effects: vec![effect("orders"), effect("mails")],
        together: vec![vec!["mails".to_owned(), "orders".to_owned()]],
        invariants: Vec::new(),
        setup: Vec::new(),
        cleanup: Vec::new(),
    }
}

pub(super) fn scenario(name: &str, patterns: Vec<Pattern>) -> Scenario {
    Scenario {
        secrets: Vec::new(),
        name: name.to_owned(),
        file: "shop.yaml".to_owned(),
        line: 4,
        sha256: "00".repeat(32),
        description: None,
        tags: vec!["payments".to_owned()],
        owner: None,
        docs: None,
        rows: vec![row(&[])],
        patterns,
        contract: Contract::core(),
        latency: Vec::new(),
        budget: Budget::default(),
    }
}

fn standard() -> Scenario {
    scenario("shop", profile(Profile::Standard))
}

pub(super) fn made(scenarios: &[Scenario], seed: u64) -> Plan {
    generate(scenarios, Seed(seed), &GenerateOptions::default()).unwrap()
}

fn numbers(plan: &Plan) -> BTreeMap<&str, usize> {
    let mut numbers = BTreeMap::new();
    for trial in &plan.trials {
        if let Role::Case(case) = trial.role {
            let id = plan.cases[case].id.0.as_str();
            *numbers.entry(id.rsplit("::").next().unwrap()).or_default() += 1;
        }
    }
    numbers
}

/// The trials by what must not move: everything but places in lists.
fn by_id(plan: &Plan) -> BTreeMap<TrialId, (String, Vec<Instance>, Vec<Attempt>)> {
    plan.trials
        .iter()
        .map(|trial| {
            let role = match trial.role {
                Role::Case(case) => plan.cases[case].id.to_string(),
                other => format!("{other:?}"),
            };
            (
                trial.id,
                (role, trial.instances.clone(), trial.attempts.clone()),
            )
        })
        .collect()
}

#[test]
fn the_numbers_of_each_profile() {
    let of = |size| {
        numbers(&made(&[scenario("shop", profile(size))], 1))
            .into_iter()
            .map(|(id, n)| (id.to_owned(), n))
            .collect::<BTreeMap<_, _>>()
    };
    let table = [
        ("replay-3", [2, 10, 20]),
        ("burst-10", [10, 42, 192]),
        ("burst-2x10", [10, 13, 58]),
        ("stagger", [8, 20, 60]),
        ("drop_response", [2, 10, 20]),
        ("timeout", [8, 20, 60]),
        ("cut_request", [3, 10, 20]),
        ("cut_response", [2, 10, 20]),
        ("reset", [8, 20, 60]),
        ("changed_headers", [2, 10, 20]),
        ("reserialised", [2, 10, 20]),
    ];
    for (at, size) in [Profile::Quick, Profile::Standard, Profile::Thorough]
        .into_iter()
        .enumerate()
    {
        let expected: BTreeMap<_, _> = table
            .iter()
            .map(|(id, numbers)| ((*id).to_owned(), numbers[at]))
            .collect();
        assert_eq!(of(size), expected, "{size:?}");
    }
}

#[test]
fn the_bursts_of_a_profile_have_few_copies_and_many_within_one_budget() {
    let plan = made(&[standard()], 1);
    let requests = |id: &str| {
        let sizes: Vec<(usize, usize)> = plan
            .trials
            .iter()
            .filter(|trial| match trial.role {
                Role::Case(case) => plan.cases[case].id.0.ends_with(id),
                _ => false,
            })
            .map(|trial| (trial.instances.len(), trial.attempts.len()))
            .collect();
        let sent: usize = sizes.iter().map(|(_, sent)| sent).sum();
        let kinds: BTreeSet<(usize, usize)> = sizes.into_iter().collect();
        (sent, kinds)
    };
    // 250 each, and what one trial more takes.
    assert_eq!(
        requests("::burst-10"),
        (252, BTreeSet::from([(1, 2), (1, 10)]))
    );
    assert_eq!(requests("::burst-2x10"), (260, BTreeSet::from([(10, 20)])));
    // What an author asks for is what is sent.
    let listed = made(&[scenario("shop", vec![pattern(burst(10, 1), 5)])], 1);
    assert!(listed.trials.iter().all(|trial| match trial.role {
        Role::Case(_) => trial.attempts.len() == 10,
        _ => true,
    }));
}

#[test]
fn a_listed_burst_gets_a_hundred_trials_of_its_own() {
    let plan = made(
        &[scenario(
            "shop",
            vec![pattern(burst(10, 1), 5), pattern(burst(5, 1), 6)],
        )],
        1,
    );
    assert_eq!(
        numbers(&plan),
        BTreeMap::from([("burst-10", 100), ("burst-5", 100)])
    );
}

#[test]
fn a_flag_outranks_a_budget_and_both_outrank_the_profile() {
    let mut scenario = standard();
    scenario.budget.trials = Some(4);
    assert!(
        numbers(&made(&[scenario.clone()], 1))
            .values()
            .all(|n| *n == 4)
    );
    let options = GenerateOptions { trials: Some(1) };
    let plan = generate(&[scenario], Seed(1), &options).unwrap();
    assert!(numbers(&plan).values().all(|n| *n == 1));
}

#[test]
fn controls_come_first_and_show_one_two_and_ten() {
    let shapes = |size| -> Vec<(Role, usize)> {
        made(&[scenario("shop", profile(size))], 1)
            .trials
            .iter()
            .take_while(|trial| !matches!(trial.role, Role::Case(_)))
            .map(|trial| (trial.role, trial.instances.len()))
            .collect()
    };
    let quick = [
        (Role::WarmUp, 10),
        (Role::Control(Control::One), 1),
        (Role::Control(Control::Two), 2),
        (Role::Control(Control::Ten), 10),
    ];
    let gone = [(Role::Control(Control::ClientGone), 5)];
    assert_eq!(shapes(Profile::Quick), [&quick[..], &gone].concat());
    assert_eq!(
        shapes(Profile::Standard),
        [&quick[..], &[(Role::Control(Control::Ten), 10)], &gone].concat()
    );
    let plan = made(&[standard()], 1);
    let last = plan
        .trials
        .iter()
        .rposition(|trial| !matches!(trial.role, Role::Case(_)));
    assert_eq!(last, Some(5));
}

#[test]
fn clients_go_away_beforehand_only_where_they_do_so_later_and_an_effect_can_tell() {
    let gone = |plan: &Plan| {
        let is = |trial: &&Trial| trial.role == Role::Control(Control::ClientGone);
        plan.trials.iter().filter(is).count()
    };
    let cut = |end| PatternKind::CutResponse {
        at: vec![AnswerPoint::Headers],
        end,
    };
    let reset = |end| PatternKind::Reset {
        after: ResetAfter::RequestSent,
        end,
    };
    for (kind, expected) in [
        (sweep(), 1),
        (reset(Ending::Fin), 1),
        (reset(Ending::Silence), 0),
        (cut(Ending::Rst), 1),
        (cut(Ending::Silence), 0),
        (replay(), 0),
        (PatternKind::DropResponse, 0),
        (
            PatternKind::Timeout {
                after: vec![When::ShareOfH(1)],
            },
            1,
        ),
        (
            PatternKind::CutRequest {
                at: vec![CutPoint::Headers],
                end: Ending::Rst,
            },
            0,
        ),
    ] {
        let scenario = scenario("shop", vec![pattern(kind.clone(), 7)]);
        let plan = made(&[scenario], 1);
        assert_eq!(gone(&plan), expected, "{kind:?}");
    }
    let mut unmarked = scenario("shop", vec![pattern(sweep(), 7)]);
    unmarked.rows[0].effects[0].marked = false;
    assert_eq!(gone(&made(&[unmarked], 1)), 0);
    // What is filtered away takes its calibration with it.
    let only = |word: &str| Filter {
        patterns: vec![word.to_owned()],
        ..Filter::default()
    };
    assert_eq!(gone(&only("replay").apply(made(&[standard()], 1))), 0);
    assert_eq!(gone(&only("reset").apply(made(&[standard()], 1))), 1);
}

#[test]
fn the_calibration_leaves_every_other_trial_as_it_was() {
    let others = |patterns: Vec<Pattern>| -> Vec<Trial> {
        let mut trials = made(&[scenario("shop", patterns)], 1).trials;
        trials.retain(|trial| trial.role != Role::Control(Control::ClientGone));
        trials
    };
    let with = others(vec![pattern(replay(), 7), pattern(sweep(), 8)]);
    let without: Vec<Trial> = others(vec![pattern(replay(), 7)]);
    let replays: Vec<&Trial> = with
        .iter()
        .filter(|trial| trial.role != Role::Case(1))
        .collect();
    assert_eq!(replays, without.iter().collect::<Vec<_>>());
    // Numbers of cases follow those of the clean controls without a gap.
    let numbers: BTreeSet<u32> = with.iter().map(|trial| trial.id.0).collect();
    assert_eq!(numbers.len(), with.len());
    assert_eq!(numbers.last().copied(), u32::try_from(with.len()).ok());
}

#[test]
fn the_trials_of_different_cases_are_mixed() {
    let plan = made(&[standard()], 1);
    let changes = plan.trials[5..]
        .windows(2)
        .filter(|pair| pair[0].role != pair[1].role)
        .count();
    assert!(changes > plan.cases.len() * 4, "{changes}");
}

#[test]
fn a_flow_puts_every_repeatable_operation_under_every_pattern() {
    let mut scenario = standard();
    scenario.rows[0].operations = vec![
        operation("order", json()),
        operation("login", json()),
        operation("pay", Body::None),
    ];
    scenario.rows[0].operations[1].repeatable = false;
    let plan = made(&[scenario], 1);
    let of = |index| {
        plan.cases
            .iter()
            .filter(|case| case.operation == index)
            .count()
    };
    // Without a body there is nothing to write in another way.
    assert_eq!([of(0), of(1), of(2)], [11, 0, 10]);
    assert!(!plan.trials.iter().any(|trial| trial.operation == 1));
    let cuts: BTreeSet<_> = plan
        .trials
        .iter()
        .filter(|trial| trial.operation == 2)
        .filter_map(|trial| match trial.attempts[0].fault {
            Fault::CutRequest { at, .. } => Some(format!("{at:?}")),
            _ => None,
        })
        .collect();
    assert_eq!(cuts, BTreeSet::from(["BeforeEnd(1)".to_owned()]));
}

#[test]
fn a_listed_pattern_that_fits_no_operation_is_an_error() {
    let mut scenario = scenario("shop", vec![pattern(PatternKind::Reserialised, 8)]);
    scenario.rows[0].operations = vec![operation("order", Body::None)];
    let refused = |scenario: &Scenario| {
        generate(
            std::slice::from_ref(scenario),
            Seed(1),
            &GenerateOptions::default(),
        )
        .unwrap_err()
    };
    assert_eq!(
        refused(&scenario),
        PlanError::NotApplicable {
            kind: Kind::Reserialised,
            why: "the request has no JSON body",
            place: place(8),
        }
    );
    scenario.patterns = vec![pattern(
        PatternKind::CutRequest {
            at: vec![CutPoint::Headers],
            end: Ending::Fin,
        },
        8,
    )];
    assert!(matches!(
        refused(&scenario),
        PlanError::NotApplicable {
            kind: Kind::CutRequest,
            ..
        }
    ));
    // In a flow it is enough that one operation fits.
    scenario.rows[0].operations.push(operation("pay", json()));
    let plan = made(&[scenario], 1);
    assert_eq!(plan.cases.len(), 1);
    assert_eq!(plan.cases[0].operation, 1);
}

#[test]
fn two_equal_ids_are_an_error_with_both_places() {
    let mut patterns = profile(Profile::Standard);
    patterns.push(pattern(burst(10, 1), 12));
    let error = generate(
        &[scenario("shop", patterns)],
        Seed(1),
        &GenerateOptions::default(),
    )
    .unwrap_err();
    assert_eq!(
        error,
        PlanError::DuplicateCase {
            id: CaseId("shop::order::burst-10".to_owned()),
            first: place(7),
            second: place(12),
        }
    );
}

#[test]
fn a_plan_that_fits_into_no_memory_is_refused_before_it_is_made() {
    let huge = scenario("shop", vec![pattern(burst(u32::MAX, u32::MAX), 3)]);
    let error = generate(&[huge], Seed(1), &GenerateOptions::default()).unwrap_err();
    assert!(matches!(error, PlanError::TooLarge { .. }), "{error}");
}

#[test]
fn rows_end_the_ids_and_keep_them_apart() {
    let mut scenario = scenario("shop", vec![pattern(replay(), 3)]);
    scenario.rows = vec![
        row(&[("currency", "EUR"), ("country", "DE")]),
        row(&[("currency", "a b"), ("country", "$x")]),
        row(&[("currency", "a;b"), ("country", "*x")]),
    ];
    let plan = made(&[scenario], 1);
    let ids: Vec<_> = plan.cases.iter().map(|case| case.id.0.as_str()).collect();
    assert_eq!(ids[0], "shop::order::replay-3::country=DE,currency=EUR");
    assert!(ids[1].starts_with("shop::order::replay-3::country=-x,currency=a-b-"));
    assert_ne!(ids[1], ids[2]);
    for id in ids {
        assert!(
            id.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".,_=:-".contains(&b)),
            "{id}"
        );
    }
}

#[test]
fn groups_of_effects_become_indices() {
    assert_eq!(made(&[standard()], 1).scenarios[0].together, [[1, 0]]);
    let mut wrong = standard();
    wrong.rows[0].together = vec![vec!["none".to_owned()]];
    let error = generate(&[wrong], Seed(1), &GenerateOptions::default()).unwrap_err();
    assert!(matches!(error, PlanError::UnknownEffect { .. }));
}

#[test]
fn a_filter_leaves_what_stays_as_it_was() {
    let mut other = standard();
    "other".clone_into(&mut other.name);
    other.tags = vec!["slow".to_owned()];
    other.rows[0].operations.push(operation("pay", json()));
    let whole = made(&[standard(), other], 7);
    let everything = by_id(&whole);
    let list = |word: &str| vec![word.to_owned()];
    let filters = [
        (Filter::default(), 33),
        (
            Filter {
                cases: list("other::pay::*"),
                ..Filter::default()
            },
            11,
        ),
        (
            Filter {
                patterns: list("burst"),
                ..Filter::default()
            },
            6,
        ),
        (
            Filter {
                patterns: list("burst-2x10"),
                operations: list("order"),
                ..Filter::default()
            },
            2,
        ),
        (
            Filter {
                tags: list("slow"),
                patterns: list("reset"),
                ..Filter::default()
            },
            2,
        ),
        (
            Filter {
                not_tags: list("slow"),
                ..Filter::default()
            },
            11,
        ),
        (
            Filter {
                cases: list("nothing"),
                ..Filter::default()
            },
            0,
        ),
    ];
    for (filter, cases) in filters {
        let kept = filter.apply(whole.clone());
        assert_eq!(kept.cases.len(), cases, "{filter:?}");
        for (id, trial) in by_id(&kept) {
            assert_eq!(everything[&id], trial);
        }
        let order: Vec<_> = kept.trials.iter().map(|trial| trial.id).collect();
        let before: Vec<_> = whole
            .trials
            .iter()
            .map(|trial| trial.id)
            .filter(|id| order.contains(id))
            .collect();
        assert_eq!(order, before);
        // What is left holds together, and nothing is left over.
        assert_eq!(Plan::from_json(&kept.to_json()).unwrap(), kept);
        for trial in &kept.trials {
            assert!(
                kept.cases.iter().any(
                    |case| (case.scenario, case.operation) == (trial.scenario, trial.operation)
                )
            );
        }
        for index in 0..kept.scenarios.len() {
            assert!(kept.cases.iter().any(|case| case.scenario == index));
        }
    }
}

#[test]
fn without_one_pattern_the_others_keep_parts_and_offsets() {
    let whole = made(&[standard()], 3);
    for left_out in 0..11 {
        let mut scenario = standard();
        scenario.patterns.remove(left_out);
        // Both bursts share one budget: without one the other gets more trials,
        // and those that it had before stay.
        let parts: BTreeSet<_> = made(&[scenario], 3)
            .trials
            .into_iter()
            .map(|trial| (trial.instances, format!("{:?}", trial.attempts)))
            .collect();
        let missing: BTreeSet<_> = whole
            .trials
            .iter()
            .filter(|trial| {
                !parts.contains(&(trial.instances.clone(), format!("{:?}", trial.attempts)))
            })
            .map(|trial| trial.role)
            .map(|role| format!("{role:?}"))
            .collect();
        assert_eq!(missing, BTreeSet::from([format!("Case({left_out})")]));
    }
}

#[test]
fn fewer_trials_are_the_first_of_more() {
    let of = |trials| {
        generate(
            &[scenario("shop", vec![pattern(burst(3, 2), 3)])],
            Seed(5),
            &GenerateOptions {
                trials: Some(trials),
            },
        )
        .unwrap()
    };
    let (few, many) = (by_id(&of(5)), by_id(&of(9)));
    for (id, trial) in few {
        assert_eq!(many[&id], trial);
    }
}

#[test]
fn another_seed_gives_other_parts_and_offsets() {
    let (one, two) = (made(&[standard()], 1), made(&[standard()], 2));
    let parts = |plan: &Plan| {
        plan.trials
            .iter()
            .flat_map(|trial| trial.instances.clone())
            .collect::<BTreeSet<_>>()
    };
    assert!(parts(&one).is_disjoint(&parts(&two)));
    let offsets = |plan: &Plan| {
        let mut offsets: Vec<_> = plan
            .trials
            .iter()
            .filter(|trial| matches!(trial.role, Role::Case(_)))
            .filter_map(|trial| match trial.attempts[0].fault {
                Fault::Reset {
                    after: ResetPoint::RequestSent(Moment::PpmOfH(ppm)),
                    ..
                } => Some(ppm),
                _ => None,
            })
            .collect();
        offsets.sort_unstable();
        offsets
    };
    assert_ne!(offsets(&one), offsets(&two));
    assert_eq!(offsets(&one).len(), 20);
    let distinct: BTreeSet<_> = offsets(&one).into_iter().collect();
    assert_eq!(distinct.len(), 20);
}

#[test]
fn a_plan_of_another_version_is_told_apart_from_a_broken_one() {
    let text = made(&[standard()], 1).to_json();
    let newer = text.replace("retrial.plan/1", "retrial.plan/2");
    assert_eq!(
        Plan::from_json(&newer).unwrap_err().to_string(),
        "the plan has the format `retrial.plan/2`, this version reads `retrial.plan/1`"
    );
    assert!(matches!(
        Plan::from_json("{}"),
        Err(PlanReadError::Shape(_))
    ));
    let cut = &text[..text.len() / 2];
    assert!(matches!(Plan::from_json(cut), Err(PlanReadError::Shape(_))));
    let dangling = text.replace("\"role\":{\"case\":3}", "\"role\":{\"case\":300}");
    assert!(matches!(
        Plan::from_json(&dangling),
        Err(PlanReadError::Dangling(_))
    ));
}

#[test]
fn ten_thousand_trials_are_made_at_once_and_stay_small() {
    let plan = generate(
        &[scenario("shop", vec![pattern(burst(5, 1), 3)])],
        Seed(1),
        &GenerateOptions {
            trials: Some(10_000),
        },
    )
    .unwrap();
    let text = plan.to_json();
    assert_eq!(plan.trials.len(), 10_005);
    assert!(text.len() < 4_000_000, "{}", text.len());
    assert_eq!(text.lines().count(), 10_005 + 9);
    assert_eq!(Plan::from_json(&text).unwrap(), plan);
}

#[test]
fn the_plan_in_words() {
    let mut scenario = scenario("shop", vec![pattern(replay(), 3), pattern(burst(2, 10), 4)]);
    scenario.rows[0].target.url = "http://me:secret@localhost:8080".to_owned();
    scenario.rows[0].setup = vec![Step {
        name: "customer".to_owned(),
        request: request(Method::Post, "/customers", json()),
        key: Key {
            place: KeyPlace::None,
            value: None,
            quoted: false,
        },
        capture: Vec::new(),
        expect: None,
        each: Each::Trial,
        place: place(2),
    }];
    insta::assert_snapshot!(describe(&made(&[scenario], 0x7f3a)), @r"
    shop (shop.yaml:4) against http://localhost:8080
      set-up    customer: POST /customers with JSON, for each operation of each trial
      operation order: POST /orders with JSON
      controls  order: 10 to warm up; 1 alone; 2 one after the other; 10 at once, twice
      case      shop::order::replay-3: 10 trials with 3 attempts
      case      shop::order::burst-2x10: 100 trials with 2 attempts of each of 10 keys
      effect    orders: count of $[*] in GET /orders?reference=${{ marker }}, expected once
      effect    mails: count of $[*] in GET /orders?reference=${{ marker }}, expected once
      requests  at least 12 314, at most 165 122, probes and closing retries counted
      time      at least 2.25s

    In all    1 scenario, 2 cases, 110 trials and 5 for controls; 2 063 attempts with 1 043 keys
    Requests  at least 12 314, at most 165 122
    Time      at least 2.25s
    Hosts     localhost:8080
    Seed      7f3a
    ");
}

fn any_kind() -> impl Strategy<Value = PatternKind> {
    let ms = |range: std::ops::Range<u64>| range.prop_map(Duration::from_millis);
    let when = prop_oneof![
        (1..5000_u64).prop_map(|ms| When::After(Duration::from_millis(ms))),
        (1..1_500_000_u32).prop_map(When::ShareOfH),
        Just(When::Sweep)
    ];
    let point = prop_oneof![
        Just(CutPoint::Connect),
        Just(CutPoint::FirstByte),
        (1..100_u8).prop_map(CutPoint::Head),
        Just(CutPoint::Headers),
        (1..100_u8).prop_map(CutPoint::Percent),
        (1..9_u32).prop_map(CutPoint::Body),
        (1..9_u32).prop_map(CutPoint::Bytes),
        (1..9_u32).prop_map(CutPoint::BeforeEnd)
    ];
    let place = prop_oneof![
        (1..9_u32).prop_map(AnswerPoint::Bytes),
        Just(AnswerPoint::StatusLine),
        Just(AnswerPoint::Headers),
        (1..100_u8).prop_map(AnswerPoint::Percent),
        (1..9_u32).prop_map(AnswerPoint::BeforeEnd),
        Just(AnswerPoint::Whole)
    ];
    let end = prop_oneof![
        Just(Ending::Rst),
        Just(Ending::Fin),
        Just(Ending::HalfClose),
        Just(Ending::Silence)
    ];
    prop_oneof![
        (1..5_u32, ms(0..50)).prop_map(|(attempts, gap)| PatternKind::Replay { attempts, gap }),
        (1..5_u32, 1..4_u32).prop_map(|(attempts, keys)| burst(attempts, keys)),
        (1..5_u32, when.clone()).prop_map(|(attempts, gap)| PatternKind::Stagger { attempts, gap }),
        Just(PatternKind::DropResponse),
        proptest::collection::vec(when, 1..4).prop_map(|after| PatternKind::Timeout { after }),
        (proptest::collection::vec(point, 1..4), end.clone())
            .prop_map(|(at, end)| PatternKind::CutRequest { at, end }),
        (proptest::collection::vec(place, 1..4), end)
            .prop_map(|(at, end)| PatternKind::CutResponse { at, end }),
        Just(sweep()),
        Just(PatternKind::ChangedHeaders),
        Just(PatternKind::Reserialised),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn laws_of_every_plan(
        kinds in proptest::collection::vec(any_kind(), 1..6),
        seed in any::<u64>(),
        trials in 1..6_u32,
        price in proptest::num::f64::NORMAL,
        rows in 1..3_usize,
    ) {
        let mut scenario = scenario("shop", Vec::new());
        scenario.patterns = kinds
            .into_iter()
            .enumerate()
            .map(|(index, kind)| Pattern {
                name: Some(format!("case-{index}")),
                ..pattern(kind, 3)
            })
            .collect();
        scenario.rows = ["EUR", "USD"][..rows]
            .iter()
            .map(|currency| row(&[("currency", *currency)]))
            .collect();
        for row in &mut scenario.rows {
            row.operations[0].request.body =
                Body::Json(JsonTemplate(serde_json::json!({ "price": price })));
        }
        let options = GenerateOptions { trials: Some(trials) };
        let scenarios = [scenario];
        let plan = generate(&scenarios, Seed(seed), &options).unwrap();

        // Same input, same bytes, also after a detour over a file.
        let text = plan.to_json();
        prop_assert_eq!(&generate(&scenarios, Seed(seed), &options).unwrap().to_json(), &text);
        let read = Plan::from_json(&text).unwrap();
        prop_assert_eq!(read.to_json(), text);
        prop_assert_eq!(read.digest(), plan.digest());

        // No two instances share a part.
        let parts: Vec<_> = plan.trials.iter().flat_map(|trial| &trial.instances).collect();
        prop_assert_eq!(parts.iter().collect::<BTreeSet<_>>().len(), parts.len());

        // Every case has trials, each as large as its tag says.
        for (index, case) in plan.cases.iter().enumerate() {
            let own: Vec<_> =
                plan.trials.iter().filter(|trial| trial.role == Role::Case(index)).collect();
            prop_assert!(!own.is_empty());
            for trial in own {
                prop_assert_eq!(trial.instances.len(), case.pattern.keys as usize);
                prop_assert_eq!(
                    trial.attempts.len(),
                    (case.pattern.keys * case.pattern.attempts) as usize
                );
                for attempt in &trial.attempts {
                    if let Fault::Reset {
                        after: ResetPoint::RequestSent(Moment::PpmOfH(ppm)), ..
                    } = attempt.fault {
                        prop_assert!(ppm <= 1_500_000);
                    }
                }
            }
        }
        prop_assert!(describe(&plan).contains("localhost:8080"));
    }
}
