//! The canonical encoding of a proposal and its hash, the proposal id: SHA-256 of these bytes.
//!
//! Integers are big-endian. A *text* is its length in bytes (4 bytes) and its UTF-8; a *list* is its length (4 bytes)
//! and its members; a *power* is its units of 10^-18 (32 bytes); an *address* is its 20 bytes. Nothing is normalised:
//! texts are encoded as they are written.
//!
//! | field | bytes |
//! |---|---|
//! | prefix | `pnyx.proposal.v1` and a zero byte: 17 bytes, which keep the hash apart from every other |
//! | platform, namespace, name, space, title, body, discussion, author | a text each |
//! | choices | list of texts |
//! | system | 1 byte: 1 basic, 2 single-choice, 3 approval, 4 weighted, 5 quadratic, 6 ranked-choice, 7 copeland |
//! | quorum | 1 byte: 0 none, 1 participation, 2 rejection; unless 0 followed by its power |
//! | approval threshold | 1 byte: 0 none, 1 some, followed by its millionths (4 bytes) |
//! | abstentions | 1 byte: 1 quorum, 2 quorum and threshold, 3 neither |
//! | strategies | list; each 1 byte: 1 whitelist, 2 whitelist-weighted, 3 ticket, 4 erc20-balance-of, 5 erc20-votes, 6 erc721, 7 erc1155-balance-of, 8 eth-balance, 9 contract-call, 10 multichain; then what follows here |
//! | … whitelist | list of addresses, ascending |
//! | … whitelist-weighted | list of address and power, ascending by address |
//! | … ticket | power |
//! | … erc20-balance-of, erc20-votes | chain id (8 bytes), address, decimals (1 byte) |
//! | … erc721 | chain id, address |
//! | … erc1155-balance-of | chain id, address, token id (32 bytes), decimals |
//! | … eth-balance | chain id |
//! | … contract-call | chain id, address, method (text), decimals |
//! | … multichain | list of strategies of the tags 4 to 9 |
//! | snapshot rules | 1 byte: 0 none (power needs no chain), 1 followed by the list of rules, ascending by chain id |
//! | … rule | chain id (8 bytes); 1 byte: 1 block, followed by its number (8 bytes), 2 at or before, followed by milliseconds since the Unix epoch (8 bytes) |
//! | signers' chain | 1 byte: 0 none (key signatures only); others are reserved for chains |
//! | window | opens at, closes at: milliseconds since the Unix epoch, 8 bytes each |
//! | clock skew | seconds, 8 bytes |
//!
//! Every field has a length of its own or states it, so no two proposals share an encoding.

use sha2::{Digest as _, Sha256};

use super::{Abstentions, ChainRead, ChainStrategy, Decimals, ProposalParts, Quorum, Strategy, Voting, VotingSystem};
use crate::{
    chain::{ChainId, ContractAddress, SnapshotRule},
    id::{ProposalId, Voter},
    power::Power,
};

/// What the encoding begins with.
const PREFIX: &[u8; 17] = b"pnyx.proposal.v1\0";

/// Tag of an absent option, and of the signers' chain.
const NONE: u8 = 0;

/// Tag of a present option.
const SOME: u8 = 1;

/// SHA-256 of the canonical encoding.
pub(super) fn proposal_id(parts: &ProposalParts) -> ProposalId {
    ProposalId::new(Sha256::digest(canonical_encoding(parts)).into())
}

/// The canonical encoding: what the id is the SHA-256 of.
///
/// # Panics
/// If a text or list is 2^32 or longer, which no [`super::Proposal`]'s is.
pub fn canonical_encoding(parts: &ProposalParts) -> Vec<u8> {
    let ProposalParts {
        platform,
        namespace,
        name,
        space,
        title,
        body,
        discussion,
        author,
        choices,
        voting,
        window,
        strategies,
        snapshots,
        clock_skew_s,
    } = parts;
    let mut encoder = Encoder { bytes: PREFIX.to_vec() };
    for text in [platform, namespace, name, space, title, body, discussion, author] {
        encoder.text(text);
    }
    encoder.length(choices.len());
    for choice in choices {
        encoder.text(choice);
    }
    encoder.voting(voting);
    encoder.length(strategies.len());
    for strategy in strategies {
        encoder.strategy(strategy);
    }
    if snapshots.is_empty() {
        encoder.tag(NONE);
    } else {
        encoder.tag(SOME);
        encoder.length(snapshots.len());
        for (chain, rule) in snapshots {
            encoder.snapshot(*chain, *rule);
        }
    }
    encoder.tag(NONE);
    encoder.fixed(&window.opens_at().0.to_be_bytes());
    encoder.fixed(&window.closes_at().0.to_be_bytes());
    encoder.fixed(&clock_skew_s.to_be_bytes());
    encoder.bytes
}

struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    fn tag(&mut self, tag: u8) {
        self.bytes.push(tag);
    }

    fn fixed(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn length(&mut self, length: usize) {
        self.fixed(&u32::try_from(length).expect("checked: texts and lists are far below 2^32").to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.fixed(text.as_bytes());
    }

    fn power(&mut self, power: Power) {
        self.fixed(&power.units().to_be_bytes::<32>());
    }

    fn address(&mut self, address: Voter) {
        self.fixed(address.as_bytes());
    }

    fn voting(&mut self, voting: &Voting) {
        let Voting { system, quorum, approval_threshold, abstentions } = voting;
        self.tag(match system {
            VotingSystem::Basic => 1,
            VotingSystem::SingleChoice => 2,
            VotingSystem::Approval => 3,
            VotingSystem::Weighted => 4,
            VotingSystem::Quadratic => 5,
            VotingSystem::RankedChoice => 6,
            VotingSystem::Copeland => 7,
        });
        match quorum {
            None => self.tag(NONE),
            Some(Quorum::Participation(power)) => {
                self.tag(1);
                self.power(*power);
            }
            Some(Quorum::Rejection(power)) => {
                self.tag(2);
                self.power(*power);
            }
        }
        match approval_threshold {
            None => self.tag(NONE),
            Some(fraction) => {
                self.tag(SOME);
                self.fixed(&fraction.millionths().to_be_bytes());
            }
        }
        self.tag(match abstentions {
            Abstentions::Quorum => 1,
            Abstentions::QuorumAndThreshold => 2,
            Abstentions::Neither => 3,
        });
    }

    fn strategy(&mut self, strategy: &Strategy) {
        match strategy {
            Strategy::Whitelist(voters) => {
                self.tag(1);
                self.length(voters.len());
                for voter in voters {
                    self.address(*voter);
                }
            }
            Strategy::WhitelistWeighted(powers) => {
                self.tag(2);
                self.length(powers.len());
                for (voter, power) in powers {
                    self.address(*voter);
                    self.power(*power);
                }
            }
            Strategy::Ticket(power) => {
                self.tag(3);
                self.power(*power);
            }
            Strategy::OnChain(strategy) => self.chain_strategy(strategy),
            Strategy::Multichain(strategies) => {
                self.tag(10);
                self.length(strategies.len());
                for strategy in strategies {
                    self.chain_strategy(strategy);
                }
            }
        }
    }

    fn chain_strategy(&mut self, strategy: &ChainStrategy) {
        let ChainStrategy { network, read } = strategy;
        match read {
            ChainRead::Erc20BalanceOf { address, decimals } => {
                self.tag(4);
                self.contract(*network, *address);
                self.decimals(*decimals);
            }
            ChainRead::Erc20Votes { address, decimals } => {
                self.tag(5);
                self.contract(*network, *address);
                self.decimals(*decimals);
            }
            ChainRead::Erc721 { address } => {
                self.tag(6);
                self.contract(*network, *address);
            }
            ChainRead::Erc1155BalanceOf { address, token_id, decimals } => {
                self.tag(7);
                self.contract(*network, *address);
                self.fixed(&token_id.0.to_be_bytes::<32>());
                self.decimals(*decimals);
            }
            ChainRead::EthBalance => {
                self.tag(8);
                self.chain(*network);
            }
            ChainRead::ContractCall { address, method, decimals } => {
                self.tag(9);
                self.contract(*network, *address);
                self.text(method.as_str());
                self.decimals(*decimals);
            }
        }
    }

    fn snapshot(&mut self, chain: ChainId, rule: SnapshotRule) {
        self.chain(chain);
        match rule {
            SnapshotRule::Block(number) => {
                self.tag(1);
                self.fixed(&number.0.to_be_bytes());
            }
            SnapshotRule::AtOrBefore(time) => {
                self.tag(2);
                self.fixed(&time.0.to_be_bytes());
            }
        }
    }

    fn chain(&mut self, chain: ChainId) {
        self.fixed(&chain.get().to_be_bytes());
    }

    fn contract(&mut self, chain: ChainId, address: ContractAddress) {
        self.chain(chain);
        self.fixed(address.as_bytes());
    }

    fn decimals(&mut self, decimals: Decimals) {
        self.tag(decimals.get());
    }
}
