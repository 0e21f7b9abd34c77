//! Against a collector that this test plays.

use std::{
    fs,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, common::v1::any_value::Value, trace::v1::Span as WireSpan,
};
use pnyx_core::id::{Lane, ProposalId};
use prost::Message as _;
use tokio::{net::TcpListener, time::Instant};

use super::*;

/// A collector that answers with these, the last one for ever, and keeps what it took.
#[derive(Clone, Default)]
struct Double {
    answers: Arc<Mutex<Vec<StatusCode>>>,
    taken: Arc<Mutex<Vec<(HeaderMap, ExportTraceServiceRequest)>>>,
}

impl Double {
    async fn start(answers: &[StatusCode]) -> (Self, SocketAddr) {
        // Clients panic unless a provider is chosen; another test may have chosen it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let double = Self { answers: Arc::new(Mutex::new(answers.to_vec())), ..Self::default() };
        let router = Router::new().route("/v1/traces", post(Self::take)).with_state(double.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        (double, address)
    }

    async fn take(State(double): State<Self>, headers: HeaderMap, body: Bytes) -> StatusCode {
        let answer = {
            let mut answers = double.answers.lock().unwrap();
            if answers.len() > 1 { answers.remove(0) } else { answers[0] }
        };
        if answer.is_success() {
            let request = ExportTraceServiceRequest::decode(body).unwrap();
            double.taken.lock().unwrap().push((headers, request));
        }
        answer
    }

    fn spans(&self) -> Vec<WireSpan> {
        let taken = self.taken.lock().unwrap();
        let scopes = taken.iter().flat_map(|(_, request)| request.resource_spans[0].scope_spans.clone());
        scopes.flat_map(|scope| scope.spans).collect()
    }
}

fn config(address: SocketAddr) -> TracesConfig {
    let endpoint = format!("http://{address}").parse().unwrap();
    TracesConfig { endpoint, sample: SampleRatio::ALL, headers_file: None }
}

fn digest() -> Digest {
    Digest::new(std::array::from_fn(|index| u8::try_from(index).unwrap() + 1))
}

const RECORD: Place = Place { partition: 3, offset: 0x0fed };
const ELAPSED: Duration = Duration::from_millis(5);

fn tell(traces: &Traces) {
    traces.note(digest(), RECORD, Step::Accepted { proposal: ProposalId::new([9; 32]) }, ELAPSED);
    traces.note(digest(), RECORD, Step::Verified { ruling: "counts" }, ELAPSED);
    traces.note(digest(), RECORD, Step::Counted { lane: Lane(1), offset: 7, ruling: "counts" }, ELAPSED);
}

#[tokio::test]
async fn the_steps_of_a_ballot_are_one_trace() {
    let (double, address) = Double::start(&[StatusCode::OK]).await;
    let directory = tempfile::tempdir().unwrap();
    let headers_file = directory.path().join("headers");
    fs::write(&headers_file, "authorization: Bearer secret\n").unwrap();
    let config = TracesConfig { headers_file: Some(headers_file), ..config(address) };
    let metrics = Metrics::new();
    let traces = Traces::start(config, "test", &metrics).await.unwrap();
    tell(&traces);
    traces.close().await;

    let spans = double.spans();
    let names: Vec<&str> = spans.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["ballot.accept", "ballot.verify", "ballot.count"]);
    for span in &spans {
        assert_eq!(span.trace_id, digest().as_bytes()[..16]);
        assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 5_000_000);
    }
    let ids: Vec<u64> = spans.iter().map(|span| u64::from_be_bytes(span.span_id.clone().try_into().unwrap())).collect();
    let rest = 0x1112_1314_1516_1718;
    assert_eq!(ids, [rest ^ 0x0000_3000_0000_0fed, rest ^ 0x4000_3000_0000_0fed, rest ^ 0x8000_1000_0000_0007]);
    assert!(spans[0].parent_span_id.is_empty());
    assert!(spans[1..].iter().all(|span| span.parent_span_id == spans[0].span_id));
    let value = |span: &WireSpan, key: &str| {
        let found = span.attributes.iter().find(|attribute| attribute.key == key);
        found.and_then(|attribute| attribute.value.clone()?.value)
    };
    for span in &spans {
        assert_eq!(value(span, "pnyx.digest"), Some(Value::StringValue(digest().to_string())));
        assert_eq!(value(span, "pnyx.offset"), Some(Value::IntValue(0x0fed)));
    }
    assert_eq!(value(&spans[2], "pnyx.lane_offset"), Some(Value::IntValue(7)));

    let (headers, request) = &double.taken.lock().unwrap()[0];
    assert_eq!(
        (&headers["authorization"], &headers["content-type"]),
        (&"Bearer secret".parse().unwrap(), &"application/x-protobuf".parse().unwrap())
    );
    let service = request.resource_spans[0].resource.clone().unwrap().attributes[0].clone();
    assert_eq!(service.value.unwrap().value, Some(Value::StringValue("pnyx-test".to_owned())));
    assert!(metrics.encode().contains("pnyx_traces_spans_total{outcome=\"sent\"} 3"), "{}", metrics.encode());
}

#[tokio::test]
async fn a_collector_that_is_busy_gets_the_same_again() {
    let (double, address) = Double::start(&[StatusCode::SERVICE_UNAVAILABLE, StatusCode::OK]).await;
    let traces = Traces::start(config(address), "test", &Metrics::new()).await.unwrap();
    tell(&traces);
    let deadline = Instant::now() + Duration::from_secs(20);
    while double.spans().len() < 3 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(double.spans().len(), 3);
    traces.close().await;
    assert_eq!(double.spans().len(), 3, "nothing is sent twice");
}

#[tokio::test]
async fn a_collector_that_refuses_is_not_asked_again() {
    let (double, address) = Double::start(&[StatusCode::UNAUTHORIZED, StatusCode::OK]).await;
    let traces = Traces::start(config(address), "test", &Metrics::new()).await.unwrap();
    tell(&traces);
    traces.close().await;
    assert_eq!((double.spans().len(), traces.metrics.refused.get()), (0, 3));
}

/// Connections are taken by the system and nothing ever answers on them.
#[tokio::test]
async fn a_collector_that_hangs_costs_only_the_traces() {
    let (_, _) = Double::start(&[StatusCode::OK]).await;
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = config(silent.local_addr().unwrap());
    let traces = Traces::start(config, "test", &Metrics::new()).await.unwrap();
    for _ in 0..QUEUE_SPANS_MAX {
        tell(&traces);
    }
    assert!(traces.metrics.dropped.get() > 0, "the queue has a bound");
    let began = Instant::now();
    traces.close().await;
    assert!(began.elapsed() < CLOSE_WAIT_MAX + Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_header_file_is_read_before_anything_is_told() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let headers_file = Some("/nonexistent/headers".into());
    let config = TracesConfig { headers_file, ..config("127.0.0.1:9".parse().unwrap()) };
    let problem = Traces::start(config, "test", &Metrics::new()).await.unwrap_err();
    let line = crate::telemetry::chain(&problem);
    assert!(line.starts_with("headers for the trace collector: /nonexistent/headers cannot be read: "), "{line}");
}

#[test]
fn telling_without_a_collector_does_nothing() {
    assert!(!is_on());
    note(digest(), RECORD, Step::Verified { ruling: "counts" }, ELAPSED);
}
