//! How a ballot's signature was found to be its voter's: by the voter's key, or by the voter's contract at the pin.

use crate::{chain::BlockNumber, id::RecordHash};

/// What proved a counting ballot's signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureCheck {
    /// The voter's own key: ECDSA over secp256k1, without any chain.
    Key,
    /// The voter's contract on the proposal's signers' chain.
    Contract {
        /// In which way it was asked.
        kind: ContractCheck,
        /// The number of the pinned block at which it was asked.
        block: BlockNumber,
        /// The record that holds the signature: evidence of what the contract said names it.
        record: RecordHash,
    },
}

/// The ways in which a contract says that a signature is its account's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ContractCheck {
    /// `isValidSignature(bytes32,bytes)` answered `0x1626ba7e` (ERC-1271).
    Eip1271,
    /// `isValidSignature(bytes,bytes)` answered `0x20c13b0b`: ERC-1271's draft, which older wallets speak.
    Eip1271Legacy,
    /// The signature is an ERC-6492 wrapper, and the account that it makes or prepares accepted the one inside.
    Eip6492,
}

/// What the chain says, at the pinned block, of a signature that is not its voter's key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SignatureRuling {
    /// The account has no code there, and no wrapper makes it one that accepts: nobody but its key can sign for it.
    NoContract,
    /// Its contract does not accept the signature: any answer but the magic one, one that reverts, or none within the
    /// fixed gas.
    Refused,
    /// Its contract accepts it.
    Accepted(ContractCheck),
}

impl ContractCheck {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Eip1271, Self::Eip1271Legacy, Self::Eip6492];

    /// The number in verdict records and in the leaves of signatures: never reused, never changed.
    pub const fn code(self) -> u8 {
        match self {
            Self::Eip1271 => 1,
            Self::Eip1271Legacy => 2,
            Self::Eip6492 => 3,
        }
    }

    /// The way with this code.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|check| check.code() == code)
    }

    /// The name in JSON, metrics and archives, in camel case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eip1271 => "eip1271",
            Self::Eip1271Legacy => "eip1271Legacy",
            Self::Eip6492 => "eip6492",
        }
    }
}

impl SignatureRuling {
    /// Every ruling.
    pub const ALL: [Self; 5] = [
        Self::Accepted(ContractCheck::Eip1271),
        Self::Accepted(ContractCheck::Eip1271Legacy),
        Self::Accepted(ContractCheck::Eip6492),
        Self::Refused,
        Self::NoContract,
    ];

    /// The number in the leaves of signatures, which is that of the check where one accepts.
    pub const fn code(self) -> u8 {
        match self {
            Self::Accepted(check) => check.code(),
            Self::Refused => 128,
            Self::NoContract => 129,
        }
    }

    /// The name in JSON, metrics and archives, in camel case.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted(check) => check.name(),
            Self::Refused => "refused",
            Self::NoContract => "noContract",
        }
    }

    /// The ruling with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ruling| ruling.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_and_names_tell_apart() {
        let codes: BTreeSet<u8> = SignatureRuling::ALL.into_iter().map(SignatureRuling::code).collect();
        let names: BTreeSet<&str> = SignatureRuling::ALL.into_iter().map(SignatureRuling::name).collect();
        assert_eq!((codes.len(), names.len()), (SignatureRuling::ALL.len(), SignatureRuling::ALL.len()));
        for ruling in SignatureRuling::ALL {
            assert_eq!(SignatureRuling::from_name(ruling.name()), Some(ruling));
        }
        for check in ContractCheck::ALL {
            assert!(SignatureRuling::ALL.contains(&SignatureRuling::Accepted(check)));
        }
        for name in ["", "Eip1271", "eip712", "accepted"] {
            assert_eq!(SignatureRuling::from_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_code_is_one_check_or_none() {
        let known: Vec<u8> = (0..=u8::MAX).filter(|code| ContractCheck::from_code(*code).is_some()).collect();
        assert_eq!(known, ContractCheck::ALL.map(ContractCheck::code));
    }
}
