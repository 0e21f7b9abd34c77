//! One file a route, with what it answers.

pub(super) mod list;
pub(super) mod proposal;

pub(super) mod ballots;
pub(super) mod leaderboard;
mod power;
pub(super) mod rejections;
pub(super) mod voter;

pub(super) mod events;
pub(super) mod progress;

pub(super) mod archive;
pub(super) mod result;
