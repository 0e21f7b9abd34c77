//! Settings of the client library that nobody may change from outside, each with the reason.

/// Why it acknowledges, and how long it waits for that, is the log's own promise.
const ACKNOWLEDGEMENT: &str = "an acknowledged record must be durable, once, within a known time";
const OFFSETS: &str =
    "offsets are committed by what is durable downstream, and every partition is read from its beginning";
const GROUPS: &str = "groups follow from the topic prefix and the group protocol";
const SECURITY: &str = "it is set by the TLS and SASL settings";
const VERIFICATION: &str = "a broker that cannot prove who it is must not be believed";
const OWN_SETTING: &str = "it has a setting of its own";
const PLACES: &str = "where a record goes is decided by the log";
const BOUNDS: &str = "memory and record sizes are bounded by the log";
const EVENTS: &str = "the log listens to the client by it";
const CODE: &str = "it loads code into the process";
const FRESHNESS: &str = "new partitions must be seen within two seconds";

/// Exact names, aliases included.
const DENIED: &[(&str, &str)] = &[
    ("acks", ACKNOWLEDGEMENT),
    ("request.required.acks", ACKNOWLEDGEMENT),
    ("enable.idempotence", ACKNOWLEDGEMENT),
    ("enable.gapless.guarantee", ACKNOWLEDGEMENT),
    ("transactional.id", ACKNOWLEDGEMENT),
    ("transaction.timeout.ms", ACKNOWLEDGEMENT),
    ("message.timeout.ms", ACKNOWLEDGEMENT),
    ("delivery.timeout.ms", ACKNOWLEDGEMENT),
    ("request.timeout.ms", ACKNOWLEDGEMENT),
    ("message.send.max.retries", ACKNOWLEDGEMENT),
    ("retries", ACKNOWLEDGEMENT),
    ("max.in.flight", ACKNOWLEDGEMENT),
    ("max.in.flight.requests.per.connection", ACKNOWLEDGEMENT),
    ("queuing.strategy", ACKNOWLEDGEMENT),
    ("msg_order_cmp", ACKNOWLEDGEMENT),
    ("isolation.level", OFFSETS),
    ("enable.auto.commit", OFFSETS),
    ("auto.commit.enable", OFFSETS),
    ("auto.commit.interval.ms", OFFSETS),
    ("enable.auto.offset.store", OFFSETS),
    ("auto.offset.reset", OFFSETS),
    ("offset.store.method", OFFSETS),
    ("offset.store.path", OFFSETS),
    ("enable.partition.eof", OFFSETS),
    ("partition.assignment.strategy", GROUPS),
    ("security.protocol", SECURITY),
    ("enable.ssl.certificate.verification", VERIFICATION),
    ("ssl.endpoint.identification.algorithm", VERIFICATION),
    ("bootstrap.servers", OWN_SETTING),
    ("metadata.broker.list", OWN_SETTING),
    ("client.id", OWN_SETTING),
    ("linger.ms", OWN_SETTING),
    ("queue.buffering.max.ms", OWN_SETTING),
    ("partitioner", PLACES),
    ("partitioner_cb", PLACES),
    ("topic.blacklist", PLACES),
    ("allow.auto.create.topics", PLACES),
    ("message.max.bytes", BOUNDS),
    ("receive.message.max.bytes", BOUNDS),
    ("queue.buffering.max.messages", BOUNDS),
    ("queue.buffering.max.kbytes", BOUNDS),
    ("queued.max.messages.kbytes", BOUNDS),
    ("queued.min.messages", BOUNDS),
    ("fetch.max.bytes", BOUNDS),
    ("fetch.message.max.bytes", BOUNDS),
    ("max.partition.fetch.bytes", BOUNDS),
    ("delivery.report.only.error", EVENTS),
    ("produce.offset.report", EVENTS),
    ("log.queue", EVENTS),
    ("log_level", EVENTS),
    ("debug", EVENTS),
    ("statistics.interval.ms", EVENTS),
    ("enabled_events", EVENTS),
    ("opaque", EVENTS),
    ("interceptors", CODE),
    ("topic.metadata.refresh.interval.ms", FRESHNESS),
    ("metadata.max.age.ms", FRESHNESS),
    ("check.crcs", "a damaged record must be noticed"),
];

/// Beginnings of names.
const DENIED_PREFIXES: &[(&str, &str)] = &[
    ("group.", GROUPS),
    ("sasl.", SECURITY),
    ("enable.sasl.", SECURITY),
    ("ssl.ca.", SECURITY),
    ("ssl.key", SECURITY),
    ("ssl.certificate.", SECURITY),
    ("ssl_", SECURITY),
    ("https.", SECURITY),
    ("ssl.engine.", CODE),
    ("ssl.providers", CODE),
    ("plugin.", CODE),
    ("test.mock.", "it replaces the cluster by a mock"),
    ("consume.", EVENTS),
];

/// Why the setting may not be given; `None` if it may.
pub(super) fn reason(key: &str) -> Option<&'static str> {
    let key = key.trim().to_ascii_lowercase();
    let exact = DENIED.iter().find(|(denied, _)| *denied == key);
    let by_prefix = || DENIED_PREFIXES.iter().find(|(prefix, _)| key.starts_with(prefix));
    let callback = key.ends_with("_cb").then_some(EVENTS);
    exact.or_else(by_prefix).map(|(_, reason)| *reason).or(callback)
}

#[cfg(test)]
mod tests {
    use rdkafka::{ClientConfig, error::KafkaError, types::RDKafkaConfRes};

    use super::*;

    #[test]
    fn what_breaks_an_invariant_is_denied_and_tuning_is_not() {
        let denied = ["acks", "ACKS ", "enable.idempotence", "group.id", "sasl.password", "ssl.key.pem", "dr_msg_cb"];
        for key in denied {
            assert!(reason(key).is_some(), "{key}");
        }
        for key in ["compression.type", "socket.keepalive.enable", "reconnect.backoff.max.ms", "client.rack"] {
            assert_eq!(reason(key), None, "{key}");
        }
    }

    #[test]
    fn every_denied_name_is_one_that_the_library_knows() {
        for (key, _) in DENIED {
            // Whether the value is a good one does not matter here.
            let answer = ClientConfig::new().set(*key, "1").create_native_config();
            let is_unknown = matches!(answer, Err(KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, ..)));
            assert!(!is_unknown, "{key}");
        }
    }
}
