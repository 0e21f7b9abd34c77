//! A Prometheus that follows the chart's monitors through a vote, and what the chart's dashboard and alerts say of it.

use std::collections::{BTreeMap, BTreeSet};

use pnyx_testbed::{
    Prometheus,
    kubernetes::{ControlPlane, Node},
};
use serde_json::Value;

use crate::monitors::{Monitor, discovered, items, monitors};

/// Where the chart is.
const NAMESPACE: &str = "pnyx-system";

/// How often is scraped: several times within the shortest phase of a vote.
const INTERVAL: &str = "2s";

/// What Grafana makes of its `$__rate_interval` there: four times the interval.
const RATE_INTERVAL: &str = "8s";

/// What the chart is installed with, so that it has monitors.
pub(crate) const VALUES: [&str; 5] = [
    "metrics.rules.enabled=true",
    "metrics.dashboard.enabled=true",
    "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true",
    "metrics.serviceMonitor.interval=2s",
    "metrics.podMonitor.interval=2s",
];

/// The components of platforms that are scraped, and the operator, which is none.
const SCRAPED: [Option<&str>; 4] = [None, Some("ingest"), Some("tally"), Some("verifier")];

/// Metrics whose panels show nothing in a vote like this one, each with the reason.
const SILENT: [(&str, &str); 4] = [
    ("pnyx_verifier_deferred_lag_records", "above 0 alone, and no contract wallet votes here"),
    ("pnyx_verifier_disabled_proposals", "above 0 alone: something is wrong with the topics of a proposal"),
    ("pnyx_tally_disabled_proposals", "as above"),
    ("pnyx_operator_unreadable_resources", "above 0 alone: another version wrote a resource"),
];

/// A Prometheus with the chart's monitors and rules.
pub(crate) struct Monitoring {
    prometheus: Prometheus,
    monitors: Vec<Monitor>,
}

impl Monitoring {
    /// With what the chart has installed.
    pub(crate) fn start(node: &Node) -> Self {
        let cluster = node.control_plane();
        let monitors = monitors(cluster);
        assert_eq!(monitors.len(), 2, "the operator's and the platforms'");
        let jobs: Vec<_> = monitors.iter().map(Monitor::job).collect();
        assert!(jobs.iter().all(|job| job.interval == INTERVAL));
        let rules = items(cluster, &["get", "prometheusrules", "--namespace", NAMESPACE]).remove(0)["spec"].take();
        let prometheus = node.prometheus(&jobs, &rules).unwrap();
        let monitoring = Self { prometheus, monitors };
        monitoring.look(cluster);
        monitoring
    }

    /// Scrapes the pods that there are now.
    pub(crate) fn look(&self, cluster: &ControlPlane) {
        let objects = discovered(cluster);
        for monitor in &self.monitors {
            self.prometheus.set_targets(&monitor.name(), &monitor.targets(&objects)).unwrap();
        }
    }

    /// After a vote in which all went well: every panel has shown something but those that show what goes wrong, every
    /// rule could be looked at, and no alert has fired.
    pub(crate) fn check(&self, cluster: &ControlPlane) {
        let up = self.prometheus.history("count by (component) (up == 1)").unwrap();
        let components: BTreeSet<_> = up.iter().map(|series| series["metric"]["component"].as_str()).collect();
        assert_eq!(components, BTreeSet::from(SCRAPED));
        let rules = self.prometheus.rules().unwrap();
        assert!(rules.len() > 15, "{rules:?}");
        for rule in rules {
            assert_eq!((&rule["health"], rule["lastError"].as_str().unwrap_or_default()), (&"ok".into(), ""), "{rule}");
            assert_ne!(rule["state"], "firing", "{rule}");
        }
        let shown = ["get", "configmaps", "--selector=grafana_dashboard=1", "--namespace", NAMESPACE];
        let found = items(cluster, &shown);
        let files = found.iter().flat_map(|found| found["data"].as_object().unwrap().values());
        let dashboards: Vec<Value> = files.map(|file| serde_json::from_str(file.as_str().unwrap()).unwrap()).collect();
        assert!(!dashboards.is_empty());
        let expressions: Vec<String> = dashboards.iter().flat_map(|dashboard| self.expressions(dashboard)).collect();
        assert!(expressions.len() > 20);
        for (metric, reason) in SILENT {
            let about = expressions.iter().filter(|expression| expression.contains(metric)).count();
            assert_eq!(about, 1, "no panel shows {metric} ({reason})");
        }
        let wrong: Vec<String> = expressions.iter().filter_map(|expression| self.wrong(expression)).collect();
        assert_eq!(wrong, [""; 0]);
        println!("{} expressions of dashboards have shown what they should", expressions.len());
    }

    /// What is wrong with what an expression has shown.
    fn wrong(&self, expression: &str) -> Option<String> {
        let silent = SILENT.iter().find(|(metric, _)| expression.contains(metric));
        match (self.prometheus.history(expression), silent) {
            (Err(error), _) => Some(format!("{expression}: {error}")),
            (Ok(series), None) if !series.iter().any(has_number) => Some(format!("{expression} has shown nothing")),
            (Ok(series), Some((_, reason))) if !series.is_empty() => {
                Some(format!("{expression} is to show nothing ({reason}), and has shown {series:?}"))
            }
            (Ok(_), _) => None,
        }
    }

    /// All expressions of a dashboard as Grafana asks them, with all values of its variables.
    fn expressions(&self, dashboard: &Value) -> Vec<String> {
        let mut variables = BTreeMap::from([("__rate_interval".to_owned(), RATE_INTERVAL.to_owned())]);
        for variable in dashboard["templating"]["list"].as_array().unwrap() {
            if variable["type"] != "query" {
                continue;
            }
            let name = variable["name"].as_str().unwrap();
            let values = self.values(&filled(variable["definition"].as_str().unwrap(), &variables));
            assert!(!values.is_empty(), "{name} has no value");
            variables.insert(name.to_owned(), values.join("|"));
        }
        let panels = dashboard["panels"].as_array().unwrap().iter();
        let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
        let expressions = targets.map(|target| filled(target["expr"].as_str().unwrap(), &variables));
        let expressions: Vec<String> = expressions.collect();
        assert!(expressions.iter().all(|expression| !expression.contains('$')), "{expressions:?}");
        expressions
    }

    /// What Grafana offers for `label_values(series, label)`.
    fn values(&self, definition: &str) -> Vec<String> {
        let inner = definition.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (series, label) = inner.and_then(|inner| inner.rsplit_once(", ")).unwrap_or_else(|| panic!("{definition}"));
        let found = self.prometheus.history(series).unwrap();
        let mut values: Vec<_> =
            found.iter().filter_map(|one| Some(one["metric"][label].as_str()?.to_owned())).collect();
        values.sort();
        values.dedup();
        values
    }
}

fn filled(text: &str, variables: &BTreeMap<String, String>) -> String {
    variables.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
}

/// Whether a series has a value that is one: shares of nothing are none.
fn has_number(series: &Value) -> bool {
    series["values"].as_array().into_iter().flatten().any(|value| value[1] != "NaN")
}
