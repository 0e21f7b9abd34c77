//! Platforms that cannot be run, each with what its owner is told.
