//! The whole line, from a scenario's text to its report, against the demo shop.

mod support;

use retrial::demo::{self, Options, Shop};
use retrial::render::{Format, RenderOptions, render};

async fn shop(flaws: &[&str]) -> Shop {
    let mut options = Options::new(([127, 0, 0, 1], 0).into());
    options.flaws = flaws
        .iter()
        .map(|flaw| flaw.parse().expect("the flaw exists"))
        .collect();
    demo::start(options).await.expect("the shop starts")
}

fn print(outcome: &support::Outcome) {
    let text = render(&outcome.report, Format::Terminal, &RenderOptions::default());
    eprintln!("{}", String::from_utf8_lossy(&text));
}

const ORDER: &str = "scenario: create-order
target: http://127.0.0.1:1
operation:
  request: POST /orders
  json:
    sku: TSHIRT-M
    quantity: 1
    reference: ${{ marker }}
effects:
  orders:
    get: /orders?reference=${{ marker }}
    count: $[*]
contract: { stuck_after: 5s }
";

#[tokio::test(flavor = "multi_thread")]
async fn the_first_scenario_passes_on_a_shop_without_flaws() {
    let shop = shop(&[]).await;
    let outcome = support::run(ORDER, shop.addr, 1, 1).await;
    print(&outcome);
    for line in outcome.lines() {
        assert!(line.ends_with(": pass"), "{:#?}", outcome.lines());
    }
    shop.stop().await;
}

/// Which file of the gallery catches which flaw.
const CAUGHT_BY: &[(&str, &str, &str)] = &[
    (
        "ignores-key",
        "order-once",
        include_str!("../scenarios/order-once.yaml"),
    ),
    (
        "check-then-act",
        "order-once",
        include_str!("../scenarios/order-once.yaml"),
    ),
    (
        "ack-before-commit",
        "order-once",
        include_str!("../scenarios/order-once.yaml"),
    ),
    (
        "release-on-error",
        "order-once",
        include_str!("../scenarios/order-once.yaml"),
    ),
    (
        "new-id-on-replay",
        "order-once",
        include_str!("../scenarios/order-once.yaml"),
    ),
    (
        "constraint-500",
        "order-once",
        include_str!("../scenarios/order-once.yaml"),
    ),
    (
        "global-lock",
        "order-once",
        include_str!("../scenarios/order-once.yaml"),
    ),
    (
        "record-at-end",
        "impatient-client",
        include_str!("../scenarios/impatient-client.yaml"),
    ),
    (
        "null-in-progress",
        "impatient-client",
        include_str!("../scenarios/impatient-client.yaml"),
    ),
    (
        "record-if-heard",
        "lost-answers",
        include_str!("../scenarios/lost-answers.yaml"),
    ),
    (
        "stuck-on-disconnect",
        "lost-answers",
        include_str!("../scenarios/lost-answers.yaml"),
    ),
    (
        "cancel-on-disconnect",
        "lost-answers",
        include_str!("../scenarios/lost-answers.yaml"),
    ),
    (
        "cut-body-accepted",
        "broken-uploads",
        include_str!("../scenarios/broken-uploads.yaml"),
    ),
    (
        "key-5xx",
        "same-meaning",
        include_str!("../scenarios/same-meaning.yaml"),
    ),
    (
        "raw-fingerprint",
        "same-meaning",
        include_str!("../scenarios/same-meaning.yaml"),
    ),
    (
        "mail-apart",
        "order-and-mail",
        include_str!("../scenarios/order-and-mail.yaml"),
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_flaw_is_caught_under_its_own_hazard() {
    for (name, file, text) in CAUGHT_BY
        .iter()
        .filter(|row| std::env::var("ONLY").is_ok_and(|only| only.contains(row.0)))
    {
        let flaw = demo::Flaw::find(name).expect("the flaw exists");
        let shop = shop(&[name]).await;
        let outcome = support::run(text, shop.addr, 1, 1).await;
        eprintln!("{name} in {file}: {:#?}", outcome.lines());
        shop.stop().await;
        let caught = outcome
            .lines()
            .iter()
            .any(|line| line.contains(flaw.hazard()));
        if !caught {
            print(&outcome);
            for event in &outcome.history.events {
                if let retrial::history::EventKind::Measured { .. } = &event.kind {
                    eprintln!("{event:?}");
                }
                if let retrial::history::EventKind::Exchange(e) = &event.kind {
                    if e.part != retrial::history::Part::Clean
                        && matches!(e.part, retrial::history::Part::Closing(_))
                    {
                        eprintln!(
                            "{:?} {:?} {:?} {:?}",
                            event.trial,
                            e.part,
                            e.timing.first_out,
                            e.response.as_ref().map(|r| r.status)
                        );
                    }
                }
            }
        }
        eprintln!("   caught: {caught}");
    }
}
