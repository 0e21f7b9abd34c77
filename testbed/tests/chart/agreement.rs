//! What the chart says about platforms is what the operator makes of them, and what the processes answer.

use std::{collections::BTreeSet, fs};

use serde_json::{Value, json};

use crate::{documents, json, objects, of_kind, path, text};

/// Objects of the platform `default`, as the operator's own tests have them.
const GOLDEN: &str = "operator/tests/children/minimal/golden";

/// Where the edge takes ballots and tells its keys; all else is the tally's.
const EDGE_PATHS: [&str; 2] = ["/", "/v1/keys"];

fn golden(name: &str) -> Value {
    documents(&text(&format!("{GOLDEN}/{name}.yaml"))).remove(0)
}

/// The path and the Service of each rule of the Ingress.
fn ingress_paths() -> Vec<(String, String, Value)> {
    let objects = objects("edge: {ingress: {enabled: true, host: votes.example}}");
    let paths = of_kind(&objects, "Ingress")[0]["spec"]["rules"][0]["http"]["paths"].as_array().unwrap().clone();
    let field = |path: &Value, name: &str| path[name].as_str().unwrap().to_owned();
    paths.iter().map(|it| (field(it, "path"), field(it, "pathType"), it["backend"]["service"].clone())).collect()
}

#[test]
fn services_are_called_as_the_operator_calls_them() {
    for component in ["ingest", "tally"] {
        let service = golden(&format!("service-default-{component}"));
        let port = &service["spec"]["ports"][0];
        assert_eq!((&port["name"], &port["port"]), (&json!("http"), &json!(80)));
        let name = service["metadata"]["name"].as_str().unwrap();
        let of_ingress = ingress_paths().into_iter().map(|(_, _, backend)| backend);
        let expected = json!({"name": name, "port": {"name": "http"}});
        assert!(of_ingress.into_iter().any(|backend| backend == expected), "the Ingress leads to {name}");
        let route = objects("edge: {httpRoute: {enabled: true, hosts: [a.example], parentRefs: [{name: public}]}}");
        let rules = of_kind(&route, "HTTPRoute")[0]["spec"]["rules"].as_array().unwrap().clone();
        let leads = rules.iter().any(|rule| rule["backendRefs"] == json!([{"name": name, "port": 80}]));
        assert!(leads, "the HTTPRoute leads to {name}");
    }
}

#[test]
fn every_path_of_the_api_leads_to_who_answers_it() {
    let api = json("docs/openapi.json");
    let paths = ingress_paths();
    for path in api["paths"].as_object().unwrap().keys() {
        let exact = paths.iter().find(|(route, kind, _)| kind == "Exact" && route == path);
        let below = |route: &str| path == route || path.starts_with(&format!("{route}/"));
        let prefix = paths.iter().find(|(route, kind, _)| kind == "Prefix" && below(route));
        let (_, _, backend) = exact.or(prefix).unwrap_or_else(|| panic!("{path} leads nowhere"));
        let of = if EDGE_PATHS.contains(&path.as_str()) { "default-ingest" } else { "default-tally" };
        assert_eq!(backend["name"], of, "{path}");
    }
}

#[test]
fn the_route_has_the_paths_of_the_ingress() {
    let objects = objects("edge: {httpRoute: {enabled: true, hosts: [a.example], parentRefs: [{name: public}]}}");
    let rules = of_kind(&objects, "HTTPRoute")[0]["spec"]["rules"].as_array().unwrap().clone();
    let mut found = Vec::new();
    for rule in &rules {
        for matched in rule["matches"].as_array().unwrap() {
            let (kind, path) = (matched["path"]["type"].as_str().unwrap(), matched["path"]["value"].as_str().unwrap());
            found.push((path.to_owned(), kind.replace("PathPrefix", "Prefix"), rule["backendRefs"][0]["name"].clone()));
        }
    }
    let ingress = ingress_paths().into_iter().map(|(path, kind, backend)| (path, kind, backend["name"].clone()));
    assert_eq!(found, ingress.collect::<Vec<_>>());
}

#[test]
fn the_pod_monitor_finds_all_pods_that_answer_and_none_else() {
    let objects = objects("metrics: {podMonitor: {enabled: true}}");
    let monitor = of_kind(&objects, "PodMonitor")[0];
    let wanted = monitor["spec"]["selector"]["matchLabels"].as_object().unwrap();
    let finds = |template: &Value| wanted.iter().all(|(name, value)| template["metadata"]["labels"][name] == *value);
    let mut count = 0;
    for entry in fs::read_dir(path(GOLDEN)).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !name.starts_with("deployment-") {
            continue;
        }
        count += 1;
        let template = golden(name.trim_end_matches(".yaml"))["spec"]["template"].clone();
        assert!(finds(&template), "{name}");
        assert_eq!(
            template["spec"]["containers"][0]["ports"][0]["name"],
            monitor["spec"]["podMetricsEndpoints"][0]["port"]
        );
    }
    assert_eq!(count, 3, "edge, tally and verifier");
    let own = of_kind(&objects, "Deployment")[0];
    assert!(!finds(&own["spec"]["template"]), "the operator has a ServiceMonitor of its own");
}

#[test]
fn the_operator_may_do_what_it_does_with_each_kind_of_child() {
    let objects = objects("{}");
    let roles = of_kind(&objects, "ClusterRole");
    let role = roles.iter().find(|role| role["metadata"]["name"] == "pnyx-operator").unwrap();
    let grants: Vec<_> = role["rules"].as_array().unwrap().iter().collect();
    let mut kinds = BTreeSet::new();
    for folder in ["minimal", "full"] {
        for entry in fs::read_dir(path(&format!("operator/tests/children/{folder}/golden"))).unwrap() {
            let text = fs::read_to_string(entry.unwrap().path()).unwrap();
            let object = documents(&text).remove(0);
            // What processes read lies beside.
            let Some(kind) = object["kind"].as_str().filter(|_| object["apiVersion"].is_string()) else { continue };
            let group = object["apiVersion"].as_str().unwrap().split_once('/').map_or("", |(group, _)| group);
            kinds.insert((group.to_owned(), plural(kind)));
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
    for (group, resource) in kinds {
        let has = |field: &Value, word: &str| field.as_array().unwrap().iter().any(|it| it == word);
        let about = |rule: &&&Value| has(&rule["apiGroups"], &group) && has(&rule["resources"], &resource);
        let rule = grants.iter().find(about).unwrap_or_else(|| panic!("no rule for {resource}"));
        assert_eq!(rule["verbs"], json!(["get", "list", "watch", "create", "patch", "delete"]), "{resource}");
    }
}

#[test]
fn the_program_knows_each_variable_that_it_is_given() {
    let sources = ["cli.rs", "cli/operator.rs", "cli/process.rs"].map(|name| text(&format!("pnyx/src/{name}")));
    let objects = objects("namespaces: [dao-one]");
    let container = of_kind(&objects, "Deployment")[0]["spec"]["template"]["spec"]["containers"][0].clone();
    let variables = container["env"].as_array().unwrap().iter().map(|variable| variable["name"].as_str().unwrap());
    let unknown: Vec<_> =
        variables.filter(|name| !sources.iter().any(|source| source.contains(&format!("env = \"{name}\"")))).collect();
    assert_eq!(unknown, [""; 0], "`pnyx operator` does not read these");
    assert_eq!(container["args"], json!(["operator"]));
}

/// As rules name a kind.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    kind.strip_suffix('y').map_or_else(|| format!("{kind}s"), |start| format!("{start}ies"))
}

#[test]
fn no_service_or_budget_of_a_platform_takes_the_operators_pods_for_its_own() {
    let objects = objects("edge: {platform: pnyx}");
    let own = &of_kind(&objects, "Deployment")[0]["spec"]["template"]["metadata"]["labels"];
    for component in ["ingest", "tally"] {
        let selector = golden(&format!("service-default-{component}"))["spec"]["selector"].clone();
        let selector = selector.as_object().unwrap();
        // A platform may be called like the release.
        let same = |(name, value): (&String, &Value)| own[name] == *value || name == "app.kubernetes.io/instance";
        assert!(!selector.iter().all(same), "{selector:?}");
    }
}

#[test]
fn the_platform_for_kind_names_the_servers_of_the_demo() {
    let objects = objects(&text("examples/kind/values.yaml"));
    let platform = documents(&text("examples/kind/platform.yaml")).remove(1);
    let kafka = platform["spec"]["kafka"]["bootstrapServers"][0].as_str().unwrap();
    let redis = platform["spec"]["redis"]["single"]["address"].as_str().unwrap();
    for address in [kafka, redis] {
        let made = |service: &&Value| {
            let (name, namespace) = (&service["metadata"]["name"], &service["metadata"]["namespace"]);
            let name = format!("{}.{}.svc", name.as_str().unwrap(), namespace.as_str().unwrap());
            address == format!("{name}:{}", service["spec"]["ports"][0]["port"])
        };
        let services = of_kind(&objects, "Service");
        let service = services.iter().find(|service| made(service)).unwrap_or_else(|| panic!("{address}"));
        let pods =
            of_kind(&objects, "StatefulSet").into_iter().map(|set| &set["spec"]["template"]["metadata"]["labels"]);
        assert_eq!(pods.filter(|labels| **labels == service["spec"]["selector"]).count(), 1, "{address}");
    }
    let broker = of_kind(&objects, "ConfigMap")[0]["data"]["server.properties"].as_str().unwrap();
    assert!(broker.contains(&format!("\nadvertised.listeners=BROKER://{kafka}\n")), "{broker}");
}
