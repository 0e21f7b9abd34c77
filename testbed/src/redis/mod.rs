//! Redis: one server, a primary with its replica and sentinels, or a cluster of three.

mod cluster;
mod external;
mod options;
mod prepare;
mod resp;
mod sentinel;
mod server;

pub use cluster::RedisCluster;
pub use external::EXTERNAL_VARIABLE;
pub use options::RedisOptions;
pub(crate) use prepare::link_server;
pub use sentinel::RedisSentinel;
pub use server::{RedisServer, RedisSnapshot};
