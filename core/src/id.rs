//! Names of things: 32-byte hashes by what they identify, the voter's address, a record's place, a lane.

use std::fmt;

use alloy_primitives::hex;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Why a text is not the identifier it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum IdError {
    /// The text is not `0x` and the right number of lower-case hexadecimal digits.
    #[error("expected 0x followed by {expected_digits} lower-case hexadecimal digits")]
    Hex {
        /// How many digits there should be.
        expected_digits: usize,
    },
    /// The address is not written with its EIP-55 checksum.
    #[error("address is not EIP-55 checksummed")]
    Checksum,
}

/// Which log this is: a random id made with it, so that derived state from another log is noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LogIdentity(pub [u8; 16]);

/// Names a hash: 32 bytes, written as `0x` and 64 lower-case digits.
macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 32]);

        impl $name {
            /// Wraps the 32 bytes.
            pub const fn new(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The 32 bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&alloy_primitives::hex::encode_prefixed(self.0))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::id::IdError;

            /// Strict: `0x` and 64 lower-case digits, so that one id has one text.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::id::parse_hash(text).map(Self)
            }
        }
    };
}
pub(crate) use hash_id;

/// Names an account: 20 bytes, written with their EIP-55 checksum.
macro_rules! address_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 20]);

        impl $name {
            /// Wraps the 20 bytes.
            pub const fn new(bytes: [u8; 20]) -> Self {
                Self(bytes)
            }

            /// The 20 bytes.
            pub const fn as_bytes(&self) -> &[u8; 20] {
                &self.0
            }

            /// Reads an address that must carry its EIP-55 checksum (<https://eips.ethereum.org/EIPS/eip-55>).
            pub fn from_checksummed(text: &str) -> Result<Self, $crate::id::IdError> {
                let address = Self::from_any_case(text)?;
                let mut buffer = [0; 42];
                if alloy_primitives::Address::from(address.0).to_checksum_raw(&mut buffer, None) == text {
                    Ok(address)
                } else {
                    Err($crate::id::IdError::Checksum)
                }
            }

            /// Reads an address in any case, for people's command lines and files; never for what is hashed.
            pub fn from_any_case(text: &str) -> Result<Self, $crate::id::IdError> {
                $crate::id::parse_address(text).map(Self)
            }
        }

        impl std::fmt::Display for $name {
            /// The EIP-55 checksummed form.
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut buffer = [0; 42];
                f.write_str(alloy_primitives::Address::from(self.0).to_checksum_raw(&mut buffer, None))
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }
    };
}
pub(crate) use address_id;

hash_id!(
    /// What a voter's signature binds to: the hash of a proposal's canonical encoding.
    ProposalId
);
hash_id!(
    /// A ballot's identity: its EIP-712 signing hash.
    Digest
);
hash_id!(
    /// SHA-256 of a stored ballot record, version byte included.
    RecordHash
);
hash_id!(
    /// Root of one of the Merkle trees of `merkle`.
    Root
);

impl RecordHash {
    /// SHA-256 of a record as it is stored in the log.
    pub fn of(record: &[u8]) -> Self {
        Self(Sha256::digest(record).into())
    }
}

address_id!(
    /// The 20-byte address a ballot speaks for. Ordered by its bytes.
    Voter
);

pub(crate) fn parse_hash(text: &str) -> Result<[u8; 32], IdError> {
    let error = IdError::Hex { expected_digits: 64 };
    let digits = text.strip_prefix("0x").ok_or(error)?;
    if digits.len() != 64 || digits.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(error);
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| error)?;
    Ok(bytes)
}

pub(crate) fn parse_address(text: &str) -> Result<[u8; 20], IdError> {
    let error = IdError::Hex { expected_digits: 40 };
    let digits = text.strip_prefix("0x").ok_or(error)?;
    let mut bytes = [0; 20];
    if digits.len() != 40 {
        return Err(error);
    }
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| error)?;
    Ok(bytes)
}

/// Where a record stands in the ballots topic of its proposal. Ordered by partition, then offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Partition number, from 0.
    pub partition: u32,
    /// Offset in that partition, from 0.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} @ {}", self.partition, self.offset)
    }
}

/// One partition of the verdicts topic; a voter's state lives in one lane for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lane(pub u16);

impl Lane {
    /// The lane of a voter whose signature was proven: the first 8 bytes of SHA-256(address), big-endian, modulo
    /// the lane count of the proposal's definition.
    pub fn of_voter(voter: Voter, lanes: u16) -> Self {
        Self::of_bytes(voter.as_bytes(), lanes)
    }

    /// The lane of a verdict without a proven signer: as above over the ballot's digest, or over the record's hash
    /// where no digest exists, so that nobody can crowd a voter's lane.
    pub fn of_unproven(key: &[u8; 32], lanes: u16) -> Self {
        Self::of_bytes(key, lanes)
    }

    fn of_bytes(bytes: &[u8], lanes: u16) -> Self {
        let hash: [u8; 32] = Sha256::digest(bytes).into();
        let mut head = [0; 8];
        head.copy_from_slice(&hash[..8]);
        let lane = u64::from_be_bytes(head).checked_rem(u64::from(lanes)).expect("a definition has at least one lane");
        Self(u16::try_from(lane).expect("a remainder by a u16 fits in a u16"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hash_has_one_text() {
        let text = format!("0x{}", "0a".repeat(32));
        let digest = Digest::new([10; 32]);
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(digest.to_string(), text);
        for other in
            [&text[2..], &text[..64], &format!("{text}0"), &text.to_uppercase(), &text.replace('a', "A"), "", "0x"]
        {
            assert_eq!(other.parse::<Digest>(), Err(IdError::Hex { expected_digits: 64 }), "{other}");
        }
        assert!(text.replace('a', "g").parse::<Digest>().is_err());
    }

    /// The examples of <https://eips.ethereum.org/EIPS/eip-55>.
    #[test]
    fn addresses_carry_their_checksum() {
        for text in [
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
            "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        ] {
            let voter = Voter::from_checksummed(text).unwrap();
            assert_eq!(voter.to_string(), text);
            let lower = text.to_lowercase();
            assert_eq!(Voter::from_checksummed(&lower), Err(IdError::Checksum));
            assert_eq!(Voter::from_any_case(&lower), Ok(voter));
            for wrong in [&text[2..], &text[..41], &format!("{text}0"), &text.replace("0x", "0X")] {
                assert_eq!(Voter::from_any_case(wrong), Err(IdError::Hex { expected_digits: 40 }), "{wrong}");
            }
        }
    }

    /// SHA-256 of the empty text, as `sha256sum` prints it.
    #[test]
    fn a_record_is_named_by_its_sha_256() {
        let empty = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(RecordHash::of(b"").to_string(), empty);
    }

    /// SHA-256 of twenty zero bytes begins with `de47c9b27eb8d300`.
    #[test]
    fn a_lane_is_the_head_of_the_hash_modulo_the_lanes() {
        let voter = Voter::new([0; 20]);
        for lanes in [1, 2, 7, 256] {
            let expected = u16::try_from(0xde47_c9b2_7eb8_d300_u64 % u64::from(lanes)).unwrap();
            assert_eq!(Lane::of_voter(voter, lanes), Lane(expected));
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(hash: [u8; 32], address: [u8; 20]) {
            prop_assert_eq!(ProposalId::new(hash).to_string().parse(), Ok(ProposalId::new(hash)));
            prop_assert_eq!(Voter::from_checksummed(&Voter::new(address).to_string()), Ok(Voter::new(address)));
        }

        #[test]
        fn lanes_are_below_their_count(address: [u8; 20], hash: [u8; 32], lanes in 1..=u16::MAX) {
            prop_assert!(Lane::of_voter(Voter::new(address), lanes).0 < lanes);
            prop_assert!(Lane::of_unproven(&hash, lanes).0 < lanes);
        }

        #[test]
        fn places_are_ordered_by_partition_then_offset(one: (u32, u64), other: (u32, u64)) {
            let place = |(partition, offset)| Place { partition, offset };
            prop_assert_eq!(place(one).cmp(&place(other)), one.cmp(&other));
        }
    }
}
