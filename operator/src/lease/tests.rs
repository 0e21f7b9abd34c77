//! No two candidates lead at once, whatever their calls and pauses take; and somebody leads in the end.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, VecDeque},
};

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn wall(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("a small number of seconds")
}

/// What `identity` does at `now` about a lease that it has seen unchanged since `since`.
fn check(lease: Option<&LeaseRecord>, identity: &str, since: Duration, now: Duration) -> Action {
    let mut observation = Observation::default();
    observation.note(lease, since);
    observation.note(lease, now);
    evaluate(lease, identity, &observation, now)
}

#[test]
fn each_state_of_a_lease_has_its_action() {
    let of_a = LeaseRecord::first("a", wall(0));
    let released = of_a.released(wall(1));
    let (at, almost) = (SECOND + LEASE_DURATION, SECOND * 15 + Duration::from_millis(999));
    assert_eq!(check(None, "a", SECOND, SECOND), Action::Create);
    assert_eq!(check(Some(&released), "b", SECOND, SECOND), Action::Acquire);
    assert_eq!(check(Some(&of_a), "a", SECOND, at * 9), Action::Renew);
    assert_eq!(check(Some(&of_a), "b", SECOND, SECOND), Action::Wait { until: at });
    assert_eq!(check(Some(&of_a), "b", SECOND, almost), Action::Wait { until: at });
    assert_eq!(check(Some(&of_a), "b", SECOND, at), Action::Acquire);
    assert_eq!((of_a.taken("b", wall(9)).transitions, released.holder), (1, None));
}

#[test]
fn times_that_others_wrote_are_compared_and_never_believed() {
    let ancient = LeaseRecord::first("a", wall(-1_000_000));
    let wait = Action::Wait { until: SECOND + LEASE_DURATION };
    assert_eq!(check(Some(&ancient), "b", SECOND, SECOND), wait);
    let mut observation = Observation::default();
    observation.note(Some(&ancient), SECOND);
    let renewed = ancient.renewed(wall(-999_999));
    observation.note(Some(&renewed), SECOND * 9);
    let wait = Action::Wait { until: SECOND * 9 + LEASE_DURATION };
    assert_eq!(evaluate(Some(&renewed), "b", &observation, SECOND * 17), wait);
}

#[test]
fn a_lease_that_vanishes_is_waited_out() {
    let of_a = LeaseRecord::first("a", wall(0));
    let mut observation = Observation::default();
    observation.note(Some(&of_a), SECOND);
    observation.note(None, SECOND * 2);
    let until = SECOND * 2 + LEASE_DURATION;
    assert_eq!(evaluate(None, "b", &observation, SECOND * 3), Action::Wait { until });
    assert_eq!(evaluate(None, "b", &observation, until), Action::Create);
}

#[test]
fn durations_that_make_no_sense_are_bounded() {
    let mut lease = k8s_openapi::api::coordination::v1::Lease::default();
    for (written, read) in [(None, 15), (Some(-3), 15), (Some(1), 15), (Some(60), 60), (Some(i32::MAX), 300)] {
        let spec = lease.spec.get_or_insert_default();
        spec.lease_duration_seconds = written;
        assert_eq!(LeaseRecord::of(&lease).duration, Duration::from_secs(read), "{written:?}");
    }
}

/// One call of a candidate: how long it thinks before, and how long request and answer travel.
#[derive(Debug, Clone, Copy)]
struct Step {
    pause_ms: u64,
    request_ms: u64,
    answer_ms: u64,
}

fn step() -> impl Strategy<Value = Step> {
    // Mostly as it should be, sometimes slower than every deadline: lost answers and stopped processes.
    let pause = prop_oneof![6 => 0..2_500_u64, 1 => 2_500..40_000_u64];
    let way = || prop_oneof![6 => 0..60_u64, 2 => 60..4_000_u64, 1 => 4_000..30_000_u64];
    (pause, way(), way()).prop_map(|(pause_ms, request_ms, answer_ms)| Step { pause_ms, request_ms, answer_ms })
}

/// What happens at some time in the simulation. Writes reach the server even when their sender gave up on them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Look { who: usize },
    LookArrives { who: usize, answer_ms: u64 },
    LookAnswered { who: usize, version: u64, record: Option<Found> },
    WriteArrives { who: usize, sent_ms: u64, answer_ms: u64, version: u64, record: Found },
    WriteAnswered { who: usize, sent_ms: u64, is_done: bool },
}

/// A record that can be ordered, as the queue of events needs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    holder: String,
    acquired_s: i64,
    renewed_s: i64,
    transitions: i32,
}

impl Found {
    fn of(record: &LeaseRecord) -> Self {
        let seconds = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_second);
        Self {
            holder: record.holder.clone().unwrap_or_default(),
            acquired_s: seconds(record.acquired_at),
            renewed_s: seconds(record.renewed_at),
            transitions: record.transitions,
        }
    }

    fn record(&self) -> LeaseRecord {
        LeaseRecord {
            holder: Some(self.holder.clone()),
            duration: LEASE_DURATION,
            acquired_at: Some(wall(self.acquired_s)),
            renewed_at: Some(wall(self.renewed_s)),
            transitions: self.transitions,
        }
    }
}

/// A candidate on a clock of its own, which shows something else than the others' and runs as fast.
struct Candidate {
    identity: String,
    clock_ahead: Duration,
    observation: Observation,
    steps: VecDeque<Step>,
    leads_until_ms: u64,
}

impl Candidate {
    fn own(&self, now_ms: u64) -> Duration {
        self.clock_ahead + Duration::from_millis(now_ms)
    }
}

/// Runs all steps and gives the spans in which each candidate led: who, from, until.
#[expect(clippy::too_many_lines, reason = "one arm an event; apart they would hide what follows what")]
fn simulate(steps: [Vec<Step>; 2]) -> Vec<(usize, u64, u64)> {
    let mut candidates: Vec<_> = steps
        .into_iter()
        .enumerate()
        .map(|(who, steps)| Candidate {
            identity: format!("candidate-{who}"),
            clock_ahead: SECOND * u32::try_from(who * 977).expect("two candidates"),
            observation: Observation::default(),
            steps: steps.into(),
            leads_until_ms: 0,
        })
        .collect();
    let (mut stored, mut version): (Option<Found>, u64) = (None, 0);
    let mut events: BinaryHeap<Reverse<(u64, u64, Event)>> = BinaryHeap::new();
    let (mut spans, mut number) = (Vec::new(), 0);
    let mut next = vec![(0, Event::Look { who: 0 }), (0, Event::Look { who: 1 })];
    loop {
        for (at, event) in next.drain(..) {
            number += 1;
            events.push(Reverse((at, number, event)));
        }
        let Some(Reverse((now, _, event))) = events.pop() else { return spans };
        match event {
            Event::Look { who } => {
                if let Some(step) = candidates[who].steps.pop_front() {
                    let arrives = now + step.pause_ms + step.request_ms;
                    next.push((arrives, Event::LookArrives { who, answer_ms: step.answer_ms }));
                }
            }
            Event::LookArrives { who, answer_ms } => {
                next.push((now + answer_ms, Event::LookAnswered { who, version, record: stored.clone() }));
            }
            Event::LookAnswered { who, version, record } => {
                let candidate = &mut candidates[who];
                let (own, record) = (candidate.own(now), record.map(|found| found.record()));
                candidate.observation.note(record.as_ref(), own);
                // What clocks on walls show is anything.
                let shown = wall(i64::try_from(now / 1000).expect("a short run") - 5_000 * i64::from(who == 1));
                let wanted = match (evaluate(record.as_ref(), &candidate.identity, &candidate.observation, own), record)
                {
                    (Action::Wait { .. }, _) => None,
                    (Action::Renew, Some(record)) => Some(record.renewed(shown)),
                    (_, Some(record)) => Some(record.taken(&candidate.identity, shown)),
                    (_, None) => Some(LeaseRecord::first(&candidate.identity, shown)),
                };
                let step = candidate.steps.pop_front();
                match (wanted, step) {
                    (Some(wanted), Some(Step { pause_ms, request_ms, answer_ms })) => {
                        let (sent_ms, record) = (now + pause_ms, Found::of(&wanted));
                        let write = Event::WriteArrives { who, sent_ms, answer_ms, version, record };
                        next.push((sent_ms + request_ms, write));
                        // The sender gives up waiting and looks again, whatever becomes of its write.
                        let gives_up = LEASE_CALL_TIMEOUT.as_millis().try_into().expect("seconds");
                        if request_ms + answer_ms > gives_up {
                            next.push((sent_ms + gives_up, Event::Look { who }));
                        }
                    }
                    (None, Some(step)) => next.push((now + step.pause_ms, Event::Look { who })),
                    (_, None) => {}
                }
            }
            Event::WriteArrives { who, sent_ms, answer_ms, version: seen, record } => {
                let is_done = seen == version;
                if is_done {
                    version += 1;
                    stored = Some(record);
                }
                next.push((now + answer_ms, Event::WriteAnswered { who, sent_ms, is_done }));
            }
            Event::WriteAnswered { who, sent_ms, is_done } => {
                let deadline: u64 = RENEW_DEADLINE.as_millis().try_into().expect("seconds");
                let gave_up = now - sent_ms > u64::try_from(LEASE_CALL_TIMEOUT.as_millis()).expect("seconds");
                let candidate = &mut candidates[who];
                let led = candidate.leads_until_ms;
                if is_done && led != 0 && now >= led {
                    // It noticed too late and stopped; its successor starts afresh.
                    candidate.identity.push('\'');
                    candidate.observation = Observation::default();
                    candidate.leads_until_ms = 0;
                } else if is_done && now < sent_ms + deadline {
                    spans.push((who, now, sent_ms + deadline));
                    candidate.leads_until_ms = sent_ms + deadline;
                }
                if !gave_up {
                    next.push((now, Event::Look { who }));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn two_never_lead_at_once(
        first in prop::collection::vec(step(), 1..60),
        second in prop::collection::vec(step(), 1..60),
    ) {
        let spans = simulate([first, second]);
        for (who, from, until) in &spans {
            for (other, other_from, other_until) in &spans {
                prop_assert!(
                    who == other || until <= other_from || other_until <= from,
                    "{who} led {from}..{until}, {other} led {other_from}..{other_until}",
                );
            }
        }
    }
}

#[test]
fn a_silent_holder_is_followed_by_another() {
    let quick = Step { pause_ms: 1_000, request_ms: 5, answer_ms: 5 };
    let spans = simulate([vec![quick; 8], vec![quick; 60]]);
    let last_of_first = spans.iter().rev().find(|(who, ..)| *who == 0).expect("the first led");
    let first_of_second = spans.iter().find(|(who, ..)| *who == 1).expect("the second led in the end");
    let gap = first_of_second.1 - last_of_first.2;
    assert!(gap < 10_000, "nobody led for {gap} ms");
}
