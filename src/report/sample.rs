//! A small run by hand, for tests: one scenario with two effects, one operation,
//! a burst that shows two orders and a replay that does not.

use crate::codes::{Hazard, Reason, Severity};
use crate::history::{
    BodyFacts, ByteCounts, End, Event, EventKind, Exchange, FORMAT, History, IdentityFact,
    Observation, Offset, Part, Reading, ResponseFacts, Round, RunHeader, Settled, Timing,
};
use crate::oracle::{
    CaseJudgement, ControlJudgement, EffectTally, Evidence, Finding, Ground, Judgement, Point,
    Release as OneRelease, Sweep, Tightness, TrialCounts, Verdict, Window,
};
use crate::plan::{
    Attempt, Auth, Body, Case, CaseId, Connection, Contract, Edge, Effect, Expectation, Extraction,
    Fault, HoldPoint, Instance, JsonTemplate, Key, KeyPlace, Kind, Method, Observed, Operation,
    Overlay, PatternTag, Place, Plan, PlannedScenario, Release, Request, Retry, Role, Salt, Seed,
    Seen, Target, Template, Tls, Trial, TrialId, Until, Variant,
};
use crate::stats::Summary;
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;

fn template(text: &str) -> Template {
    Template(text.to_owned())
}

fn place(line: u32) -> Place {
    Place {
        file: "scenarios/create-order.yaml".to_owned(),
        line,
    }
}

pub(super) fn request() -> Request {
    Request {
        method: Method::Post,
        path: template("/orders"),
        query: Vec::new(),
        headers: Vec::new(),
        body: Body::Json(JsonTemplate(json!({
            "sku": "TSHIRT-M",
            "note": "it's ${{ secrets.note }}",
            "reference": "${{ marker }}",
        }))),
        auth: None,
    }
}

pub(super) fn operation() -> Operation {
    Operation {
        name: "order".to_owned(),
        named: true,
        request: request(),
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

fn effect(name: &str, line: u32) -> Effect {
    Effect {
        name: name.to_owned(),
        request: Request {
            method: Method::Get,
            body: Body::None,
            path: template("/orders?reference=${{ marker }}"),
            ..request()
        },
        extraction: Extraction::Count(template("$[*]")),
        expectation: Expectation::Once,
        within: Duration::from_secs(5),
        stable_for: Duration::from_secs(1),
        every: Duration::from_millis(200),
        transient_excess: crate::contract::TransientExcess::Proof,
        at: None,
        delta: false,
        marked: true,
        place: place(line),
        probe_line: line + 1,
    }
}

pub(super) fn scenario() -> PlannedScenario {
    PlannedScenario {
        name: "create-order".to_owned(),
        file: "scenarios/create-order.yaml".to_owned(),
        line: 4,
        sha256: "00".to_owned(),
        description: None,
        tags: Vec::new(),
        owner: None,
        docs: None,
        row: BTreeMap::new(),
        target: Target {
            url: "http://shop:pass@127.0.0.1:8080".to_owned(),
            headers: Vec::new(),
            auth: Some(Auth::Bearer(template("${{ env.SHOP_TOKEN }}"))),
            tls: Tls::default(),
            timeout: Duration::from_secs(30),
            quiet: None,
            http: crate::plan::HttpVersion::default(),
        },
        contract: Contract::core(),
        operations: vec![operation()],
        effects: vec![effect("orders", 11), effect("mails", 15)],
        together: Vec::new(),
        invariants: Vec::new(),
        setup: Vec::new(),
        cleanup: Vec::new(),
        latency: Vec::new(),
    }
}

fn case(id: &str, kind: Kind, shown: &str, attempts: u32) -> Case {
    Case {
        id: CaseId(format!("create-order::order::{id}")),
        scenario: 0,
        operation: 0,
        pattern: PatternTag {
            kind,
            label: None,
            shown: shown.to_owned(),
            attempts,
            keys: 1,
        },
        with: Overlay::default(),
        before: Vec::new(),
        place: place(4),
        sweeps: false,
    }
}

fn trial(id: u32, role: Role, release: Release, attempts: u32) -> Trial {
    Trial {
        id: TrialId(id),
        role,
        scenario: 0,
        operation: 0,
        instances: vec![Instance(format!("{id:014x}"))],
        attempts: (1..=attempts)
            .map(|number| Attempt {
                number,
                instance: 0,
                release,
                fault: Fault::None,
                connection: Connection::Fresh,
                variant: Variant::Same,
            })
            .collect(),
        hold: (release == Release::Together).then_some(HoldPoint::Head),
        connections: None,
    }
}

pub(super) fn plan() -> Plan {
    let sequential = Release::AfterPrevious { gap_us: 0 };
    Plan {
        format: crate::plan::FORMAT.to_owned(),
        seed: Seed(0x7f3a_9c21),
        scenarios: vec![scenario()],
        cases: vec![
            case("burst-10", Kind::Burst, "burst ×10", 10),
            case("replay-3", Kind::Replay, "replay ×3", 3),
        ],
        trials: vec![
            trial(31, Role::Case(0), Release::Together, 10),
            trial(40, Role::Case(1), sequential, 3),
            trial(41, Role::Case(1), sequential, 3),
        ],
    }
}

/// An exchange that leaves and is answered at these microseconds.
pub(super) fn exchange(
    part: Part,
    sent: u64,
    answered: u64,
    status: u16,
    id: Option<&str>,
) -> Exchange {
    let us = |us: u64| Offset(us * 1_000);
    let identity = match id {
        Some(id) => IdentityFact::Is(id.to_owned()),
        None => IdentityFact::Absent,
    };
    Exchange {
        instance: 0,
        operation: 0,
        part,
        connection: 1,
        reused: false,
        timing: Timing {
            intended: us(sent),
            first_out: Some(us(sent)),
            last_out: Some(us(sent)),
            first_in: Some(us(answered)),
            last_in: Some(us(answered)),
            ended: us(answered),
            gave_up: None,
        },
        bytes: ByteCounts {
            out: 200,
            incoming: 200,
        },
        end: End::Complete,
        fault_happened: true,
        hidden: false,
        response: Some(ResponseFacts {
            status,
            interim: Vec::new(),
            headers: Vec::new(),
            body: BodyFacts::default(),
            identity: vec![identity, IdentityFact::Absent],
            expected: None,
        }),
    }
}

pub(super) fn event(trial: u32, at_us: u64, kind: EventKind) -> Event {
    Event {
        at: Offset(at_us * 1_000),
        trial: Some(TrialId(trial)),
        kind,
    }
}

pub(super) fn observation(effect: usize, at_us: u64, n: u64, sample: &[&str]) -> EventKind {
    EventKind::Observation(Observation {
        scenario: 0,
        effect,
        instance: Some(0),
        round: Round::Count,
        since: Offset(at_us * 1_000),
        until: Offset((at_us + 800_000) * 1_000),
        readings: 5,
        reading: Ok(Reading::Count {
            n,
            sample: sample.iter().map(|name| (*name).to_owned()).collect(),
        }),
        expected: None,
        settled: Some(Settled::Stable),
    })
}

pub(super) fn history() -> History {
    let mut events = vec![event(
        31,
        1_000,
        EventKind::Released {
            spread_ns: 110_000,
            attempts: 10,
            real_time: false,
            connections: 0,
            bytes: 0,
            stood_still: false,
        },
    )];
    let attempt = |trial, exchange: Exchange| {
        let at = exchange.timing.ended.0 / 1_000;
        event(trial, at, EventKind::Exchange(Box::new(exchange)))
    };
    for number in 1..=10_u32 {
        let sent = 1_000 + u64::from(number) * 11;
        let exchange = match number {
            4 => exchange(Part::Attempt(4), sent, 21_000, 201, Some("ord_4812")),
            9 => exchange(Part::Attempt(9), sent, 25_000, 201, Some("ord_4813")),
            _ => exchange(Part::Attempt(number), sent, 24_000, 409, None),
        };
        events.push(attempt(31, exchange));
    }
    events.push(event(
        31,
        1_200_000,
        observation(0, 300_000, 2, &["ord_4812", "ord_4813"]),
    ));
    events.push(event(
        31,
        1_200_000,
        observation(1, 300_000, 1, &["mail_1"]),
    ));
    for trial in [40, 41] {
        for number in 1..=3_u32 {
            let sent = 2_000_000 + u64::from(number) * 30_000;
            let took = if number == 1 { 20_000 } else { 3_000 };
            let exchange = exchange(Part::Attempt(number), sent, sent + took, 201, Some("ord_1"));
            events.push(attempt(trial, exchange));
        }
        events.push(attempt(
            trial,
            exchange(Part::Closing(1), 2_500_000, 2_504_000, 201, Some("ord_1")),
        ));
    }
    events.push(Event {
        at: Offset(4_200_000_000),
        trial: None,
        kind: EventKind::Finished,
    });
    History {
        header: RunHeader {
            format: FORMAT.to_owned(),
            run: "20261124-024512-b41c".to_owned(),
            started_at: "2026-11-24T02:45:12Z".to_owned(),
            tool_version: "0.1.0".to_owned(),
            seed: Seed(0x7f3a_9c21),
            salt: Salt(0xb41c_09d2),
            plan_sha256: "abc".to_owned(),
            environment: Some("staging".to_owned()),
            shard: "1/1".to_owned(),
        },
        events,
    }
}

/// A replay sweeps over nothing: this is here for its members.
fn sweep() -> Sweep {
    Sweep {
        h_ns: 20_000_000,
        points: vec![Point {
            observed: Observed {
                trial: TrialId(40),
                offset_ns: 10_200_000,
                seen: Seen::InProgress,
                powered: true,
            },
            planned_ns: 10_000_000,
            effects: Some(1.0),
        }],
        edge: Some(Edge {
            at_ns: 12_000_000,
            before: Seen::InProgress,
            after: Seen::Replayed,
        }),
    }
}

pub(super) fn tightness() -> Tightness {
    Tightness {
        spread_ns: Summary::of(vec![110_000]).unwrap(),
        first_gap_ns: Summary::of(vec![11_000]),
        connections: (10, 10),
        over_one_segment: Some(0),
        real_time: 0,
        window: Window::TooFewTrials,
        serialised_ns: None,
        each: vec![OneRelease {
            trial: TrialId(31),
            powered: true,
            spread_ns: 110_000,
            overlap: 10,
            first_gap_ns: Some(11_000),
        }],
    }
}

pub(super) fn finding() -> Finding {
    Finding {
        hazard: Hazard::DuplicateEffectConcurrent,
        severity: Severity::Critical,
        summary: "two orders exist for one Idempotency-Key".to_owned(),
        explanation: "Ten identical attempts arrived together; two orders exist.".to_owned(),
        cause: "check-then-act".to_owned(),
        why: "Both attempts looked the key up before either had stored it.".to_owned(),
        remedy: "Insert the key first, under a unique constraint.".to_owned(),
        effect: Some(0),
        trials: vec![TrialId(31)],
        evidence: Evidence {
            trial: TrialId(31),
            instance: 0,
            events: vec![4, 9, 11],
        },
    }
}

pub(super) fn judgement() -> Judgement {
    let tally = |observed: &[(&str, u32)]| EffectTally {
        effect: 0,
        min: 1.0,
        max: 1.0,
        observed: observed
            .iter()
            .map(|(reading, n)| ((*reading).to_owned(), *n))
            .collect(),
    };
    let counts = |n, failed| TrialCounts {
        planned: n,
        run: n,
        powered: n,
        off_pattern: 0,
        failed,
        inconclusive: 0,
    };
    let case = |index: usize, id: &str, verdict, trials| CaseJudgement {
        case: CaseId(format!("create-order::order::{id}")),
        index: Some(index),
        scenario: 0,
        operation: 0,
        verdict,
        bound: None,
        grounds: Vec::new(),
        findings: Vec::new(),
        trials,
        effects: Vec::new(),
        spread_ns: None,
        tightness: None,
        sweep: None,
    };
    Judgement {
        verdict: Verdict::Fail,
        controls: vec![ControlJudgement {
            scenario: 0,
            operation: 0,
            saw: [Some(1), Some(2), Some(10)],
            trials: 3,
            attempts: 13,
            h_us: Some((31_000, 42_000)),
            client_gone: None,
            grounds: Vec::new(),
        }],
        cases: vec![
            CaseJudgement {
                findings: vec![finding()],
                effects: vec![tally(&[("2", 1)])],
                spread_ns: Some((110_000, 110_000)),
                tightness: Some(tightness()),
                ..case(0, "burst-10", Verdict::Fail, counts(1, 1))
            },
            CaseJudgement {
                bound: Some(0.776),
                sweep: Some(sweep()),
                effects: vec![tally(&[("1", 2)])],
                ..case(1, "replay-3", Verdict::Pass, counts(2, 0))
            },
        ],
        grounds: vec![Ground {
            reason: Reason::CleanupFailed,
            message: "remove customer: answered 500".to_owned(),
            effect: None,
            line: Some(30),
        }],
        interrupted: None,
    }
}
