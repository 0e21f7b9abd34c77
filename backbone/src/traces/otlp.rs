//! Spans in the form of OTLP. Names and attributes are an API: people's searches and dashboards name them.

use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{self as wire, ResourceSpans, ScopeSpans, span::SpanKind},
};
use prost::Message as _;

use super::span::{Span, Step};

/// The body of a request with these spans of a service.
pub(super) fn encode(service: &str, spans: &[Span]) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![text("service.name", service), text("service.version", env!("CARGO_PKG_VERSION"))],
        ..Resource::default()
    };
    let scope = InstrumentationScope { name: "pnyx".to_owned(), ..InstrumentationScope::default() };
    let spans = spans.iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }];
    let resource_spans = ResourceSpans { resource: Some(resource), scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource_spans] }.encode_to_vec()
}

fn span(span: &Span) -> wire::Span {
    let mut attributes = vec![
        text("pnyx.digest", &span.digest.to_string()),
        number("pnyx.partition", span.record.partition.into()),
        number("pnyx.offset", span.record.offset),
    ];
    let (name, kind) = match span.step {
        Step::Accepted { proposal } => {
            attributes.push(text("pnyx.proposal", &proposal.to_string()));
            ("ballot.accept", SpanKind::Server)
        }
        Step::Verified { ruling } => {
            attributes.push(text("pnyx.ruling", ruling));
            ("ballot.verify", SpanKind::Consumer)
        }
        Step::Counted { lane, offset, ruling } => {
            attributes.push(text("pnyx.ruling", ruling));
            attributes.extend([number("pnyx.lane", lane.0.into()), number("pnyx.lane_offset", offset)]);
            ("ballot.count", SpanKind::Consumer)
        }
    };
    wire::Span {
        trace_id: span.trace_id().to_vec(),
        span_id: span.id().to_vec(),
        parent_span_id: span.parent_id().map(|id| id.to_vec()).unwrap_or_default(),
        name: name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: nanoseconds(span.began),
        end_time_unix_nano: nanoseconds(span.ended),
        attributes,
        ..wire::Span::default()
    }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// Offsets are counted from 0 and stay far below 2^63.
fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(i64::try_from(value).unwrap_or(i64::MAX)))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Since the epoch; fits until the year 2554.
fn nanoseconds(time: SystemTime) -> u64 {
    let since_epoch = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}
