//! The operator against a real API server.

mod apply;
mod bed;
mod children;
mod deletion;
mod lease;
mod log;
mod resources;
mod running;
mod support;
mod trial;

/// What is built, as the tests of the children themselves have it.
#[path = "../children/setup.rs"]
mod setup;
