//! Settings of Kafka's client library that nobody may change from outside.
//!
//! The list is that of the log (`backbone/src/log/kafka/deny.rs`, where each has its reason); a test compares them. Here it
//! becomes a rule of the schema, so that a mistake is refused when it is applied and not when pods start.

use serde_json::{Value, json};

/// Exact names, aliases included.
const DENIED: &[&str] = &[
    "acks",
    "request.required.acks",
    "enable.idempotence",
    "enable.gapless.guarantee",
    "transactional.id",
    "transaction.timeout.ms",
    "message.timeout.ms",
    "delivery.timeout.ms",
    "request.timeout.ms",
    "message.send.max.retries",
    "retries",
    "max.in.flight",
    "max.in.flight.requests.per.connection",
    "queuing.strategy",
    "msg_order_cmp",
    "isolation.level",
    "enable.auto.commit",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "offset.store.method",
    "offset.store.path",
    "enable.partition.eof",
    "partition.assignment.strategy",
    "security.protocol",
    "enable.ssl.certificate.verification",
    "ssl.endpoint.identification.algorithm",
    "bootstrap.servers",
    "metadata.broker.list",
    "client.id",
    "linger.ms",
    "queue.buffering.max.ms",
    "partitioner",
    "partitioner_cb",
    "topic.blacklist",
    "allow.auto.create.topics",
    "message.max.bytes",
    "receive.message.max.bytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.kbytes",
    "queued.max.messages.kbytes",
    "queued.min.messages",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "max.partition.fetch.bytes",
    "delivery.report.only.error",
    "produce.offset.report",
    "log.queue",
    "log_level",
    "debug",
    "statistics.interval.ms",
    "enabled_events",
    "opaque",
    "interceptors",
    "topic.metadata.refresh.interval.ms",
    "metadata.max.age.ms",
    "check.crcs",
];

/// Beginnings of names.
const DENIED_PREFIXES: &[&str] = &[
    "group.",
    "sasl.",
    "enable.sasl.",
    "ssl.ca.",
    "ssl.key",
    "ssl.certificate.",
    "ssl_",
    "https.",
    "ssl.engine.",
    "ssl.providers",
    "plugin.",
    "test.mock.",
    "consume.",
];

/// End of the names of callbacks, which are code.
const DENIED_SUFFIX: &str = "_cb";

/// Whether a setting may not be given: it has a field of its own, or would break a promise of the log.
pub fn denied_setting(key: &str) -> bool {
    let key = key.trim().to_ascii_lowercase();
    DENIED.contains(&key.as_str())
        || DENIED_PREFIXES.iter().any(|prefix| key.starts_with(prefix))
        || key.ends_with(DENIED_SUFFIX)
}

/// The same as a rule of the schema. Names that are not plain would slip past comparisons and are refused as well.
pub(super) fn rule() -> Value {
    let exact = DENIED.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let pattern = DENIED_PREFIXES.iter().map(|prefix| prefix.replace('.', "[.]")).collect::<Vec<_>>().join("|");
    json!({
        "rule": format!(
            "self.all(key, key.matches('^[a-z0-9._]+$') && !(key in [{exact}]) && \
             !key.matches('^({pattern})|{DENIED_SUFFIX}$'))"
        ),
        "message": "holds a setting that has a field of its own here or would break a promise of the log, such as acks, \
                    group.id or sasl.password, or one whose name is not in small letters; remove it",
    })
}

#[cfg(test)]
mod tests {
    use super::{DENIED, DENIED_PREFIXES, DENIED_SUFFIX, denied_setting};

    /// The log's own list. Crates of ours that point in other directions cannot be asked, but their source can be read.
    const LOG: &str = include_str!("../../../../backbone/src/log/kafka/deny.rs");

    #[test]
    fn the_list_is_that_of_the_log() {
        assert_eq!(first_texts("const DENIED:"), DENIED);
        assert_eq!(first_texts("const DENIED_PREFIXES:"), DENIED_PREFIXES);
        assert!(LOG.contains(&format!("ends_with(\"{DENIED_SUFFIX}\")")), "the log knows callbacks otherwise");
    }

    #[test]
    fn what_breaks_a_promise_is_denied_and_tuning_is_not() {
        for key in ["acks", "ACKS ", "enable.idempotence", "group.id", "sasl.password", "ssl.key.pem", "dr_msg_cb"] {
            assert!(denied_setting(key), "{key}");
        }
        for key in ["compression.type", "socket.keepalive.enable", "reconnect.backoff.max.ms", "client.rack"] {
            assert!(!denied_setting(key), "{key}");
        }
    }

    /// The first text of each pair of a table in the log's source.
    fn first_texts(table: &str) -> Vec<&'static str> {
        let (_, rest) = LOG.split_once(table).expect("the log has the table");
        let (_, rest) = rest.split_once("&[\n").expect("its entries follow");
        let (entries, _) = rest.split_once("\n];").expect("it ends");
        let entries = entries.split('(').skip(1);
        entries.filter_map(|entry| entry.split('"').nth(1)).collect()
    }
}
