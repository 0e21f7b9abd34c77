//! The trace of a ballot, as a collector sees it that this test plays: from one process and from three, and nothing of it
//! where no ballot is to be traced.
#![expect(clippy::unwrap_used, reason = "a test that fails says where")]

mod common;

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;

use common::{
    Dev, http,
    pipeline::{Pipeline, Role, Shape},
    pnyx,
    proposals::{Window, write_plain},
    repository, succeed,
};

/// How long the spans of one ballot may take: a tenth of a second each on an idle machine.
const SPANS_WAIT_MAX: Duration = Duration::from_secs(60);

/// What a collector was sent: the service's name and its spans.
type Taken = Arc<Mutex<Vec<(String, Vec<Span>)>>>;

/// An OpenTelemetry collector, as far as traces by OTLP over HTTP go.
struct Collector {
    url: String,
    taken: Taken,
}

impl Collector {
    fn start() -> Self {
        let taken = Taken::default();
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&taken));
        let listener = http::block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        http::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, taken }
    }

    /// Service and span, of all in the trace of this digest, by the spans' names.
    fn trace_of(&self, digest: &str) -> Vec<(String, Span)> {
        let trace_id = &digest.trim_start_matches("0x")[..32];
        let taken = self.taken.lock().unwrap();
        let all = taken.iter().flat_map(|(service, spans)| spans.iter().map(|span| (service.clone(), span.clone())));
        let mut trace: Vec<(String, Span)> = all.filter(|(_, span)| hex(&span.trace_id) == trace_id).collect();
        trace.sort_by_key(|(_, span)| span.name.clone());
        trace
    }
}

async fn take(State(taken): State<Taken>, body: Bytes) {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for of_resource in request.resource_spans {
        let service = text(&of_resource.resource.unwrap().attributes, "service.name");
        let spans = of_resource.scope_spans.into_iter().flat_map(|scope| scope.spans).collect();
        taken.lock().unwrap().push((service, spans));
    }
}

#[test]
fn a_ballot_s_steps_are_one_trace_in_one_process() {
    let (collector, directory) = (Collector::start(), tempfile::tempdir().unwrap());
    let examples = repository().join("examples").display().to_string();
    let arguments = [&examples, "--open-for", "10m", "--otlp-endpoint", &collector.url];
    let dev = Dev::start(&directory.path().join("data"), None, &arguments);
    let digest = vote("grants-round", &dev.url, &dev.url, directory.path());
    // What is queued is sent before the end.
    assert!(dev.interrupt(), "Ctrl-C must end with exit code 0");
    check(&collector.trace_of(&digest), &digest, ["pnyx-dev"; 3]);
}

#[test]
fn a_ballot_that_is_not_in_the_sample_has_no_trace() {
    let (collector, directory) = (Collector::start(), tempfile::tempdir().unwrap());
    let examples = repository().join("examples").display().to_string();
    let arguments = [&examples, "--open-for", "10m", "--otlp-endpoint", &collector.url, "--otlp-sample", "0"];
    let dev = Dev::start(&directory.path().join("data"), None, &arguments);
    vote("grants-round", &dev.url, &dev.url, directory.path());
    assert!(dev.interrupt(), "Ctrl-C must end with exit code 0");
    assert!(collector.taken.lock().unwrap().is_empty());
}

#[test]
fn a_ballot_s_steps_are_one_trace_across_processes() {
    let collector = Collector::start();
    let mut pipeline = Pipeline::start(Shape { roles: Vec::new(), ..Shape::usual() });
    for role in [Role::Ingest, Role::Verifier, Role::Tally] {
        pipeline.add(role, &["--otlp-endpoint", &collector.url]);
    }
    pipeline.wait_until_all_ready();
    let file = write_plain("traced", Window::around_now(60, 1_200), pipeline.folder());
    let target = pipeline.propose(&[file], &["--partitions", "2", "--lanes", "2"]).remove(0);
    let digest = vote(&target.id, pipeline.edge(), &pipeline.reads()[0], pipeline.folder());
    let trace = http::poll("a trace of three spans", SPANS_WAIT_MAX, || {
        Some(collector.trace_of(&digest)).filter(|trace| trace.len() >= 3)
    });
    check(&trace, &digest, ["pnyx-ingest", "pnyx-tally", "pnyx-verifier"]);
    for index in [Role::Ingest, Role::Verifier, Role::Tally].map(|role| pipeline.of(role)[0]) {
        assert!(pipeline.terminate(index).success());
    }
}

/// Casts a ballot, waits until it is counted, and gives its digest.
fn vote(proposal: &str, edge: &str, reads: &str, folder: &Path) -> String {
    let mut vote = pnyx();
    vote.args(["vote", proposal, "--choice", "1", "--demo-wallet", "3", "--wait", "--url", edge, "--read-url", reads]);
    let receipt = folder.join("receipt.json");
    let output = succeed(vote.arg("--json").arg("--receipt").arg(&receipt));
    let answer: serde_json::Value = serde_json::from_str(&output).unwrap();
    answer["digest"].as_str().unwrap().to_owned()
}

/// Accepted, counted, verified: in the order of the names.
fn check(trace: &[(String, Span)], digest: &str, services: [&str; 3]) {
    let found: Vec<(&str, &str)> = trace.iter().map(|(service, span)| (span.name.as_str(), service.as_str())).collect();
    let [accepted, counted, verified] = services;
    assert_eq!(found, [("ballot.accept", accepted), ("ballot.count", counted), ("ballot.verify", verified)]);
    let [accepted, counted, verified] = [0, 1, 2].map(|index| &trace[index].1);
    assert!(accepted.parent_span_id.is_empty());
    for span in [accepted, counted, verified] {
        assert_eq!(text(&span.attributes, "pnyx.digest"), digest);
        assert!(span.start_time_unix_nano <= span.end_time_unix_nano, "{span:?}");
    }
    for span in [counted, verified] {
        assert_eq!(span.parent_span_id, accepted.span_id);
        assert_eq!(text(&span.attributes, "pnyx.ruling"), "counts");
    }
    assert!(counted.attributes.iter().any(|attribute| attribute.key == "pnyx.lane"), "{counted:?}");
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let attribute = attributes.iter().find(|attribute| attribute.key == key);
    match attribute.and_then(|attribute| attribute.value.clone()?.value) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?} in {attributes:?}"),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
