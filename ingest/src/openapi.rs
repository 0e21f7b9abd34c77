//! The shapes of requests and answers as OpenAPI tells them. Ballots, receipts and errors themselves are read and
//! written in `core::wire`; a test holds these shapes against real answers.

use serde::Serialize;
use utoipa::ToSchema;

/// A wallet-signed EIP-712 `Vote`, as snapshot.js posts it.
#[derive(Debug, ToSchema)]
pub struct BallotEnvelope {
    /// EIP-55 checksummed address of the voter; the same as `data.message.from`.
    #[schema(example = "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf")]
    pub address: String,
    /// The signature in hexadecimal, at most 8 KiB.
    #[schema(example = "0x…")]
    pub sig: String,
    /// `{domain, types, message[, primaryType]}` as signed.
    #[schema(value_type = Object)]
    pub data: (),
}

/// The answer to an acknowledged ballot: it is durable, and was in time.
#[derive(Debug, ToSchema)]
pub struct AcceptedBallot {
    /// The ballot's digest: its EIP-712 signing hash.
    pub id: String,
    /// CID of the stored record.
    pub ipfs: String,
    /// Who acknowledged.
    pub relayer: Relayer,
    /// What the voter should keep.
    pub receipt: SignedReceiptDocument,
}

/// The platform's key and its signature.
#[derive(Debug, ToSchema)]
pub struct Relayer {
    /// Address of the platform's key.
    pub address: String,
    /// The receipt's signature.
    pub receipt: String,
}

/// A statement of the platform: this record was appended there and then.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct SignedReceiptDocument {
    /// Version of the format, 1.
    pub v: u8,
    /// The proposal's id.
    pub proposal: String,
    /// The ballot's digest.
    pub digest: String,
    /// SHA-256 of the stored record.
    pub record: String,
    /// Partition of the ballots topic.
    pub partition: u32,
    /// Offset in the partition.
    pub offset: u64,
    /// When the log appended it, in milliseconds since the epoch.
    pub appended_at_ms: u64,
    /// From the statement to the signed root.
    pub path: ReceiptPath,
    /// Address of the key that signed.
    pub key: String,
    /// EIP-191 signature over the root of all receipts that were signed together.
    pub signature: String,
}

/// A Merkle path (RFC 6962).
#[derive(Debug, ToSchema)]
pub struct ReceiptPath {
    /// The receipt's index in the tree.
    pub index: u64,
    /// How many receipts the tree has.
    pub size: u64,
    /// Sibling hashes, the lowest first.
    pub hashes: Vec<String>,
}

/// Why a request was refused, in Snapshot's form.
#[derive(Debug, ToSchema)]
pub struct ErrorAnswer {
    /// `client_error` or `server_error`.
    #[schema(example = "client_error")]
    pub error: String,
    /// The text that clients match on.
    #[schema(example = "not in voting window")]
    pub error_description: String,
    /// More, for people.
    #[schema(example = "closed 2026-12-08T12:00:00.000Z, appended 2026-12-08T12:00:00.003Z")]
    pub detail: Option<String>,
}

/// The keys that signed receipts and results.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlatformKeys {
    /// The oldest first.
    pub keys: Vec<PlatformKeyEntry>,
}

/// One key.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlatformKeyEntry {
    /// Its address, which is its id.
    pub address: String,
    /// Whether it signs now.
    pub current: bool,
}
