//! Straight to Kafka, past the platform: records that no edge would write, and decisions as they lie in the log.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use rdkafka::{
    ClientConfig, ClientContext, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, AlterConfig, ConfigSource, NewPartitions, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer as _},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer as _, ProducerContext},
};
use serde_json::Value;

use super::http;

/// How long Kafka may take for one of these requests.
const LIMIT: Duration = Duration::from_secs(60);

/// Places of the records that a producer delivered.
#[derive(Default)]
struct Delivered(Mutex<Vec<(i32, i64)>>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let message = result.as_ref().expect("the broker takes the record");
        self.0.lock().unwrap().push((message.partition(), message.offset()));
    }
}

/// Appends a record; gives its partition and offset.
pub(crate) fn append(bootstrap: &str, topic: &str, value: &[u8]) -> (i32, i64) {
    append_with(bootstrap, topic, value, None)
}

fn append_with(bootstrap: &str, topic: &str, value: &[u8], time_ms: Option<i64>) -> (i32, i64) {
    let producer: BaseProducer<Delivered> =
        config(bootstrap).create_with_context(Delivered::default()).expect("the settings are sound");
    let mut record = BaseRecord::<(), [u8]>::to(topic).payload(value).partition(0);
    if let Some(time_ms) = time_ms {
        record = record.timestamp(time_ms);
    }
    producer.send(record).map_err(|(error, _)| error).expect("the queue is empty");
    producer.flush(LIMIT).expect("the broker takes the record");
    producer.context().0.lock().unwrap()[0]
}

/// Appends a record with an append time of our choice, as a broker with a wrong clock would.
pub(crate) fn append_dated(bootstrap: &str, topic: &str, value: &[u8], time_ms: i64) -> (i32, i64) {
    let settings = settings_of(bootstrap, topic);
    let mut undated = settings.clone();
    undated.insert("message.timestamp.type".to_owned(), "CreateTime".to_owned());
    set(bootstrap, topic, &undated);
    let place = append_with(bootstrap, topic, value, Some(time_ms));
    set(bootstrap, topic, &settings);
    place
}

/// Gives a topic more partitions, as whoever runs the cluster may do at any time.
pub(crate) fn grow(bootstrap: &str, topic: &str, partitions: usize) {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create().unwrap();
    let options = AdminOptions::new().request_timeout(Some(LIMIT));
    let wanted = NewPartitions::new(topic, partitions);
    http::block_on(admin.create_partitions([&wanted], &options)).unwrap().remove(0).unwrap();
}

/// Everything that `pnyx.proposals` holds, as JSON, in order.
pub(crate) fn decisions(bootstrap: &str) -> Vec<Value> {
    let topic = "pnyx.proposals";
    let consumer: BaseConsumer = config(bootstrap).set("group.id", "pnyx-test").create().unwrap();
    let (_, end) = consumer.fetch_watermarks(topic, 0, LIMIT).unwrap();
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, 0, Offset::Beginning).unwrap();
    consumer.assign(&assignment).unwrap();
    let mut decisions = Vec::new();
    http::poll("reading of all decisions", LIMIT, || {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            decisions.push(serde_json::from_slice(message.payload().unwrap_or_default()).unwrap_or(Value::Null));
            return (message.offset() + 1 >= end).then_some(());
        }
        None
    });
    decisions
}

fn config(bootstrap: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", bootstrap).set("message.max.bytes", "1048576");
    config
}

/// The settings that were made for this topic.
fn settings_of(bootstrap: &str, topic: &str) -> BTreeMap<String, String> {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create().unwrap();
    let asked = [ResourceSpecifier::Topic(topic)];
    let options = AdminOptions::new().request_timeout(Some(LIMIT));
    let described = http::block_on(admin.describe_configs(&asked, &options)).unwrap().remove(0).unwrap();
    let made = described.entries.into_iter().filter(|entry| entry.source == ConfigSource::DynamicTopic);
    made.filter_map(|entry| Some((entry.name, entry.value?))).collect()
}

fn set(bootstrap: &str, topic: &str, settings: &BTreeMap<String, String>) {
    let admin: AdminClient<DefaultClientContext> = config(bootstrap).create().unwrap();
    let mut wanted = AlterConfig::new(ResourceSpecifier::Topic(topic));
    for (name, value) in settings {
        wanted = wanted.set(name, value);
    }
    let options = AdminOptions::new().request_timeout(Some(LIMIT));
    http::block_on(admin.alter_configs([&wanted], &options)).unwrap().remove(0).unwrap();
}
