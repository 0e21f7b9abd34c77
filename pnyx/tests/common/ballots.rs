//! Ballots of wallets made for the test.

use std::time::{SystemTime, UNIX_EPOCH};

use pnyx_core::{ballot, id::ProposalId, signing::SigningKey};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// What a ballot must name of its proposal.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// `0x` and 64 digits.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) space: String,
    /// When the window opens, in seconds since the epoch.
    pub(crate) opens_at_s: u64,
    /// When the window closes, in seconds since the epoch.
    pub(crate) closes_at_s: u64,
}

/// A signed ballot.
#[derive(Debug, Clone)]
pub(crate) struct Ballot {
    /// Lower-case address.
    pub(crate) voter: String,
    /// `0x` and 64 digits.
    pub(crate) digest: String,
    pub(crate) signed_at_s: u64,
    /// The body of the POST.
    pub(crate) body: Vec<u8>,
}

impl Target {
    /// Reads what the read API says of a proposal.
    pub(crate) fn from_json(proposal: &Value) -> Self {
        let definition = &proposal["definition"];
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        Self {
            id: text(&proposal["id"]),
            name: text(&definition["name"]),
            space: text(&definition["space"]),
            opens_at_s: definition["window"]["opensAtMs"].as_u64().unwrap() / 1000,
            closes_at_s: definition["window"]["closesAtMs"].as_u64().unwrap() / 1000,
        }
    }

    /// Where its ballots lie in Kafka.
    pub(crate) fn ballots_topic(&self) -> String {
        format!("pnyx.{}.ballots", self.id.trim_start_matches("0x"))
    }

    /// The ballot of the wallet that `wallet` names, for one choice by number.
    pub(crate) fn ballot(&self, wallet: &str, signed_at_s: u64, choice: u8) -> Ballot {
        let key = wallet_of(wallet);
        let proposal: ProposalId = self.id.parse().unwrap();
        let choice = choice.to_string();
        let unsigned =
            ballot::compose(key.address(), &self.space, signed_at_s, proposal, &choice, "", "pnyx-test").unwrap();
        let digest = unsigned.digest();
        Ballot {
            voter: key.address().to_string().to_lowercase(),
            digest: digest.to_string(),
            signed_at_s,
            body: unsigned.body_with(&key.sign_digest(*digest.as_bytes())),
        }
    }
}

impl Ballot {
    /// Of two ballots of a voter the one with the higher order stands.
    pub(crate) fn order(&self) -> (u64, &str) {
        (self.signed_at_s, &self.digest)
    }
}

/// The same text always gives the same wallet.
fn wallet_of(text: &str) -> SigningKey {
    SigningKey::from_bytes(Sha256::digest(format!("pnyx test wallet {text}")).into()).unwrap()
}

/// Seconds since the epoch.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}
