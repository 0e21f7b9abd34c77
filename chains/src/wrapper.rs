//! Signatures of accounts that are not made yet, or not ready: a call that makes them so, and the signature proper
//! ([ERC-6492](https://eips.ethereum.org/EIPS/eip-6492)).
//!
//! ```text
//! wrapper := abi.encode(address factory, bytes calldata, bytes signature) 0x6492…6492:32
//! ```

use pnyx_core::id::Voter;
use thiserror::Error;

/// What a wrapper ends with. No signature of another kind does: read as the `v` of an ECDSA signature it has none, and
/// contracts are asked about what is inside.
const MAGIC: [u8; 32] = *b"\x64\x92\x64\x92\x64\x92\x64\x92\x64\x92\x64\x92\x64\x92\x64\x92\
    \x64\x92\x64\x92\x64\x92\x64\x92\x64\x92\x64\x92\x64\x92\x64\x92";

const WORD_LEN: usize = 32;

/// Zeros before an address or a length in its word; lengths of more than four bytes are none that a signature has.
const ADDRESS_ZEROS: usize = 12;
const LEN_ZEROS: usize = 28;

/// What is in a wrapper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wrapper<'a> {
    /// The account that is called first.
    pub(crate) factory: Voter,
    /// With what.
    pub(crate) calldata: &'a [u8],
    /// The signature that the voter's contract is asked about then.
    pub(crate) signature: &'a [u8],
}

/// The end says that it is a wrapper, but it is not one in the one encoding that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("ends like an ERC-6492 wrapper but is none")]
pub(crate) struct WrapperError;

impl<'a> Wrapper<'a> {
    /// Reads a signature; `None` if it is no wrapper. Strict: the two parts follow each other, filled up with zeros, as
    /// every encoder writes them, so that there is one reading.
    pub(crate) fn read(signature: &'a [u8]) -> Result<Option<Self>, WrapperError> {
        match signature.strip_suffix(&MAGIC) {
            Some(encoded) => Self::decode(encoded).map(Some).ok_or(WrapperError),
            None => Ok(None),
        }
    }

    fn decode(encoded: &'a [u8]) -> Option<Self> {
        let (factory, rest) = encoded.split_first_chunk::<WORD_LEN>()?;
        let factory = factory.strip_prefix(&[0; ADDRESS_ZEROS])?.try_into().ok()?;
        let (first_at, rest) = length(rest)?;
        let (second_at, rest) = length(rest)?;
        let (calldata, rest) = bytes(rest)?;
        let (signature, rest) = bytes(rest)?;
        let first = 3 * WORD_LEN;
        let second = first + WORD_LEN + calldata.len().next_multiple_of(WORD_LEN);
        let is_canonical = (first_at, second_at) == (first, second) && rest.is_empty();
        is_canonical.then(|| Self { factory: Voter::new(factory), calldata, signature })
    }
}

fn length(encoded: &[u8]) -> Option<(usize, &[u8])> {
    let (word, rest) = encoded.split_first_chunk::<WORD_LEN>()?;
    let number = u32::from_be_bytes(word.strip_prefix(&[0; LEN_ZEROS])?.try_into().ok()?);
    Some((usize::try_from(number).ok()?, rest))
}

fn bytes(encoded: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = length(encoded)?;
    let (padded, rest) = rest.split_at_checked(len.checked_next_multiple_of(WORD_LEN)?)?;
    let (bytes, zeros) = padded.split_at(len);
    zeros.iter().all(|byte| *byte == 0).then_some((bytes, rest))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::hex;
    use proptest::prelude::*;

    use super::*;

    fn word(number: usize) -> [u8; 32] {
        let mut word = [0; 32];
        word[24..].copy_from_slice(&(number as u64).to_be_bytes());
        word
    }

    fn wrap(factory: [u8; 20], calldata: &[u8], signature: &[u8]) -> Vec<u8> {
        let mut bytes = [&[0; 12][..], &factory, &word(96)].concat();
        bytes.extend(word(128 + calldata.len().next_multiple_of(32)));
        for part in [calldata, signature] {
            bytes.extend(word(part.len()));
            bytes.extend(part);
            bytes.resize(bytes.len().next_multiple_of(32), 0);
        }
        bytes.extend(MAGIC);
        bytes
    }

    #[test]
    fn what_others_encode_is_read() {
        // viem's `serializeErc6492Signature` of these three.
        let encoded = hex!(
            "000000000000000000000000cafebabecafebabecafebabecafebabecafebabe"
            "0000000000000000000000000000000000000000000000000000000000000060"
            "00000000000000000000000000000000000000000000000000000000000000a0"
            "0000000000000000000000000000000000000000000000000000000000000004"
            "deadbeef00000000000000000000000000000000000000000000000000000000"
            "0000000000000000000000000000000000000000000000000000000000000003"
            "0102030000000000000000000000000000000000000000000000000000000000"
            "6492649264926492649264926492649264926492649264926492649264926492"
        );
        let factory = Voter::new(hex!("cafebabecafebabecafebabecafebabecafebabe"));
        let expected = Wrapper { factory, calldata: &[0xde, 0xad, 0xbe, 0xef], signature: &[1, 2, 3] };
        assert_eq!(Wrapper::read(&encoded), Ok(Some(expected)));
        assert_eq!(Wrapper::read(&MAGIC), Err(WrapperError));
        assert_eq!(Wrapper::read(&MAGIC[1..]), Ok(None));
        assert_eq!(Wrapper::read(&[]), Ok(None));
    }

    proptest! {
        #[test]
        fn there_is_one_encoding(
            factory: [u8; 20],
            calldata in prop::collection::vec(any::<u8>(), 0..70),
            signature in prop::collection::vec(any::<u8>(), 0..70),
            at: prop::sample::Index,
            flip in 1_u8..,
        ) {
            let mut encoded = wrap(factory, &calldata, &signature);
            let expected = Wrapper { factory: Voter::new(factory), calldata: &calldata, signature: &signature };
            prop_assert_eq!(Wrapper::read(&encoded), Ok(Some(expected)));
            for len in 0..encoded.len() - MAGIC.len() {
                let shorter = [&encoded[..len], &MAGIC].concat();
                prop_assert_eq!(Wrapper::read(&shorter), Err(WrapperError));
            }
            // Any other byte is another wrapper or none.
            let at = at.index(encoded.len() - MAGIC.len());
            encoded[at] ^= flip;
            prop_assert_ne!(Wrapper::read(&encoded), Ok(Some(expected)));
        }

        #[test]
        fn any_bytes_are_read_or_refused(mut bytes: Vec<u8>) {
            bytes.extend(MAGIC);
            prop_assert_eq!(Wrapper::read(&bytes), Err(WrapperError));
        }
    }
}
