//! The operator against a real API server.

mod apply;
mod lease;
mod resources;
mod support;
