//! Servers that exist already are used, and a missing program is one clear line.

use std::{
    env,
    process::{Command, Output},
};

use pnyx_testbed::{
    KAFKA_VARIABLE, KafkaCluster, KafkaOptions, REDIS_VARIABLE, RedisOptions, RedisServer, TestbedError, cache,
    kubernetes::{ControlPlane, ControlPlaneOptions, Tool},
    s3::{S3Options, S3Server},
};

/// Tells a test that it has been run again as a program of its own, in another environment.
const AGAIN: &str = "PNYX_TESTBED_AGAIN";

fn again(test: &str, variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env::current_exe().expect("a test is a program"));
    command.args(["--exact", test, "--nocapture"]).env(AGAIN, "1").envs(variables.iter().copied());
    command.output().expect("a test can be run again")
}

fn assert_passed(output: &Output) {
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}\n{stderr}");
}

#[test]
fn servers_that_exist_are_used() {
    if env::var_os(AGAIN).is_none() {
        let redis = RedisServer::start(RedisOptions::new().password("secret")).unwrap();
        redis.command(&["SET", "a", "kept"]).unwrap();
        let variables = [(REDIS_VARIABLE, redis.url()), (KAFKA_VARIABLE, "kafka.test:9092".to_owned())];
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        assert_passed(&again("servers_that_exist_are_used", &variables));
        assert_eq!(redis.command(&["GET", "a"]).unwrap(), "kept");
        return;
    }
    let redis = RedisServer::start(RedisOptions::new()).unwrap();
    assert_eq!(redis.command(&["GET", "a"]).unwrap(), "kept");
    for refused in [redis.kill(), redis.restart(), redis.pause(), redis.flush_all()] {
        assert!(matches!(refused, Err(TestbedError::NotOurs { variable: REDIS_VARIABLE, .. })));
    }
    assert!(matches!(RedisServer::start(RedisOptions::new().append_only()), Err(TestbedError::NotOurs { .. })));
    let kafka = KafkaCluster::start(KafkaOptions::one()).unwrap();
    assert_eq!(kafka.bootstrap(), "kafka.test:9092");
    assert!(matches!(kafka.kill(1), Err(TestbedError::NotOurs { variable: KAFKA_VARIABLE, .. })));
    assert!(matches!(KafkaCluster::start(KafkaOptions::three()), Err(TestbedError::NotOurs { .. })));
}

#[test]
fn a_missing_program_is_one_line() {
    if env::var_os(AGAIN).is_none() {
        let empty = tempfile::tempdir().unwrap();
        let path = empty.path().to_str().unwrap();
        let variables = [("PATH", path), ("JAVA_HOME", path), (cache::CACHE_VARIABLE, path)];
        assert_passed(&again("a_missing_program_is_one_line", &variables));
        return;
    }
    let kafka = KafkaCluster::start(KafkaOptions::one()).unwrap_err();
    let redis = RedisServer::start(RedisOptions::new()).unwrap_err();
    let kubernetes = ControlPlane::start(ControlPlaneOptions::new()).unwrap_err();
    let helm = Tool::Helm.prepared().unwrap_err();
    let objects = S3Server::start(S3Options::new()).unwrap_err();
    for (error, words) in [
        (kafka, ["Java 17", "PNYX_TEST_KAFKA"]),
        (redis, ["Redis 7", "PNYX_TEST_REDIS"]),
        (kubernetes, ["Go 1.26", "go.dev"]),
        (helm, ["Python 3", "python3-pip"]),
        (objects, ["Go 1.26", "object store"]),
    ] {
        let text = format!("{error:?}");
        assert!(matches!(error, TestbedError::Missing { .. }), "{text}");
        assert!(text.lines().count() == 1 && words.iter().all(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn a_variable_that_makes_no_sense_is_named() {
    if env::var_os(AGAIN).is_none() {
        let variables = [(REDIS_VARIABLE, "127.0.0.1:6379"), (KAFKA_VARIABLE, "kafka://127.0.0.1:9092")];
        assert_passed(&again("a_variable_that_makes_no_sense_is_named", &variables));
        return;
    }
    let kafka = KafkaCluster::start(KafkaOptions::one()).unwrap_err();
    assert!(matches!(kafka, TestbedError::BadVariable { variable: KAFKA_VARIABLE, .. }), "{kafka}");
    let redis = RedisServer::start(RedisOptions::new()).unwrap_err();
    assert!(matches!(redis, TestbedError::BadVariable { variable: REDIS_VARIABLE, .. }), "{redis}");
}
