//! A Redis primary with a replica, and sentinels that promote the replica when the primary is gone.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use super::{RedisOptions, RedisServer, external, prepare, resp};
use crate::{Port, Process, TestbedError, cache, directory::Directory, process::POLL_INTERVAL};

/// How the sentinels call the primary.
const NAME: &str = "pnyx";

/// How many sentinels there are; two of them must agree.
const SENTINEL_COUNT: usize = 3;

/// How long it may take until all know each other: they say hello every 2 s.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// A primary, its replica and three sentinels, which promote the replica about a second after the primary is gone.
#[derive(Debug)]
pub struct RedisSentinel {
    /// Server 0 begins as the primary.
    servers: [RedisServer; 2],
    sentinels: Vec<(Port, Process)>,
    _directory: Directory,
}

impl RedisSentinel {
    /// Starts all of them and waits until the sentinels know each other and the replica follows.
    ///
    /// # Errors
    /// As of [`RedisServer::start`]; also if `PNYX_TEST_REDIS` is set, which names no sentinels.
    pub fn start() -> Result<Self, TestbedError> {
        if external::external()?.is_some() {
            return Err(external::not_ours("start sentinels"));
        }
        let primary = RedisServer::start_own(RedisOptions::new(), &[])?;
        let address = primary.address();
        let (host, port) = address.rsplit_once(':').expect("an address has a port");
        let settings = RedisOptions::new().setting("repl-diskless-sync-delay", "0");
        let replica = RedisServer::start_own(settings, &["--replicaof", host, port])?;
        let directory = Directory::new()?;
        let binary = prepare::link_server(directory.path())?;
        let mut sentinels = Vec::new();
        for index in 0..SENTINEL_COUNT {
            let own_port = Port::reserve()?;
            let folder = directory.path().join(format!("sentinel-{index}"));
            cache::make_folder(&folder)?;
            let mut text = format!("bind 127.0.0.1\nport {}\ndir {}\n", own_port.number(), folder.display());
            let mut line = |rest: &str| writeln!(text, "sentinel {rest}").expect("text can grow");
            line(&format!("monitor {NAME} {host} {port} 2"));
            line(&format!("down-after-milliseconds {NAME} 500"));
            line(&format!("failover-timeout {NAME} 2000"));
            let configuration = folder.join("sentinel.conf");
            cache::write(&configuration, &text)?;
            let mut command = Command::new(&binary);
            command.arg(&configuration).arg("--sentinel");
            let name = format!("redis sentinel {index}");
            let process = Process::spawn(name, &command, &folder.join("sentinel.log"))?;
            sentinels.push((own_port, process));
        }
        let mut started = Self { servers: [primary, replica], sentinels, _directory: directory };
        started.wait_until_ready()?;
        Ok(started)
    }

    /// How the sentinels call the primary.
    #[must_use]
    pub fn name(&self) -> &'static str {
        NAME
    }

    /// Where the sentinels listen.
    #[must_use]
    pub fn sentinels(&self) -> Vec<SocketAddr> {
        self.sentinels.iter().map(|(port, _)| port.address()).collect()
    }

    /// The two servers: the one that began as the primary, and the one that began as its replica.
    #[must_use]
    pub fn servers(&self) -> &[RedisServer; 2] {
        &self.servers
    }

    /// Address of the primary, as the first sentinel knows it.
    ///
    /// # Errors
    /// The sentinel cannot be reached.
    pub fn primary(&self) -> Result<String, TestbedError> {
        let (port, _) = &self.sentinels[0];
        let words = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", NAME];
        Ok(resp::command(&port.address().to_string(), None, &words)?.replace('\n', ":"))
    }

    /// Waits until the sentinels call another server the primary than `before`, and it says so itself.
    ///
    /// # Errors
    /// It does not happen within `limit`.
    pub fn wait_for_another_primary(&self, before: &str, limit: Duration) -> Result<String, TestbedError> {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Ok(primary) = self.primary()
                && primary != before
                && resp::command(&primary, None, &["ROLE"]).is_ok_and(|role| role.starts_with("master"))
            {
                return Ok(primary);
            }
            thread::sleep(POLL_INTERVAL);
        }
        let (what, log) = ("no other redis became the primary".to_owned(), self.sentinels[0].1.log_tail());
        Err(TestbedError::TimedOut { what, limit_ms: limit.as_millis(), log })
    }

    fn wait_until_ready(&mut self) -> Result<(), TestbedError> {
        for (port, process) in &mut self.sentinels {
            let address = port.address().to_string();
            let knows_all = || {
                let about = resp::command(&address, None, &["INFO", "sentinel"]).unwrap_or_default();
                about.contains("status=ok") && about.contains(&format!("slaves=1,sentinels={SENTINEL_COUNT}"))
            };
            process.wait_until(READY_LIMIT, knows_all)?;
        }
        Ok(())
    }
}
