//! What the Prometheus operator and Kubernetes discovery make of the chart's monitors: jobs, and targets with their labels.
//! Debian's Prometheus speaks no Kubernetes, so that it is told of targets by files.

use pnyx_testbed::{ScrapeJob, kubernetes::ControlPlane};
use serde_json::{Value, json};

/// A ServiceMonitor or a PodMonitor, as it is in the cluster. Each of ours has one endpoint.
pub(crate) struct Monitor {
    object: Value,
    endpoint: Value,
}

/// Everything that targets are made of.
const DISCOVERED: &str = "pods,services,endpointslices";

/// All of them in the cluster.
pub(crate) fn discovered(cluster: &ControlPlane) -> Vec<Value> {
    items(cluster, &["get", DISCOVERED, "--all-namespaces"])
}

/// All monitors in the cluster.
pub(crate) fn monitors(cluster: &ControlPlane) -> Vec<Monitor> {
    let objects = items(cluster, &["get", "servicemonitors,podmonitors", "--all-namespaces"]);
    let monitor = |object: Value| {
        let endpoints = ["endpoints", "podMetricsEndpoints"].map(|field| object["spec"][field].as_array().cloned());
        let endpoints: Vec<Value> = endpoints.into_iter().flatten().flatten().collect();
        let [endpoint] = <[Value; 1]>::try_from(endpoints).unwrap_or_else(|all| panic!("one endpoint: {all:?}"));
        Monitor { object, endpoint }
    };
    objects.into_iter().map(monitor).collect()
}

/// The items of a list that kubectl gives.
pub(crate) fn items(cluster: &ControlPlane, line: &[&str]) -> Vec<Value> {
    let text = cluster.kubectl(&[line, &["--output=json"]].concat()).unwrap();
    serde_json::from_str::<Value>(&text).unwrap()["items"].as_array().unwrap().clone()
}

impl Monitor {
    pub(crate) fn job(&self) -> ScrapeJob {
        let text = |field: &str| self.endpoint[field].as_str().unwrap().to_owned();
        let relabelings = self.endpoint["relabelings"].as_array().into_iter().flatten().map(in_words_of_prometheus);
        ScrapeJob {
            name: self.name(),
            interval: text("interval"),
            path: text("path"),
            honor_labels: self.endpoint["honorLabels"] == true,
            relabelings: relabelings.collect(),
        }
    }

    /// Of all objects, those that it selects, as groups of targets.
    pub(crate) fn targets(&self, objects: &[Value]) -> Vec<Value> {
        match self.object["kind"].as_str() {
            Some("PodMonitor") => self.selected(objects, "Pod").flat_map(|pod| self.of_pod(pod)).collect(),
            Some("ServiceMonitor") => {
                self.selected(objects, "Service").flat_map(|service| self.of_service(service, objects)).collect()
            }
            kind => panic!("{kind:?} monitors nothing"),
        }
    }

    pub(crate) fn name(&self) -> String {
        let kind = self.object["kind"].as_str().unwrap().to_lowercase();
        format!("{kind}-{}", self.object["metadata"]["name"].as_str().unwrap())
    }

    fn selected<'a>(&'a self, objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
        let (spec, own) = (&self.object["spec"], &self.object["metadata"]["namespace"]);
        let namespaces = &spec["namespaceSelector"];
        let is_there = move |object: &Value| match namespaces["matchNames"].as_array() {
            _ if namespaces["any"] == true => true,
            Some(names) => names.contains(&object["metadata"]["namespace"]),
            None => object["metadata"]["namespace"] == *own,
        };
        let wanted = spec["selector"]["matchLabels"].as_object().expect("ours select by labels");
        let has_labels =
            move |object: &Value| wanted.iter().all(|(name, value)| object["metadata"]["labels"][name] == *value);
        objects.iter().filter(move |object| object["kind"] == kind && is_there(object) && has_labels(object))
    }

    fn of_pod(&self, pod: &Value) -> Vec<Value> {
        let (status, metadata) = (&pod["status"], &pod["metadata"]);
        let Some(address) = status["podIP"].as_str() else { return Vec::new() };
        if ["Succeeded", "Failed"].contains(&status["phase"].as_str().unwrap()) {
            return Vec::new();
        }
        let namespace = &self.object["metadata"]["namespace"];
        let job = format!("{}/{}", namespace.as_str().unwrap(), self.object["metadata"]["name"].as_str().unwrap());
        let mut labels = json!({
            "job": job, "namespace": metadata["namespace"], "pod": metadata["name"], "endpoint": self.endpoint["port"],
        });
        for (name, value) in metadata["labels"].as_object().unwrap() {
            labels[meta(name)] = value.clone();
        }
        let mut found = Vec::new();
        for container in pod["spec"]["containers"].as_array().unwrap() {
            let ports = container["ports"].as_array().into_iter().flatten();
            for port in ports.filter(|port| port["name"] == self.endpoint["port"]) {
                labels["container"] = container["name"].clone();
                found.push(json!({"targets": [format!("{address}:{}", port["containerPort"])], "labels": labels}));
            }
        }
        found
    }

    fn of_service(&self, service: &Value, objects: &[Value]) -> Vec<Value> {
        let (name, namespace) = (&service["metadata"]["name"], &service["metadata"]["namespace"]);
        let is_its = |object: &&Value| {
            let metadata = &object["metadata"];
            object["kind"] == "EndpointSlice"
                && metadata["namespace"] == *namespace
                && metadata["labels"]["kubernetes.io/service-name"] == *name
        };
        let mut found = Vec::new();
        for slice in objects.iter().filter(is_its) {
            let mut ports = slice["ports"].as_array().into_iter().flatten();
            let port = ports.find(|port| port["name"] == self.endpoint["port"]);
            let Some(port) = port.map(|port| &port["port"]) else { continue };
            for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
                let address = endpoint["addresses"][0].as_str().unwrap();
                let labels = json!({
                    "job": name, "namespace": namespace, "service": name, "pod": endpoint["targetRef"]["name"],
                    "endpoint": self.endpoint["port"],
                });
                found.push(json!({"targets": [format!("{address}:{port}")], "labels": labels}));
            }
        }
        found
    }
}

/// The name under which relabelings find a pod's label.
fn meta(label: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    format!("__meta_kubernetes_pod_label_{}", label.chars().map(letter).collect::<String>())
}

/// `sourceLabels` is `source_labels` there, and so on.
fn in_words_of_prometheus(relabeling: &Value) -> Value {
    let word = |field: &str| match field {
        "sourceLabels" => "source_labels".to_owned(),
        "targetLabel" => "target_label".to_owned(),
        other => other.to_owned(),
    };
    let fields = relabeling.as_object().unwrap().iter();
    fields.map(|(field, value)| (word(field), value.clone())).collect()
}
