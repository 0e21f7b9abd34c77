//! A member of a group that assigns partitions and reads nothing through the group.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::{FromClientConfigAndContext as _, RDKafkaLogLevel},
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::{
    Shared,
    errors::{self, KafkaOpenError},
    events::Events,
    failing::Failing,
    serve::{self, Served},
    settings::Settings,
};
use crate::log::{Assigned, LogError, Topic};

/// How often it is seen whether the member's client still reaches the brokers: the group would not say so.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

/// How long an answer to that may take.
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);

/// A member of a group that assigns.
#[derive(Debug)]
pub struct KafkaMember {
    shared: Arc<Shared>,
    state: Arc<MemberState>,
}

/// What the member's thread, its client's callbacks and its owner share.
pub(super) struct MemberState {
    group_id: String,
    settings: Settings,
    followed: Mutex<BTreeSet<Topic>>,
    assigned: watch::Sender<Assigned>,
    has_left: AtomicBool,
}

impl KafkaMember {
    /// Joins the group on a thread of its own, once it follows something.
    pub(super) fn join(shared: &Arc<Shared>, group: &str) -> Result<Self, LogError> {
        let state = Arc::new(MemberState {
            group_id: shared.settings.member_group(group),
            settings: shared.settings.clone(),
            followed: Mutex::default(),
            assigned: watch::Sender::default(),
            has_left: AtomicBool::new(false),
        });
        serve::spawn(shared, state.clone(), "kafka-member").map_err(|source| LogError::Read {
            topic: Topic::proposals(),
            source: errors::problem(source.to_string()),
        })?;
        Ok(Self { shared: shared.clone(), state })
    }

    /// See [`crate::log::GroupMember::follow`].
    pub async fn follow(&self, topics: BTreeSet<Topic>) -> Result<(), LogError> {
        for topic in &topics {
            self.shared.known(topic).await?;
        }
        *self.state.followed() = topics;
        Ok(())
    }

    /// See [`crate::log::GroupMember::assigned`].
    pub fn assigned(&self) -> watch::Receiver<Assigned> {
        self.state.assigned.subscribe()
    }
}

impl Drop for KafkaMember {
    fn drop(&mut self) {
        // The thread leaves the group.
        self.state.has_left.store(true, Ordering::Release);
    }
}

impl MemberState {
    fn followed(&self) -> MutexGuard<'_, BTreeSet<Topic>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, list: &TopicPartitionList, change: impl Fn(&mut BTreeSet<(Topic, u32)>, (Topic, u32))) {
        self.assigned.send_if_modified(|assigned| {
            let mut next = (**assigned).clone();
            for element in list.elements() {
                let topic = self.settings.topic_of(element.topic());
                if let (Some(topic), Ok(partition)) = (topic, u32::try_from(element.partition())) {
                    change(&mut next, (topic, partition));
                }
            }
            let is_changed = next != **assigned;
            *assigned = Arc::new(next);
            is_changed
        });
    }

    fn own_nothing(&self) {
        self.assigned.send_if_modified(|assigned| {
            let is_changed = !assigned.is_empty();
            *assigned = Assigned::default();
            is_changed
        });
    }
}

impl Served for MemberState {
    type Context = MemberContext;

    fn connect(self: Arc<Self>, shared: &Shared) -> Result<Arc<BaseConsumer<MemberContext>>, KafkaOpenError> {
        let config = shared.settings.member(&self.group_id)?;
        let context = MemberContext { events: shared.group_events.clone(), state: self.clone() };
        let consumer = BaseConsumer::from_config_and_context(&config, context)
            .map_err(|error| KafkaOpenError::Client { problem: errors::words(&error) })?;
        Ok(Arc::new(consumer))
    }

    fn serve(
        &self,
        shared: &Shared,
        consumer: &Arc<BaseConsumer<MemberContext>>,
        poll: Duration,
        is_to_end: &dyn Fn() -> bool,
    ) {
        let mut subscribed = BTreeSet::new();
        let proposals = self.settings.topic_name(&Topic::proposals());
        let unanswered = Failing::new();
        let mut look_at = Instant::now() + LOOK_INTERVAL;
        while !is_to_end() {
            if Instant::now() >= look_at {
                // Where the brokers answer nobody, a new client would hear as little.
                let answer = consumer.fetch_metadata(Some(&proposals), LOOK_TIMEOUT);
                unanswered.note(answer.is_err() && shared.extent_now(&Topic::proposals(), 0).is_ok());
                if unanswered.is_stuck() {
                    warn!(group = self.group_id, "the member got no answers for a while; a new client joins");
                    shared.metrics.clients_replaced.inc();
                    break;
                }
                look_at = Instant::now() + LOOK_INTERVAL;
            }
            let followed = self.followed().clone();
            if followed != subscribed {
                let names: Vec<_> = followed.iter().map(|topic| self.settings.topic_name(topic)).collect();
                let names: Vec<_> = names.iter().map(String::as_str).collect();
                let done = if names.is_empty() {
                    consumer.unsubscribe();
                    Ok(())
                } else {
                    consumer.subscribe(&names)
                };
                match done {
                    Ok(()) => subscribed = followed,
                    Err(error) => warn!(group = self.group_id, %error, "topics cannot be followed; tried again"),
                }
            }
            if let Some(Err(error)) = consumer.poll(poll)
                && errors::kind(&error) == errors::Kind::Fatal
            {
                warn!(group = self.group_id, %error, "the member's client has failed; a new one is made");
                std::thread::sleep(poll);
                break;
            }
        }
        self.own_nothing();
    }

    fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    fn failed(&self, _: &KafkaOpenError) {
        // It has been logged, and owning nothing is what others see.
        self.own_nothing();
    }
}

impl std::fmt::Debug for MemberState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemberState").field("group_id", &self.group_id).finish_non_exhaustive()
    }
}

/// What the member's client reports to.
pub(super) struct MemberContext {
    events: Events,
    state: Arc<MemberState>,
}

impl ClientContext for MemberContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.on_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.on_error(&error, reason);
    }
}

impl ConsumerContext for MemberContext {
    /// Takes or gives up partitions without ever fetching from them.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.events.metrics().rebalanced(&self.state.group_id);
        let is_cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let done = take(consumer, list, is_cooperative);
            self.state.change(list, |assigned, partition| {
                assigned.insert(partition);
            });
            done
        } else {
            // First others are told, then the group.
            self.state.change(list, |assigned, partition| {
                assigned.remove(&partition);
            });
            if is_cooperative { consumer.incremental_unassign(list) } else { consumer.unassign() }
        };
        match done {
            Ok(()) => {
                debug!(group = self.state.group_id, partitions = list.count(), "assigned partitions have changed")
            }
            Err(error) => warn!(group = self.state.group_id, %error, "a rebalance failed"),
        }
    }
}

fn take(
    consumer: &BaseConsumer<MemberContext>,
    list: &mut TopicPartitionList,
    is_cooperative: bool,
) -> KafkaResult<()> {
    // An offset of its own keeps the library from asking for the group's.
    list.set_all_offsets(Offset::Offset(0))?;
    if is_cooperative {
        consumer.incremental_assign(list)?;
    } else {
        consumer.assign(list)?;
    }
    consumer.pause(list)
}
