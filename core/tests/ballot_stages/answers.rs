//! What Snapshot's clients read when a ballot is refused.

use expect_test::expect;
use pnyx_core::{
    rejection::Rejection,
    wire::snapshot::{ErrorKind, error},
};

#[test]
fn refusals_speak_snapshots_words() {
    let mut text = String::new();
    for rejection in Rejection::ALL {
        text.push_str(&error(ErrorKind::Client, rejection.snapshot_text(), None));
        text.push('\n');
    }
    text.push_str(&error(ErrorKind::Server, "try again", Some("the log is not reachable")));
    expect![[r#"
        {"error":"client_error","error_description":"too large message"}
        {"error":"client_error","error_description":"wrong envelope format"}
        {"error":"client_error","error_description":"wrong domain"}
        {"error":"client_error","error_description":"wrong types"}
        {"error":"client_error","error_description":"wrong vote format"}
        {"error":"client_error","error_description":"wrong envelope format"}
        {"error":"client_error","error_description":"unknown proposal"}
        {"error":"client_error","error_description":"unknown space"}
        {"error":"client_error","error_description":"invalid choice"}
        {"error":"client_error","error_description":"wrong timestamp"}
        {"error":"client_error","error_description":"not in voting window"}
        {"error":"client_error","error_description":"signature validation failed"}
        {"error":"client_error","error_description":"signature validation failed"}
        {"error":"client_error","error_description":"signature validation failed"}
        {"error":"client_error","error_description":"signature validation failed"}
        {"error":"client_error","error_description":"no voting power"}
        {"error":"client_error","error_description":"failed to check voting power"}
        {"error":"server_error","error_description":"try again","detail":"the log is not reachable"}"#]]
    .assert_eq(&text);
}
