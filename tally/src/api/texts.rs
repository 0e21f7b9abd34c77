//! Values as texts and JSON.

use jiff::Timestamp;
use pnyx_core::{choice::Choice, id::Place};
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// Where a record lies in the ballots topic.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct PlaceDto {
    /// Partition, from 0.
    partition: u32,
    /// Offset in it, from 0.
    offset: u64,
}

impl From<Place> for PlaceDto {
    fn from(place: Place) -> Self {
        let Place { partition, offset } = place;
        Self { partition, offset }
    }
}

/// RFC 3339 of a voter's own claim of when, in seconds.
pub(super) fn signed_at_text(signed_at_s: u64) -> String {
    let time = i64::try_from(signed_at_s).ok().and_then(|seconds| Timestamp::from_second(seconds).ok());
    time.unwrap_or(Timestamp::MAX).to_string()
}

/// The canonical JSON of a choice.
pub(super) fn choice_json(choice: &Choice) -> Box<RawValue> {
    RawValue::from_string(choice.to_string()).expect("the text of a choice is JSON")
}
