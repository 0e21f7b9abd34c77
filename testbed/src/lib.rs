//! Real servers for tests: Apache Kafka, Redis, an EVM node, an object store, Kubernetes, Prometheus, processes that may be
//! killed and connections that may be cut.
//!
//! Everything listens on the loopback interface, or where pods of a test's own node reach it, and nowhere else; on free
//! ports, in directories of its own; and ends with the value that started it, also when the test panics or its process is
//! killed. What has to be fetched or made first (Kafka's jars, a Redis binary, npm packages, the programs of Kubernetes,
//! the object store) is prepared once and kept outside the checkout; see [`cache`] for where. All calls block; none waits
//! without a limit.
//!
//! `PNYX_TEST_KAFKA=host:port` and `PNYX_TEST_REDIS=redis://…` name servers that exist already. They stand in where a
//! test asks for a plain server; what only the owner of a server can do then fails with [`TestbedError::NotOurs`].

mod apt;
pub mod cache;
mod certificates;
mod directory;
mod error;
pub mod evm;
mod go;
mod kafka;
pub mod kubernetes;
pub mod npm;
pub mod oci;
mod ports;
mod process;
mod prometheus;
mod proxy;
pub mod quick_start;
mod redis;
pub mod s3;

pub use certificates::{Authority, Issued};
pub use directory::KEEP_VARIABLE;
pub use error::TestbedError;
pub use kafka::{
    EXTERNAL_VARIABLE as KAFKA_VARIABLE, KafkaCluster, KafkaOperation, KafkaOptions, KafkaResource, Listener,
    ROUTES_MAX, Route,
};
pub use ports::Port;
pub use process::Process;
pub use prometheus::{Prometheus, ScrapeJob};
pub use proxy::Proxy;
pub use redis::{
    EXTERNAL_VARIABLE as REDIS_VARIABLE, RedisCluster, RedisOptions, RedisSentinel, RedisServer, RedisSnapshot,
};
