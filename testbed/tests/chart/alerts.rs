//! Alerts and dashboard: their metrics are there, each alert fires when it should and only then, and leads to its runbook.

use std::{collections::BTreeSet, fs};

use pnyx_testbed::kubernetes::Tool;
use serde_json::{Value, json};

use crate::{documents, json, objects, of_kind, path, text};

/// Looks of a test: one every half minute for half an hour.
const INTERVAL: &str = "30s";
const LOOKS: u32 = 60;
const END: &str = "30m";

/// Endings of the names that a counter or a histogram has when it is read.
const ENDINGS: [&str; 4] = ["_total", "_bucket", "_sum", "_count"];

/// Series, each with its start and what each look adds.
type Series = &'static [(&'static str, &'static str)];

/// An alert, series that make it fire, and series that are like them and do not.
const ALERTS: &[(&str, Series, Series)] = &[
    (
        "PnyxOperatorNotLeading",
        &[
            (r#"pnyx_operator_leads{namespace="n",pod="a"}"#, "0+0"),
            (r#"pnyx_operator_leads{namespace="n",pod="b"}"#, "0+0"),
        ],
        &[
            (r#"pnyx_operator_leads{namespace="n",pod="a"}"#, "0+0"),
            (r#"pnyx_operator_leads{namespace="n",pod="b"}"#, "1+0"),
        ],
    ),
    // Nobody is scraped at all.
    ("PnyxOperatorNotLeading", &[("other", "1+0")], &[(LEADS, "1+0")]),
    (
        "PnyxOperatorSeveralLead",
        &[(LEADS, "1+0"), (r#"pnyx_operator_leads{namespace="n",pod="b"}"#, "1+0")],
        // Two installations, each in its namespace.
        &[(LEADS, "1+0"), (r#"pnyx_operator_leads{namespace="m",pod="b"}"#, "1+0")],
    ),
    (
        "PnyxOperatorFails",
        &[(LEADS, "1+0"), (r#"pnyx_operator_looks_total{namespace="n",resource="platform",outcome="failed"}"#, "0+1")],
        &[(LEADS, "1+0"), (r#"pnyx_operator_looks_total{namespace="n",resource="platform",outcome="refused"}"#, "0+1")],
    ),
    (
        "PnyxResourceUnreadable",
        &[(LEADS, "1+0"), (r#"pnyx_operator_unreadable_resources{namespace="n",resource="proposal"}"#, "1+0")],
        &[(LEADS, "1+0"), (r#"pnyx_operator_unreadable_resources{namespace="n",resource="proposal"}"#, "0+0")],
    ),
    (
        "PnyxOperatorBehind",
        &[(LEADS, "1+0"), (r#"pnyx_operator_waiting_resources{namespace="n"}"#, "3+0")],
        &[(LEADS, "1+0"), (r#"pnyx_operator_waiting_resources{namespace="n"}"#, "0+0")],
    ),
    (
        "PnyxOperatorWatchFails",
        &[(LEADS, "1+0"), (r#"pnyx_operator_watch_failures_total{namespace="n",kind="Job"}"#, "0+1")],
        &[(LEADS, "1+0"), (r#"pnyx_operator_watch_failures_total{namespace="n",kind="Job"}"#, "7+0")],
    ),
    (
        "PnyxBallotsNotAcknowledged",
        &[(LEADS, "1+0"), (r#"pnyx_ingest_requests_total{namespace="n",platform="p",outcome="appendSlow"}"#, "0+1")],
        &[(LEADS, "1+0"), (r#"pnyx_ingest_requests_total{namespace="n",platform="p",outcome="late"}"#, "0+1")],
    ),
    (
        "PnyxEdgeSlow",
        &[
            (LEADS, "1+0"),
            (r#"pnyx_ingest_request_seconds_bucket{namespace="n",platform="p",le="0.1"}"#, "0+50"),
            (r#"pnyx_ingest_request_seconds_bucket{namespace="n",platform="p",le="1.0"}"#, "0+90"),
            (r#"pnyx_ingest_request_seconds_bucket{namespace="n",platform="p",le="+Inf"}"#, "0+100"),
        ],
        &[
            (LEADS, "1+0"),
            (r#"pnyx_ingest_request_seconds_bucket{namespace="n",platform="p",le="0.1"}"#, "0+100"),
            (r#"pnyx_ingest_request_seconds_bucket{namespace="n",platform="p",le="1.0"}"#, "0+100"),
            (r#"pnyx_ingest_request_seconds_bucket{namespace="n",platform="p",le="+Inf"}"#, "0+100"),
        ],
    ),
    (
        "PnyxLogAppendsFail",
        &[
            (LEADS, "1+0"),
            (r#"pnyx_log_failed_appends_total{namespace="n",component="ingest",kind="transient"}"#, "0+1"),
        ],
        &[
            (LEADS, "1+0"),
            (r#"pnyx_log_failed_appends_total{namespace="n",component="ingest",kind="transient"}"#, "9+0"),
        ],
    ),
    (
        "PnyxClocksDiffer",
        &[(LEADS, "1+0"), (r#"pnyx_log_clock_ahead_seconds{namespace="n",component="ingest"}"#, "4+0")],
        &[(LEADS, "1+0"), (r#"pnyx_log_clock_ahead_seconds{namespace="n",component="ingest"}"#, "0+0")],
    ),
    (
        "PnyxDecisionContradicted",
        &[(LEADS, "1+0"), (r#"pnyx_decisions_ignored_total{namespace="n",platform="p"}"#, "0+1")],
        &[(LEADS, "1+0"), (r#"pnyx_decisions_ignored_total{namespace="n",platform="p"}"#, "1+0")],
    ),
    (
        "PnyxDecisionUnreadable",
        &[(LEADS, "1+0"), (r#"pnyx_decisions_unreadable_total{namespace="n",component="tally"}"#, "1+0")],
        &[(LEADS, "1+0"), (r#"pnyx_decisions_unreadable_total{namespace="n",component="tally"}"#, "0+0")],
    ),
    (
        "PnyxVerifiersBehind",
        &[(LEADS, "1+0"), (r#"pnyx_verifier_oldest_age_seconds{namespace="n",proposal="x"}"#, "200+1")],
        &[(LEADS, "1+0"), (r#"pnyx_verifier_oldest_age_seconds{namespace="n",proposal="x"}"#, "60+0")],
    ),
    (
        "PnyxTallyBehind",
        &[(LEADS, "1+0"), (r#"pnyx_tally_oldest_unapplied_seconds{namespace="n",platform="p"}"#, "20+0")],
        &[(LEADS, "1+0"), (r#"pnyx_tally_oldest_unapplied_seconds{namespace="n",platform="p"}"#, "1+0")],
    ),
    (
        "PnyxLanesAdopted",
        &[(LEADS, "1+0"), (r#"pnyx_tally_lanes_adopted_total{namespace="n",platform="p"}"#, "0+1")],
        &[(LEADS, "1+0"), (r#"pnyx_tally_lanes_adopted_total{namespace="n",platform="p"}"#, "2+0")],
    ),
    (
        "PnyxProposalDisabled",
        &[
            (LEADS, "1+0"),
            (r#"pnyx_tally_disabled_proposals{namespace="n",component="tally",reason="missing"}"#, "1+0"),
        ],
        &[
            (LEADS, "1+0"),
            (r#"pnyx_tally_disabled_proposals{namespace="n",component="tally",reason="retired"}"#, "1+0"),
        ],
    ),
    (
        "PnyxVerdictsPoisoned",
        &[(LEADS, "1+0"), (r#"pnyx_tally_verdicts_poison_total{namespace="n",platform="p"}"#, "0+1")],
        &[(LEADS, "1+0"), (r#"pnyx_tally_verdicts_poison_total{namespace="n",platform="p"}"#, "0+0")],
    ),
    (
        "PnyxStoreDamaged",
        &[(LEADS, "1+0"), (r#"pnyx_store_damaged_entries_total{namespace="n",platform="p"}"#, "0+1")],
        &[(LEADS, "1+0"), (r#"pnyx_store_damaged_entries_total{namespace="n",platform="p"}"#, "3+0")],
    ),
    (
        "PnyxChainStopped",
        &[(LEADS, "1+0"), (r#"pnyx_chain_stopped{namespace="n",chain="1"}"#, "1+0")],
        &[(LEADS, "1+0"), (r#"pnyx_chain_stopped{namespace="n",chain="1"}"#, "0+0")],
    ),
    (
        "PnyxChainSilent",
        &[(LEADS, "1+0"), (r#"pnyx_tally_chain_answering{namespace="n",chain="1"}"#, "0+0")],
        &[(LEADS, "1+0"), (r#"pnyx_tally_chain_answering{namespace="n",chain="1"}"#, "1+0")],
    ),
];

/// An operator that leads, as there is one wherever something else is wrong.
const LEADS: &str = r#"pnyx_operator_leads{namespace="n",pod="a"}"#;

fn rules() -> Vec<Value> {
    let groups = documents(&text("charts/pnyx/alerts/pnyx.yaml")).remove(0)["groups"].clone();
    let groups = groups.as_array().unwrap().iter();
    groups.flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn names() -> BTreeSet<String> {
    rules().iter().map(|rule| rule["alert"].as_str().unwrap().to_owned()).collect()
}

/// All expressions of the dashboard, with its variables filled in.
fn dashboard() -> Vec<String> {
    let dashboard = json("charts/pnyx/dashboards/pnyx.json");
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let filled = |target: Value| {
        let expression = target["expr"].as_str().unwrap().to_owned();
        let expression = expression.replace("$__rate_interval", "1m");
        ["$operator_namespace", "$namespace", "$platform"].iter().fold(expression, |it, name| it.replace(name, ".+"))
    };
    targets.map(filled).collect()
}

fn metrics(expression: &str) -> Vec<&str> {
    let words = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("pnyx_")).collect()
}

#[test]
fn every_metric_that_is_asked_for_is_one_that_processes_have() {
    // The page is compared with the sources by a test of the program.
    let page = text("docs/operations.md");
    let alerts = rules().into_iter().map(|rule| rule["expr"].as_str().unwrap().to_owned());
    let asked: Vec<String> = alerts.chain(dashboard()).collect();
    let names: BTreeSet<&str> = asked.iter().flat_map(|expression| metrics(expression)).collect();
    assert!(names.len() > 30, "{names:?}");
    for name in names {
        let plain = ENDINGS.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
        assert!(page.contains(&format!("`{plain}`")), "no process has {name}");
    }
}

#[test]
fn each_alert_leads_to_its_runbook() {
    let page = text("docs/runbooks.md");
    for rule in rules() {
        let name = rule["alert"].as_str().unwrap();
        let leads = rule["annotations"]["runbook_url"].as_str().unwrap_or_default();
        assert_eq!(leads, format!("docs/runbooks.md#{}", name.to_lowercase()));
        assert!(page.contains(&format!("\n## {name}\n")), "docs/runbooks.md has no section on {name}");
        for text in ["summary", "description"] {
            assert!(rule["annotations"][text].is_string(), "{name} has no {text}");
        }
        assert!(["critical", "warning"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
    }
    let sections = page.lines().filter_map(|line| line.strip_prefix("## "));
    let gone: Vec<&str> = sections.filter(|section| !names().contains(*section)).collect();
    assert_eq!(gone, [""; 0], "docs/runbooks.md explains alerts that are not there");
}

#[test]
fn each_alert_fires_when_it_should_and_only_then() {
    let tried: BTreeSet<String> = ALERTS.iter().map(|(name, _, _)| (*name).to_owned()).collect();
    assert_eq!(tried, names(), "each alert has a case");
    let input = |series: &[(&str, &str)]| {
        let values = |values: &str| format!("{values}x{LOOKS}");
        series.iter().map(|(name, of)| json!({"series": name, "values": values(of)})).collect::<Vec<_>>()
    };
    let test = |name: &str, series: &[(&str, &str)], fires: bool| {
        let expected =
            if fires { json!([{"labels": format!("{{alertname=\"{name}\"}}"), "value": 1}]) } else { json!([]) };
        let firing = "count by (alertname) (ALERTS{alertstate=\"firing\"})";
        json!({
            "name": format!("{name}: {fires}"),
            "interval": INTERVAL,
            "input_series": input(series),
            "promql_expr_test": [{"expr": firing, "eval_time": END, "exp_samples": expected}],
        })
    };
    let tests: Vec<Value> =
        ALERTS.iter().flat_map(|(name, bad, good)| [test(name, bad, true), test(name, good, false)]).collect();
    let file = json!({"rule_files": ["rules.yaml"], "evaluation_interval": INTERVAL, "tests": tests});
    let folder = tempfile::tempdir().unwrap();
    fs::copy(path("charts/pnyx/alerts/pnyx.yaml"), folder.path().join("rules.yaml")).unwrap();
    fs::write(folder.path().join("tests.yaml"), file.to_string()).unwrap();
    Tool::Promtool.run(folder.path(), &["check", "rules", "--lint-fatal", "rules.yaml"]).unwrap();
    Tool::Promtool.run(folder.path(), &["test", "rules", "tests.yaml"]).unwrap();
}

#[test]
fn the_dashboard_asks_what_prometheus_understands() {
    let rules: Vec<Value> = dashboard()
        .into_iter()
        .enumerate()
        .map(|(index, expression)| json!({"record": format!("panel:{index}"), "expr": expression}))
        .collect();
    assert!(rules.len() > 20);
    let file = json!({"groups": [{"name": "dashboard", "rules": rules}]});
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("dashboard.yaml"), file.to_string()).unwrap();
    Tool::Promtool.run(folder.path(), &["check", "rules", "dashboard.yaml"]).unwrap();
}

#[test]
fn what_is_installed_is_what_lies_in_the_chart() {
    let objects = objects("metrics: {rules: {enabled: true}, dashboard: {enabled: true}}");
    let installed = &of_kind(&objects, "PrometheusRule")[0]["spec"];
    assert_eq!(*installed, documents(&text("charts/pnyx/alerts/pnyx.yaml"))[0]);
    let shown = of_kind(&objects, "ConfigMap")[0]["data"]["pnyx.json"].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(shown).unwrap(), json("charts/pnyx/dashboards/pnyx.json"));
}
