//! Follows one platform's log: opens it, reads what is decided, looks at topics, and begins again where that fails.

use std::{sync::Arc, time::Duration};

use pnyx_backbone::{
    clock,
    log::{KafkaConfig, KafkaLog, Log, LogError, OpenError, Topic, kafka::KafkaOpenError},
    proposals::{FollowError, Proposals},
    shutdown::Shutdown,
    telemetry,
};
use pnyx_core::decisions::DecisionBook;
use pnyx_crds::conditions::reasons;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval, sleep},
};
use tracing::{info, warn};

use super::{
    sampling,
    state::{Link, LogState, PlatformLog},
};
use crate::{
    kinds::{Key, ObjectKey, Primary},
    observe::BookWriter,
    watch::{Backoff, WorkQueue},
};

/// First pause before a log is opened again.
const RETRY_FIRST: Duration = Duration::from_secs(1);

/// Longest pause: a broker that is back is used within this, and what is said is true again soon after.
const RETRY_MAX: Duration = Duration::from_secs(10);

/// How often it is asked which topics are due for a look.
const SAMPLING_TICK: Duration = Duration::from_secs(1);

/// How often it is asked whether anybody answers, however long looks at topics take that nobody answers.
const ANSWER_INTERVAL: Duration = Duration::from_secs(5);

/// Longest that ending one log may take: its clients close in seconds.
const CLOSE_LIMIT: Duration = Duration::from_secs(6);

/// One platform's log, and where what is seen of it goes.
pub(super) struct Following {
    pub(super) platform: ObjectKey,
    pub(super) log: Arc<PlatformLog>,
    pub(super) books: BookWriter,
    pub(super) queue: WorkQueue<Key>,
    pub(super) stop: Shutdown,
}

impl Following {
    /// Until it is told to stop.
    pub(super) async fn run(self, config: KafkaConfig) {
        let mut backoff = Backoff::new(RETRY_FIRST, RETRY_MAX, (&self.platform.namespace, &self.platform.name));
        while !self.stop.is_requested() {
            // Of its own, so that a failing task of this log ends nothing but this log.
            let life = Shutdown::new();
            let opened = tokio::select! {
                () = self.stop.requested() => return,
                opened = open(config.clone(), &life) => opened,
            };
            match opened {
                Ok(link) => {
                    backoff.reset();
                    info!(platform = %self.platform, "the log is followed");
                    self.follow(link, &life).await;
                }
                Err(state) => self.say(state),
            }
            tokio::select! {
                () = self.stop.requested() => {}
                () = sleep(backoff.next_pause()) => {}
            }
        }
    }

    /// Until it is told to stop or the log fails.
    async fn follow(&self, link: Link, life: &Shutdown) {
        let mut books = link.proposals.watch();
        if self.stop.is_requested() {
            return;
        }
        self.log.set_link(link.clone(), clock::now());
        self.books.set(books.borrow_and_update().clone());
        self.say(LogState::Followed);
        tokio::select! {
            () = self.stop.requested() => {}
            () = life.requested() => warn!(platform = %self.platform, "the log is no longer followed, it is opened again"),
            () = self.read_on(books) => {}
            () = self.ask(&link) => {}
            () = self.look_at_topics(&link) => {
                warn!(platform = %self.platform, "the log takes no more writes, it is opened again");
            }
        }
        self.log.unlink();
        life.trigger();
        if tokio::time::timeout(CLOSE_LIMIT, link.log.close()).await.is_err() {
            warn!(platform = %self.platform, "the log's clients do not end");
        }
    }

    /// Passes on what is decided, until nobody reads any more.
    async fn read_on(&self, mut books: watch::Receiver<Arc<DecisionBook>>) {
        while books.changed().await.is_ok() {
            self.books.set(books.borrow_and_update().clone());
        }
    }

    /// Looks at the topics that are due, again and again, and has resources looked at of which others wait for what was seen.
    /// Ends when nothing can be written any more.
    async fn look_at_topics(&self, link: &Link) {
        let mut ticks = interval(SAMPLING_TICK);
        // What was missed while a look took long is not made up for.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if !link.log.is_writable() {
                return;
            }
            let book = link.proposals.book();
            for proposal in sampling::look(&link.log, &self.log, &book, clock::now()).await {
                let Some(decisions) = book.get(proposal) else { continue };
                let parts = decisions.definition.proposal().parts();
                let object = ObjectKey::new(&parts.namespace, &parts.name);
                self.queue.add(Key { primary: Primary::Proposal, object });
            }
        }
    }

    /// Asks again and again whether anybody answers. One question may be lost.
    async fn ask(&self, link: &Link) {
        let (mut ticks, mut unanswered) = (interval(ANSWER_INTERVAL), 0_u32);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let state = match link.log.ends(&Topic::proposals()).await {
                Ok(_) => {
                    unanswered = 0;
                    LogState::Followed
                }
                Err(error) => {
                    unanswered = unanswered.saturating_add(1);
                    LogState::Failing { reason: reasons::KAFKA_UNREACHABLE, problem: telemetry::chain(&error) }
                }
            };
            if unanswered != 1 {
                self.say(state);
            }
        }
    }

    fn say(&self, state: LogState) {
        if self.log.set_state(state.clone()) {
            if let LogState::Failing { reason, problem } = &state {
                warn!(platform = %self.platform, reason, problem, "the log cannot be used, trying again");
            }
            self.queue.add(Key { primary: Primary::Platform, object: self.platform.clone() });
        }
    }
}

/// Opens the log and reads all that is decided.
async fn open(config: KafkaConfig, life: &Shutdown) -> Result<Link, LogState> {
    let log = KafkaLog::open(config).await.map_err(|error| failing(&error))?;
    let log = Log::Kafka(log);
    match Proposals::start(log.clone(), life).await {
        Ok(proposals) => Ok(Link { log, proposals }),
        Err(error) => {
            let state = unread(&error);
            log.close().await;
            Err(state)
        }
    }
}

fn failing(error: &OpenError) -> LogState {
    let is_unsuitable =
        matches!(error, OpenError::Kafka(KafkaOpenError::Durability { .. } | KafkaOpenError::Config(_)));
    let reason = if is_unsuitable { reasons::KAFKA_UNSUITABLE } else { reasons::KAFKA_UNREACHABLE };
    LogState::Failing { reason, problem: telemetry::chain(error) }
}

fn unread(error: &FollowError) -> LogState {
    let (FollowError::Topic(source) | FollowError::Read(source)) = error;
    let is_away = matches!(source, LogError::Unavailable { .. });
    let reason = if is_away { reasons::KAFKA_UNREACHABLE } else { reasons::KAFKA_UNSUITABLE };
    LogState::Failing { reason, problem: telemetry::chain(error) }
}
