//! What holds of the log on Kafka alone, as long as the cluster is well.

use std::{collections::BTreeSet, time::Duration};

use pnyx_backbone::{
    log::{
        AppendTo, GroupConsumer, Log, LogError, OpenError, Topic,
        kafka::{GroupProtocol, KafkaConfig, KafkaConfigError, KafkaLog, KafkaOpenError},
    },
    telemetry::{Metrics, chain},
};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use tokio::time::{Instant, sleep, timeout};

use crate::{HANG, Place, ballots, cases::wait_committed, kafka_bootstrap, values, verdicts};

fn config(place: &Place) -> KafkaConfig {
    match place {
        Place::Kafka(config) => KafkaConfig::clone(config),
        Place::Directory(_) => panic!("these tests are about Kafka"),
    }
}

/// Makes a topic as a stranger would.
async fn make_topic(name: &str, partitions: i32, settings: &[(&str, &str)]) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka_bootstrap()).create().unwrap();
    let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
    for (key, value) in settings {
        topic = topic.set(key, value);
    }
    let made = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_opened_log_appends_at_once() {
    let place = Place::kafka();
    let log = place.open().await;
    log.ensure_topic(&ballots(), 4).await.unwrap();
    let began = Instant::now();
    log.append(&ballots(), AppendTo::Any, b"first".to_vec()).await.unwrap();
    // A producer that is not warm needs half a second at least.
    assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_begin_one_log() {
    let place = Place::kafka();
    let (one, other) = tokio::join!(place.open(), place.open());
    assert_eq!(one.identity(), other.identity());
    assert_eq!(place.open().await.identity(), one.identity());
    let topic = ballots();
    let (first, second) = tokio::join!(one.ensure_topic(&topic, 3), other.ensure_topic(&topic, 3));
    first.unwrap();
    second.unwrap();
    let (first, second) = tokio::join!(one.grow_topic(&topic, 5), other.grow_topic(&topic, 5));
    first.unwrap();
    second.unwrap();
    assert_eq!(one.partitions(&ballots()).await.unwrap(), 5);
    assert_ne!(Place::kafka().open().await.identity(), one.identity(), "another prefix is another log");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_a_log_is_refused() {
    let place = Place::kafka();
    let prefix = config(&place).topic_prefix;
    let stated = [
        ("message.timestamp.type", "LogAppendTime"),
        ("retention.ms", "-1"),
        ("max.message.bytes", "2000000"),
        ("cleanup.policy", "delete"),
    ];
    make_topic(&format!("{prefix}.proposals"), 1, &stated).await;
    let name = format!("{prefix}.proposals");
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", kafka_bootstrap()).create().unwrap();
    producer.send(BaseRecord::<(), str>::to(&name).payload("something else")).unwrap();
    producer.flush(Duration::from_secs(10)).unwrap();
    let error = KafkaLog::open(config(&place)).await.unwrap_err();
    assert!(matches!(error, OpenError::Kafka(KafkaOpenError::NotALog { .. })), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_that_lose_records_are_refused() {
    let place = Place::kafka();
    let prefix = config(&place).topic_prefix;
    make_topic(&format!("{prefix}.proposals"), 1, &[("cleanup.policy", "compact")]).await;
    let error = KafkaLog::open(config(&place)).await.unwrap_err();
    let words = chain(&error);
    for part in
        ["cleanup.policy is compact", "retention.ms is", "message.timestamp.type is CreateTime", "max.message.bytes"]
    {
        assert!(words.contains(part), "{words}");
    }

    let place = Place::kafka();
    let log = place.open().await;
    let prefix = config(&place).topic_prefix;
    let topic = ballots();
    let name = topic.name().replacen("pnyx", &prefix, 1);
    make_topic(&name, 1, &[("retention.ms", "-1"), ("max.message.bytes", "2000000")]).await;
    let refused = log.ensure_topic(&topic, 1).await;
    let Err(LogError::Settings { problem, .. }) = &refused else { panic!("{refused:?}") };
    assert_eq!(problem, "message.timestamp.type is CreateTime, it must be LogAppendTime");
}

#[tokio::test(flavor = "multi_thread")]
async fn decisions_have_one_partition() {
    let place = Place::kafka();
    let prefix = config(&place).topic_prefix;
    let stated =
        [("message.timestamp.type", "LogAppendTime"), ("retention.ms", "-1"), ("max.message.bytes", "2000000")];
    make_topic(&format!("{prefix}.proposals"), 2, &stated).await;
    let words = chain(&KafkaLog::open(config(&place)).await.unwrap_err());
    assert!(words.ends_with("it has 2 partitions, it must have 1"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_may_lose_records_is_refused() {
    let place = Place::kafka();
    let mut config = config(&place);
    config.allow_unsafe_durability = false;
    let refused = KafkaLog::open(config.clone()).await.unwrap_err();
    assert!(
        matches!(refused, OpenError::Kafka(KafkaOpenError::Config(KafkaConfigError::UnsafeReplicas { .. }))),
        "{refused:?}"
    );
    config.replication_factor = 3;
    config.min_insync_replicas = 2;
    let refused = KafkaLog::open(config).await.unwrap_err();
    let words = chain(&refused);
    assert!(words.contains("it has 1 brokers, too few for 3 copies"), "{words}");
    assert!(words.contains("--allow-unsafe-durability"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_break_an_invariant_are_refused() {
    let place = Place::kafka();
    let mut given = config(&place);
    given.client_settings.insert("acks".to_owned(), "1".to_owned());
    let words = chain(&KafkaLog::open(given).await.unwrap_err());
    assert!(
        words.contains("the client setting acks cannot be changed: an acknowledged record must be durable"),
        "{words}"
    );
    let mut given = config(&place);
    given.client_settings.insert("socket.keepalive.enabel".to_owned(), "true".to_owned());
    let words = chain(&KafkaLog::open(given).await.unwrap_err());
    assert!(words.contains("the client setting socket.keepalive.enabel cannot be used"), "{words}");
    let mut given = config(&place);
    given.client_settings.insert("compression.type".to_owned(), "lz4".to_owned());
    KafkaLog::open(given).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_where_nobody_is_is_named() {
    let place = Place::kafka();
    let mut config = config(&place);
    config.bootstrap_servers = "127.0.0.1:1".to_owned();
    let began = Instant::now();
    let error = KafkaLog::open(config).await.unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    let words = chain(&error);
    assert!(words.starts_with("no broker of 127.0.0.1:1 answers: ") && words.contains("refused"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_readers_of_one_partition_do_not_disturb_each_other() {
    let place = Place::kafka();
    let log = place.open().await;
    log.ensure_topic(&ballots(), 1).await.unwrap();
    let records = (0..100).map(|number: u32| (0, number.to_string().into_bytes())).collect();
    log.append_batch(&ballots(), records).await.unwrap();
    let mut readers: Vec<_> = (0..3).map(|from| log.reader(&ballots(), 0, from).unwrap()).collect();
    for (from, reader) in readers.iter_mut().enumerate() {
        let first = timeout(HANG, reader.next_batch(10, usize::MAX)).await.unwrap().unwrap();
        assert_eq!(first.first().unwrap().offset, from as u64);
        assert_eq!(reader.position(), from as u64 + first.len() as u64);
    }
    for reader in &mut readers {
        let position = reader.position();
        let rest = timeout(HANG, reader.read_available(1_000)).await.unwrap().unwrap();
        assert!(rest.iter().map(|record| record.offset).eq(position..100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_is_given_up_loses_nothing() {
    let place = Place::kafka();
    let log = place.open().await;
    log.ensure_topic(&ballots(), 1).await.unwrap();
    let mut reader = log.reader(&ballots(), 0, 0).unwrap();
    let mut offsets = Vec::new();
    let appending = log.clone();
    let appender = tokio::spawn(async move {
        for number in 0..50_u8 {
            appending.append(&ballots(), AppendTo::Any, vec![number]).await.unwrap();
        }
    });
    let began = Instant::now();
    while offsets.len() < 50 {
        assert!(began.elapsed() < HANG);
        if let Ok(batch) = timeout(Duration::from_millis(3), reader.next_batch(7, usize::MAX)).await {
            offsets.extend(batch.unwrap().into_iter().map(|record| record.offset));
        }
    }
    assert!(offsets.iter().copied().eq(0..50), "{offsets:?}");
    appender.await.unwrap();
}

/// Reads batches until as many records came, from whichever partition.
async fn collect(consumer: &mut GroupConsumer, records: usize) -> Vec<(u32, String)> {
    let mut read = Vec::new();
    while read.len() < records {
        let batch = timeout(HANG, consumer.next_batch(100, &BTreeSet::new())).await.expect("records come").unwrap();
        read.extend(values(&batch.records).into_iter().map(|value| (batch.partition, value)));
    }
    read.sort();
    read
}

async fn members_share_and_take_over(place: &Place) {
    let log = place.open().await;
    log.ensure_topic(&ballots(), 2).await.unwrap();
    for partition in 0..2 {
        let value = format!("p{partition}").into_bytes();
        log.append(&ballots(), AppendTo::Partition(partition), value).await.unwrap();
    }
    let mut first = log.subscribe(&ballots(), "verifier").unwrap();
    assert_eq!(collect(&mut first, 2).await, [(0, "p0".to_owned()), (1, "p1".to_owned())]);
    first.commit(0, 1).await.unwrap();
    wait_committed(&log, &ballots(), &[1, 0]).await;

    // The second member gets one partition, and what is not committed of it once more.
    let mut second = log.subscribe(&ballots(), "verifier").unwrap();
    let began = Instant::now();
    let (mut by_first, mut by_second) = (BTreeSet::new(), BTreeSet::new());
    let mut number = 0;
    while by_second.is_empty() || by_first.len() != 1 {
        assert!(began.elapsed() < HANG, "{by_first:?} {by_second:?}");
        by_first.clear();
        for partition in 0..2 {
            let value = format!("{number}").into_bytes();
            log.append(&ballots(), AppendTo::Partition(partition), value).await.unwrap();
        }
        number += 1;
        while let Ok(batch) = timeout(Duration::from_millis(200), first.next_batch(100, &BTreeSet::new())).await {
            by_first.insert(batch.unwrap().partition);
        }
        while let Ok(batch) = timeout(Duration::from_millis(200), second.next_batch(100, &BTreeSet::new())).await {
            by_second.insert(batch.unwrap().partition);
        }
    }
    assert_eq!(by_second.len(), 1);
    assert!(by_first.is_disjoint(&by_second));
    let theirs = *by_second.first().unwrap();

    // A commit for a partition of the other's changes nothing.
    let before = log.committed(&ballots(), "verifier").await.unwrap();
    first.commit(theirs, 1_000).await.unwrap();
    sleep(Duration::from_millis(500)).await;
    assert_eq!(log.committed(&ballots(), "verifier").await.unwrap(), before);

    // A member that leaves hands over what it has committed.
    let end = log.ends(&ballots()).await.unwrap()[theirs as usize];
    second.commit(theirs, end).await.unwrap();
    drop(second);
    log.append(&ballots(), AppendTo::Partition(theirs), b"after".to_vec()).await.unwrap();
    let mut seen = Vec::new();
    while !seen.contains(&(theirs, "after".to_owned())) {
        seen.extend(collect(&mut first, 1).await);
    }
    let repeated: Vec<_> = seen.iter().filter(|(partition, _)| *partition == theirs).collect();
    assert_eq!(repeated, [&(theirs, "after".to_owned())], "the last commit of the member that left is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_partitions_and_take_over() {
    members_share_and_take_over(&Place::kafka()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_share_partitions_by_the_classic_protocol() {
    let mut config = config(&Place::kafka());
    config.group_protocol = GroupProtocol::Classic;
    members_share_and_take_over(&Place::Kafka(Box::new(config))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_is_seen_within_two_seconds() {
    let place = Place::kafka();
    let (log, other) = (place.open().await, place.open().await);
    log.ensure_topic(&ballots(), 2).await.unwrap();
    log.append(&ballots(), AppendTo::Partition(1), b"before".to_vec()).await.unwrap();
    other.append(&ballots(), AppendTo::Partition(0), b"before".to_vec()).await.unwrap();
    let mut consumer = other.subscribe(&ballots(), "verifier").unwrap();
    collect(&mut consumer, 2).await;

    log.grow_topic(&ballots(), 6).await.unwrap();
    let grown = Instant::now();
    other.append(&ballots(), AppendTo::Partition(5), b"new".to_vec()).await.unwrap();
    let appended = grown.elapsed();
    let mut reader = other.reader(&ballots(), 5, 0).unwrap();
    let read = timeout(HANG, reader.next_batch(1, 1)).await.unwrap().unwrap();
    assert_eq!(values(&read), ["new"]);
    let by_reader = grown.elapsed();
    assert_eq!(collect(&mut consumer, 1).await, [(5, "new".to_owned())]);
    let by_group = grown.elapsed();
    let all = format!("appended after {appended:?}, read after {by_reader:?}, by the group after {by_group:?}");
    assert!(by_group < Duration::from_secs(4), "{all}");
    let mut partitions = BTreeSet::new();
    while !partitions.contains(&5) {
        assert!(grown.elapsed() < HANG, "{partitions:?}");
        partitions.insert(other.append(&ballots(), AppendTo::Any, vec![]).await.unwrap().place.partition);
    }
}

/// Waits until the members own these numbers of partitions, all different.
async fn wait_shared(members: &[&pnyx_backbone::log::GroupMember], partitions: usize) -> Vec<usize> {
    let began = Instant::now();
    loop {
        let owned: Vec<_> = members.iter().map(|member| member.assigned().borrow().clone()).collect();
        let all: BTreeSet<_> = owned.iter().flat_map(|owned| owned.iter().cloned()).collect();
        let counts: Vec<_> = owned.iter().map(|owned| owned.len()).collect();
        if all.len() == partitions && counts.iter().sum::<usize>() == partitions && !counts.contains(&0) {
            return counts;
        }
        assert!(began.elapsed() < HANG, "{owned:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

async fn members_are_assigned(place: &Place) {
    let (log, other) = (place.open().await, place.open().await);
    log.ensure_topic(&ballots(), 2).await.unwrap();
    log.ensure_topic(&verdicts(), 4).await.unwrap();
    log.append(&verdicts(), AppendTo::Partition(0), b"a verdict".to_vec()).await.unwrap();
    let unknown = Topic::ballots(pnyx_core::id::ProposalId::new([9; 32]));
    let first = log.join("tally").unwrap();
    assert!(matches!(first.follow(BTreeSet::from([unknown])).await, Err(LogError::UnknownTopic { .. })));
    first.follow(BTreeSet::from([verdicts()])).await.unwrap();
    assert_eq!(wait_shared(&[&first], 4).await, [4]);
    let second = other.join("tally").unwrap();
    second.follow(BTreeSet::from([verdicts()])).await.unwrap();
    assert_eq!(wait_shared(&[&first, &second], 4).await, [2, 2]);
    let both = BTreeSet::from([ballots(), verdicts()]);
    first.follow(both.clone()).await.unwrap();
    second.follow(both).await.unwrap();
    wait_shared(&[&first, &second], 6).await;
    drop(first);
    assert_eq!(wait_shared(&[&second], 6).await, [6]);
    second.follow(BTreeSet::new()).await.unwrap();
    let mut assigned = second.assigned();
    timeout(HANG, assigned.wait_for(|assigned| assigned.is_empty())).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_assigns_shares_the_partitions_of_many_topics() {
    members_are_assigned(&Place::kafka()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_assigns_works_by_the_classic_protocol() {
    let mut config = config(&Place::kafka());
    config.group_protocol = GroupProtocol::Classic;
    members_are_assigned(&Place::Kafka(Box::new(config))).await;
}

/// A member of the verifiers' group that commits whatever it likes, as one does that lost a partition a moment ago.
fn zombie(place: &Place, name: &str) -> BaseConsumer {
    assert!(config(place).group_protocol == GroupProtocol::Consumer);
    let zombie: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", kafka_bootstrap())
        .set("group.id", format!("{name}.verifier"))
        .set("group.protocol", "consumer")
        .create()
        .unwrap();
    zombie.subscribe(&[name]).unwrap();
    zombie
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_that_was_put_back_is_noted_again() {
    let place = Place::kafka();
    let log = place.open().await;
    log.ensure_topic(&ballots(), 2).await.unwrap();
    let records = (0..20).map(|number| (number % 2, b"x".to_vec())).collect();
    log.append_batch(&ballots(), records).await.unwrap();
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    collect(&mut consumer, 20).await;
    consumer.commit(0, 9).await.unwrap();
    consumer.commit(1, 9).await.unwrap();
    wait_committed(&log, &ballots(), &[9, 9]).await;

    let name = ballots().name().replacen("pnyx", &config(&place).topic_prefix, 1);
    let zombie = zombie(&place, &name);
    let (zombie, theirs) = tokio::task::spawn_blocking(move || {
        let began = std::time::Instant::now();
        loop {
            zombie.poll(Duration::from_millis(50));
            let own: Vec<_> = zombie.assignment().unwrap().elements().iter().map(|own| own.partition()).collect();
            if let [own] = own[..] {
                return (zombie, 1 - own);
            }
            assert!(began.elapsed() < HANG);
        }
    })
    .await
    .unwrap();
    // Each has one of the two; the one that stays takes note of what it has done since.
    let partition = u32::try_from(theirs).unwrap();
    consumer.commit(partition, 10).await.unwrap();
    let expected = if partition == 0 { [10, 9] } else { [9, 10] };
    wait_committed(&log, &ballots(), &expected).await;
    let zombie = tokio::task::spawn_blocking(move || {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&name, theirs, Offset::Offset(3)).unwrap();
        zombie.commit(&list, CommitMode::Sync).unwrap();
        zombie
    })
    .await
    .unwrap();
    wait_committed(&log, &ballots(), &expected).await;
    tokio::task::spawn_blocking(move || drop(zombie)).await.unwrap();
}

/// Writes one record in a transaction. The end of a transaction takes an offset of its own, which the client library does
/// not show: the same to whoever reads as a batch that it leaves out because it cannot read it.
async fn write_in_transaction(name: String) {
    tokio::task::spawn_blocking(move || {
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", kafka_bootstrap())
            .set("transactional.id", &name)
            .create()
            .unwrap();
        producer.init_transactions(HANG).unwrap();
        producer.begin_transaction().unwrap();
        producer.send(BaseRecord::<(), str>::to(&name).partition(0).payload("in a transaction")).unwrap();
        producer.commit_transaction(HANG).unwrap();
    })
    .await
    .unwrap();
}

/// A log with a gap at offset 2: what comes behind it is there.
async fn log_with_gap(place: &Place) -> Log {
    let log = place.open().await;
    log.ensure_topic(&ballots(), 1).await.unwrap();
    log.append(&ballots(), AppendTo::Any, b"before".to_vec()).await.unwrap();
    write_in_transaction(ballots().name().replacen("pnyx", &config(place).topic_prefix, 1)).await;
    // The coordinator writes the end of the transaction after it has said that it is committed.
    let began = Instant::now();
    while log.ends(&ballots()).await.unwrap() != [3] {
        assert!(began.elapsed() < HANG);
        sleep(Duration::from_millis(20)).await;
    }
    let behind = log.append(&ballots(), AppendTo::Any, b"behind".to_vec()).await.unwrap();
    assert_eq!(behind.place.offset, 3);
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_does_not_believe_in_a_gap() {
    let log = log_with_gap(&Place::kafka()).await;
    let mut reader = log.reader(&ballots(), 0, 0).unwrap();
    let mut read = Vec::new();
    let damaged = loop {
        match timeout(HANG, reader.next_batch(100, usize::MAX)).await.unwrap() {
            Ok(records) => read.extend(values(&records)),
            Err(error) => break error,
        }
    };
    assert_eq!(read, ["before", "in a transaction"]);
    assert!(matches!(damaged, LogError::Damaged { partition: 0, offset: 2, .. }), "{damaged:?}");
    assert_eq!(reader.position(), 2);
    // Whoever reads from behind it has nothing missing.
    let mut behind = log.reader(&ballots(), 0, 3).unwrap();
    let records = timeout(HANG, behind.next_batch(100, usize::MAX)).await.unwrap().unwrap();
    assert_eq!(values(&records), ["behind"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_never_goes_past_a_gap() {
    let log = log_with_gap(&Place::kafka()).await;
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    let mut read = Vec::new();
    let first = loop {
        match timeout(HANG, consumer.next_batch(100, &BTreeSet::new())).await.unwrap() {
            Ok(batch) => {
                consumer.commit(0, batch.records.last().unwrap().offset + 1).await.unwrap();
                read.extend(values(&batch.records));
            }
            Err(error) => break error,
        }
    };
    assert_eq!(read, ["before", "in a transaction"]);
    assert!(matches!(first, LogError::Unavailable { .. }), "it may have been damaged on its way: {first:?}");
    wait_committed(&log, &ballots(), &[2]).await;
    drop(consumer);
    // The next member begins in front of the gap and finds it with its first record.
    let mut consumer = log.subscribe(&ballots(), "verifier").unwrap();
    let second = timeout(HANG, consumer.next_batch(100, &BTreeSet::new())).await.unwrap().unwrap_err();
    assert!(matches!(second, LogError::Damaged { partition: 0, offset: 2, .. }), "{second:?}");
    assert_eq!(log.committed(&ballots(), "verifier").await.unwrap(), [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_groups_are_asked_about_with_one_client_each() {
    let log = Place::kafka().open().await;
    let topics: Vec<_> = (0..12).map(|number| Topic::ballots(pnyx_core::id::ProposalId::new([number; 32]))).collect();
    for topic in &topics {
        log.ensure_topic(topic, 1).await.unwrap();
        assert_eq!(log.committed(topic, "verifier").await.unwrap(), [0]);
    }
    let Log::Kafka(kafka) = &log else { panic!("it is on Kafka") };
    let shown = format!("{kafka:?}");
    assert!(shown.contains("observers: 12"), "each is kept: {shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_have_the_names_that_operators_know() {
    let place = Place::kafka();
    let log = place.open().await;
    log.ensure_topic(&ballots(), 1).await.unwrap();
    let metrics = Metrics::new();
    log.register_metrics(&metrics);
    log.append(&ballots(), AppendTo::Any, b"x".to_vec()).await.unwrap();
    let text = metrics.encode();
    for line in [
        "pnyx_log_append_seconds_count 2",
        "pnyx_log_records_total 2",
        "pnyx_log_failed_appends_total{kind=\"fatal\"} 0",
        "pnyx_log_queue_records 0",
        "pnyx_log_queue_bytes 0",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
    }
}

#[tokio::test]
async fn a_configuration_shows_no_secret() {
    let mut config = config(&Place::kafka());
    config.client_settings.insert("some.setting".to_owned(), "secret".to_owned());
    assert!(!format!("{config:?}").contains("secret"));
    let place = Place::kafka();
    let Log::Kafka(log) = place.open().await else { panic!("it is on Kafka") };
    assert!(!format!("{log:?}").contains("secret"));
}
