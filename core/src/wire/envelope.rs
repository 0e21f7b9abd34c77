//! The body of a `POST /` as JSON: `{address, sig, data: {domain, types, message[, primaryType]}}`.
//!
//! Reading borrows from the body and is strict at every level: known keys only, each once, objects where objects are
//! due. What a key means is judged in `ballot`, in the order of precedence of rejections, so the parts of `data` are
//! first taken as raw JSON.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use super::vote_types::VoteTypes;
use crate::choice::RawChoice;

/// A JSON string, borrowed unless it has escapes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// A `T` that was a JSON object; serde's derived structs would also be read from a list of their fields.
#[derive(Debug)]
pub(crate) struct Object<T>(pub(crate) T);

/// What a client posts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EnvelopeJson<'a> {
    #[serde(borrow)]
    pub(crate) address: Text<'a>,
    #[serde(borrow)]
    pub(crate) sig: Text<'a>,
    #[serde(borrow)]
    pub(crate) data: Object<DataJson<'a>>,
}

/// The typed data.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DataJson<'a> {
    #[serde(borrow)]
    pub(crate) domain: &'a RawValue,
    #[serde(borrow)]
    pub(crate) types: &'a RawValue,
    #[serde(borrow)]
    pub(crate) message: &'a RawValue,
    #[serde(borrow, default, rename = "primaryType", deserialize_with = "present")]
    pub(crate) primary_type: Option<&'a RawValue>,
}

/// The EIP-712 domain; all keys that EIP-712 knows.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(crate) struct DomainJson<'a> {
    #[serde(borrow)]
    pub(crate) name: Text<'a>,
    #[serde(borrow)]
    pub(crate) version: Text<'a>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) chain_id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) verifying_contract: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) salt: Option<Text<'a>>,
}

/// The message; which of the last three it must have, its types say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MessageJson<'a> {
    #[serde(borrow)]
    pub(crate) from: Text<'a>,
    #[serde(borrow)]
    pub(crate) space: Text<'a>,
    pub(crate) timestamp: u64,
    #[serde(borrow)]
    pub(crate) proposal: Text<'a>,
    #[serde(borrow)]
    pub(crate) choice: &'a RawValue,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) reason: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) app: Option<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(crate) metadata: Option<Text<'a>>,
}

/// An envelope as the current client of Snapshot posts it, to be written.
#[derive(Debug, Serialize)]
pub(crate) struct ClientEnvelope<'a> {
    pub(crate) address: &'a str,
    pub(crate) sig: &'a str,
    pub(crate) data: ClientData<'a>,
}

/// Its typed data.
#[derive(Debug, Serialize)]
pub(crate) struct ClientData<'a> {
    pub(crate) domain: ClientDomain,
    pub(crate) types: VoteTypes,
    pub(crate) message: ClientMessage<'a>,
}

/// Its domain.
#[derive(Debug, Serialize)]
pub(crate) struct ClientDomain {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
}

/// Its message.
#[derive(Debug, Serialize)]
pub(crate) struct ClientMessage<'a> {
    pub(crate) from: &'a str,
    pub(crate) space: &'a str,
    pub(crate) timestamp: u64,
    pub(crate) proposal: &'a str,
    #[serde(serialize_with = "raw_choice")]
    pub(crate) choice: &'a RawChoice<'a>,
    pub(crate) reason: &'a str,
    pub(crate) app: &'a str,
    pub(crate) metadata: &'a str,
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// An optional key that, where it is present, is not null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

fn raw_choice<S: Serializer>(choice: &RawChoice<'_>, serializer: S) -> Result<S::Ok, S::Error> {
    match choice {
        RawChoice::Number(number) => number.serialize(serializer),
        RawChoice::Numbers(numbers) => numbers.serialize(serializer),
        RawChoice::Text(text) => text.serialize(serializer),
    }
}
