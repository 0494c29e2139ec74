//! The pages behind the codes: what `retrial explain WORD` prints, and what a
//! report quotes. Each is a Markdown file that also reads well as plain text.
//!
//! This file only finds a page by its word; it must not know how one is shown.

/// Declares the table of pages from the words alone: the page of `burst` is
/// `pages/burst.md`.
macro_rules! pages {
    ($($word:literal,)*) => {
        &[$(($word, include_str!(concat!("pages/", $word, ".md"))),)*]
    };
}

/// Every page by its word: topics first, then hazards, diagnoses, reasons.
const PAGES: &[(&str, &str)] = pages![
    "effects",
    "patterns",
    "replay",
    "burst",
    "stagger",
    "drop_response",
    "timeout",
    "cut_request",
    "cut_response",
    "reset",
    "changed_headers",
    "reserialised",
    "contract",
    "core",
    "key",
    "marker",
    "within",
    "budget",
    "verdict",
    "exit-codes",
    "exchange-outcomes",
    "secrets",
    "environments",
    "expressions",
    "captures",
    "together",
    "invariants",
    "latency",
    "setup",
    "operation",
    "target",
    "closing-retry",
    "controls",
    "sweep",
    "seed",
    "safety",
    "duplicate-effect-sequential",
    "duplicate-effect-concurrent",
    "duplicate-effect-dropped-response",
    "duplicate-effect-in-flight",
    "lock-expiry-reentry",
    "error-after-effect",
    "lost-effect",
    "divergent-replay",
    "in-progress-replayed",
    "stuck-key",
    "early-expiry",
    "payload-mismatch-accepted",
    "false-payload-mismatch",
    "key-not-enforced",
    "cross-tenant-replay",
    "cross-endpoint-replay",
    "cached-transient-error",
    "crash-loses-record",
    "key-store-fails-open",
    "split-key-store",
    "unrelated-keys-refused",
    "key-handling-5xx",
    "natural-key-duplicate",
    "constraint-leaks-500",
    "non-idempotent-put",
    "non-idempotent-delete",
    "unsafe-get",
    "stale-overwrite",
    "invariant-broken",
    "stale-read-after-ack",
    "partial-side-effect",
    "downstream-called-twice",
    "saga-step-duplicated",
    "cancel-mid-handler",
    "partial-upload-executed",
    "batch-partial-retry",
    "redelivery-duplicates",
    "poison-message-loop",
    "hidden-retry-layer",
    "client-new-key-per-attempt",
    "client-key-reused",
    "client-retry-policy",
    "clock-skew-rejection",
    "latency-threshold",
    "unknown-field",
    "missing-field",
    "duplicate-field",
    "conflicting-fields",
    "wrong-type",
    "invalid-value",
    "unknown-pattern",
    "unknown-method",
    "unknown-contract",
    "unknown-environment",
    "unknown-auth",
    "unknown-operation",
    "unknown-effect",
    "undefined-value",
    "invalid-expression",
    "reserved-name",
    "invalid-jsonpath",
    "invalid-regex",
    "invalid-duration",
    "invalid-url",
    "invalid-name",
    "duplicate-case",
    "duplicate-scenario",
    "unquoted-braces",
    "tab-indent",
    "invalid-yaml",
    "not-utf-8",
    "empty-file",
    "file-too-large",
    "too-deep",
    "too-many-nodes",
    "unreadable-file",
    "not-supported-yet",
    "unmarked-effect",
    "slow-case",
    "unset-environment-variable",
    "short-secret",
    "proxy-ignored",
    "host-not-allowed",
    "over-limit",
    "nothing-to-run",
    "usage",
    "blind-probe",
    "control-mismatch",
    "no-overlap",
    "not-settled",
    "too-few-trials",
    "too-few-samples",
    "noisy-target",
    "hook-missing",
    "interrupted",
    "indeterminate-final",
    "probe-unreadable",
    "setup-failed",
    "cleanup-failed",
    "target-unreachable",
    "hook-failed",
    "report-failed",
    "not-applicable",
];

/// Words that people look for, and the page that they mean: of other tools, of
/// fields that share a page, and of what something is not called here. Patterns
/// and contracts of later versions are not among them: `cli` knows more of each
/// than that it is not supported yet.
const ALIASES: &[(&str, &str)] = &[
    ("wait", "within"),
    ("sleep", "within"),
    ("poll", "within"),
    ("polling", "within"),
    ("patience", "within"),
    ("settle", "within"),
    ("settling", "within"),
    ("stable-for", "within"),
    ("every", "within"),
    ("eventual-consistency", "within"),
    ("delay", "within"),
    ("effect", "effects"),
    ("probe", "effects"),
    ("count", "effects"),
    ("sum", "effects"),
    ("value", "effects"),
    ("expect-once", "effects"),
    ("assert", "effects"),
    ("assertion", "effects"),
    ("check", "effects"),
    ("verification", "effects"),
    ("delta", "effects"),
    ("at", "effects"),
    ("pattern", "patterns"),
    ("fault", "patterns"),
    ("faults", "patterns"),
    ("attack", "patterns"),
    ("chaos", "patterns"),
    ("standard", "patterns"),
    ("quick", "patterns"),
    ("thorough", "patterns"),
    ("with", "patterns"),
    ("before", "patterns"),
    ("name", "patterns"),
    ("repeat", "replay"),
    ("duplicate", "replay"),
    ("retry-same", "replay"),
    ("seq", "replay"),
    ("resend", "replay"),
    ("race", "burst"),
    ("concurrent", "burst"),
    ("parallel", "burst"),
    ("simultaneous", "burst"),
    ("hold", "burst"),
    ("keys", "burst"),
    ("single-packet", "burst"),
    ("overlap", "stagger"),
    ("gap", "stagger"),
    ("discard", "drop_response"),
    ("lost-response", "drop_response"),
    ("lose-response", "drop_response"),
    ("time-out", "timeout"),
    ("give-up", "timeout"),
    ("impatient", "timeout"),
    ("cut", "cut_request"),
    ("partial-upload", "cut_request"),
    ("truncate", "cut_request"),
    ("truncated-response", "cut_response"),
    ("rst", "reset"),
    ("disconnect", "reset"),
    ("abort", "reset"),
    ("half-close", "reset"),
    ("silence", "reset"),
    ("blackhole", "reset"),
    ("connection-lost", "cut_request"),
    ("user-agent", "changed_headers"),
    ("mutate", "changed_headers"),
    ("reserialized", "reserialised"),
    ("member-order", "reserialised"),
    ("canonical-json", "reserialised"),
    ("promise", "contract"),
    ("like", "contract"),
    ("stuck-after", "contract"),
    ("in-flight", "contract"),
    ("replay-errors", "contract"),
    ("identity", "contract"),
    ("accepted-is-ok", "contract"),
    ("transient-excess", "contract"),
    ("default-contract", "core"),
    ("exactly-once", "core"),
    ("idempotency-key", "key"),
    ("idempotency", "key"),
    ("quoted", "key"),
    ("request-id", "key"),
    ("reference", "marker"),
    ("correlation-id", "marker"),
    ("unique", "marker"),
    ("trials", "budget"),
    ("trial", "budget"),
    ("rate", "budget"),
    ("concurrency", "budget"),
    ("profile", "budget"),
    ("profiles", "budget"),
    ("bound", "budget"),
    ("jobs", "budget"),
    ("confidence", "budget"),
    ("powered", "budget"),
    ("verdicts", "verdict"),
    ("pass", "verdict"),
    ("fail", "verdict"),
    ("inconclusive", "verdict"),
    ("error", "verdict"),
    ("skipped", "verdict"),
    ("strict", "verdict"),
    ("flaky", "verdict"),
    ("exit-code", "exit-codes"),
    ("exit", "exit-codes"),
    ("exit-status", "exit-codes"),
    ("exit-zero", "exit-codes"),
    ("return-code", "exit-codes"),
    ("outcome", "exchange-outcomes"),
    ("outcomes", "exchange-outcomes"),
    ("ok", "exchange-outcomes"),
    ("rejected", "exchange-outcomes"),
    ("unknown", "exchange-outcomes"),
    ("secret", "secrets"),
    ("redact", "secrets"),
    ("redaction", "secrets"),
    ("password", "secrets"),
    ("token", "secrets"),
    ("mask", "secrets"),
    ("environment", "environments"),
    ("project", "environments"),
    ("project-file", "environments"),
    ("retrial.yaml", "environments"),
    ("precedence", "environments"),
    ("defaults", "environments"),
    ("expression", "expressions"),
    ("template", "expressions"),
    ("templates", "expressions"),
    ("vars", "expressions"),
    ("var", "expressions"),
    ("variables", "expressions"),
    ("matrix", "expressions"),
    ("attempt", "expressions"),
    ("env", "expressions"),
    ("capture", "captures"),
    ("extract", "captures"),
    ("save", "captures"),
    ("cookie", "captures"),
    ("regex", "captures"),
    ("atomic", "together"),
    ("all-or-nothing", "together"),
    ("invariant", "invariants"),
    ("conservation", "invariants"),
    ("percentile", "latency"),
    ("percentiles", "latency"),
    ("p95", "latency"),
    ("p99", "latency"),
    ("threshold", "latency"),
    ("thresholds", "latency"),
    ("performance", "latency"),
    ("populations", "latency"),
    ("set-up", "setup"),
    ("cleanup", "setup"),
    ("clean-up", "setup"),
    ("teardown", "setup"),
    ("finally", "setup"),
    ("fixture", "setup"),
    ("step", "setup"),
    ("steps", "setup"),
    ("each", "setup"),
    ("operations", "operation"),
    ("request", "operation"),
    ("flow", "operation"),
    ("expect", "operation"),
    ("repeatable", "operation"),
    ("body", "operation"),
    ("json", "operation"),
    ("form", "operation"),
    ("multipart", "operation"),
    ("url", "target"),
    ("tls", "target"),
    ("base-url", "target"),
    ("quiet", "target"),
    ("ca-file", "target"),
    ("insecure", "target"),
    ("retry", "closing-retry"),
    ("retries", "closing-retry"),
    ("backoff", "closing-retry"),
    ("until", "closing-retry"),
    ("closing", "closing-retry"),
    ("staircase", "sweep"),
    ("refined", "sweep"),
    ("control", "controls"),
    ("warm-up", "controls"),
    ("warmup", "controls"),
    ("h", "controls"),
    ("h99", "controls"),
    ("baseline", "controls"),
    ("random", "seed"),
    ("reproduce", "seed"),
    ("salt", "seed"),
    ("determinism", "seed"),
    ("limits", "safety"),
    ("limit", "safety"),
    ("allow-host", "safety"),
    ("allow-hosts", "safety"),
    ("dry-run", "safety"),
    ("caps", "safety"),
    ("loopback", "safety"),
    ("sinks", "not-supported-yet"),
    ("sink", "not-supported-yet"),
    ("proxies", "not-supported-yet"),
    ("hooks", "not-supported-yet"),
    ("webhook", "not-supported-yet"),
    ("publish", "not-supported-yet"),
    ("sql", "not-supported-yet"),
    ("redis", "not-supported-yet"),
    ("queue", "not-supported-yet"),
    ("graphql", "not-supported-yet"),
    ("jq", "not-supported-yet"),
    ("flags", "usage"),
];

/// The page of a code or topic, as Markdown. Case, and whether words are joined
/// by `-`, `_` or a space, do not matter; synonyms lead to the page they mean.
pub fn page(word: &str) -> Option<&'static str> {
    let wanted = normal(word);
    let found = |word: &str| {
        PAGES
            .iter()
            .find(|(of, _)| normal(of) == normal(word))
            .map(|(_, page)| *page)
    };
    found(&wanted).or_else(|| {
        ALIASES
            .iter()
            .find(|(alias, _)| normal(alias) == wanted)
            .and_then(|(_, of)| found(of))
    })
}

/// An example that goes with the page of this word: fields of a scenario or of
/// a project file, as YAML. Pages about something that is not written in files
/// have none.
pub fn example(word: &str) -> Option<&'static str> {
    let (_, rest) = page(word)?.split_once("\n```yaml\n")?;
    let (example, _) = rest.split_once("```")?;
    Some(example)
}

/// Every word that has a page of its own, in the order of the documentation.
pub fn topics() -> Vec<&'static str> {
    PAGES.iter().map(|(word, _)| *word).collect()
}

/// A word without the differences that do not matter.
fn normal(word: &str) -> String {
    word.trim()
        .chars()
        .map(|c| match c {
            '_' | ' ' => '-',
            c => c.to_ascii_lowercase(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::{Diagnosis, Hazard, Reason};

    /// Hazards that this version provokes and judges.
    const JUDGED: [&str; 18] = [
        "duplicate-effect-sequential",
        "duplicate-effect-concurrent",
        "duplicate-effect-dropped-response",
        "duplicate-effect-in-flight",
        "error-after-effect",
        "lost-effect",
        "divergent-replay",
        "in-progress-replayed",
        "stuck-key",
        "false-payload-mismatch",
        "constraint-leaks-500",
        "key-handling-5xx",
        "unrelated-keys-refused",
        "cancel-mid-handler",
        "partial-upload-executed",
        "invariant-broken",
        "partial-side-effect",
        "latency-threshold",
    ];

    /// Fields that may stand at the top of a scenario or a project file.
    const TOP: [&str; 24] = [
        "scenario",
        "target",
        "operation",
        "operations",
        "effects",
        "patterns",
        "contract",
        "vars",
        "secrets",
        "matrix",
        "setup",
        "cleanup",
        "budget",
        "use",
        "latency",
        "description",
        "tags",
        "together",
        "invariants",
        "version",
        "scenarios",
        "defaults",
        "limits",
        "environments",
    ];

    fn has_sections(word: &str, sections: &[&str]) {
        let page = page(word).unwrap_or_else(|| panic!("{word} has no page"));
        let mut rest = page;
        for section in sections {
            let heading = format!("\n## {section}\n\n");
            let (_, after) = rest
                .split_once(&heading)
                .unwrap_or_else(|| panic!("{word}: `{section}` is missing or out of order"));
            assert!(
                !after.trim_start().starts_with('#'),
                "{word}: `{section}` is empty"
            );
            rest = after;
        }
    }

    #[test]
    fn every_hazard_has_a_whole_page_with_its_severity() {
        for hazard in Hazard::ALL {
            has_sections(
                hazard.code(),
                &[
                    "What goes wrong",
                    "Usual cause",
                    "How retrial provokes it",
                    "What proves it",
                    "What does not",
                    "Remedy",
                    "Sources",
                ],
            );
            let severity = format!("\n\nSeverity: {}", hazard.severity().word());
            assert!(page(hazard.code()).unwrap().contains(&severity), "{hazard}");
        }
    }

    #[test]
    fn a_page_says_whether_this_version_provokes_its_hazard() {
        for hazard in Hazard::ALL {
            let (_, provokes) = page(hazard.code())
                .unwrap()
                .split_once("## How retrial provokes it")
                .unwrap();
            let (provokes, _) = provokes.split_once("\n## ").unwrap();
            assert_eq!(
                JUDGED.contains(&hazard.code()),
                !provokes.contains("This version does not"),
                "{hazard}"
            );
        }
    }

    #[test]
    fn every_diagnosis_and_every_reason_has_a_whole_page() {
        for diagnosis in Diagnosis::ALL {
            has_sections(
                diagnosis.code(),
                &["What it means", "Example", "How to mend it"],
            );
        }
        for reason in Reason::ALL {
            has_sections(
                reason.code(),
                &[
                    "What it means",
                    "Example",
                    "How to mend it",
                    "What would make it conclusive",
                ],
            );
        }
    }

    #[test]
    fn every_pattern_has_a_page_with_its_forms() {
        for pattern in [
            "replay",
            "burst",
            "stagger",
            "drop_response",
            "timeout",
            "cut_request",
            "cut_response",
            "reset",
            "changed_headers",
            "reserialised",
        ] {
            has_sections(
                pattern,
                &["What it is", "Forms", "What it finds", "Example"],
            );
            assert!(page("patterns").unwrap().contains(&format!("| `{pattern}")));
        }
    }

    #[test]
    fn a_page_begins_with_its_word_and_no_word_stands_twice() {
        let mut words = topics();
        for word in &words {
            assert!(
                page(word).unwrap().starts_with(&format!("# {word}\n\n")),
                "{word}"
            );
            assert!(page(word).unwrap().ends_with('\n'), "{word}");
        }
        words.extend(ALIASES.iter().map(|(alias, _)| *alias));
        let count = words.len();
        let mut distinct: Vec<String> = words.into_iter().map(normal).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), count);
    }

    #[test]
    fn pages_fit_a_terminal_and_need_no_renderer() {
        for (word, page) in PAGES {
            let mut in_code = false;
            for line in page.lines() {
                let fence = line.starts_with("```");
                in_code ^= fence;
                // A link is worth more whole than narrow.
                let link = line.split_whitespace().count() == 1 && line.contains("https://");
                let most = if in_code || link { 90 } else { 78 };
                assert!(line.chars().count() <= most, "{word}: {line}");
                assert!(
                    in_code || fence || !line.starts_with('<'),
                    "{word}: HTML in {line}"
                );
                assert!(
                    !line.contains('\t') && line.trim_end() == line,
                    "{word}: {line:?}"
                );
            }
            assert!(!in_code, "{word}: a fence is left open");
        }
    }

    #[test]
    fn examples_are_yaml_with_fields_of_the_language() {
        let mut examples = 0;
        for word in topics() {
            let Some(example) = example(word) else {
                continue;
            };
            let fields: std::collections::BTreeMap<String, serde_yaml::Value> =
                serde_yaml::from_str(example).unwrap_or_else(|error| panic!("{word}: {error}"));
            for field in fields.keys() {
                assert!(
                    TOP.contains(&field.as_str()) || field == "auth" || field.starts_with("x_"),
                    "{word}: {field}"
                );
            }
            examples += 1;
        }
        assert!(examples > 80, "{examples} examples");
    }

    #[test]
    fn pages_name_only_words_that_can_be_explained() {
        for (word, text) in PAGES {
            let whole = text.replace('\n', " ");
            for asked in whole.split("`retrial explain ").skip(1) {
                let asked = asked.split('`').next().unwrap();
                assert!(page(asked).is_some(), "{word} sends to `{asked}`");
            }
        }
    }

    #[test]
    fn every_alias_leads_to_a_page() {
        for (alias, of) in ALIASES {
            assert!(page(alias).is_some(), "{alias}");
            assert_eq!(page(alias), page(of), "{alias}");
            assert!(topics().contains(of), "{alias} -> {of}");
        }
    }

    #[test]
    fn a_word_is_found_however_it_is_spelt() {
        for word in ["wait", "sleep", "Within", " within "] {
            assert!(page(word).unwrap().starts_with("# within\n"), "{word}");
        }
        for word in ["drop_response", "drop-response", "Drop Response"] {
            assert!(
                page(word).unwrap().starts_with("# drop_response\n"),
                "{word}"
            );
        }
        assert_eq!(page("no-such-word"), None);
        assert_eq!(page(""), None);
        assert_eq!(example("no-such-word"), None);
        assert!(
            example("burst")
                .unwrap()
                .starts_with("patterns:\n  - burst: 10\n")
        );
    }
}
