//! The gallery `scenarios/`: what users copy from, and what `retrial demo` runs.
//! Here as files; that each of them passes against the shop and catches its
//! flaws is shown by the demo.

use std::collections::BTreeMap;
use std::path::PathBuf;

type Fields = BTreeMap<String, serde_yaml::Value>;

/// Every file of the gallery: its name without the ending, and its text.
fn gallery() -> BTreeMap<String, String> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    std::fs::read_dir(folder)
        .expect("the gallery is part of the repository")
        .map(|entry| {
            let path = entry.expect("the folder can be read").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| name.strip_suffix(".yaml"))
                .unwrap_or_else(|| panic!("{} is no scenario", path.display()))
                .to_owned();
            let text = std::fs::read_to_string(path).expect("a scenario is text");
            (name, text)
        })
        .collect()
}

#[test]
fn a_file_is_named_after_its_scenario_and_opens_with_the_editors_comment() {
    for (name, text) in gallery() {
        let fields: Fields = serde_yaml::from_str(&text).unwrap();
        assert_eq!(fields["scenario"].as_str(), Some(name.as_str()));
        assert!(
            text.starts_with(
                "# yaml-language-server: $schema=../.retrial/scenario.schema.json\n#\n# "
            ),
            "{name}"
        );
        assert!(
            text.lines().all(|line| line.chars().count() <= 90),
            "{name}"
        );
    }
}

#[test]
fn a_file_runs_against_the_demo_shop_and_does_not_wait_a_minute_for_a_stuck_key() {
    for (name, text) in gallery() {
        let fields: Fields = serde_yaml::from_str(&text).unwrap();
        let target = &fields["target"];
        let url = target.get("url").unwrap_or(target);
        assert_eq!(url.as_str(), Some("http://127.0.0.1:8080"), "{name}");
        let stuck_after = fields["contract"].get("stuck_after").unwrap();
        assert_eq!(stuck_after.as_str(), Some("5s"), "{name}");
    }
}

#[test]
fn every_flaw_of_the_demo_is_caught_by_one_file() {
    let mut caught = Vec::new();
    for text in gallery().into_values() {
        let Some((_, rest)) = text.split_once("# Catches its flaws: ") else {
            continue;
        };
        let (comment, _) = rest.split_once("\nscenario:").unwrap();
        caught.extend(
            comment
                .split([',', '\n'])
                .map(|flaw| flaw.trim_start_matches('#').trim().to_owned())
                .filter(|flaw| !flaw.is_empty()),
        );
    }
    caught.sort();
    assert_eq!(
        caught,
        [
            "ack-before-commit",
            "cancel-on-disconnect",
            "check-then-act",
            "constraint-500",
            "cut-body-accepted",
            "global-lock",
            "ignores-key",
            "key-5xx",
            "mail-apart",
            "new-id-on-replay",
            "null-in-progress",
            "raw-fingerprint",
            "record-at-end",
            "record-if-heard",
            "release-on-error",
            "stuck-on-disconnect",
        ]
    );
}
