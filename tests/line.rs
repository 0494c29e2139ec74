//! The whole line, from a scenario's text to its report, against the demo shop on
//! both of its stores: each flaw is found under its own hazard, and the shop
//! without flaws is never accused.

mod support;

use retrial::demo::{self, Flaw, Shop};
use retrial::report::VerdictWord;

/// The twelve lines of the README.
const ORDER: &str = include_str!("../scenarios/create-order.yaml");

async fn shop(flaw: Option<Flaw>, store: Option<&str>) -> Shop {
    let mut options = demo::Options::new(([127, 0, 0, 1], 0).into());
    options.flaws = flaw.map(Into::into).into_iter().collect();
    options.store = store.map(str::to_owned);
    demo::start(options).await.expect("the shop starts")
}

/// Runs a file of the gallery against a flaw; it must be found under its hazard.
async fn caught(flaw: Flaw, text: &str) {
    let mut stores = vec![None];
    stores.extend(support::postgres().map(Some));
    for store in stores {
        let shop = shop(Some(flaw), store.as_deref()).await;
        let outcome = support::run(text, shop.addr, 1, support::salt()).await;
        shop.stop().await;
        let found = outcome.report.cases.iter().any(|case| {
            case.verdict == VerdictWord::Fail
                && case
                    .findings
                    .iter()
                    .any(|finding| finding.hazard.code() == flaw.hazard())
        });
        assert!(
            found,
            "{} on {store:?}: expected {}, found {:#?}",
            flaw.name(),
            flaw.hazard(),
            outcome.lines()
        );
    }
}

macro_rules! flaws {
    ($($name:ident: $flaw:literal in $file:literal;)*) => {
        $(#[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            let flaw = Flaw::find($flaw).expect("the flaw exists");
            caught(flaw, include_str!(concat!("../scenarios/", $file, ".yaml"))).await;
        })*

        #[test]
        fn every_flaw_has_a_test() {
            let tested = [$($flaw),*];
            for flaw in Flaw::ALL {
                assert!(tested.contains(&flaw.name()), "{} has no test", flaw.name());
            }
        }
    };
}

flaws! {
    a_key_that_is_not_read_is_found: "ignores-key" in "order-once";
    a_key_that_is_looked_up_then_stored_is_found: "check-then-act" in "order-once";
    a_success_that_was_never_committed_is_found: "ack-before-commit" in "order-once";
    an_error_after_the_effect_is_found: "release-on-error" in "order-once";
    a_replay_that_names_another_result_is_found: "new-id-on-replay" in "order-once";
    a_constraint_that_leaks_is_found: "constraint-500" in "order-once";
    a_lock_over_all_keys_is_found: "global-lock" in "order-once";
    a_record_written_at_the_end_is_found: "record-at-end" in "impatient-client";
    an_unfinished_record_that_is_replayed_is_found: "null-in-progress" in "impatient-client";
    a_record_kept_only_for_clients_that_stay_is_found: "record-if-heard" in "lost-answers";
    a_key_that_is_stuck_is_found: "stuck-on-disconnect" in "lost-answers";
    a_handler_that_is_cancelled_is_found: "cancel-on-disconnect" in "lost-answers";
    a_truncated_body_that_is_executed_is_found: "cut-body-accepted" in "broken-uploads";
    key_handling_that_fails_is_found: "key-5xx" in "same-meaning";
    a_fingerprint_over_too_much_is_found: "raw-fingerprint" in "same-meaning";
    a_mail_without_a_common_guard_is_found: "mail-apart" in "order-and-mail";
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_scenario_passes_on_a_shop_without_flaws() {
    let shop = shop(None, None).await;
    let outcome = support::run(ORDER, shop.addr, 1, support::salt()).await;
    shop.stop().await;
    assert_eq!(
        outcome.report.verdict,
        VerdictWord::Pass,
        "{:#?}",
        outcome.lines()
    );
    assert_eq!(outcome.report.cases.len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_with_the_same_seed_on_the_same_rows_gives_the_same_verdict() {
    let shop = shop(None, None).await;
    let first = support::run(ORDER, shop.addr, 7, 1).await;
    let second = support::run(ORDER, shop.addr, 7, 2).await;
    shop.stop().await;
    assert_eq!(first.plan.to_json(), second.plan.to_json());
    assert_eq!(first.lines(), second.lines());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_passes_with_every_operation_under_every_pattern() {
    let shop = shop(None, None).await;
    let flow = include_str!("../scenarios/checkout.yaml");
    let outcome = support::run(flow, shop.addr, 1, support::salt()).await;
    shop.stop().await;
    assert_eq!(
        outcome.report.verdict,
        VerdictWord::Pass,
        "{:#?}",
        outcome.lines()
    );
    assert_eq!(outcome.report.cases.len(), 12);
}
