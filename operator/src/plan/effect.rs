//! One thing to do, as data.

use std::fmt;

use super::Child;
use crate::{
    kinds::{ChildKind, ObjectKey},
    log::LogWrite,
};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Make an object that is not there.
    Create(Box<Child>),
    /// Bring an object to what it should be.
    Update(Box<Child>),
    /// Give an object so many replicas.
    Scale {
        /// What it is.
        kind: ChildKind,
        /// Where it is.
        key: ObjectKey,
        /// How many it has.
        from: Option<i64>,
        /// How many it gets.
        to: i64,
    },
    /// Remove an object that nothing wants any more.
    Delete {
        /// What it is.
        kind: ChildKind,
        /// Where it is.
        key: ObjectKey,
        /// Which one it is: one that was made since under the same name stays.
        uid: String,
    },
    /// Say what the resource's own deletion waits for.
    Finalizers {
        /// All of them, those of others among them.
        finalizers: Vec<String>,
        /// Of which version these are the finalizers: one that changed since is left alone.
        version: String,
    },
    /// Write into the platform's log.
    Log(LogWrite),
    /// Tell people.
    Note(Note),
}

/// What people are told, as an Event.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    /// Whether it is good news.
    pub kind: NoteKind,
    /// Why, one word in CamelCase.
    pub reason: &'static str,
    /// What was done or tried, one word in CamelCase.
    pub action: &'static str,
    /// All of it, for people.
    pub message: String,
}

/// Whether it is good news.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoteKind {
    /// It went as it should.
    Normal,
    /// Somebody may have to look.
    Warning,
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Create(child) => write!(f, "create {} {}", child.kind().kind(), child.key()),
            Self::Update(child) => write!(f, "update {} {}", child.kind().kind(), child.key()),
            Self::Scale { kind, key, from: Some(from), to } if from == to => {
                write!(f, "hold {} {key} at {to}", kind.kind())
            }
            Self::Scale { kind, key, from: Some(from), to } => {
                write!(f, "scale {} {key} from {from} to {to}", kind.kind())
            }
            Self::Scale { kind, key, from: None, to } => write!(f, "scale {} {key} to {to}", kind.kind()),
            Self::Delete { kind, key, uid: _ } => write!(f, "delete {} {key}", kind.kind()),
            Self::Finalizers { finalizers, version: _ } => write!(f, "set finalizers [{}]", finalizers.join(", ")),
            Self::Log(write) => write.fmt(f),
            Self::Note(note) => write!(f, "note {}: {}", note.reason, note.message),
        }
    }
}
