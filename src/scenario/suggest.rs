//! Did-you-mean: by edit distance, and by a table of the words that other
//! tools use for what a word of ours means.

/// The candidate that a misspelt word most likely meant.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<&'c str> {
    let lower = word.to_lowercase().replace('-', "_");
    candidates
        .into_iter()
        .filter_map(|candidate| {
            // A third of the letters may be wrong; of a short word, one.
            let most = (candidate.len().max(lower.len()) / 3).max(1);
            // Cheap first: so much longer a word is never near.
            if candidate.len().abs_diff(lower.len()) > most {
                return None;
            }
            let distance = strsim::osa_distance(&lower, &candidate.to_lowercase());
            (distance <= most).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Fields: the words of other tools, and ours.
const FIELDS: &[(&str, &str)] = &[
    ("tests", "operations"),
    ("steps", "operations"),
    ("stages", "operations"),
    ("requests", "operations"),
    ("test", "operation"),
    ("name", "scenario"),
    ("test_name", "scenario"),
    ("title", "scenario"),
    ("id", "name"),
    ("url", "target"),
    ("base_url", "target"),
    ("host", "target"),
    ("server", "target"),
    ("faults", "patterns"),
    ("deliveries", "patterns"),
    ("chaos", "patterns"),
    ("methods", "patterns"),
    ("assert", "effects"),
    ("asserts", "effects"),
    ("assertions", "effects"),
    ("check", "effects"),
    ("checks", "effects"),
    ("probes", "effects"),
    ("verify", "effects"),
    ("steady_state", "effects"),
    ("variables", "vars"),
    ("params", "query"),
    ("env", "vars"),
    ("extract", "capture"),
    ("captures", "capture"),
    ("save", "capture"),
    ("before", "setup"),
    ("before_all", "setup"),
    ("given", "setup"),
    ("after", "cleanup"),
    ("teardown", "cleanup"),
    ("finally", "cleanup"),
    ("rollbacks", "cleanup"),
    ("stub", "sinks"),
    ("stubs", "sinks"),
    ("mocks", "sinks"),
    ("include", "use"),
    ("includes", "use"),
    ("imports", "use"),
    ("limits", "budget"),
    ("thresholds", "latency"),
    ("idempotency_key", "key"),
    ("data", "json"),
    ("payload", "json"),
    ("post", "request"),
    ("method", "request"),
    ("path", "request"),
    ("status", "expect"),
    ("status_code", "status"),
    ("response", "expect"),
    ("jsonpath", "json"),
    ("select", "count"),
    ("length", "count"),
    ("timeout", "within"),
    ("retry", "within"),
    ("interval", "every"),
    ("credentials", "auth"),
    ("authentication", "auth"),
    ("insecure_skip_verify", "insecure"),
    ("ca", "ca_file"),
    ("sni", "server_name"),
    ("copies", "attempts"),
    ("count", "attempts"),
    ("times", "attempts"),
    ("n", "attempts"),
    ("delay", "gap"),
];

/// Patterns: the words of other tools, and what to write here.
const PATTERNS: &[(&str, &str)] = &[
    (
        "duplicate",
        "for one after the other write `replay: 5`, for all at once `burst: 5`",
    ),
    (
        "duplicates",
        "for one after the other write `replay: 5`, for all at once `burst: 5`",
    ),
    (
        "retry",
        "for a retry after a lost answer write `drop_response`, for plain repeats `replay: 3`",
    ),
    ("repeat", "write `replay: 3` (3 attempts in all)"),
    ("resend", "write `replay: 3` (3 attempts in all)"),
    ("seq", "write `replay: 3` (3 attempts in all)"),
    ("race", "write `burst: 10` (10 attempts released together)"),
    (
        "parallel",
        "write `burst: 10` (10 attempts released together)",
    ),
    (
        "concurrent",
        "write `burst: 10` (10 attempts released together)",
    ),
    (
        "race_count",
        "write `burst: 10` (10 attempts released together)",
    ),
    ("discard", "write `drop_response`"),
    ("drop", "write `drop_response`"),
    ("lose_response", "write `drop_response`"),
    ("cut", "write `cut_request: 50%` or `cut_response: headers`"),
    ("abort", "write `cut_request: 50%` or `reset: request_sent`"),
    ("limit_data", "write `cut_response: 50%`"),
    (
        "slow_close",
        "write `reset: {after: request_sent, end: fin}`",
    ),
    (
        "blackhole",
        "write `reset: {after: request_sent, end: silence}`",
    ),
    ("reset_peer", "write `reset: request_sent`"),
    ("rst", "write `reset: request_sent`"),
    ("disconnect", "write `reset: request_sent`"),
    (
        "latency",
        "write `timeout: 200ms` (the client gives up and retries) or `stagger: 20ms`",
    ),
    (
        "delay",
        "write `timeout: 200ms` (the client gives up and retries) or `stagger: 20ms`",
    ),
    ("overlap", "write `stagger: 20ms`"),
    ("wait", "write `expire: {after: 24h}`"),
    ("mutate", "write `mismatch: {json: {…}}`"),
    ("tamper", "write `mismatch: {json: {…}}`"),
    ("reserialized", "write `reserialised`"),
    ("reserialize", "write `reserialised`"),
    ("reformat", "write `reserialised`"),
    ("crash", "write `kill: {hook: …}`"),
];

/// Our word for a field that another tool has, where it may stand here.
pub(super) fn field<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let word = word.to_lowercase().replace('-', "_");
    FIELDS
        .iter()
        .filter(|(other, _)| *other == word)
        .find_map(|(_, ours)| candidates.iter().copied().find(|known| known == ours))
        .or_else(|| nearest(&word, candidates.iter().copied()))
}

/// What to write for a pattern that another tool has.
pub(super) fn pattern(word: &str) -> Option<&'static str> {
    let word = word.to_lowercase().replace('-', "_");
    PATTERNS
        .iter()
        .find(|(other, _)| *other == word)
        .map(|(_, help)| *help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_finger_is_understood() {
        let fields = ["patterns", "effects", "target"];
        assert_eq!(nearest("patern", fields), Some("patterns"));
        assert_eq!(nearest("Target", fields), Some("target"));
        assert_eq!(nearest("zebra", fields), None);
        assert_eq!(nearest("POTS", ["POST", "GET"]), Some("POST"));
    }

    #[test]
    fn a_word_of_another_tool_is_understood_where_ours_may_stand() {
        assert_eq!(field("faults", &["patterns", "effects"]), Some("patterns"));
        assert_eq!(field("teardown", &["setup", "cleanup"]), Some("cleanup"));
        assert_eq!(field("faults", &["json"]), None);
    }

    #[test]
    fn a_pattern_of_another_tool_gets_advice() {
        assert!(pattern("Duplicate").is_some_and(|help| help.contains("`burst: 5`")));
        assert_eq!(pattern("replay"), None);
    }
}
