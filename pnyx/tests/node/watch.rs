//! What stands in the API while things happen to it: looked at again and again, and kept for questions.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::bed::Bed;

/// Between two looks: a look is a process that takes a tenth of a second of a machine with other things to do.
const LOOK_INTERVAL: Duration = Duration::from_millis(400);

/// How long everything must stay as it should be until it counts: who has just begun to look may have something else to say.
const HOLDS: Duration = Duration::from_secs(5);

/// What conditions of a proposal are while its window is open and nothing is wrong.
const PROPOSAL: [(&str, &str); 10] = [
    ("Accepted", "True"),
    ("SnapshotPinned", "True"),
    ("TopicsReady", "True"),
    ("Prewarmed", "True"),
    ("Open", "True"),
    ("CaughtUp", "True"),
    ("ScalingDataFresh", "True"),
    ("UpgradePending", "False"),
    ("Paused", "False"),
    ("Ready", "True"),
];

/// The same of a platform.
const PLATFORM: [(&str, &str); 6] = [
    ("Accepted", "True"),
    ("KafkaReady", "True"),
    ("RedisReady", "True"),
    ("IngestReady", "True"),
    ("TallyReady", "True"),
    ("Ready", "True"),
];

/// Looks at the namespace.
pub(crate) struct Watch<'a> {
    pub(crate) bed: &'a Bed,
    looks: Mutex<Vec<Look>>,
    is_over: AtomicBool,
}

/// One look.
struct Look {
    at: Instant,
    /// Nothing where the API server did not answer.
    seen: Option<Seen>,
}

/// What one look showed.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The proposal's status.
    pub(crate) proposal: Value,
    /// The platform's status.
    pub(crate) platform: Value,
    /// By name.
    pub(crate) deployments: BTreeMap<String, Pods>,
}

/// Pods of a Deployment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pods {
    pub(crate) wanted: i64,
    pub(crate) ready: i64,
    /// Counts the templates that there were.
    pub(crate) revision: String,
}

/// Looks at the namespace of a bed until `act` ends.
pub(crate) fn watching<T>(bed: &Bed, act: impl FnOnce(&Watch<'_>) -> T) -> T {
    let watch = Watch { bed, looks: Mutex::default(), is_over: AtomicBool::new(false) };
    thread::scope(|scope| {
        scope.spawn(|| watch.run());
        // Also where it panics: a thread that looks on would keep the test for ever.
        let _end = End(&watch.is_over);
        act(&watch)
    })
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Watch<'_> {
    fn run(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let get = ["get", "gprop,gplat,deployments", "--output=json", "--request-timeout=5s"];
            let seen = self.bed.kubectl(&get).ok().and_then(|text| Seen::read(&text));
            self.looks().push(Look { at: Instant::now(), seen });
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// All that was seen so far.
    pub(crate) fn history(&self) -> Vec<Seen> {
        self.looks().iter().filter_map(|look| look.seen.clone()).collect()
    }

    /// What was seen last, if anything was.
    pub(crate) fn latest(&self) -> Option<Seen> {
        self.looks().iter().rev().find_map(|look| look.seen.clone())
    }

    /// Waits until something is seen.
    pub(crate) fn until(&self, what: &str, limit: Duration, is_so: impl Fn(&Seen) -> bool) {
        let waits = Instant::now();
        while !self.latest().is_some_and(|seen| is_so(&seen)) {
            assert!(waits.elapsed() < limit, "not {what}: {:#?}\n{}", self.latest(), self.bed.described("pnyx-system"));
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Waits until everything is as it should be and stays so, from `from` on. The time since `ended` after which it was.
    pub(crate) fn until_true(&self, ended: Instant, from: Instant, limit: Duration) -> Duration {
        loop {
            let wrong = match self.is_true_since() {
                Ok((since, last)) if last >= since.max(from) + HOLDS => return since.saturating_duration_since(ended),
                Ok(_) => Vec::new(),
                Err(wrong) => wrong,
            };
            assert!(
                ended.elapsed() < limit + HOLDS,
                "not true again: {wrong:?}\n{}\n{}",
                self.bed.described("votes"),
                self.bed.described("pnyx-system")
            );
            thread::sleep(LOOK_INTERVAL);
        }
    }

    /// Since when every look showed everything as it should be, and the last look; else what is wrong now.
    fn is_true_since(&self) -> Result<(Instant, Instant), Vec<String>> {
        let looks = self.looks();
        let wrong = |look: &Look| look.seen.as_ref().map_or_else(|| vec!["no answer".to_owned()], Seen::wrong);
        let good: Vec<Instant> =
            looks.iter().rev().take_while(|look| wrong(look).is_empty()).map(|look| look.at).collect();
        match (good.last(), good.first()) {
            (Some(since), Some(last)) => Ok((*since, *last)),
            (_, _) => Err(looks.last().map(wrong).unwrap_or_default()),
        }
    }

    fn looks(&self) -> MutexGuard<'_, Vec<Look>> {
        self.looks.lock().unwrap()
    }
}

impl Seen {
    /// Of a list in JSON.
    fn read(text: &str) -> Option<Self> {
        let list: Value = serde_json::from_str(text).ok()?;
        let of = |kind: &'static str| {
            list["items"].as_array().into_iter().flatten().filter(move |item| item["kind"] == kind)
        };
        let status = |kind| of(kind).next().map(|item| item["status"].clone()).unwrap_or_default();
        let deployments = of("Deployment").map(|item| {
            let revision = &item["metadata"]["annotations"]["deployment.kubernetes.io/revision"];
            let pods = Pods {
                wanted: item["spec"]["replicas"].as_i64().unwrap_or_default(),
                ready: item["status"]["readyReplicas"].as_i64().unwrap_or_default(),
                revision: revision.as_str().unwrap_or_default().to_owned(),
            };
            (item["metadata"]["name"].as_str().unwrap_or_default().to_owned(), pods)
        });
        Some(Self {
            proposal: status("GovernanceProposal"),
            platform: status("GovernancePlatform"),
            deployments: deployments.collect(),
        })
    }

    /// The pods of the proposal's shards.
    pub(crate) fn shards(&self) -> Pods {
        self.deployments.get("grants-round-verifier").cloned().unwrap_or_default()
    }

    /// What is not as it should be while the window is open.
    fn wrong(&self) -> Vec<String> {
        let conditions = |status: &Value, known: &[(&str, &str)]| {
            let is_wrong = |(kind, wanted): &&(&str, &str)| condition(status, kind) != *wanted;
            let said = known.iter().filter(is_wrong).map(|(kind, _)| format!("{kind}: {}", condition(status, kind)));
            said.collect::<Vec<_>>()
        };
        let mut wrong = conditions(&self.proposal, &PROPOSAL);
        wrong.extend(conditions(&self.platform, &PLATFORM).into_iter().map(|said| format!("platform {said}")));
        let waiting = self.deployments.iter().filter(|(_, pods)| pods.ready != pods.wanted);
        wrong.extend(waiting.map(|(name, pods)| format!("{name}: {} of {} ready", pods.ready, pods.wanted)));
        let (pods, said) = (self.shards(), &self.proposal["shards"]);
        if (said["desired"].as_i64(), said["ready"].as_i64()) != (Some(pods.wanted), Some(pods.ready)) {
            wrong.push(format!("there are {pods:?}, and the status says {said}"));
        }
        wrong
    }
}

/// What a condition in a status is: `True`, `False`, `Unknown`, or nothing.
pub(crate) fn condition<'a>(status: &'a Value, kind: &str) -> &'a str {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.find(|condition| condition["type"] == kind);
    found.and_then(|condition| condition["status"].as_str()).unwrap_or_default()
}
