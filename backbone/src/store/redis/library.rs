//! The Function library that does a lane's writes, loaded by whoever needs it first.

use pnyx_core::id::{Lane, ProposalId};
use redis::{Cmd, RedisError};

use super::{
    config::KeyPrefix,
    keys::{LaneKeys, ProposalKeys},
    words,
};
use crate::{log::LogIdentity, store::LanePosition};

/// Its source. Its name has its version, and so have its functions': a change of any of it needs another.
const SOURCE: &str = include_str!("library.lua");

/// Applies a batch.
const APPLY: &str = "pnyx_1_apply";

/// Replaces a lane by a staged one.
const REPLACE: &str = "pnyx_1_replace";

/// Loads the library; fails if it is loaded, which [`is_loaded`] tells from failing otherwise.
pub(super) fn load() -> Cmd {
    let mut command = redis::cmd("FUNCTION");
    command.arg("LOAD").arg(SOURCE);
    command
}

/// Whether a call failed because the library is not there: Redis never had it, or lost it.
pub(super) fn is_missing(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("Function not found"))
}

/// Whether loading failed because somebody else was first.
pub(super) fn is_loaded(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("already exists"))
}

/// A call of the function that applies a batch, before its arguments.
pub(super) fn apply(lane: &LaneKeys) -> Cmd {
    let mut command = redis::cmd("FCALL");
    command.arg(APPLY).arg(lane.all().len()).arg(&lane.all());
    command
}

/// A call that writes nothing, since the lane of no proposal never stands where it starts: it shows whether functions may
/// be called and these keys read.
pub(super) fn probe(prefix: &KeyPrefix) -> Cmd {
    let lane = ProposalKeys::new(prefix, ProposalId::new([0; 32])).lane(Lane(0));
    let start = LanePosition { log: LogIdentity([0; 16]), next_offset: 1, below_cut: false };
    let mut command = apply(&lane);
    command.arg(&words::encode_position(start)[..words::START_BYTES]);
    command
}

/// A call of the function that replaces a lane, before its arguments.
pub(super) fn replace(lane: &LaneKeys, staged: &LaneKeys) -> Cmd {
    let (keys, staged) = (lane.all(), staged.companions());
    let mut command = redis::cmd("FCALL");
    command.arg(REPLACE).arg(keys.len() + staged.len()).arg(&keys).arg(&staged);
    command
}

#[cfg(test)]
mod tests {
    use pnyx_core::id::RecordHash;

    use super::*;

    /// Redis keeps what was loaded under a name. If this fails, give the library and its functions the next version.
    #[test]
    fn a_changed_library_has_another_name() {
        assert!(SOURCE.starts_with("#!lua name=pnyx_1\n"));
        assert!(SOURCE.contains(&format!("register_function('{APPLY}'")));
        assert!(SOURCE.contains(&format!("register_function('{REPLACE}'")));
        let known = "0x0468476d75aec1a8c918a7805139f8536346a2693d316577d33fbec80af36730";
        assert_eq!(RecordHash::of(SOURCE.as_bytes()).to_string(), known);
    }
}
