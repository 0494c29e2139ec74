//! What is said of how tight a burst was: measured, or not said.

use super::builder::World;
use crate::history::EventKind;
use crate::oracle::{Tightness, Window};
use crate::plan::Kind;

/// A burst with these trials, each released within 2 ms, over the lines' own
/// connections.
fn tightness(trials: &[&[&str]], real_time: bool, bytes: Option<u32>) -> Option<Tightness> {
    let mut world = World::orders().with_controls();
    world.add_case(Kind::Burst, std::iter::empty());
    for lines in trials {
        let id = world.trial(crate::plan::Role::Case(0), Some(Kind::Burst), lines);
        world.event(
            Some(id),
            EventKind::Released {
                spread_ns: 2_000_000,
                attempts: 2,
                real_time,
                connections: bytes.map_or(0, |_| 1),
                bytes: bytes.unwrap_or(0),
                stood_still: false,
            },
        );
    }
    let judged = world.judge();
    judged.cases.last().unwrap().tightness.clone()
}

const APART_BY_2: &str = "#1 0-20 201 a; #2 2-22 201 a; #3 9-22 201 a; orders=1";
const APART_BY_1: &str = "#1 0-20 201 a; #2 1-22 201 a; orders=1";
const IN_A_ROW: &str = "#1 0-20 201 a; #2 21-22 201 a; orders=1";

#[test]
fn first_gaps_are_those_of_keys_whose_attempts_overlapped() {
    let trials: &[&[&str]] = &[
        &[APART_BY_2, APART_BY_1],
        &[APART_BY_2, IN_A_ROW],
        &[APART_BY_2],
        &[APART_BY_2],
        &[APART_BY_1],
    ];
    let tight = tightness(trials, false, None).unwrap();
    let gaps = tight.first_gap_ns.unwrap();
    assert_eq!((gaps.count, gaps.p50, gaps.max), (6, 2_000_000, 2_000_000));
    assert_eq!(gaps.p99, None, "six values have no 99th percentile");
    assert_eq!(tight.spread_ns.count, 5);
    // The smallest of each trial: 1, 2, 2, 2, 1; of five the largest.
    assert_eq!(tight.window, Window::Ns(2_000_000));
    assert_eq!(tight.each[0].first_gap_ns, Some(1_000_000));
    assert_eq!(tight.each[0].overlap, 3);
    assert_eq!(tight.connections, (2, 3));
    assert_eq!((tight.real_time, tight.over_one_segment), (0, None));
}

#[test]
fn without_overlap_or_trials_nothing_is_claimed() {
    let tight = tightness(&[&[IN_A_ROW][..]; 12], true, None).unwrap();
    assert_eq!(tight.window, Window::TooLittleOverlap);
    assert_eq!(tight.first_gap_ns, None);
    assert_eq!(tight.real_time, 12);
    let tight = tightness(&[&[APART_BY_1][..]; 4], true, None).unwrap();
    assert_eq!(tight.window, Window::TooFewTrials);
    // Refused attempts race for nothing.
    let refused = "#1 0-20 401; #2 1-21 401; orders=0";
    let tight = tightness(&[&[refused][..]; 12], true, None).unwrap();
    assert_eq!(tight.window, Window::TooLittleOverlap);
    assert_eq!(tightness(&[], true, None), None);
}

#[test]
fn more_than_a_segment_over_one_connection_is_told() {
    for (bytes, over) in [(1_460, 0), (1_461, 5)] {
        let tight = tightness(&[&[APART_BY_1][..]; 5], true, Some(bytes)).unwrap();
        assert_eq!(tight.over_one_segment, Some(over));
    }
}

/// What is said of a burst whose attempts left one after the answer to the other.
fn no_overlap(world: World, late: bool) -> String {
    let mut world = world.with_case(Kind::Burst, &[IN_A_ROW; 12]);
    if late {
        // The plan wanted both to leave together.
        for event in &mut world.history.events {
            if let EventKind::Exchange(exchange) = &mut event.kind
                && exchange.part == crate::history::Part::Attempt(2)
            {
                exchange.timing.intended.0 -= 21_000_000;
            }
        }
    }
    let judged = world.judge();
    judged.cases.last().unwrap().grounds[0].message.clone()
}

#[test]
fn why_attempts_did_not_meet_is_told_as_far_as_the_facts_go() {
    let message = no_overlap(World::orders().with_controls(), false);
    assert!(
        message.contains("answered after 20 ms, and the second left 21 ms after the first"),
        "{message}"
    );
    assert!(message.contains("make the operation slower"), "{message}");
    assert!(!message.contains("one after another"), "{message}");
    let message = no_overlap(World::orders().with_controls(), true);
    assert!(message.contains("later than planned"), "{message}");
    assert!(message.contains("--jobs 1"), "{message}");
}

#[test]
fn a_target_that_answers_one_at_a_time_is_told_as_one() {
    let line = |end: u32| format!("#1 0-{end} 201 a; orders=1");
    let serial: Vec<String> = (1..=10).map(|n| line(n * 20)).collect();
    let serial: Vec<&str> = serial.iter().map(String::as_str).collect();
    let world = || World::orders().with_controls_of(&line(20), &serial);
    let message = no_overlap(world(), false);
    assert!(
        message.contains("strictly one after another, about 20 ms apart"),
        "{message}"
    );
    let two: Vec<String> = (1..=10_u32).map(|n| line(n.div_ceil(2) * 20)).collect();
    let two: Vec<&str> = two.iter().map(String::as_str).collect();
    let message = no_overlap(World::orders().with_controls_of(&line(20), &two), false);
    assert!(
        message.contains("about two were worked on at a time"),
        "{message}"
    );
}
