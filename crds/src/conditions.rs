//! What conditions say: their types and reasons, every one of them. Each type is there as `Unknown` from the first sight of
//! a resource, so that `kubectl wait` has something to wait for.

/// Declares constants with the list of all of them, so that none can be missing from it.
macro_rules! words {
    ($(#[$about:meta])* $all:ident { $($(#[$what:meta])* $constant:ident = $word:literal,)+ }) => {
        $($(#[$what])* pub const $constant: &str = $word;)+

        $(#[$about])*
        pub const $all: &[&str] = &[$($constant,)+];
    };
}

/// Types of conditions of a GovernanceProposal. Each is `True` where things are as they should be, but for
/// [`proposal::UPGRADE_PENDING`] and [`proposal::PAUSED`], which say that something is held back.
pub mod proposal {
    words! {
        /// Every type, in the order in which they become true.
        ALL {
            /// The resource is valid, its platform is there, and what voters sign stands in the log. From here on, and
            /// while it is being recorded, that part of the spec cannot change.
            ACCEPTED = "Accepted",
            /// The blocks at which chains are read are final and decided; `True` as well where no chain is read.
            SNAPSHOT_PINNED = "SnapshotPinned",
            /// The proposal's topics exist with the right settings.
            TOPICS_READY = "TopicsReady",
            /// The warm shards are ready: before the opening this answers whether the vote will start warm.
            PREWARMED = "Prewarmed",
            /// Ballots count now.
            OPEN = "Open",
            /// Verification keeps up with arrivals; the message says how far behind it is.
            CAUGHT_UP = "CaughtUp",
            /// Everything below the cut is verified and tallied.
            DRAINED = "Drained",
            /// The recount agrees with the live tally and the result is published.
            RECOUNTED = "Recounted",
            /// The samples that scaling decides by are fresh. While they are not, nothing is scaled down.
            SCALING_DATA_FRESH = "ScalingDataFresh",
            /// A rollout of the verifier waits for the end of the window.
            UPGRADE_PENDING = "UpgradePending",
            /// The operator leaves the resource alone because spec.paused says so, here or on its platform.
            PAUSED = "Paused",
            /// The summary: everything is as it should be in this phase.
            READY = "Ready",
        }
    }
}

/// Types of conditions of a GovernancePlatform.
pub mod platform {
    words! {
        /// Every type.
        ALL {
            /// The resource is valid and every Secret it names is there with its keys.
            ACCEPTED = "Accepted",
            /// The brokers answer, have enough members, and keep what the log needs.
            KAFKA_READY = "KafkaReady",
            /// The store answers and has what it must have.
            REDIS_READY = "RedisReady",
            /// The edge has ready replicas.
            INGEST_READY = "IngestReady",
            /// The tally has ready replicas.
            TALLY_READY = "TallyReady",
            /// The operator leaves the platform and its proposals alone because spec.paused says so.
            PAUSED = "Paused",
            /// The summary: proposals can be voted on.
            READY = "Ready",
        }
    }
}

/// Reasons of conditions: one word for programs; the message beside it is for people.
pub mod reasons {
    words! {
        /// Every reason.
        ALL {
            /// Not looked at yet.
            NOT_OBSERVED = "NotObserved",
            /// As it should be.
            AS_EXPECTED = "AsExpected",
            /// Nothing to do: the proposal needs no such thing.
            NOT_NEEDED = "NotNeeded",
            /// The spec breaks a rule that the schema cannot check; the message names the field.
            INVALID = "Invalid",
            /// The platform that platformRef names does not exist.
            PLATFORM_NOT_FOUND = "PlatformNotFound",
            /// The platform is there, but not ready.
            PLATFORM_NOT_READY = "PlatformNotReady",
            /// A limit of the platform is reached; the message names it.
            LIMIT_EXCEEDED = "LimitExceeded",
            /// The window was over before the proposal was accepted.
            WINDOW_OVER = "WindowOver",
            /// Whether the strategies can answer is being tried on their chains: until then the spec may still change.
            TRYING_STRATEGIES = "TryingStrategies",
            /// A strategy can never answer; the log of the Job that the message names says which, and why.
            STRATEGY_FAILS = "StrategyFails",
            /// What voters sign is being recorded in the log: from here on that part of the spec cannot change.
            RECORDING = "Recording",
            /// A Secret or a key of it is missing; the message names it.
            SECRET_NOT_FOUND = "SecretNotFound",
            /// A chain that the proposal reads is not one of the platform's.
            CHAIN_NOT_CONFIGURED = "ChainNotConfigured",
            /// The proposal wants its topics removed, and its platform keeps archives nowhere else.
            ARCHIVE_NOT_CONFIGURED = "ArchiveNotConfigured",
            /// Blocks are not final yet.
            WAITING_FOR_FINALITY = "WaitingForFinality",
            /// A chain does not answer, or its endpoints do not agree.
            CHAIN_UNAVAILABLE = "ChainUnavailable",
            /// Kafka does not answer.
            KAFKA_UNREACHABLE = "KafkaUnreachable",
            /// Kafka answers, but its settings would break a promise.
            KAFKA_UNSUITABLE = "KafkaUnsuitable",
            /// A topic is missing or has other settings than it must have.
            TOPICS_NOT_READY = "TopicsNotReady",
            /// The window has not opened.
            WINDOW_NOT_OPEN = "WindowNotOpen",
            /// The lead before the opening has not begun.
            WAITING_FOR_LEAD = "WaitingForLead",
            /// Shards are starting.
            WARMING = "Warming",
            /// The window is open.
            WINDOW_OPEN = "WindowOpen",
            /// The window is over.
            WINDOW_CLOSED = "WindowClosed",
            /// More ballots wait than the catch-up target allows.
            BEHIND = "Behind",
            /// What was accepted before the cut is being verified and tallied.
            DRAINING = "Draining",
            /// The recount runs.
            RECOUNTING = "Recounting",
            /// The recount differs from the live tally; nothing is published until a person has looked.
            DISPUTED = "Disputed",
            /// The recount could not be done; the message says why, and it is tried again.
            RECOUNT_FAILED = "RecountFailed",
            /// The result is published.
            PUBLISHED = "Published",
            /// The result is published and its archive could not be stored; the message says why, and it is tried again.
            ARCHIVE_NOT_STORED = "ArchiveNotStored",
            /// The last sample is too old, or there is none.
            STALE = "Stale",
            /// Replicas are starting, or too few are ready.
            REPLICAS_NOT_READY = "ReplicasNotReady",
            /// A rollout would fall into an open window.
            ROLLOUT_HELD = "RolloutHeldByOpenWindow",
            /// The annotation that forces a rollout is set.
            ROLLOUT_FORCED = "RolloutForced",
            /// spec.paused is set.
            PAUSED_BY_SPEC = "PausedBySpec",
            /// spec.paused of the platform is set.
            PAUSED_BY_PLATFORM = "PausedByPlatform",
            /// The resource is being deleted.
            DELETING = "Deleting",
            /// Kubernetes refused something; the message says what.
            API_ERROR = "ApiError",
            /// Another condition is not true; the message names it.
            CONDITION_NOT_MET = "ConditionNotMet",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{platform, proposal, reasons};

    #[test]
    fn words_are_what_kubernetes_takes() {
        for all in [proposal::ALL, platform::ALL, reasons::ALL] {
            assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "a word appears twice");
            for word in all {
                assert!(word.starts_with(|char: char| char.is_ascii_uppercase()), "{word}");
                assert!(word.chars().all(|char| char.is_ascii_alphanumeric()), "{word}");
            }
        }
    }
}
