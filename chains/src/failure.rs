//! What an endpoint can fail at. None of it is ever a fact about the chain: it makes callers ask elsewhere, or later.

use std::time::Duration;

use thiserror::Error;

use crate::config::EndpointName;

/// Why an endpoint gave no answer. Holds no URL.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    /// No connection, or one that broke.
    #[error("cannot be reached ({0})")]
    Unreachable(&'static str),
    /// No whole answer in time.
    #[error("did not answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// An HTTP status that is no success.
    #[error("answered with HTTP status {status}")]
    Status {
        /// The status.
        status: u16,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// A JSON-RPC error that says that too much was asked.
    #[error("asks to be asked less: {0}")]
    Limited(String),
    /// More bytes than an answer may have.
    #[error("answered with more bytes than an answer may have")]
    TooLarge,
    /// Not what the protocol says, truncated answers included.
    #[error("gave an answer that is none: {0}")]
    Malformed(&'static str),
    /// An error of the endpoint that is none of the others.
    #[error("answered with error {code}: {message}")]
    Rpc {
        /// JSON-RPC's code.
        code: i64,
        /// Its message, clipped.
        message: String,
    },
    /// The call reverted, as the endpoint says.
    #[error("says that the call reverts")]
    Reverted,
    /// It does not know the block, or not as canonical.
    #[error("does not have the block: {0}")]
    UnknownBlock(String),
    /// It has the block, but no longer its state.
    #[error("does not keep the block's state: {0}")]
    PrunedState(String),
    /// It serves another chain.
    #[error("serves chain {found}")]
    WrongChain {
        /// The chain that it serves.
        found: u64,
    },
    /// It executed the call at another block than the one it was told.
    #[error("answered from another block than the one asked for")]
    WrongBlock,
    /// It granted a call less gas than the rules fix.
    #[error("grants a call only {granted} gas")]
    GasClamped {
        /// What the call found itself with.
        granted: u64,
    },
    /// It granted a batch too little gas for its size.
    #[error("grants a batch too little gas for its size")]
    Starved,
    /// Its finalized block is not far enough yet.
    #[error("has block {finalized} as its finalized one, which is not enough yet")]
    Behind {
        /// The number of that block.
        finalized: u64,
    },
    /// Its URL cannot be read.
    #[error("has no URL: {0}")]
    NoUrl(String),
    /// All its requests in flight are taken, for longer than a request may take.
    #[error("is busy with other requests")]
    Busy,
    /// It failed before and is left alone for a while.
    #[error("is left alone for {} ms because it failed: {reason}", rest.as_millis())]
    LeftAlone {
        /// How much longer.
        rest: Duration,
        /// The outcome of its last request.
        reason: &'static str,
    },
    /// It contradicted the others and is left out for a while.
    #[error("is left out because it contradicted the other endpoints")]
    LeftOut,
}

/// A failure and whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("endpoint {endpoint} {failure}")]
pub struct EndpointFailure {
    /// The endpoint.
    pub endpoint: EndpointName,
    /// What it failed at.
    pub failure: Failure,
}

/// All outcomes of a request, as metrics name them.
pub(crate) const OUTCOMES: &[&str] = &[
    ANSWERED,
    "unreachable",
    "timed-out",
    "status",
    "limited",
    "too-large",
    "malformed",
    "error",
    "reverted",
    "unknown-block",
    "pruned-state",
    "wrong-chain",
    "wrong-block",
    "gas-clamped",
    "starved",
    "behind",
    "no-url",
    "busy",
];

/// The outcome of a request that was answered.
pub(crate) const ANSWERED: &str = "answered";

impl Failure {
    /// What anybody may be told: never the endpoint's own words, which may name an account or an address, nor where its URL
    /// is kept. These are in the log.
    pub fn for_anybody(&self) -> String {
        match self {
            Self::Limited(_) => "asks to be asked less".to_owned(),
            Self::Rpc { code, .. } => format!("answered with error {code}"),
            Self::UnknownBlock(_) => "does not have the block".to_owned(),
            Self::PrunedState(_) => "does not keep the block's state".to_owned(),
            Self::NoUrl(_) => "has no URL".to_owned(),
            Self::Unreachable(_)
            | Self::TimedOut(_)
            | Self::Status { .. }
            | Self::TooLarge
            | Self::Malformed(_)
            | Self::Reverted
            | Self::WrongChain { .. }
            | Self::WrongBlock
            | Self::GasClamped { .. }
            | Self::Starved
            | Self::Behind { .. }
            | Self::Busy
            | Self::LeftAlone { .. }
            | Self::LeftOut => self.to_string(),
        }
    }

    /// What metrics and the API call it.
    pub const fn outcome(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::TimedOut(_) => "timed-out",
            Self::Status { .. } => "status",
            Self::Limited(_) => "limited",
            Self::TooLarge => "too-large",
            Self::Malformed(_) => "malformed",
            Self::Rpc { .. } => "error",
            Self::Reverted => "reverted",
            Self::UnknownBlock(_) => "unknown-block",
            Self::PrunedState(_) => "pruned-state",
            Self::WrongChain { .. } => "wrong-chain",
            Self::WrongBlock => "wrong-block",
            Self::GasClamped { .. } => "gas-clamped",
            Self::Starved => "starved",
            Self::Behind { .. } => "behind",
            Self::NoUrl(_) => "no-url",
            Self::Busy => "busy",
            Self::LeftAlone { .. } => "left-alone",
            Self::LeftOut => "left-out",
        }
    }

    /// Whether the endpoint is at fault whatever it is asked, so that it should be left alone if this goes on.
    pub(crate) const fn harms_endpoint(&self) -> bool {
        match self {
            Self::Unreachable(_)
            | Self::TimedOut(_)
            | Self::Limited(_)
            | Self::Malformed(_)
            | Self::WrongChain { .. }
            | Self::WrongBlock
            | Self::NoUrl(_) => true,
            Self::Status { status, .. } => *status != STATUS_TOO_LARGE,
            Self::TooLarge
            | Self::Rpc { .. }
            | Self::Reverted
            | Self::UnknownBlock(_)
            | Self::PrunedState(_)
            | Self::GasClamped { .. }
            | Self::Starved
            | Self::Behind { .. }
            | Self::Busy
            | Self::LeftAlone { .. }
            | Self::LeftOut => false,
        }
    }

    /// Whether whatever answers at this URL next may be another server, or the URL itself is wrong.
    pub(crate) const fn voids_check(&self) -> bool {
        match self {
            Self::Limited(_) => false,
            Self::Status { status, .. } => *status != STATUS_TOO_LARGE && *status != STATUS_TOO_MANY,
            _ => self.harms_endpoint(),
        }
    }

    /// Whether people should hear of it. The others are answers to what was asked: too much, too early, in vain.
    pub(crate) const fn is_trouble(&self) -> bool {
        !matches!(
            self,
            Self::TooLarge
                | Self::Reverted
                | Self::Starved
                | Self::Behind { .. }
                | Self::LeftAlone { .. }
                | Self::LeftOut
        )
    }

    /// Whether half of the same call might have been answered: proxies refuse what is too long for them in many ways.
    pub(crate) fn may_be_size(&self) -> bool {
        match self {
            Self::TimedOut(_)
            | Self::Limited(_)
            | Self::TooLarge
            | Self::Rpc { .. }
            | Self::Reverted
            | Self::Starved
            | Self::Malformed(_) => true,
            Self::Unreachable(how) => *how == CONNECTION_BROKE,
            Self::Status { status, retry_after } => {
                *status == STATUS_TOO_LARGE || (STATUSES_OF_PROXIES.contains(status) && retry_after.is_none())
            }
            Self::UnknownBlock(_)
            | Self::PrunedState(_)
            | Self::WrongChain { .. }
            | Self::WrongBlock
            | Self::GasClamped { .. }
            | Self::Behind { .. }
            | Self::NoUrl(_)
            | Self::Busy
            | Self::LeftAlone { .. }
            | Self::LeftOut => false,
        }
    }

    /// Whether the same endpoint might have answered another question of the same size.
    pub(crate) fn may_be_the_question(&self) -> bool {
        matches!(self, Self::GasClamped { .. }) || self.may_be_size()
    }

    /// Whether a call of many questions failed in a way that says nothing yet: it was too much at once, or the endpoint
    /// is at fault.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.may_be_size() && self.harms_endpoint()
    }

    /// Whether asking the same endpoint again within a second may help.
    pub(crate) const fn may_pass_soon(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Malformed(_) | Self::WrongBlock | Self::Busy => true,
            Self::Status { status, retry_after } => *status >= 500 && retry_after.is_none(),
            Self::LeftAlone { rest, .. } => rest.as_millis() < 1_000,
            Self::TimedOut(_)
            | Self::Limited(_)
            | Self::TooLarge
            | Self::Rpc { .. }
            | Self::Reverted
            | Self::UnknownBlock(_)
            | Self::PrunedState(_)
            | Self::WrongChain { .. }
            | Self::GasClamped { .. }
            | Self::Starved
            | Self::Behind { .. }
            | Self::NoUrl(_)
            | Self::LeftOut => false,
        }
    }

    /// How long the endpoint itself asks to be left alone.
    pub(crate) const fn retry_after(&self) -> Option<Duration> {
        if let Self::Status { retry_after, .. } = self { *retry_after } else { None }
    }
}

/// A connection that was there and ended without an answer.
pub(crate) const CONNECTION_BROKE: &str = "the connection broke";

/// What proxies say when the node behind them is ill, or when something is too long or takes too long for them: an
/// internal error, a bad gateway, a gateway's time-out.
const STATUSES_OF_PROXIES: [u16; 3] = [500, 502, 504];

/// HTTP's "content too large": the request's fault, not the endpoint's.
const STATUS_TOO_LARGE: u16 = 413;

/// HTTP's "too many requests".
const STATUS_TOO_MANY: u16 = 429;
