//! Reads one partition from a position of its own.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, warn};

use super::{
    Shared,
    errors::{self, Kind},
    hub::Attachment,
    queue::{Bounds, Stopped, Taken},
    quiet::Quiet,
    topics::Extent,
};
use crate::log::{LogError, LogRecord, Topic};

/// A queue is looked at after this even when nothing woke its reader: a wake-up that was lost costs half a second.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Between two attempts to reach the cluster, and between two looks at an end that a reader waits for.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// How long [`KafkaReader::read_available`] waits for records that are known to be there.
const AVAILABLE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes after which [`KafkaReader::read_available`] ends: what its caller holds in memory at once.
const AVAILABLE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A partition that ends below what was read from it for so long has lost records.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// Reads one partition from a position of its own. What it reads lies below the offset that all replicas in sync have.
#[derive(Debug)]
pub struct KafkaReader {
    shared: Arc<Shared>,
    topic: Topic,
    partition: u32,
    position: u64,
    /// Read and not yet given away: a call that is dropped loses nothing.
    taken: Taken,
    next: u64,
    attachment: Option<Attachment>,
    /// Records were read: from then on an end below the position means that records are lost.
    has_read: bool,
    lost_since: Option<Instant>,
    quiet: Quiet,
    /// Where the partition ends, asked beside reading: an answer takes seconds where brokers are away, and whoever reads may
    /// not wait so long. One at a time.
    end: Option<JoinHandle<Option<u64>>>,
    /// The offset that was found instead of the next one. Found again by another fetch, what is between is lost.
    gap: Option<u64>,
}

impl KafkaReader {
    pub(super) fn new(shared: Arc<Shared>, topic: Topic, partition: u32, position: u64) -> Self {
        Self {
            shared,
            topic,
            partition,
            position,
            taken: Taken::default(),
            next: position,
            attachment: None,
            has_read: false,
            lost_since: None,
            quiet: Quiet::since(Instant::now()),
            end: None,
            gap: None,
        }
    }

    /// The offset of the record that comes next: one above the last.
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// See [`crate::log::PartitionReader::next_batch`]. Waits through whatever the cluster recovers from.
    pub async fn next_batch(&mut self, records_max: usize, bytes_max: usize) -> Result<Vec<LogRecord>, LogError> {
        let bounds = Bounds { records_max, bytes_max };
        loop {
            match self.fill(bounds).await {
                Ok(()) if !self.taken.records.is_empty() => return Ok(self.give()),
                Ok(()) => {
                    self.look_whether_stalled().await?;
                    self.wait().await?;
                }
                Err(LogError::Unavailable { source, .. }) => {
                    debug!(topic = %self.topic, self.partition, %source, "reading waits for the cluster");
                    self.pause().await?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// See [`crate::log::PartitionReader::read_available`]: everything up to the end at the time of the call, within
    /// the bounds.
    pub async fn read_available(&mut self, records_max: usize) -> Result<Vec<LogRecord>, LogError> {
        let bounds = Bounds { records_max, bytes_max: AVAILABLE_BYTES_MAX };
        let deadline = Instant::now() + AVAILABLE_TIMEOUT;
        let Extent { end, .. } = self.extent().await?;
        while self.next < end && !self.taken.is_full(bounds) {
            if Instant::now() >= deadline {
                if !self.taken.records.is_empty() {
                    break;
                }
                self.exchange_client().await?;
                let source = errors::problem("no records came although there are some");
                return Err(LogError::Unavailable { topic: self.topic.clone(), source });
            }
            let before = self.next;
            match self.fill(bounds).await {
                Ok(()) if self.next == before => self.wait().await?,
                Ok(()) => {}
                Err(LogError::Unavailable { .. }) => self.pause().await?,
                Err(error) => return Err(error),
            }
        }
        Ok(self.give())
    }

    fn give(&mut self) -> Vec<LogRecord> {
        self.position = self.next;
        self.taken.take()
    }

    /// Takes what the queue holds.
    async fn fill(&mut self, bounds: Bounds) -> Result<(), LogError> {
        self.shared.check_open()?;
        if self.attachment.as_ref().is_some_and(Attachment::is_retired) {
            self.attachment = None;
        }
        if self.attachment.is_none() && !self.attach().await? {
            return Ok(());
        }
        let Some(attachment) = &self.attachment else { return Ok(()) };
        let before = self.next;
        let stopped = self.taken.fill(attachment.queue(), &mut self.next, bounds);
        if self.next > before {
            self.quiet = Quiet::since(Instant::now());
            self.has_read = true;
            self.gap = None;
        }
        match stopped {
            Stopped::Full | Stopped::Empty => Ok(()),
            Stopped::Gap { found } => {
                self.attachment = None;
                if self.gap == Some(found) {
                    return Err(self.damaged());
                }
                // The library leaves out a batch that it cannot read. It may have been damaged on its way.
                warn!(topic = %self.topic, self.partition, from = self.next, to = found, "records were left out; read again");
                self.gap = Some(found);
                Ok(())
            }
            Stopped::Error(error) => {
                self.attachment = None;
                match errors::kind(&error) {
                    Kind::Unknown => {
                        // Metadata may lag behind; whether it is gone shows when it is attached again.
                        let source = errors::backend(&error);
                        Err(LogError::Unavailable { topic: self.topic.clone(), source })
                    }
                    Kind::Transient | Kind::NotAllowed | Kind::TooLarge | Kind::QueueFull | Kind::Fatal => {
                        Err(errors::reading(&self.topic, &error))
                    }
                }
            }
        }
    }

    /// `false` if there is nothing to attach to yet: the partition ends below the position.
    async fn attach(&mut self) -> Result<bool, LogError> {
        let Extent { first, end } = self.extent().await?;
        if self.next < first {
            return Err(self.damaged());
        }
        if self.next > end {
            let since = *self.lost_since.get_or_insert_with(Instant::now);
            return if self.has_read && since.elapsed() >= LOST_AFTER { Err(self.damaged()) } else { Ok(false) };
        }
        self.lost_since = None;
        let (shared, topic, partition, next) = (self.shared.clone(), self.topic.clone(), self.partition, self.next);
        self.attachment = self
            .shared
            .blocking(move || {
                let known = shared.topics.known(&topic).ok_or(LogError::UnknownTopic { topic })?;
                shared.hub.attach(&known, partition, next)
            })
            .await?;
        self.quiet.begin_again(Instant::now());
        Ok(self.attachment.is_some())
    }

    /// Records that are there and do not come are fetched by a new client.
    async fn look_whether_stalled(&mut self) -> Result<(), LogError> {
        self.quiet.note_empty(Instant::now());
        if let Some(asked) = self.end.take_if(|asked| asked.is_finished()) {
            let end = asked.await.unwrap_or_default();
            if self.quiet.is_stalled(self.next, end, Instant::now()) {
                self.exchange_client().await?;
            }
        } else if self.end.is_none() && self.quiet.is_due(Instant::now()) {
            let (shared, topic, partition) = (self.shared.clone(), self.topic.clone(), self.partition);
            self.end = Some(tokio::spawn(async move {
                let asked = shared
                    .ask(move |shared, cluster| shared.topics.extent(cluster, &shared.settings, &topic, partition));
                asked.await.ok().map(|Extent { end, .. }| end)
            }));
        }
        Ok(())
    }

    async fn exchange_client(&mut self) -> Result<(), LogError> {
        let Some(attachment) = self.attachment.take().filter(|attachment| !attachment.is_retired()) else {
            return Ok(());
        };
        warn!(
            topic = %self.topic, self.partition, next = self.next,
            "records do not come any more although there are some; a new client fetches them"
        );
        // Whoever attaches holds the hub for seconds where brokers are slow.
        let shared = self.shared.clone();
        self.shared
            .blocking(move || {
                shared.hub.exchange(&attachment);
                Ok(())
            })
            .await
    }

    fn damaged(&self) -> LogError {
        LogError::Damaged { topic: self.topic.clone(), partition: self.partition, offset: self.next }
    }

    async fn extent(&self) -> Result<Extent, LogError> {
        let (topic, partition) = (self.topic.clone(), self.partition);
        self.shared.ask(move |shared, cluster| shared.topics.extent(cluster, &shared.settings, &topic, partition)).await
    }

    /// Until there may be more.
    async fn wait(&self) -> Result<(), LogError> {
        let Some(attachment) = &self.attachment else { return self.pause().await };
        tokio::select! {
            // Either way the queue is looked at next.
            _ = timeout(LOOK_AGAIN, attachment.changed()) => Ok(()),
            () = self.shared.closed() => Err(LogError::Closed),
        }
    }

    async fn pause(&self) -> Result<(), LogError> {
        tokio::select! {
            () = sleep(TRY_AGAIN) => Ok(()),
            () = self.shared.closed() => Err(LogError::Closed),
        }
    }
}
