//! The 36 sets of EIP-712 types that Snapshot accepts for a `Vote`, and no other.
//!
//! A set is one member of each column, in this order of fields; `from:string` goes with the last tail only:
//!
//! | `from` | | | `proposal` | `choice` | tail |
//! |---|---|---|---|---|---|
//! | `address` | `string space` | `uint64 timestamp` | `bytes32` | `uint32` | none |
//! | `string` | | | `string` | `uint32[]` | `metadata` |
//! | | | | | `string` | `app` |
//! | | | | | | `reason`, `app` |
//! | | | | | | `reason`, `app`, `metadata` |

use std::sync::LazyLock;

use alloy_primitives::keccak256;
use serde::{Deserialize, Serialize, ser::SerializeMap as _};

use super::envelope::{Object, Text};

/// How `from` is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromType {
    /// `address`: encoded as its 20 bytes.
    Address,
    /// `string`: encoded as the hash of its literal text.
    String,
}

/// How `proposal` is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProposalType {
    /// `bytes32`: encoded as it is.
    Bytes32,
    /// `string`: encoded as the hash of its literal text.
    String,
}

/// How `choice` is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChoiceType {
    /// `uint32`.
    Number,
    /// `uint32[]`.
    Numbers,
    /// `string`.
    Text,
}

/// Which of the optional texts follow `choice`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// None.
    Empty,
    /// `metadata`.
    Metadata,
    /// `app`.
    App,
    /// `reason`, `app`.
    ReasonApp,
    /// `reason`, `app`, `metadata`.
    ReasonAppMetadata,
}

/// An optional text after the choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TailField {
    /// Why the voter votes so.
    Reason,
    /// What the voter signed with.
    App,
    /// JSON of the client.
    Metadata,
}

/// One of the accepted type sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VoteTypes {
    from: FromType,
    proposal: ProposalType,
    choice: ChoiceType,
    tail: Tail,
    type_hash: [u8; 32],
}

/// All sets; their type hashes are computed once.
static ALL: LazyLock<Vec<VoteTypes>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for (from, tail) in [
        (FromType::Address, Tail::Empty),
        (FromType::Address, Tail::Metadata),
        (FromType::Address, Tail::App),
        (FromType::Address, Tail::ReasonApp),
        (FromType::Address, Tail::ReasonAppMetadata),
        (FromType::String, Tail::ReasonAppMetadata),
    ] {
        for proposal in [ProposalType::Bytes32, ProposalType::String] {
            for choice in [ChoiceType::Number, ChoiceType::Numbers, ChoiceType::Text] {
                let mut types = VoteTypes { from, proposal, choice, tail, type_hash: [0; 32] };
                types.type_hash = keccak256(types.encode_type()).0;
                all.push(types);
            }
        }
    }
    all
});

impl VoteTypes {
    /// Every accepted set.
    pub fn all() -> &'static [Self] {
        &ALL
    }

    /// The set that the current client signs for a choice of this type: strings throughout, and the whole tail.
    pub fn of_current_client(choice: ChoiceType) -> Self {
        *Self::all()
            .iter()
            .find(|types| {
                types.from == FromType::String && types.proposal == ProposalType::String && types.choice == choice
            })
            .expect("each type of choice is among the sets with strings")
    }

    /// Reads the `types` of an envelope: exactly `{"Vote":[…]}` with the fields of one set in its order.
    pub(crate) fn from_json(json: &str) -> Option<Self> {
        let Object(TypesJson { vote }) = serde_json::from_str(json).ok()?;
        Self::all().iter().copied().find(|types| {
            let mut fields = types.fields();
            let same = vote.iter().all(|Object(found)| fields.next() == Some((&*found.name.0, &*found.r#type.0)));
            same && fields.next().is_none()
        })
    }

    /// Type of `from`.
    pub const fn from(self) -> FromType {
        self.from
    }

    /// Type of `proposal`.
    pub const fn proposal(self) -> ProposalType {
        self.proposal
    }

    /// Type of `choice`.
    pub const fn choice(self) -> ChoiceType {
        self.choice
    }

    /// Which optional texts a message has.
    pub const fn tail(self) -> Tail {
        self.tail
    }

    /// keccak256 of EIP-712's `encodeType`.
    pub const fn type_hash(&self) -> &[u8; 32] {
        &self.type_hash
    }

    /// (name, type) of each field, in order.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &'static str)> + use<> {
        let from = match self.from {
            FromType::Address => "address",
            FromType::String => "string",
        };
        let proposal = match self.proposal {
            ProposalType::Bytes32 => "bytes32",
            ProposalType::String => "string",
        };
        let choice = match self.choice {
            ChoiceType::Number => "uint32",
            ChoiceType::Numbers => "uint32[]",
            ChoiceType::Text => "string",
        };
        let head =
            [("from", from), ("space", "string"), ("timestamp", "uint64"), ("proposal", proposal), ("choice", choice)];
        head.into_iter().chain(self.tail.fields().iter().map(|field| (field.name(), "string")))
    }

    /// EIP-712's `encodeType`.
    fn encode_type(self) -> String {
        let fields: Vec<_> = self.fields().map(|(name, kind)| format!("{kind} {name}")).collect();
        format!("Vote({})", fields.join(","))
    }
}

impl Tail {
    /// Its fields, in order.
    pub const fn fields(self) -> &'static [TailField] {
        match self {
            Self::Empty => &[],
            Self::Metadata => &[TailField::Metadata],
            Self::App => &[TailField::App],
            Self::ReasonApp => &[TailField::Reason, TailField::App],
            Self::ReasonAppMetadata => &[TailField::Reason, TailField::App, TailField::Metadata],
        }
    }
}

impl TailField {
    /// The field's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reason => "reason",
            Self::App => "app",
            Self::Metadata => "metadata",
        }
    }
}

impl Serialize for VoteTypes {
    /// `{"Vote":[{"name":"from","type":"string"},…]}`, as in an envelope.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields: Vec<_> = self
            .fields()
            .map(|(name, r#type)| FieldJson { name: Text(name.into()), r#type: Text(r#type.into()) })
            .collect();
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("Vote", &fields)?;
        map.end()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypesJson<'a> {
    #[serde(rename = "Vote", borrow)]
    vote: Vec<Object<FieldJson<'a>>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldJson<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow)]
    r#type: Text<'a>,
}
