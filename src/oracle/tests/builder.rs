//! A tiny language for hand-written histories.
//!
//! A trial is a line of entries, separated by `;`. Times are milliseconds since
//! the trial began, H is 20 ms.
//!
//! ```text
//! #1 0-20 201 a         attempt 1, sent at 0, answered at 20 with 201 and the id `a`
//! #1 0-20 201 a hidden  the client never learns that answer
//! #2 5-9 201 null       the id is null;  `201` alone has none
//! #2 5-9 429 shed       with Retry-After
//! #1 0-5 gone           we ended it before any byte of an answer
//! #1 0-25 heard         we ended it after the first byte of the answer
//! #1 0-5 peer           the peer closed without an answer
//! #1 0-0 refused        no connection
//! >1 500-503 201 a      closing retry 1
//! ~2 0-9 200            a clean run of operation 2 of a flow
//! orders=1              the last reading, at rest;  also `orders=0 lacking`,
//!                       `moving`, `excess`, `once` (lacking, read once),
//!                       `unreadable`, `unread` (not read at all)
//! @orders=1             the reading before the closing retry
//! -orders=5             the reading before the trial
//! ```

use std::time::Duration;

use crate::contract::{Contract, TransientExcess};
use crate::history::{
    BodyFacts, ByteCounts, ConnectFailure, End, Event, EventKind, Exchange, History, IdentityFact,
    Observation, Offset, Part, ProbeFailure, Reading, ResponseFacts, Round, RunHeader, Settled,
    Timing,
};
use crate::oracle::{JudgeOptions, Judgement, judge};
use crate::plan::{
    AnswerPoint, Attempt, Body, Case, CaseId, Connection, Control, CutPoint, Effect, Ending,
    Expectation, Extraction, Fault, Instance, JsonTemplate, Key, KeyPlace, Kind, Method, Moment,
    Operation, Overlay, PatternTag, Place, Plan, PlannedScenario, Release, Request, ResetPoint,
    Retry, Role, Row, Salt, Seed, Target, Template, Then, Tls, Trial, TrialId, Until, Variant,
};

/// A plan with its history while they are written.
pub(super) struct World {
    pub(super) plan: Plan,
    pub(super) history: History,
    /// Where the next trial begins, in nanoseconds.
    pub(super) now: u64,
}

const MS: u64 = 1_000_000;
/// Trials begin so far apart that a stuck key fits between.
const APART: u64 = 1_000_000 * MS;

pub(super) fn place(line: u32) -> Place {
    Place {
        file: "scenarios/create-order.yaml".to_owned(),
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

pub(super) fn operation(name: &str, body: bool) -> Operation {
    let body = if body {
        Body::Json(JsonTemplate(
            serde_json::json!({"reference": "${{ marker }}"}),
        ))
    } else {
        Body::None
    };
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

pub(super) fn effect(name: &str, expectation: Expectation) -> Effect {
    let path = Template("$[*]".to_owned());
    let value = matches!(
        expectation,
        Expectation::Equals(_) | Expectation::Matches(_) | Expectation::OneOf(_)
    );
    let amount = matches!(&expectation, Expectation::Number(n) if n.0.as_f64() > Some(100.0));
    Effect {
        name: name.to_owned(),
        request: request(Method::Get, "/orders?reference=${{ marker }}", Body::None),
        extraction: if value {
            Extraction::Value(path)
        } else if amount {
            Extraction::Sum(path)
        } else {
            Extraction::Count(path)
        },
        expectation,
        within: Duration::from_secs(5),
        stable_for: Duration::from_secs(1),
        every: Duration::from_millis(200),
        transient_excess: TransientExcess::Proof,
        at: None,
        delta: false,
        marked: true,
        place: place(11),
        probe_line: 12,
    }
}

impl World {
    /// One operation, and these effects.
    pub(super) fn new(effects: Vec<Effect>) -> Self {
        let scenario = PlannedScenario {
            name: "create-order".to_owned(),
            file: place(1).file,
            line: 4,
            sha256: String::new(),
            description: None,
            tags: Vec::new(),
            owner: None,
            docs: None,
            row: Row::new(),
            target: Target {
                url: "http://127.0.0.1:8080".to_owned(),
                headers: Vec::new(),
                auth: None,
                tls: Tls::default(),
                timeout: Duration::from_secs(30),
                quiet: None,
                http: crate::plan::HttpVersion::default(),
            },
            contract: Contract::core(),
            operations: vec![operation("order", true)],
            effects,
            together: Vec::new(),
            invariants: Vec::new(),
            setup: Vec::new(),
            cleanup: Vec::new(),
            latency: Vec::new(),
        };
        Self {
            plan: Plan {
                format: crate::plan::FORMAT.to_owned(),
                seed: Seed(7),
                scenarios: vec![scenario],
                cases: Vec::new(),
                trials: Vec::new(),
            },
            history: History {
                header: RunHeader {
                    format: crate::history::FORMAT.to_owned(),
                    run: "20261124-024512-b41c".to_owned(),
                    started_at: "2026-11-24T02:45:12Z".to_owned(),
                    tool_version: "0.1.0".to_owned(),
                    seed: Seed(7),
                    salt: Salt(1),
                    plan_sha256: String::new(),
                    environment: None,
                    shard: "1/1".to_owned(),
                },
                events: Vec::new(),
            },
            now: 0,
        }
    }

    /// The usual world: one order for each key.
    pub(super) fn orders() -> Self {
        Self::new(vec![effect("orders", Expectation::Once)])
    }

    /// Orders and mails that go together.
    pub(super) fn orders_and_mails() -> Self {
        let mut world = Self::new(vec![
            effect("orders", Expectation::Once),
            effect("mails", Expectation::Once),
        ]);
        world.scenario().together = vec![vec![0, 1]];
        world
    }

    pub(super) fn scenario(&mut self) -> &mut PlannedScenario {
        &mut self.plan.scenarios[0]
    }

    /// Controls in which everything is as it should be.
    pub(super) fn with_controls(self) -> Self {
        let readings: String = self.plan.scenarios[0]
            .effects
            .iter()
            .map(|effect| match &effect.expectation {
                Expectation::Number(n) => format!("; {}={}", effect.name, n.0),
                Expectation::Never => format!("; {}=0", effect.name),
                Expectation::Equals(value) => format!("; {}={}", effect.name, value.0),
                Expectation::Once
                | Expectation::AtMostOnce
                | Expectation::Between { .. }
                | Expectation::Matches(_)
                | Expectation::OneOf(_) => format!("; {}=1", effect.name),
            })
            .collect();
        let line = format!("#1 0-20 201 a{readings}");
        self.with_controls_of(&line, &[line.as_str(); 10])
    }

    /// Controls with one and two operations like the line, and with ten as given.
    pub(super) fn with_controls_of(mut self, line: &str, ten: &[&str]) -> Self {
        // Two keys have two results.
        let other = line.replace(" a", " b");
        self.trial(Role::Control(Control::One), None, &[line]);
        self.trial(Role::Control(Control::Two), None, &[line, &other]);
        self.trial(Role::Control(Control::Ten), None, ten);
        self.event(
            None,
            EventKind::Measured {
                scenario: 0,
                operation: 0,
                h_p50_us: 20_000,
                h_p99_us: 25_000,
            },
        );
        self
    }

    /// A case of this kind with one trial for each line.
    pub(super) fn with_case(mut self, kind: Kind, trials: &[&str]) -> Self {
        self.add_case(kind, trials.iter().map(|line| vec![*line]));
        self
    }

    pub(super) fn add_case<'l>(&mut self, kind: Kind, trials: impl Iterator<Item = Vec<&'l str>>) {
        let index = self.plan.cases.len();
        self.plan.cases.push(Case {
            id: CaseId(format!("create-order::order::{}", kind.word())),
            scenario: 0,
            operation: self.plan.scenarios[0].operations.len() - 1,
            pattern: PatternTag {
                kind,
                label: None,
                shown: kind.word().to_owned(),
                attempts: 2,
                keys: 1,
            },
            with: Overlay::default(),
            before: Vec::new(),
            place: place(9),
            sweeps: false,
        });
        for lines in trials {
            self.trial(Role::Case(index), Some(kind), &lines);
        }
    }

    /// A trial with one line for each of its instances.
    pub(super) fn trial(&mut self, role: Role, kind: Option<Kind>, lines: &[&str]) -> TrialId {
        let id = TrialId(u32::try_from(self.plan.trials.len()).unwrap());
        let operation = self.plan.scenarios[0].operations.len() - 1;
        let mut attempts = Vec::new();
        let mut events = Vec::new();
        for (instance, line) in lines.iter().enumerate() {
            let mut entries = Entries {
                world: self,
                kind,
                operation,
                instance,
                end: 0,
                attempts: &mut attempts,
                events: &mut events,
            };
            for entry in line.split(';') {
                entries.take(entry.trim());
            }
        }
        self.plan.trials.push(Trial {
            id,
            role,
            scenario: 0,
            operation,
            instances: (0..lines.len())
                .map(|instance| Instance(format!("t{id}o{instance}")))
                .collect(),
            attempts,
            hold: None,
            connections: None,
        });
        for (at, kind) in events {
            self.history.events.push(Event {
                at,
                trial: Some(id),
                kind,
            });
        }
        self.now += APART;
        id
    }

    pub(super) fn event(&mut self, trial: Option<TrialId>, kind: EventKind) {
        self.history.events.push(Event {
            at: Offset(self.now),
            trial,
            kind,
        });
    }

    /// With this fault at the first attempt of every trial of a case.
    pub(super) fn with_first_fault(mut self, fault: Fault) -> Self {
        for trial in &mut self.plan.trials {
            if let (Role::Case(_), Some(first)) = (trial.role, trial.attempts.first_mut()) {
                first.fault = fault;
            }
        }
        self
    }

    pub(super) fn judge(&self) -> Judgement {
        self.judge_with(JudgeOptions::default())
    }

    pub(super) fn judge_with(&self, options: JudgeOptions) -> Judgement {
        let mut history = self.history.clone();
        history.events.push(Event {
            at: Offset(self.now),
            trial: None,
            kind: EventKind::Finished,
        });
        judge(&self.plan, &history, options)
    }
}

struct Entries<'w> {
    world: &'w World,
    kind: Option<Kind>,
    operation: usize,
    instance: usize,
    /// When the last exchange was over.
    end: u64,
    attempts: &'w mut Vec<Attempt>,
    events: &'w mut Vec<(Offset, EventKind)>,
}

impl Entries<'_> {
    fn take(&mut self, entry: &str) {
        let Some(first) = entry.chars().next() else {
            return;
        };
        match first {
            '#' | '>' | '~' => self.exchange(first, &entry[1..]),
            '@' => self.reading(Round::Count, &entry[1..]),
            '-' => self.reading(Round::Before, &entry[1..]),
            _ => self.reading(Round::Final, entry),
        }
    }

    fn exchange(&mut self, sign: char, entry: &str) {
        let words: Vec<&str> = entry.split_whitespace().collect();
        let number: u32 = words[0].parse().unwrap();
        let (sent, ended) = words[1].split_once('-').unwrap();
        let at = |ms: &str| self.world.now + ms.parse::<u64>().unwrap() * MS;
        let (sent, ended) = (Offset(at(sent)), Offset(at(ended)));
        let tail = &words[3..];
        let hidden = tail.contains(&"hidden");
        let (end, response, heard) = outcome(words[2], tail);
        let nothing = matches!(end, End::ConnectFailed(_));
        let (part, operation) = match sign {
            '#' => (Part::Attempt(number), self.operation),
            '>' => (Part::Closing(number), self.operation),
            _ => (Part::Clean, number as usize - 1),
        };
        if sign == '#' {
            self.attempts.push(self.attempt(number, &end));
        }
        self.end = self.end.max(ended.0);
        let exchange = Exchange {
            instance: self.instance,
            operation,
            part,
            connection: u64::from(number),
            reused: false,
            timing: Timing {
                intended: sent,
                first_out: (!nothing).then_some(sent),
                last_out: (!nothing).then_some(sent),
                first_in: heard.then_some(ended),
                last_in: heard.then_some(ended),
                ended,
                gave_up: None,
            },
            bytes: ByteCounts {
                out: if nothing { 0 } else { 200 },
                incoming: if heard { 100 } else { 0 },
            },
            end,
            fault_happened: !tail.contains(&"missed"),
            hidden,
            response,
        };
        self.events
            .push((ended, EventKind::Exchange(Box::new(exchange))));
    }

    fn attempt(&self, number: u32, end: &End) -> Attempt {
        let gone = matches!(end, End::WeClosed | End::WeReset);
        let first = number == 1;
        let (fault, variant) = match self.kind {
            Some(Kind::DropResponse) if first => (Fault::DropResponse, Variant::Same),
            Some(Kind::Timeout) if first => {
                let then = if gone { Then::Close } else { Then::KeepOpen };
                let after = Moment::Us(5_000);
                (Fault::Timeout { after, then }, Variant::Same)
            }
            Some(Kind::CutRequest) if first => {
                let at = CutPoint::Percent(50);
                let end = Ending::Fin;
                (Fault::CutRequest { at, end }, Variant::Same)
            }
            Some(Kind::CutResponse) if first => {
                let at = AnswerPoint::Headers;
                let end = Ending::Fin;
                (Fault::CutResponse { at, end }, Variant::Same)
            }
            Some(Kind::Reset) if first => {
                let after = ResetPoint::RequestSent(Moment::Us(5_000));
                let end = Ending::Rst;
                (Fault::Reset { after, end }, Variant::Same)
            }
            Some(Kind::ChangedHeaders) if !first => (Fault::None, Variant::ChangedHeaders),
            Some(Kind::Reserialised) if !first => (Fault::None, Variant::Reserialised),
            Some(_) | None => (Fault::None, Variant::Same),
        };
        Attempt {
            number,
            instance: self.instance,
            release: Release::Together,
            fault,
            connection: Connection::Fresh,
            variant,
        }
    }

    fn reading(&mut self, round: Round, entry: &str) {
        let mut words = entry.split_whitespace();
        let (name, value) = words.next().unwrap().split_once('=').unwrap();
        let how = words.next().unwrap_or(match round {
            Round::Final => "stable",
            Round::Before | Round::Count => "",
        });
        let effects = &self.world.plan.scenarios[0].effects;
        let effect = effects.iter().position(|one| one.name == name).unwrap();
        let settled = match how {
            "stable" => Some(Settled::Stable),
            "lacking" | "once" => Some(Settled::Lacking),
            "moving" => Some(Settled::Moving),
            "excess" => Some(Settled::Excess),
            "unreadable" => Some(Settled::Unreadable),
            "interrupted" => Some(Settled::Interrupted),
            "" => None,
            "unread" => return,
            other => panic!("no such end of a round: {other}"),
        };
        let reading = if how == "unreadable" {
            Err(ProbeFailure {
                status: Some(403),
                what: "answered 403 Forbidden".to_owned(),
                passing: false,
            })
        } else {
            let json: serde_json::Value = serde_json::from_str(value)
                .unwrap_or_else(|_| serde_json::Value::String(value.to_owned()));
            Ok(match effects[effect].extraction {
                Extraction::Count(_) => Reading::Count {
                    n: json.as_u64().unwrap(),
                    sample: Vec::new(),
                },
                Extraction::Sum(_) => Reading::Sum(json.as_f64().unwrap()),
                Extraction::Value(_) => Reading::Value((!json.is_null()).then_some(json)),
            })
        };
        let since = self.end + 300 * MS;
        let observation = Observation {
            scenario: 0,
            effect,
            instance: Some(self.instance),
            round,
            since: Offset(if round == Round::Before {
                self.world.now
            } else {
                since
            }),
            until: Offset(match round {
                Round::Before => self.world.now,
                Round::Count => since,
                Round::Final => since + 5_000 * MS,
            }),
            readings: if how == "once" { 1 } else { 20 },
            reading,
            expected: None,
            settled,
        };
        self.events
            .push((observation.until, EventKind::Observation(observation)));
    }
}

fn outcome(word: &str, tail: &[&str]) -> (End, Option<ResponseFacts>, bool) {
    match word {
        "gone" => (End::WeReset, None, false),
        "heard" => (End::WeReset, None, true),
        "peer" => (End::PeerClosed, None, false),
        "refused" => (End::ConnectFailed(ConnectFailure::Refused), None, false),
        status => {
            let id = tail
                .iter()
                .find(|word| !["hidden", "shed", "missed", "null", "other"].contains(word));
            let identity = match id {
                Some(id) => IdentityFact::Is((*id).to_owned()),
                None if tail.contains(&"null") => IdentityFact::Null,
                None => IdentityFact::Absent,
            };
            let body = if tail.contains(&"other") {
                "other"
            } else {
                "same"
            };
            let headers = if tail.contains(&"shed") {
                vec![("retry-after".to_owned(), "1".to_owned())]
            } else {
                Vec::new()
            };
            let facts = ResponseFacts {
                status: status.parse().unwrap(),
                interim: Vec::new(),
                headers,
                body: BodyFacts {
                    len: 4,
                    sha256: body.to_owned(),
                    normal: Some(body.to_owned()),
                    kept: String::new(),
                    complete: true,
                },
                identity: vec![identity, IdentityFact::Absent],
                expected: None,
            };
            (End::Complete, Some(facts), true)
        }
    }
}
