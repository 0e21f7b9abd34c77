//! What the JSON formats share: versions, strict fields, maps whose order is theirs.

use std::fmt;

use alloy_primitives::{U256, hex};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, MapAccess, Visitor},
};

use super::WireError;
use crate::{
    id::Voter,
    power::{Power, parse_units},
};

/// The version that every JSON format has at present.
pub(super) const VERSION: u8 = 1;

/// A format's name, for its errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Format(pub(super) &'static str);

/// What is read of a document before it is known which fields it should have.
#[derive(Deserialize)]
struct Head {
    v: u64,
    kind: Option<String>,
}

impl Format {
    /// Reads the version and the kind. A later version may have any fields, so the rest is not looked at.
    pub(super) fn kind(self, json: &[u8]) -> Result<Option<String>, WireError> {
        let head: Head = self.parse(json)?;
        if head.v == u64::from(VERSION) {
            Ok(head.kind)
        } else {
            Err(WireError::Version { format: self.0, version: head.v, known: VERSION.into() })
        }
    }

    /// Reads the fields of a document.
    pub(super) fn parse<T: DeserializeOwned>(self, json: &[u8]) -> Result<T, WireError> {
        serde_json::from_slice(json).map_err(|error| self.malformed(error))
    }

    /// Refuses a document that says what it says in other bytes than its encoder writes.
    pub(super) fn require_canonical(self, json: &[u8], canonical: &[u8]) -> Result<(), WireError> {
        if json == canonical { Ok(()) } else { Err(self.malformed("its bytes are not the canonical ones")) }
    }

    pub(super) fn malformed(self, problem: impl fmt::Display) -> WireError {
        WireError::Malformed { format: self.0, problem: problem.to_string() }
    }

    /// A field's value, or the error with the field's name.
    pub(super) fn field<T, E: fmt::Display>(self, name: &str, value: Result<T, E>) -> Result<T, WireError> {
        value.map_err(|error| self.malformed(format_args!("{name}: {error}")))
    }

    pub(super) fn voter(self, name: &str, text: &str) -> Result<Voter, WireError> {
        self.field(name, Voter::from_checksummed(text))
    }

    pub(super) fn power(self, name: &str, text: &str) -> Result<Power, WireError> {
        self.field(name, Power::parse(text))
    }

    pub(super) fn units(self, name: &str, text: &str) -> Result<U256, WireError> {
        self.field(name, parse_units(text))
    }

    /// `0x` and exactly `2 N` lower-case hexadecimal digits.
    pub(super) fn hex<const N: usize>(self, name: &str, text: &str) -> Result<[u8; N], WireError> {
        let mut bytes = [0; N];
        let digits = text.strip_prefix("0x").filter(|digits| !digits.bytes().any(|byte| byte.is_ascii_uppercase()));
        match digits.map(|digits| hex::decode_to_slice(digits, &mut bytes)) {
            Some(Ok(())) => Ok(bytes),
            Some(Err(_)) | None => {
                let digits = N.saturating_mul(2);
                Err(self
                    .malformed(format_args!("{name}: expected 0x followed by {digits} lower-case hexadecimal digits")))
            }
        }
    }
}

/// Compact JSON.
pub(super) fn to_json(document: &impl Serialize) -> String {
    serde_json::to_string(document).expect("documents of texts, integers and maps with text keys always serialise")
}

/// A JSON object that keeps the order it was made or read in, repeated keys included.
#[derive(Debug)]
pub(super) struct OrderedMap<V>(pub(super) Vec<(String, V)>);

impl<V: Serialize> Serialize for OrderedMap<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for OrderedMap<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(std::marker::PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = OrderedMap<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<OrderedMap<V>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(OrderedMap(entries))
            }
        }

        deserializer.deserialize_map(Entries(std::marker::PhantomData))
    }
}
