//! The tally over a real embedded log and the in-memory store: verdict records are written directly.

mod api;
mod events;
mod lanes;
mod rig;
