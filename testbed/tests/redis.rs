//! Redis starts, dies, forgets, comes back from a snapshot, fails over.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use pnyx_testbed::{Authority, RedisCluster, RedisOptions, RedisSentinel, RedisServer, TestbedError};

/// How long a promotion may take; about 2 s on an idle machine.
const PROMOTION_LIMIT: Duration = Duration::from_secs(30);

/// How long silence is listened to.
const SILENCE: Duration = Duration::from_millis(200);

#[test]
fn a_server_dies_forgets_and_is_restored() {
    let redis = RedisServer::start(RedisOptions::new()).unwrap();
    redis.command(&["SET", "a", "1"]).unwrap();
    let snapshot = redis.snapshot().unwrap();
    redis.command(&["SET", "a", "2"]).unwrap();
    assert_eq!(redis.command(&["GET", "a"]).unwrap(), "2");

    redis.restart_from(&snapshot).unwrap();
    assert_eq!(redis.command(&["GET", "a"]).unwrap(), "1", "as it was at the snapshot");
    redis.flush_all().unwrap();
    assert_eq!(redis.command(&["DBSIZE"]).unwrap(), "0");

    redis.command(&["SET", "a", "3"]).unwrap();
    let address = redis.address();
    redis.kill().unwrap();
    assert!(matches!(redis.command(&["PING"]), Err(TestbedError::Network { .. })));
    redis.restart().unwrap();
    assert_eq!(redis.address(), address, "the port stays");
    assert_eq!(redis.command(&["GET", "a"]).unwrap(), "", "nothing was kept");

    redis.stop().unwrap();
    assert!(matches!(redis.pause(), Err(TestbedError::NotRunning { .. })));
    redis.restart().unwrap();
    redis.pause().unwrap();
    let mut stream = TcpStream::connect(&address).unwrap();
    stream.set_read_timeout(Some(SILENCE)).unwrap();
    stream.write_all(b"PING\r\n").unwrap();
    assert!(stream.read(&mut [0]).is_err(), "a paused server is silent");
    redis.resume().unwrap();
    assert_eq!(redis.command(&["PING"]).unwrap(), "PONG");
}

#[test]
fn an_append_only_file_survives_a_kill() {
    let options = RedisOptions::new().append_only().setting("appendfsync", "always");
    let redis = RedisServer::start(options).unwrap();
    redis.command(&["SET", "a", "1"]).unwrap();
    redis.restart().unwrap();
    assert_eq!(redis.command(&["GET", "a"]).unwrap(), "1");
}

#[test]
fn passwords_and_users_are_asked_for() {
    let authority = Authority::new().unwrap();
    let options = RedisOptions::new()
        .password("wonderland")
        .user("eve", "apple", "~pnyx:* +get")
        .tls(&authority.issue("redis").unwrap())
        .setting("maxmemory", "100mb");
    let redis = RedisServer::start(options).unwrap();
    assert_eq!(redis.command(&["ACL", "WHOAMI"]).unwrap(), "default");
    assert!(redis.command(&["ACL", "LIST"]).unwrap().contains("user eve on"));
    assert!(redis.url().starts_with("redis://:wonderland@127.0.0.1:"));
    assert!(redis.command(&["CONFIG", "GET", "maxmemory"]).unwrap().ends_with("\n104857600"));
}

#[test]
fn sentinels_promote_the_replica() {
    let sentinel = RedisSentinel::start().unwrap();
    let before = sentinel.primary().unwrap();
    assert_eq!(before, sentinel.servers()[0].address());
    sentinel.servers()[0].kill().unwrap();
    let after = sentinel.wait_for_another_primary(&before, PROMOTION_LIMIT).unwrap();
    assert_eq!(after, sentinel.servers()[1].address());
}

#[test]
fn a_cluster_serves_every_slot() {
    let cluster = RedisCluster::start().unwrap();
    assert_eq!(cluster.urls().len(), 3);
    let taken: usize = cluster.nodes().iter().filter(|node| node.command(&["SET", "a", "1"]).is_ok()).count();
    assert_eq!(taken, 1, "a key belongs to one node");
}
