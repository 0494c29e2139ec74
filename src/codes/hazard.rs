//! The hazards: what can be wrong with an API's retries.
//!
//! Source: `retry-safety.md` section 2 (43 ids, their severities), and one
//! finding of the tool's own, `latency-threshold`.

use super::codes;

/// How bad a finding is. Ordered: a later variant outranks an earlier one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; never fails a build by default.
    Info,
    /// Diagnosability.
    Low,
    /// The contract is broken, but a client can recover.
    Medium,
    /// A client that follows the contract ends in a wrong or unrecoverable state.
    High,
    /// Money, stock or data wrong, or another tenant's data shown.
    Critical,
}

impl Severity {
    /// The word that reports print.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

codes! {
    /// What a finding accuses the target of.
    Hazard {
        DuplicateEffectSequential = "duplicate-effect-sequential", "duplicate effect under sequential retries";
        DuplicateEffectConcurrent = "duplicate-effect-concurrent", "duplicate effect under concurrent attempts";
        DuplicateEffectDroppedResponse = "duplicate-effect-dropped-response", "duplicate effect after a lost response";
        DuplicateEffectInFlight = "duplicate-effect-in-flight", "duplicate effect while the first attempt was still running";
        LockExpiryReentry = "lock-expiry-reentry", "the in-progress lock lapsed and a retry got in";
        ErrorAfterEffect = "error-after-effect", "an error was answered although the effect happened";
        LostEffect = "lost-effect", "success was answered, but the effect is not there";
        DivergentReplay = "divergent-replay", "answers for one key name different results";
        InProgressReplayed = "in-progress-replayed", "an unfinished record was replayed as a success";
        StuckKey = "stuck-key", "the key never leaves 'in progress'";
        EarlyExpiry = "early-expiry", "the key was forgotten while retries could still come";
        PayloadMismatchAccepted = "payload-mismatch-accepted", "another payload under a used key was accepted";
        FalsePayloadMismatch = "false-payload-mismatch", "a true retry was refused as another payload";
        KeyNotEnforced = "key-not-enforced", "a missing or malformed key was accepted";
        CrossTenantReplay = "cross-tenant-replay", "one tenant's key met another tenant's result";
        CrossEndpointReplay = "cross-endpoint-replay", "one endpoint's key met another endpoint's result";
        CachedTransientError = "cached-transient-error", "a passing failure is pinned to the key";
        CrashLosesRecord = "crash-loses-record", "a crash between effect and record repeats the effect";
        KeyStoreFailsOpen = "key-store-fails-open", "requests run unprotected while the key store is down";
        SplitKeyStore = "split-key-store", "instances do not see each other's keys";
        UnrelatedKeysRefused = "unrelated-keys-refused", "operations with different keys disturb each other";
        KeyHandling5xx = "key-handling-5xx", "the key handling itself fails with a server error";
        NaturalKeyDuplicate = "natural-key-duplicate", "the same intent under a fresh key ran twice";
        ConstraintLeaks500 = "constraint-leaks-500", "a unique constraint reaches the client as a server error";
        NonIdempotentPut = "non-idempotent-put", "a repeated PUT changed the state again";
        NonIdempotentDelete = "non-idempotent-delete", "a repeated DELETE had another effect";
        UnsafeGet = "unsafe-get", "a GET changed business state";
        StaleOverwrite = "stale-overwrite", "a late attempt undid newer state";
        InvariantBroken = "invariant-broken", "the whole does not add up";
        StaleReadAfterAck = "stale-read-after-ack", "an acknowledged object became visible late";
        PartialSideEffect = "partial-side-effect", "some parts of the effect exist and others do not";
        DownstreamCalledTwice = "downstream-called-twice", "a third party was asked twice";
        SagaStepDuplicated = "saga-step-duplicated", "a step of a flow advanced twice";
        CancelMidHandler = "cancel-mid-handler", "a client that went away cancelled the handler half way";
        PartialUploadExecuted = "partial-upload-executed", "a request cut in the middle was executed";
        BatchPartialRetry = "batch-partial-retry", "retrying a batch repeats or drops items";
        RedeliveryDuplicates = "redelivery-duplicates", "a redelivered message had its effect again";
        PoisonMessageLoop = "poison-message-loop", "a message that always fails is redelivered for ever";
        HiddenRetryLayer = "hidden-retry-layer", "something in between repeats requests";
        ClientNewKeyPerAttempt = "client-new-key-per-attempt", "the client makes a new key for each try";
        ClientKeyReused = "client-key-reused", "the client uses one key for different operations";
        ClientRetryPolicy = "client-retry-policy", "the client retries what it must not, or not as it should";
        ClockSkewRejection = "clock-skew-rejection", "decisions hang on a client's clock";
        LatencyThreshold = "latency-threshold", "a latency threshold of the scenario was missed";
    }
}

impl Hazard {
    /// How bad the hazard is by default (`retry-safety.md` section 2).
    pub fn severity(self) -> Severity {
        match self {
            Self::DuplicateEffectSequential
            | Self::DuplicateEffectConcurrent
            | Self::DuplicateEffectDroppedResponse
            | Self::DuplicateEffectInFlight
            | Self::LockExpiryReentry
            | Self::ErrorAfterEffect
            | Self::LostEffect
            | Self::CrossTenantReplay
            | Self::CrashLosesRecord
            | Self::SplitKeyStore
            | Self::InvariantBroken
            | Self::PartialSideEffect
            | Self::DownstreamCalledTwice
            | Self::RedeliveryDuplicates
            | Self::ClientNewKeyPerAttempt => Severity::Critical,
            Self::DivergentReplay
            | Self::InProgressReplayed
            | Self::StuckKey
            | Self::EarlyExpiry
            | Self::PayloadMismatchAccepted
            | Self::CrossEndpointReplay
            | Self::CachedTransientError
            | Self::KeyStoreFailsOpen
            | Self::UnrelatedKeysRefused
            | Self::NaturalKeyDuplicate
            | Self::NonIdempotentPut
            | Self::NonIdempotentDelete
            | Self::UnsafeGet
            | Self::StaleOverwrite
            | Self::SagaStepDuplicated
            | Self::CancelMidHandler
            | Self::PartialUploadExecuted
            | Self::BatchPartialRetry
            | Self::HiddenRetryLayer
            | Self::ClientKeyReused => Severity::High,
            Self::FalsePayloadMismatch
            | Self::KeyNotEnforced
            | Self::KeyHandling5xx
            | Self::ConstraintLeaks500
            | Self::PoisonMessageLoop
            | Self::ClientRetryPolicy
            | Self::ClockSkewRejection
            | Self::LatencyThreshold => Severity::Medium,
            Self::StaleReadAfterAck => Severity::Info,
        }
    }
}
