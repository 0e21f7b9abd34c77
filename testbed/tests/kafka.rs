//! Kafka starts, dies, comes back and is cut off.

use std::{
    io::{self, Read as _, Write as _},
    net::TcpStream,
    thread,
    time::{Duration, Instant},
};

use pnyx_testbed::{KafkaCluster, KafkaOperation, KafkaOptions, KafkaResource, Listener};

/// How long a broker that answers may take for one answer, on a machine that compiles beside.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);

/// How long the others go on counting on a broker that is cut off: its session of 2 s, with room for a busy machine.
const FENCED_LIMIT: Duration = Duration::from_secs(15);

/// How long a broker may take until it is counted again.
const REJOIN_LIMIT: Duration = Duration::from_secs(60);

/// ApiVersions, version 0: API key 18, version, correlation id 7, no client id.
const API_VERSIONS: [u8; 10] = [0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff];

/// Metadata, version 4: API key 3, version, correlation id 7, no client id, no topics, none created.
const METADATA: [u8; 15] = [0, 3, 0, 4, 0, 0, 0, 7, 0xff, 0xff, 0, 0, 0, 0, 0];

/// The answer of the broker at an address, without its length.
fn ask(address: &str, request: &[u8], limit: Duration) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(limit))?;
    let request_len = u32::try_from(request.len()).expect("requests are short");
    stream.write_all(&[&request_len.to_be_bytes(), request].concat())?;
    let mut len = [0; 4];
    stream.read_exact(&mut len)?;
    let mut answer = vec![0; u32::from_be_bytes(len).try_into().expect("lengths fit")];
    stream.read_exact(&mut answer)?;
    Ok(answer)
}

/// Whether the broker at an address answers within a time.
fn answers(address: &str, limit: Duration) -> bool {
    ask(address, &API_VERSIONS, limit).is_ok_and(|answer| answer.starts_with(&[0, 0, 0, 7]))
}

#[test]
fn one_broker_dies_comes_back_and_is_paused() {
    let kafka = KafkaCluster::start(KafkaOptions::one()).unwrap();
    let address = kafka.bootstrap();
    assert!(answers(&address, ANSWER_LIMIT));
    let refused = kafka.allow("eve", KafkaResource::Cluster, &[KafkaOperation::Describe]).unwrap_err();
    assert!(format!("{refused:?}").contains("error 54"), "without users there are no rules: {refused:?}");

    kafka.kill(1).unwrap();
    assert!(TcpStream::connect(&address).is_err(), "a killed broker refuses");
    kafka.restart(1).unwrap();
    assert_eq!(kafka.bootstrap(), address, "ports stay");
    assert!(answers(&address, ANSWER_LIMIT));

    kafka.pause(1).unwrap();
    assert!(!answers(&address, Duration::from_millis(300)), "a paused broker is silent");
    kafka.resume(1).unwrap();
    assert!(answers(&address, ANSWER_LIMIT));

    kafka.stop(1).unwrap();
    assert!(!answers(&address, ANSWER_LIMIT));
    kafka.restart(1).unwrap();
    assert!(answers(&address, ANSWER_LIMIT));
}

#[test]
fn three_brokers_lose_one_and_all_come_back() {
    let kafka = KafkaCluster::start(KafkaOptions::three()).unwrap();
    let addresses: Vec<String> = kafka.bootstrap().split(',').map(str::to_owned).collect();
    assert_eq!(addresses.len(), 3);
    assert_eq!(kafka.process_ids().len(), 3);
    kafka.kill(2).unwrap();
    let answering: Vec<bool> = addresses.iter().map(|address| answers(address, ANSWER_LIMIT)).collect();
    assert_eq!(answering, [true, false, true]);
    kafka.restart(2).unwrap();
    assert!(answers(&addresses[1], ANSWER_LIMIT));
    for node in 1..=3 {
        kafka.kill(node).unwrap();
    }
    for node in 1..=3 {
        kafka.restart(node).unwrap();
    }
    kafka.wait_until_ready().unwrap();
    assert!(addresses.iter().all(|address| answers(address, ANSWER_LIMIT)));
}

#[test]
fn a_route_is_cut_while_others_go_on() {
    let kafka = KafkaCluster::start(KafkaOptions::one().routes(2)).unwrap();
    let (first, second) = (kafka.bootstrap_of(Listener::Route(0)), kafka.route(1).bootstrap());
    assert!(answers(&first, ANSWER_LIMIT) && answers(&second, ANSWER_LIMIT));
    for (route, address) in [(0, &first), (1, &second)] {
        let port = kafka.route(route).proxy(1).address().port();
        let told = [b"\0\x09127.0.0.1".as_slice(), &i32::from(port).to_be_bytes()].concat();
        let answer = ask(address, &METADATA, ANSWER_LIMIT).unwrap();
        assert!(answer.windows(told.len()).any(|bytes| bytes == told), "a broker tells the way that a client came");
    }
    kafka.route(0).cut();
    assert!(!answers(&first, ANSWER_LIMIT) && answers(&second, ANSWER_LIMIT));
    kafka.route(0).stall().unwrap();
    assert!(!answers(&first, Duration::from_millis(300)) && answers(&kafka.bootstrap(), ANSWER_LIMIT));
    kafka.route(0).restore().unwrap();
    assert!(answers(&first, ANSWER_LIMIT));
}

#[test]
fn listeners_with_passwords_and_settings_of_a_test_open() {
    let options = KafkaOptions::one()
        .for_load()
        .property("message.max.bytes", "2000000")
        .scram_user("alice", "wonderland")
        .scram_user_without_rights("eve", "apple");
    let kafka = KafkaCluster::start(options).unwrap();
    assert!(answers(&kafka.bootstrap(), ANSWER_LIMIT));
    // Before a client says its password it may ask which requests there are, and nothing else.
    let with_passwords = kafka.bootstrap_of(Listener::Scram);
    assert!(answers(&with_passwords, ANSWER_LIMIT));
    assert!(ask(&with_passwords, &METADATA, ANSWER_LIMIT).is_err());
}

/// How many brokers a broker counts: what follows correlation id and throttle time.
fn broker_count(address: &str) -> Option<u8> {
    ask(address, &METADATA, ANSWER_LIMIT).ok()?.get(11).copied()
}

/// Waits until a broker counts so many.
fn counts(address: &str, brokers: u8, limit: Duration) -> bool {
    let start = Instant::now();
    while broker_count(address) != Some(brokers) {
        if start.elapsed() > limit {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
    true
}

#[test]
fn a_broker_that_is_cut_off_is_left_by_the_others_and_comes_back() {
    let kafka = KafkaCluster::start(KafkaOptions::three().links()).unwrap();
    let addresses: Vec<String> = kafka.bootstrap().split(',').map(str::to_owned).collect();
    let mut left = 0;
    for node in 1..=3 {
        let other = &addresses[node % 3];
        assert!(counts(other, 3, REJOIN_LIMIT), "before node {node} is cut off");
        kafka.cut_off(node).unwrap();
        // Whoever leads the controllers hears of itself, and stays.
        left += usize::from(counts(other, 2, FENCED_LIMIT));
        assert!(addresses.iter().all(|address| answers(address, ANSWER_LIMIT)), "clients reach every broker");
        kafka.rejoin(node).unwrap();
    }
    assert!(left > 0, "nobody was missed");
    assert!(addresses.iter().all(|address| counts(address, 3, REJOIN_LIMIT)), "all come back");
    println!("{left} of 3 were left by the others while they were cut off");
}

#[test]
fn rules_are_taken_where_there_are_users() {
    let kafka = KafkaCluster::start(KafkaOptions::one().scram_user_without_rights("eve", "apple")).unwrap();
    kafka.allow("eve", KafkaResource::Topics("eve."), &[KafkaOperation::Read, KafkaOperation::Describe]).unwrap();
    kafka.allow("eve", KafkaResource::Cluster, &[KafkaOperation::DescribeConfigs]).unwrap();
}
