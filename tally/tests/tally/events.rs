//! Server-sent events.

use axum::{
    body::{Body, BodyDataStream},
    http::{Request, StatusCode},
};
use futures_util::StreamExt as _;
use pnyx_core::{choice::Choice, proposal::VotingSystem};
use serde_json::Value;
use tower::ServiceExt as _;

use crate::rig::{PATIENCE, Rig, counts, definition, voter};

/// An event as a browser sees it.
#[derive(Debug)]
struct Seen {
    id: String,
    data: Value,
}

struct Stream {
    body: BodyDataStream,
    text: String,
}

impl Stream {
    async fn open(rig: &Rig, path: &str, last_event_id: Option<&str>) -> Result<Self, StatusCode> {
        let mut request = Request::get(path);
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = rig.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        if response.status() != StatusCode::OK {
            return Err(response.status());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Ok(Self { body: response.into_body().into_data_stream(), text: String::new() })
    }

    /// The next event; `None` once the stream ends.
    async fn next(&mut self) -> Option<Seen> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let field = |name: &str| {
                    event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
                };
                let seen = field("data").map(|data| Seen {
                    id: field("id").expect("every event has an id"),
                    data: serde_json::from_str(&data).unwrap(),
                });
                self.text = rest.to_owned();
                if seen.is_some() {
                    return seen;
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.body.next()).await.expect("an event in time")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// Reads on until the tally has so many ballots.
    async fn until(&mut self, ballots: u64) -> Seen {
        loop {
            let seen = self.next().await.expect("the stream goes on");
            if seen.data["tally"]["ballots"] == ballots && seen.data["tally"]["behind"] == 0 {
                return seen;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reader_sees_the_newest_state_and_resumes_without_repeats() {
    let rig = Rig::new().await;
    let id = rig.propose(&definition("watched", VotingSystem::SingleChoice, &["A", "B"])).await;
    let path = "/v1/proposals/watched/events";
    let mut first = Stream::open(&rig, path, None).await.unwrap();
    let mut second = Stream::open(&rig, path, None).await.unwrap();
    let begin = first.next().await.unwrap();
    assert_eq!((&begin.data["tally"]["ballots"], &begin.data["phase"]), (&Value::from(0), &Value::from("open")));
    assert_eq!(begin.data["id"], id.to_string());

    rig.judge(id, &[counts(0, voter(1), Choice::Single(1), "1")]).await;
    let seen = first.until(1).await;
    assert_eq!(second.until(1).await.id, seen.id, "one state has one id for everybody");
    drop(first);

    // What was seen is not sent again: the first event after resuming is the next change.
    let mut resumed = Stream::open(&rig, path, Some(&seen.id)).await.unwrap();
    rig.judge(id, &[counts(1, voter(2), Choice::Single(2), "1")]).await;
    let next = resumed.next().await.unwrap();
    assert_ne!(next.id, seen.id);
    assert_eq!(resumed.until_or(next, 2).await.data["tally"]["scores"], serde_json::json!(["1", "1"]));

    // Who resumes from an old state gets the present one at once.
    let mut late = Stream::open(&rig, path, Some(&begin.id)).await.unwrap();
    assert_eq!(late.until(2).await.data["tally"]["ballots"], 2);
}

impl Stream {
    async fn until_or(&mut self, first: Seen, ballots: u64) -> Seen {
        if first.data["tally"]["ballots"] == ballots && first.data["tally"]["behind"] == 0 {
            return first;
        }
        self.until(ballots).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_has_the_same_id_after_a_restart() {
    let rig = Rig::new().await;
    let id = rig.propose(&definition("watched", VotingSystem::SingleChoice, &["A", "B"])).await;
    rig.judge(id, &[counts(0, voter(1), Choice::Single(1), "1")]).await;
    rig.counted(id).await;
    let path = "/v1/proposals/watched/events";
    let before = Stream::open(&rig, path, None).await.unwrap().until(1).await;
    let store = rig.store.clone();
    let rig = rig.restarted_with(store).await;
    let mut resumed = Stream::open(&rig, path, Some(&before.id)).await.unwrap();
    rig.judge(id, &[counts(1, voter(2), Choice::Single(2), "1")]).await;
    assert_ne!(resumed.next().await.unwrap().id, before.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_are_bounded_and_leave_room_when_they_go() {
    let rig = Rig::with_event_readers(2).await;
    rig.propose(&definition("busy", VotingSystem::SingleChoice, &["A", "B"])).await;
    let path = "/v1/proposals/busy/events";
    let first = Stream::open(&rig, path, None).await.unwrap();
    let _second = Stream::open(&rig, path, None).await.unwrap();
    assert_eq!(Stream::open(&rig, path, None).await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    assert!(rig.metrics.encode().contains("pnyx_tally_event_readers 2"), "{}", rig.metrics.encode());
    drop(first);
    assert!(Stream::open(&rig, path, None).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_with_the_process() {
    let rig = Rig::new().await;
    rig.propose(&definition("ends", VotingSystem::SingleChoice, &["A", "B"])).await;
    let mut stream = Stream::open(&rig, "/v1/proposals/ends/events", None).await.unwrap();
    stream.next().await.unwrap();
    rig.shutdown.trigger();
    assert!(stream.next().await.is_none());
    rig.shutdown.drained(PATIENCE).await.unwrap();
}
