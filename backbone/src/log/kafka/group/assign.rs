//! What the group gives the member and takes from it: its partitions, each read from what the group has committed of it.

use std::{
    sync::{Arc, OnceLock, Weak, atomic::Ordering},
    time::Duration,
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};
use tracing::{debug, warn};

use super::{GroupState, Owned, committed_offset, lock};
use crate::log::kafka::events::Events;

/// How long a new assignment waits to hear where the group is in its partitions.
const ASSIGN_TIMEOUT: Duration = Duration::from_secs(5);

/// What the member's client reports to.
pub(in crate::log::kafka) struct GroupContext {
    pub(super) events: Events,
    pub(super) state: Arc<GroupState>,
    /// The client itself: its partitions' queues are split off as they are assigned.
    pub(super) consumer: OnceLock<Weak<BaseConsumer<Self>>>,
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.on_log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.on_error(&error, reason);
    }
}

impl ConsumerContext for GroupContext {
    /// Takes partitions from where the group is, and says so, instead of letting the library find out: only then is it
    /// known which record must come first.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, list: &mut TopicPartitionList) {
        self.events.metrics().rebalanced(&self.state.group_id);
        let is_cooperative = matches!(consumer.rebalance_protocol(), RebalanceProtocol::Cooperative);
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assign(consumer, list, is_cooperative)
        } else {
            let mut owned = lock(&self.state.owned);
            for element in list.elements_for_topic(&self.state.name) {
                if let Ok(partition) = u32::try_from(element.partition()) {
                    owned.remove(&partition);
                }
            }
            drop(owned);
            if is_cooperative { consumer.incremental_unassign(list) } else { consumer.unassign() }
        };
        if let Err(error) = done {
            warn!(group = self.state.group_id, %error, "a rebalance failed; the group is joined again");
            self.state.joins_again.store(true, Ordering::Release);
        }
    }
}

impl GroupContext {
    /// Splits the queues off before anything is fetched into them.
    fn assign(
        &self,
        consumer: &BaseConsumer<Self>,
        list: &mut TopicPartitionList,
        is_cooperative: bool,
    ) -> KafkaResult<()> {
        let positions = committed(consumer, list);
        if let Ok(positions) = &positions {
            self.own(positions, list)?;
        }
        // Also where that is not known, because the library waits for an answer. Nothing is read then: a new client joins.
        if is_cooperative {
            consumer.incremental_assign(list)?
        } else {
            consumer.assign(list)?
        }
        positions.map(drop)
    }

    /// Makes these partitions this member's, from their committed offsets on.
    fn own(&self, positions: &TopicPartitionList, list: &mut TopicPartitionList) -> KafkaResult<()> {
        let Some(consumer) = self.consumer.get().and_then(Weak::upgrade) else { return Err(KafkaError::Canceled) };
        for element in positions.elements_for_topic(&self.state.name) {
            let Ok(partition) = u32::try_from(element.partition()) else { continue };
            let next = committed_offset(element.offset());
            let first = Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX));
            list.set_partition_offset(&self.state.name, element.partition(), first)?;
            let queue = consumer.split_partition_queue(&self.state.name, element.partition());
            let mut queue = queue.ok_or(KafkaError::Canceled)?;
            let notify = self.state.notify.clone();
            queue.set_nonempty_callback(move || notify.notify_one());
            let stalled = lock(&self.state.stalled).remove(&partition);
            lock(&self.state.owned).insert(partition, Owned::new(queue, next, stalled));
        }
        debug!(group = self.state.group_id, partitions = list.count(), "partitions were assigned");
        Ok(())
    }
}

/// Where the group is in these partitions.
fn committed(consumer: &BaseConsumer<GroupContext>, list: &TopicPartitionList) -> KafkaResult<TopicPartitionList> {
    let positions = consumer.committed_offsets(list.clone(), ASSIGN_TIMEOUT)?;
    positions.elements().iter().try_for_each(|element| element.error())?;
    Ok(positions)
}
