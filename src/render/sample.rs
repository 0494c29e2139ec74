//! Reports by hand, for tests.

use crate::report::Report;
use serde_json::{Value, json};

fn latency(count: u64, p50: u64, p95: Option<u64>, p99: Option<u64>) -> Value {
    let mut latency = json!({ "count": count, "p50_us": p50, "max_us": p50 * 4, "hdr": "" });
    if let Some(p95) = p95 {
        latency["p95_us"] = p95.into();
    }
    if let Some(p99) = p99 {
        latency["p99_us"] = p99.into();
    }
    latency
}

fn case(id: &str, shown: &str, attempts: u32, trials: u32, verdict: &str) -> Value {
    let mut parts = id.split("::");
    let scenario = parts.next().unwrap();
    let operation = parts.next().unwrap();
    let word = shown.split(" ×").next().unwrap().replace(' ', "_");
    let kind = if shown.starts_with("timeout") {
        "timeout"
    } else {
        &word
    };
    json!({
        "id": id, "scenario": scenario, "operation": operation,
        "operation_named": operation != "operation",
        "pattern": {
            "name": kind, "label": null, "shown": shown, "attempts": attempts, "keys": 1,
        },
        "matrix": {}, "file": format!("scenarios/{scenario}.yaml"), "line": 4,
        "verdict": verdict, "bound": null, "reasons": [],
        "trials": {
            "planned": trials, "run": trials, "powered": trials, "failed": 0, "inconclusive": 0,
        },
        "attempts": attempts * trials,
        "effects": [{
            "name": "orders", "line": 11, "allowed": { "min": 1.0, "max": 1.0 },
            "observed": { "1": trials },
        }],
        "findings": [],
        "latency": { "first": latency(trials.into(), 31_000, Some(41_000), None) },
    })
}

fn with(mut value: Value, changes: Value) -> Value {
    let Value::Object(changes) = changes else {
        panic!("changes are members")
    };
    for (name, change) in changes {
        value[name.as_str()] = change;
    }
    value
}

fn tightness(trials: u32, keys: u32) -> Value {
    json!({
        "trials": trials,
        "spread_ns": { "count": trials, "p50": 104_000, "max": 230_000 },
        "first_gap_ns": { "count": keys, "p50": 12_000, "max": 41_000 },
        "protocol": "HTTP/1.1", "connections_min": 10, "connections_max": 10,
        "real_time_trials": trials, "window_ns": 9_400,
        "releases": "spread p50 104 µs (largest of 100: 230 µs), first gap p50 12 µs (largest of \
            37: 41 µs); HTTP/1.1 over 10 connections, with real-time priority",
        "window": "a race window of 9.4 µs or more would have been found (95 % confidence), as \
            released by us; the server's own time per request comes on top",
        "each": [],
    })
}

fn bar(label: &str, end_us: u64, outcome: &str) -> Value {
    json!({ "label": label, "start_us": 0, "end_us": end_us, "end": "answered", "outcome": outcome })
}

fn duplicate() -> Value {
    json!({
        "hazard": "duplicate-effect-concurrent",
        "title": "duplicate effect under concurrent attempts",
        "severity": "critical",
        "summary": "two orders exist for one Idempotency-Key",
        "explanation": "Ten identical attempts arrived together; two orders exist for one \
            Idempotency-Key.",
        "trials": [31, 44, 52, 60, 71, 88, 97],
        "evidence": {
            "trial": 31, "events": [412, 413, 431], "release_spread_us": 110, "overlap": 9,
            "key": "9c1f…e2", "marker": "rt-b41c09d2-0000000000001f",
            "effect": {
                "name": "orders", "file": "scenarios/create-order.yaml", "line": 11,
                "expected": "1", "found": "2: ord_4812, ord_4813",
            },
            "timeline": {
                "end_us": 28_000,
                "attempts": [
                    bar("#1", 20_000, "201 ord_4812"),
                    with(bar("#2", 24_000, "201 ord_4813"), json!({ "note": "second effect" })),
                    bar("#3–#10", 28_000, "409 ×8"),
                ],
                "readings": [
                    { "effect": "orders", "at_us": 310_000, "value": "2" },
                    { "effect": "orders", "at_us": 1_100_000, "value": "2" },
                ],
            },
            "curl": "curl -X POST http://127.0.0.1:8080/orders \\\n  \
                -H 'Authorization: Bearer '\"$SHOP_TOKEN\" \\\n  --data-raw '{\"sku\":\"A\"}'",
        },
        "cause": "check-then-act",
        "why": "Both attempts looked the key up before either had stored it (check-then-act).",
        "remedy": "Insert the key first, under a unique constraint, in the transaction that \
            creates the order; answer 409 or wait when the insert conflicts.",
        "explain": "retrial explain duplicate-effect-concurrent",
        "reproduce": "retrial run scenarios/create-order.yaml --seed 7f3a9c21 \
            --case create-order::order::burst-10",
    })
}

fn stuck() -> Value {
    json!({
        "hazard": "stuck-key", "title": "the key never leaves 'in progress'", "severity": "high",
        "summary": "the key never leaves 'in progress', although the order exists",
        "explanation": "The client gave up after 200 ms and retried for 60 s (stuck_after); every \
            answer was 409, although the order exists. A real client can never learn that it \
            succeeded.",
        "trials": [3, 4, 9],
        "evidence": {
            "trial": 3, "events": [], "key": "77aa…01", "marker": "rt-b41c09d2-00000000000003",
            "overlap": 2,
            "timeline": {
                "end_us": 211_000,
                "attempts": [
                    {
                        "label": "#1", "start_us": 0, "end_us": 200_000, "end": "hidden",
                        "outcome": "gave up; 201 ord_77 came later",
                    },
                    {
                        "label": "#2", "start_us": 200_000, "end_us": 211_000, "end": "answered",
                        "outcome": "409",
                    },
                    {
                        "label": "closing 1–34", "start_us": 710_000, "end_us": 60_300_000,
                        "end": "answered", "outcome": "409 ×34",
                    },
                ],
                "readings": [
                    { "effect": "orders", "at_us": 460_000, "value": "1" },
                    { "effect": "orders", "at_us": 61_400_000, "value": "1" },
                ],
            },
        },
        "cause": "not finished on disconnect",
        "why": "The key is marked in progress and not finished when the client disconnects.",
        "remedy": "Do not cancel the handler on disconnect, or let the marker expire (lease).",
        "explain": "retrial explain stuck-key",
        "reproduce": "retrial run scenarios/create-order.yaml --seed 7f3a9c21 \
            --case create-order::order::timeout-200ms",
    })
}

fn control(scenario: &str, operation: &str) -> Value {
    json!({
        "scenario": scenario, "operation": operation,
        "operation_named": operation != "operation",
        "h_p50_us": 31_000, "h_p99_us": 42_000, "trials": 3, "attempts": 13,
        "saw": { "one": 1, "two": 2, "ten": 10 },
    })
}

fn whole(verdict: &str, controls: &[Value], cases: &[Value]) -> Report {
    let count = |word: &str| cases.iter().filter(|case| case["verdict"] == word).count();
    let sum = |path: &str| {
        cases
            .iter()
            .filter_map(|case| case.pointer(path)?.as_u64())
            .sum::<u64>()
    };
    let exit = match verdict {
        "fail" => 1,
        "inconclusive" => 3,
        "error" => 4,
        _ => 0,
    };
    let totals = json!({
        "cases": cases.len(), "pass": count("pass"), "fail": count("fail"),
        "inconclusive": count("inconclusive"), "error": count("error"),
        "skipped": count("skipped"), "trials": sum("/trials/run"), "attempts": sum("/attempts"),
    });
    let report = json!({
        "schema": "retrial.report/1",
        "tool": { "name": "retrial", "version": "0.1.0" },
        "run": {
            "id": "20261124-024512-b41c", "seed": "7f3a9c21",
            "started_at": "2026-11-24T02:45:12Z", "salt": "b41c09d2", "duration_ms": 48_211,
            "environment": "staging", "target": "https://orders.staging.example.com",
            "plan_sha256": "ab", "shards": ["1/1"], "interrupted": false, "exit_code": exit,
            "controls": controls,
        },
        "verdict": verdict, "totals": totals, "cases": cases,
        "notes": ["not promised, not tested: mismatch, missing key"],
        "latency": {
            "first": latency(470, 31_000, Some(52_000), Some(88_000)),
            "replay": latency(300, 4_000, Some(9_000), None),
            "closing": latency(470, 5_000, Some(9_000), None),
        },
    });
    serde_json::from_value(report).unwrap()
}

/// The run of `language.md` section 6, and an effect that did not settle.
pub(super) fn report() -> Report {
    let cases = vec![
        with(
            case("create-order::order::replay-3", "replay ×3", 3, 100, "pass"),
            json!({
                "bound": 0.029_513,
            }),
        ),
        with(
            case(
                "create-order::order::burst-10",
                "burst ×10",
                10,
                100,
                "fail",
            ),
            json!({
                "trials": {
                    "planned": 100, "run": 100, "powered": 37, "off_pattern": 60, "failed": 7, "inconclusive": 0,
                },
                "findings": [duplicate()],
                "tightness": tightness(100, 37),
                "latency": { "first": latency(100, 80_000, Some(212_000), None) },
            }),
        ),
        with(
            case(
                "create-order::order::drop_response",
                "drop response",
                2,
                100,
                "pass",
            ),
            json!({
                "bound": 0.029_513,
                "findings": [with(stuck(), json!({
                    "severity": "info",
                    "summary": "in-progress answers came right after an ok",
                }))],
            }),
        ),
        with(
            case(
                "create-order::order::timeout-200ms",
                "timeout 200 ms",
                2,
                100,
                "fail",
            ),
            json!({
                "findings": [stuck(), with(stuck(), json!({
                    "hazard": "latency-threshold", "severity": "medium",
                    "summary": "first p95 is 240 ms, allowed are 200 ms", "explanation": "",
                    "trials": [], "why": "", "remedy": "Make it faster, or allow more.",
                    "explain": "retrial explain latency-threshold",
                    "evidence": { "trial": 3, "events": [], "timeline": {
                        "end_us": 0, "attempts": [], "readings": [],
                    } },
                }))],
                "latency": { "first": latency(100, 210_000, Some(240_000), None) },
            }),
        ),
        with(
            case(
                "psp-webhook::operation::replay-5",
                "replay ×5",
                5,
                50,
                "pass",
            ),
            json!({
                "bound": 0.058_155, "latency": { "first": latency(50, 12_000, None, None) },
            }),
        ),
        with(
            case(
                "invoice-consumer::operation::reset",
                "reset",
                2,
                20,
                "inconclusive",
            ),
            json!({
                "reasons": [{
                    "code": "not-settled", "line": 19, "effect": "invoices",
                    "message": "`invoices` still changed after 15 s; raise `within`",
                }],
            }),
        ),
    ];
    let controls = vec![
        control("create-order", "order"),
        control("psp-webhook", "operation"),
        control("invoice-consumer", "operation"),
    ];
    whole("fail", &controls, &cases)
}

/// A run in which everything passed.
pub(super) fn passing() -> Report {
    let cases = vec![
        with(
            case(
                "create-order::operation::replay-3",
                "replay ×3",
                3,
                100,
                "pass",
            ),
            json!({
                "bound": 0.029_513,
            }),
        ),
        with(
            case(
                "create-order::operation::burst-10",
                "burst ×10",
                10,
                100,
                "pass",
            ),
            json!({
                "bound": 0.029_513,
            }),
        ),
    ];
    whole("pass", &[control("create-order", "operation")], &cases)
}

/// A run in which little worked: rows of a matrix, a blind probe, a probe that
/// could not be read, cases that were not come to, a clean-up that failed.
pub(super) fn broken() -> Report {
    let blind = json!([{
        "code": "blind-probe", "line": 12, "effect": "orders",
        "message": "no control trial saw `orders`; does the query find what the operation makes?",
    }]);
    let row = |id: &str, shown: &str, verdict: &str, currency: &str| {
        with(
            case(&format!("{id}::currency={currency}"), shown, 3, 20, verdict),
            json!({ "matrix": { "currency": currency } }),
        )
    };
    let cases = vec![
        with(
            row(
                "checkout::order::replay-3",
                "replay ×3",
                "inconclusive",
                "EUR",
            ),
            json!({
                "reasons": blind,
            }),
        ),
        with(
            row(
                "checkout::order::burst-3",
                "burst ×3",
                "inconclusive",
                "EUR",
            ),
            json!({
                "reasons": blind,
            }),
        ),
        with(
            row("checkout::order::replay-3", "replay ×3", "error", "USD"),
            json!({
                "reasons": [{
                    "code": "probe-unreadable", "line": 78, "effect": "charged",
                    "message": "the effect `charged` could not be read: answered 403 Forbidden, not \
                        retried; retrial check --online tries every probe before anything is sent",
                }],
            }),
        ),
        with(
            row("checkout::order::burst-3", "burst ×3", "skipped", "USD"),
            json!({
                "trials": { "planned": 20, "run": 0, "powered": 0, "failed": 0, "inconclusive": 0 },
                "attempts": 0, "effects": [], "latency": {},
            }),
        ),
    ];
    let controls = ["EUR", "USD"].map(|currency| {
        with(
            control("checkout", "order"),
            json!({ "matrix": { "currency": currency } }),
        )
    });
    let mut controls = controls.to_vec();
    controls[0]["reasons"] = blind;
    controls[0]["saw"] = json!({ "one": 0, "two": 0, "ten": 0 });
    let mut report = whole("error", &controls, &cases);
    let reason = json!({ "code": "cleanup-failed", "message": "remove customer: answered 500" });
    report.reasons = vec![serde_json::from_value(reason).unwrap()];
    report.run.interrupted = true;
    report.run.exit_code = 130;
    report
}

/// The failing run with so many failing cases.
pub(super) fn many(failures: usize) -> Report {
    let mut report = report();
    let failing = report.cases[1].clone();
    report.cases = (0..failures)
        .map(|number| {
            let mut case = failing.clone();
            case.id = format!("create-order::order::burst-{number}");
            case
        })
        .collect();
    report
}
