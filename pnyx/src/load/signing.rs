//! Wallets of the load generator, and the ballot that a Snapshot client would ask them to sign.

use pnyx_core::{ballot, id::ProposalId, signing::SigningKey};

use super::proposal::Target;

/// A wallet and its address.
pub(super) struct Wallet {
    /// The key.
    pub(super) key: SigningKey,
    /// Lower-case address.
    pub(super) address: String,
}

/// The wallet of a key.
pub(super) fn wallet_of(key: SigningKey) -> Wallet {
    let address = key.address().to_string().to_lowercase();
    Wallet { key, address }
}

/// The ballot that a Snapshot client would ask this wallet to sign.
pub(super) fn unsigned<'a>(
    target: &'a Target,
    wallet: &Wallet,
    signed_at_s: u64,
    choice: &'a str,
) -> ballot::UnsignedBallot<'a> {
    let proposal: ProposalId = target.id.parse().expect("the platform's own id was read before");
    ballot::compose(wallet.key.address(), &target.space, signed_at_s, proposal, choice, "", "pnyx-load")
        .expect("the generator writes choices as JSON")
}
