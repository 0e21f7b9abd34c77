//! The shapes that OpenAPI tells are those of real requests and answers.

use serde_json::Value;

use crate::support::{Bed, ballot};

/// Every property of the schema is in the document and the other way round, at all depths.
fn check(openapi: &Value, schema: &Value, document: &Value, path: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => openapi.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    };
    let (Some(properties), Some(fields)) = (schema["properties"].as_object(), document.as_object()) else { return };
    let names = |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(names(properties), names(fields), "at {path}");
    for (name, field) in fields {
        check(openapi, &properties[name], field, &format!("{path}.{name}"));
    }
}

#[tokio::test]
async fn openapi_tells_the_truth() {
    let openapi: Value = serde_json::to_value(pnyx_ingest::openapi()).unwrap();
    let post = &openapi["paths"]["/"]["post"];
    let schema = |part: &Value| part["content"]["application/json"]["schema"].clone();
    let bed = Bed::new().await;
    let body = ballot(bed.open().await, 1);
    check(&openapi, &schema(&post["requestBody"]), &serde_json::from_slice(&body).unwrap(), "ballot");
    check(&openapi, &schema(&post["responses"]["200"]), &bed.post(body).await.body, "accepted");
    check(&openapi, &schema(&post["responses"]["400"]), &bed.post("").await.body, "error");
    assert!(openapi["paths"]["/v1/keys"]["get"]["responses"]["200"].is_object());
}
