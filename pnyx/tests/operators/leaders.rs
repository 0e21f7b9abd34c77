//! Leaders that lose their lease as processes lose it: one stands still beyond it and goes on, one is cut off from the API.
//! Neither begins a write when another leads, to Kubernetes or to Kafka, and what waited is done by the other.

use std::{
    collections::BTreeSet,
    fs, thread,
    time::{Duration, Instant},
};

use jiff::SignedDuration;
use pnyx_testbed::{KafkaCluster, KafkaOptions, Proxy, kubernetes::ControlPlaneOptions};
use serde_json::Value;

use crate::{
    bed::{Bed, names, wait_for},
    common::raw,
    operator::{Begun, Operator},
};

/// Longest wait for anything here. A lease is over after 15 s, and what waited is done in seconds; the machine may compile
/// beside.
const LIMIT: Duration = Duration::from_secs(120);

/// How `pnyx operator` ends that lost its lease, as its help says.
const LOST: i32 = 2;

/// Proposals that wait when the leader stands still: more than it works on at once.
const WAITING: usize = 30;

/// How many of these are begun then: the leader stands in the midst of others.
const BEGUN: usize = 3;

#[test]
fn a_leader_that_stood_still_or_is_cut_off_begins_no_write() {
    let kafka = KafkaCluster::start(KafkaOptions::one()).expect("Kafka starts");
    let bed = Bed::start(ControlPlaneOptions::new(), kafka, &["first", "second", "third"]);
    let mut first = bed.operator("first");
    wait_for("the first leads", LIMIT, || bed.holder().starts_with("first-"));
    bed.propose(&names("open", 1), SignedDuration::from_secs(-60));
    wait_for("it works", LIMIT, || bed.accepted() == 1);
    let proxy = Proxy::start(bed.control_plane.server()).expect("a port is free");
    let second = through(&bed, "second", &proxy);

    stop_in_the_midst(&bed, &mut first);
    let shards = ["patch", "gprop/open-000", "--type=merge", "--patch={\"spec\":{\"scaling\":{\"shards\":3}}}"];
    bed.kubectl(&shards);
    wait_for("what waited is recorded by the second", LIMIT, || bed.accepted() == 1 + WAITING);
    let replicas = ["get", "deployment/open-000-verifier", "--output=jsonpath={.spec.replicas}"];
    wait_for("what was changed is done by the second", LIMIT, || bed.kubectl(&replicas) == "3");
    assert!(bed.holder().starts_with("second-"), "{}", bed.holder());

    goes_on_and_writes_nothing(&bed, &mut first);
    let said: Vec<_> = [first.begun(), second.begun()].concat();
    everything_recorded_has_a_writer(&bed, &said);
    is_cut_off_and_ends(&bed, second, &proxy);
}

/// An operator that reaches the API server through something that can be cut.
fn through(bed: &Bed, name: &str, proxy: &Proxy) -> Operator {
    let kubeconfig = fs::read_to_string(bed.control_plane.kubeconfig_of(name)).expect("everybody has one");
    let (server, other) = (bed.control_plane.server().to_string(), proxy.address().to_string());
    let path = bed.folder.path().join(format!("{name}.kubeconfig"));
    fs::write(&path, kubeconfig.replace(&server, &other)).expect("it can be written");
    Operator::start(name, &path, bed.folder.path())
}

/// Many proposals are made, and the leader stands still while it writes about them.
fn stop_in_the_midst(bed: &Bed, leader: &mut Operator) {
    let recorded = |leader: &Operator| leader.begun().iter().filter(|begun| is_recording(begun)).count();
    let before = recorded(leader);
    thread::scope(|scope| {
        scope.spawn(|| bed.propose(&names("wait", WAITING), SignedDuration::from_hours(1)));
        let began = Instant::now();
        while recorded(leader) < before + BEGUN {
            assert!(began.elapsed() < LIMIT, "nothing is recorded");
            thread::sleep(Duration::from_millis(5));
        }
        leader.process.sigstop().expect("it runs");
    });
    let recorded = recorded(leader) - before;
    assert!(recorded < WAITING, "all was done before it stood still");
    println!("stands still; {recorded} of {WAITING} were begun");
}

/// The old leader goes on while another leads.
fn goes_on_and_writes_nothing(bed: &Bed, first: &mut Operator) {
    let (begun, written) = (first.begun(), bed.writes_of("first"));
    let decided = raw::decisions(&bed.kafka.bootstrap());
    first.process.sigcont().expect("it is there");
    let ended = first.process.wait(LIMIT).expect("it ends by itself");
    assert_eq!(ended.code(), Some(LOST), "{}", first.process.log_tail());
    assert!(first.says("lease expired, no write is started"), "{}", first.process.log_tail());
    assert_eq!(first.begun(), begun, "a write was begun without the lease");
    assert!(begun.iter().all(|begun| begun.holder.starts_with("first-")), "{begun:?}");

    // By the word of the API server: nothing was written that was not begun while it led, and the lease not at all.
    let after = bed.writes_of("first");
    let late = &after[written.len()..];
    assert!(late.iter().all(|event| event.resource != "leases"), "{late:?}");
    let to_kubernetes = begun.iter().filter(|begun| !begun.is_to_kafka()).count();
    let writes = after.iter().filter(|event| event.resource != "leases").count();
    assert!(writes <= to_kubernetes, "{writes} writes, {to_kubernetes} begun");
    // By the word of the log: what was in flight says what stands there already.
    let now = raw::decisions(&bed.kafka.bootstrap());
    assert_eq!(now[..decided.len()], decided[..]);
    let standing: BTreeSet<String> = decided.iter().map(Value::to_string).collect();
    let repeated = now[decided.len()..].iter().all(|decision| standing.contains(&decision.to_string()));
    assert!(repeated, "{:?}", &now[decided.len()..]);
    println!("ended; {} writes and {} records were in flight", late.len(), now.len() - decided.len());
}

/// Each definition in the log was begun by somebody who said so.
fn everything_recorded_has_a_writer(bed: &Bed, said: &[Begun]) {
    let decided = raw::decisions(&bed.kafka.bootstrap());
    let definitions = decided.iter().filter(|decision| decision["kind"] == "definition");
    let records: Vec<_> = definitions.filter_map(|decision| decision["definition"]["proposal"].as_str()).collect();
    let begun: Vec<_> = said.iter().filter(|begun| is_recording(begun)).collect();
    let is_begun = |id: &str| begun.iter().any(|begun| begun.write.ends_with(id));
    assert!(records.iter().all(|id| is_begun(id)), "{records:?}\n{begun:?}");
    assert!(records.len() <= begun.len(), "{records:?}\n{begun:?}");
    assert_eq!(records.into_iter().collect::<BTreeSet<_>>().len(), 1 + WAITING);
    let writers: BTreeSet<_> = begun.iter().map(|begun| begun.holder.split('-').next()).collect();
    assert_eq!(writers, BTreeSet::from([Some("first"), Some("second")]));
}

/// The leader hears nothing from the API server any more, and does not know why.
fn is_cut_off_and_ends(bed: &Bed, mut second: Operator, proxy: &Proxy) {
    let third = bed.operator("third");
    proxy.stall().expect("it was not cut");
    let lost = Instant::now();
    bed.propose(&names("late", 2), SignedDuration::from_hours(1));
    let ended = second.process.wait(LIMIT).expect("it ends by itself");
    println!("cut off, and ended after {:.1} s", lost.elapsed().as_secs_f64());
    assert_eq!(ended.code(), Some(LOST), "{}", second.process.log_tail());
    wait_for("the third leads", LIMIT, || bed.holder().starts_with("third-"));
    println!("the next leads after {:.1} s", lost.elapsed().as_secs_f64());
    wait_for("what waited is done", LIMIT, || bed.accepted() == 1 + WAITING + 2);
    println!("what waited is done after {:.1} s", lost.elapsed().as_secs_f64());
    assert!(third.begun().iter().any(is_recording), "by the third");
}

fn is_recording(begun: &Begun) -> bool {
    begun.write.starts_with("record the definition")
}
