//! What there is: the patterns and contracts by name, with what `list` and
//! `explain` say where a code's page says no more.

/// A delivery pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PatternWords {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its short form.
    pub(crate) form: &'static str,
    /// What happens on the wire.
    pub(crate) wire: &'static str,
    /// What it finds.
    pub(crate) finds: &'static str,
    /// Whether this version does it.
    pub(crate) now: Support,
}

/// Whether this version does something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    /// It does.
    Now,
    /// A later one does.
    Later,
}

impl Support {
    /// The word for a list.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Now => "",
            Self::Later => "not yet",
        }
    }
}

const fn now(
    name: &'static str,
    form: &'static str,
    wire: &'static str,
    finds: &'static str,
) -> PatternWords {
    PatternWords {
        name,
        form,
        wire,
        finds,
        now: Support::Now,
    }
}

const fn later(
    name: &'static str,
    form: &'static str,
    wire: &'static str,
    finds: &'static str,
) -> PatternWords {
    PatternWords {
        now: Support::Later,
        ..now(name, form, wire, finds)
    }
}

/// Every pattern, in the order of the documentation.
pub(crate) const PATTERNS: &[PatternWords] = &[
    now(
        "replay",
        "replay: 3",
        "send, read the answer, send again",
        "no deduplication at all; another answer",
    ),
    now(
        "burst",
        "burst: 10",
        "attempts released together",
        "check-then-act, a lost race answered 500",
    ),
    now(
        "stagger",
        "stagger: 20ms",
        "attempts that overlap by a gap",
        "a window inside the handler",
    ),
    now(
        "drop_response",
        "drop_response",
        "the answer arrives, the client acts as if lost, then retries",
        "the ordinary retry",
    ),
    now(
        "timeout",
        "timeout: 200ms",
        "the client gives up and retries while the first still runs",
        "in-flight handling, stuck keys",
    ),
    now(
        "cut_request",
        "cut_request: 50%",
        "the request ends before it is whole",
        "half-processed bodies",
    ),
    now(
        "cut_response",
        "cut_response: headers",
        "the connection ends inside the answer",
        "records kept only for clients that stay",
    ),
    now(
        "reset",
        "reset: request_sent",
        "connection reset after the last byte",
        "handlers cancelled half way",
    ),
    now(
        "changed_headers",
        "changed_headers",
        "the retry has another User-Agent and trace header",
        "a fingerprint over too much",
    ),
    now(
        "reserialised",
        "reserialised",
        "the retry has other member order and white space",
        "a fingerprint over raw bytes",
    ),
    later(
        "mismatch",
        "mismatch: {json: {…}}",
        "same key, other payload",
        "a missing fingerprint",
    ),
    later("missing_key", "missing_key", "no key", "an optional key"),
    later(
        "bad_key",
        "bad_key",
        "an empty key, 300 bytes, control characters",
        "storage errors",
    ),
    later(
        "other_tenant",
        "other_tenant: {auth: second}",
        "same key, other principal",
        "leaked answers",
    ),
    later(
        "other_endpoint",
        "other_endpoint: {request: …}",
        "same key elsewhere",
        "the scope of keys",
    ),
    later(
        "expire",
        "expire: {after: 24h}",
        "replay before and after the retention",
        "an early purge",
    ),
    later(
        "fresh_keys",
        "fresh_keys: 3",
        "same payload, a new key each time",
        "no natural key behind the key",
    ),
    later(
        "late_replay",
        "late_replay: {of: A, after: B}",
        "an old attempt again after a newer operation",
        "a lost update",
    ),
    later(
        "split",
        "split",
        "attempts over several instances",
        "per-process stores",
    ),
    later(
        "kill",
        "kill: {hook: …}",
        "a hook while in flight, then retry",
        "a crash between effect and key record",
    ),
    later(
        "redeliver",
        "redeliver: 3",
        "a message delivered again",
        "consumers without deduplication",
    ),
    later(
        "reorder",
        "reorder",
        "messages in another order",
        "consumers that count on order",
    ),
    later(
        "lost_ack",
        "lost_ack",
        "the acknowledgement is lost",
        "consumers that acknowledge late",
    ),
    later(
        "requeue",
        "requeue",
        "a message put back",
        "poison messages",
    ),
];

/// A contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContractWords {
    /// Its name.
    pub(crate) name: &'static str,
    /// What it promises.
    pub(crate) line: &'static str,
    /// Whether this version knows it.
    pub(crate) now: Support,
}

/// Every contract.
pub(crate) const CONTRACTS: &[ContractWords] = &[
    ContractWords {
        name: "core",
        line: "one key, at most one effect; a success stays true; same key, same result; a key ends with a definite answer; keys do not disturb each other",
        now: Support::Now,
    },
    ContractWords {
        name: "ietf",
        line: "the IETF draft on the Idempotency-Key header: 400 without a key, 422 for another payload, 409 in flight",
        now: Support::Later,
    },
    ContractWords {
        name: "stripe",
        line: "Stripe's: answers replayed with their status, 24 hours",
        now: Support::Later,
    },
    ContractWords {
        name: "adyen",
        line: "Adyen's: a replay is marked by a header, kept for 7 days at least",
        now: Support::Later,
    },
    ContractWords {
        name: "paypal",
        line: "PayPal's: the header PayPal-Request-Id, a replay shows the latest state",
        now: Support::Later,
    },
    ContractWords {
        name: "square",
        line: "Square's: the key is a member of the body",
        now: Support::Later,
    },
    ContractWords {
        name: "aws",
        line: "AWS: client tokens, a replay may show a newer state",
        now: Support::Later,
    },
    ContractWords {
        name: "azure",
        line: "Azure: the Repeatability headers of OASIS, with a time of first sending",
        now: Support::Later,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Kind;

    #[test]
    fn the_patterns_of_this_version_are_those_that_a_plan_can_hold() {
        let listed: Vec<&str> = PATTERNS
            .iter()
            .filter(|pattern| pattern.now == Support::Now)
            .map(|pattern| pattern.name)
            .collect();
        assert_eq!(listed, Kind::ALL.map(Kind::word));
    }
}
