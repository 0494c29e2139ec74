//! What is said of how tight a burst was: measured, or not said.

use super::builder::World;
use crate::history::EventKind;
use crate::oracle::{Tightness, Window};
use crate::plan::Kind;

/// A burst with these trials, each released within 2 ms, over the lines' own
/// connections.
fn tightness(trials: &[&[&str]], real_time: bool, bytes: Option<u64>) -> Option<Tightness> {
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
                connections: bytes.map(|_| 1),
                bytes,
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
    let tight = tightness(&vec![&[IN_A_ROW][..]; 12], true, None).unwrap();
    assert_eq!(tight.window, Window::TooLittleOverlap);
    assert_eq!(tight.first_gap_ns, None);
    assert_eq!(tight.real_time, 12);
    let tight = tightness(&vec![&[APART_BY_1][..]; 4], true, None).unwrap();
    assert_eq!(tight.window, Window::TooFewTrials);
    // Refused attempts race for nothing.
    let refused = "#1 0-20 401; #2 1-21 401; orders=0";
    let tight = tightness(&vec![&[refused][..]; 12], true, None).unwrap();
    assert_eq!(tight.window, Window::TooLittleOverlap);
    assert_eq!(tightness(&[], true, None), None);
}

#[test]
fn more_than_a_segment_over_one_connection_is_told() {
    for (bytes, over) in [(1_460, 0), (1_461, 5)] {
        let tight = tightness(&vec![&[APART_BY_1][..]; 5], true, Some(bytes)).unwrap();
        assert_eq!(tight.over_one_segment, Some(over));
    }
}
