//! Why a ballot does not count: ordered by precedence, with codes that are only ever appended.

/// Why a record is rejected. A record with several faults is rejected for the first of them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rejection {
    /// 100,000 bytes or more.
    TooLarge,
    /// Not a JSON envelope of exactly the known keys with a hexadecimal signature of bounded size, or an address that is
    /// not checksummed, or a record of a version from the future.
    MalformedEnvelope,
    /// Not Snapshot's EIP-712 domain.
    WrongDomain,
    /// None of the 36 accepted `Vote` type sets.
    WrongTypes,
    /// A message that does not have exactly the fields of its types, or one of them is not a value of its type.
    MalformedMessage,
    /// `message.from` is not the envelope's `address`.
    AddressMismatch,
    /// `message.proposal` is not the proposal in whose topic the record lies, or not a known one.
    UnknownProposal,
    /// `message.space` is not the proposal's space.
    WrongSpace,
    /// Not a canonical choice of the proposal's voting system.
    InvalidChoice,
    /// Signed for a time more than the allowed skew after the append time.
    SignedInFuture,
    /// Appended before the window opens or at or after its close.
    OutsideWindow,
    /// A signature that is neither 64 bytes (EIP-2098) nor 65 bytes: contract signatures need a chain.
    UnsupportedSignature,
    /// A 65-byte signature whose v is not 0, 1, 27 or 28, or whose r or s is 0 or not below the group order.
    MalformedSignature,
    /// s above half the group order (EIP-2): malleable.
    HighS,
    /// The signature is well formed but was made by another account.
    WrongSigner,
    /// The voter has no power at the snapshot.
    NoPower,
    /// The proposal's strategies have no answer for this voter at the pinned blocks: a contract that reverts or answers in
    /// another shape whoever asks, or powers that sum above the bound. Never an endpoint that fails: that delays only.
    PowerUnavailable,
}

impl Rejection {
    /// Every rejection, in order of precedence.
    pub const ALL: [Self; 17] = [
        Self::TooLarge,
        Self::MalformedEnvelope,
        Self::WrongDomain,
        Self::WrongTypes,
        Self::MalformedMessage,
        Self::AddressMismatch,
        Self::UnknownProposal,
        Self::WrongSpace,
        Self::InvalidChoice,
        Self::SignedInFuture,
        Self::OutsideWindow,
        Self::UnsupportedSignature,
        Self::MalformedSignature,
        Self::HighS,
        Self::WrongSigner,
        Self::NoPower,
        Self::PowerUnavailable,
    ];

    /// The number in verdict records: never reused, never changed; new ones are appended whatever their precedence.
    pub const fn code(self) -> u16 {
        match self {
            Self::MalformedEnvelope => 1,
            Self::TooLarge => 2,
            Self::WrongDomain => 3,
            Self::WrongTypes => 4,
            Self::MalformedMessage => 5,
            Self::AddressMismatch => 6,
            Self::UnknownProposal => 7,
            Self::WrongSpace => 8,
            Self::InvalidChoice => 9,
            Self::SignedInFuture => 10,
            Self::OutsideWindow => 11,
            Self::UnsupportedSignature => 12,
            Self::MalformedSignature => 13,
            Self::HighS => 14,
            Self::WrongSigner => 15,
            Self::NoPower => 16,
            Self::PowerUnavailable => 17,
        }
    }

    /// The rejection with this code.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|rejection| rejection.code() == code)
    }

    /// The name in JSON, metrics and archives, in camel case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::MalformedEnvelope => "malformedEnvelope",
            Self::TooLarge => "tooLarge",
            Self::WrongDomain => "wrongDomain",
            Self::WrongTypes => "wrongTypes",
            Self::MalformedMessage => "malformedMessage",
            Self::AddressMismatch => "addressMismatch",
            Self::UnknownProposal => "unknownProposal",
            Self::WrongSpace => "wrongSpace",
            Self::InvalidChoice => "invalidChoice",
            Self::SignedInFuture => "signedInFuture",
            Self::OutsideWindow => "outsideWindow",
            Self::UnsupportedSignature => "unsupportedSignature",
            Self::MalformedSignature => "malformedSignature",
            Self::HighS => "highS",
            Self::WrongSigner => "wrongSigner",
            Self::NoPower => "noPower",
            Self::PowerUnavailable => "powerUnavailable",
        }
    }

    /// The text that Snapshot's clients match on.
    pub const fn snapshot_text(self) -> &'static str {
        match self {
            Self::MalformedEnvelope | Self::AddressMismatch => "wrong envelope format",
            Self::TooLarge => "too large message",
            Self::WrongDomain => "wrong domain",
            Self::WrongTypes => "wrong types",
            Self::MalformedMessage => "wrong vote format",
            Self::UnknownProposal => "unknown proposal",
            Self::WrongSpace => "unknown space",
            Self::InvalidChoice => "invalid choice",
            Self::SignedInFuture => "wrong timestamp",
            Self::OutsideWindow => "not in voting window",
            Self::UnsupportedSignature | Self::MalformedSignature | Self::HighS | Self::WrongSigner => {
                "signature validation failed"
            }
            Self::NoPower => "no voting power",
            Self::PowerUnavailable => "failed to check voting power",
        }
    }

    /// Whether the signature had been proven when the record was rejected, so that the verdict may name the voter.
    pub const fn signer_is_proven(self) -> bool {
        match self {
            Self::NoPower | Self::PowerUnavailable => true,
            Self::MalformedEnvelope
            | Self::TooLarge
            | Self::WrongDomain
            | Self::WrongTypes
            | Self::MalformedMessage
            | Self::AddressMismatch
            | Self::UnknownProposal
            | Self::WrongSpace
            | Self::InvalidChoice
            | Self::SignedInFuture
            | Self::OutsideWindow
            | Self::UnsupportedSignature
            | Self::MalformedSignature
            | Self::HighS
            | Self::WrongSigner => false,
        }
    }
}
