//! Membership in a group that assigns: this process is the only one that has the log open, so everything is its own.

use std::collections::BTreeSet;

use tokio::sync::watch;

use super::EmbeddedLog;
use crate::log::{Assigned, LogError, Topic};

/// The only member of its group.
#[derive(Debug)]
pub struct EmbeddedMember {
    log: EmbeddedLog,
    assigned: watch::Sender<Assigned>,
}

impl EmbeddedMember {
    pub(super) fn new(log: EmbeddedLog) -> Self {
        Self { log, assigned: watch::Sender::default() }
    }

    /// Owns every partition that the topics have now.
    pub(in crate::log) fn follow(&self, topics: BTreeSet<Topic>) -> Result<(), LogError> {
        let mut assigned = BTreeSet::new();
        for topic in topics {
            let partitions = self.log.partitions(&topic)?;
            assigned.extend((0..partitions).map(|partition| (topic.clone(), partition)));
        }
        self.assigned.send_replace(assigned.into());
        Ok(())
    }

    pub(in crate::log) fn assigned(&self) -> watch::Receiver<Assigned> {
        self.assigned.subscribe()
    }
}
