//! The combinations of values that everything is tried with. Each value of the chart is in at least one.

/// A combination, and how it differs from the defaults.
pub(crate) struct Case {
    /// What somebody would write into a file of values.
    pub(crate) values: &'static str,
    /// What is rendered with these values and not with the defaults.
    pub(crate) brings: &'static [&'static str],
    /// What is rendered with the defaults and not with these values.
    pub(crate) takes: &'static [&'static str],
}

/// A case that only adds.
const fn adds(values: &'static str, brings: &'static [&'static str]) -> Case {
    Case { values, brings, takes: &[] }
}

/// A case that only leaves out.
const fn omits(values: &'static str, takes: &'static [&'static str]) -> Case {
    Case { values, brings: &[], takes }
}

pub(crate) const CASES: &[Case] = &[
    adds(
        "{nameOverride: votes, global: {shared: {by: parents}}}",
        &["app.kubernetes.io/name: votes", "name: pnyx-votes-operator", "PNYX_LEASE_NAME, value: pnyx-votes-operator"],
    ),
    adds("{fullnameOverride: agora}", &["name: agora-operator", "resourceNames: [agora-operator]"]),
    adds(
        "image: {registry: 'registry.example:5000/mirror', repository: gov/pnyx, tag: 1.2.3, pullPolicy: Always, \
         pullSecrets: [{name: registry-key}]}",
        &[
            "image: \"registry.example:5000/mirror/gov/pnyx:1.2.3\"",
            "name: PNYX_IMAGE, value: \"registry.example:5000/mirror/gov/pnyx:1.2.3\"",
            "imagePullPolicy: Always",
            "- name: registry-key",
            "image: \"registry.example:5000/mirror/busybox:1.37\"",
        ],
    ),
    adds(
        "image: {digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}",
        &["pnyx:0.1.0@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"],
    ),
    Case {
        values: "namespaces: [dao-one, dao-two]",
        brings: &["namespace: dao-one", "namespace: dao-two", "name: PNYX_OPERATOR_NAMESPACES, value: \"dao-one,dao-two\""],
        takes: &["kind: ClusterRole\n", "kind: ClusterRoleBinding"],
    },
    adds("crds: {install: true, keep: true}", &["name: governanceplatforms.pnyx.dev", "helm.sh/resource-policy: keep"]),
    // Against what every other case has.
    adds("crds: {install: true, keep: false}", &["name: governanceproposals.pnyx.dev"]),
    Case {
        values: "operator: {replicas: 1, workers: 3, logFormat: text, logFilter: 'warn,pnyx_operator=debug'}",
        brings: &["replicas: 1", "PNYX_WORKERS, value: \"3\"", "PNYX_LOG_FORMAT, value: \"text\"", "PNYX_LOG, value: \"warn,pnyx_operator=debug\""],
        takes: &["kind: PodDisruptionBudget"],
    },
    adds(
        "operator: {resources: {requests: {cpu: 1, memory: 1Gi, ephemeral-storage: 1Gi}, limits: {memory: 2Gi, \
         ephemeral-storage: 1Gi}}, podLabels: {team: governance, app.kubernetes.io/component: mine}, \
         podAnnotations: {note: hello}, nodeSelector: {pool: votes}, priorityClassName: votes}",
        &["cpu: 1\n", "memory: 2Gi", "team: governance", "note: hello", "pool: votes", "priorityClassName: votes"],
    ),
    adds(
        "
operator:
  tolerations: [{key: votes, operator: Exists, effect: NoSchedule}, {key: node, tolerationSeconds: 9, effect: NoExecute, value: x}]
  affinity:
    nodeAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        nodeSelectorTerms: [{matchExpressions: [{key: zone, operator: In, values: [a]}]}]
      preferredDuringSchedulingIgnoredDuringExecution:
        - {weight: 3, preference: {matchFields: [{key: metadata.name, operator: In, values: [one]}]}}
    podAffinity:
      requiredDuringSchedulingIgnoredDuringExecution:
        - {topologyKey: zone, namespaces: [x], labelSelector: {matchLabels: {app: redis}}}
    podAntiAffinity:
      preferredDuringSchedulingIgnoredDuringExecution:
        - weight: 7
          podAffinityTerm: {topologyKey: rack, labelSelector: {matchExpressions: [{key: a, operator: Exists}]}}",
        &["- effect: NoSchedule", "key: zone", "app: redis", "topologyKey: rack", "weight: 7"],
    ),
    Case {
        values: "operator: {topologySpreadConstraints: [{maxSkew: 2, topologyKey: rack, whenUnsatisfiable: DoNotSchedule, \
                 labelSelector: {matchLabels: {app.kubernetes.io/component: operator}}}]}",
        brings: &["maxSkew: 2", "topologyKey: rack"],
        takes: &["topologyKey: kubernetes.io/hostname"],
    },
    adds(
        "serviceAccount: {create: true, name: speaker, annotations: {cloud.example/role: none}}",
        &["serviceAccountName: speaker", "cloud.example/role: none", "{kind: ServiceAccount, name: speaker"],
    ),
    Case {
        values: "serviceAccount: {create: false, name: theirs}",
        brings: &["serviceAccountName: theirs"],
        takes: &["kind: ServiceAccount\n"],
    },
    omits("rbac: {create: false}", &["kind: Role\n", "kind: ClusterRole\n", "kind: RoleBinding\n"]),
    omits("rbac: {aggregate: false}", &["aggregate-to-view", "aggregate-to-edit"]),
    adds("rbac: {secretNames: [pnyx-signing-key, kafka]}", &["- pnyx-signing-key", "- kafka"]),
    omits("podDisruptionBudget: {enabled: false}", &["kind: PodDisruptionBudget"]),
    omits("networkPolicy: {enabled: false}", &["kind: NetworkPolicy"]),
    adds(
        "networkPolicy: {egressPorts: [6443, 9093], ingressFrom: [{namespaceSelector: {matchLabels: {team: watch}}, \
         podSelector: {matchLabels: {app: prometheus}}}, {ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}}]}",
        &["{protocol: TCP, port: 6443}", "{protocol: TCP, port: 9093}", "team: watch", "cidr: 10.0.0.0/8"],
    ),
    adds(
        "edge: {platform: agora, namespace: governance, ingress: {enabled: true, className: nginx, host: votes.example, \
         annotations: {nginx.ingress.kubernetes.io/proxy-buffering: 'off'}, tlsSecretName: votes-tls}}",
        &[
            "kind: Ingress",
            "namespace: governance",
            "ingressClassName: nginx",
            "proxy-buffering: \"off\"",
            "secretName: votes-tls",
            "name: agora-ingest",
            "name: agora-tally",
        ],
    ),
    adds(
        "edge: {ingestService: my-edge, tallyService: my-tally, ingress: {enabled: true, host: votes.example, tls: false}}",
        &["name: my-edge", "name: my-tally"],
    ),
    adds(
        "edge: {httpRoute: {enabled: true, annotations: {note: route}, hosts: [votes.example], parentRefs: [{name: public, \
         namespace: gateways, sectionName: https, port: 443, group: gateway.networking.k8s.io, kind: Gateway}]}}",
        &["kind: HTTPRoute", "note: route", "sectionName: https", "name: default-ingest, port: 80"],
    ),
    adds(
        "edge: {httpRoute: {enabled: true, hosts: [votes.example, '*.votes.example'], gateway: {create: true, \
         className: envoy, annotations: {note: gateway}, tlsSecretName: votes-tls}}}",
        &["kind: Gateway\n", "gatewayClassName: envoy", "note: gateway", "{name: votes-tls}", "name: https-1"],
    ),
    omits("metrics: {service: {enabled: false}}", &["kind: Service\n", "helm.sh/hook: test"]),
    adds("metrics: {service: {annotations: {prometheus.io/scrape: 'true'}}}", &["prometheus.io/scrape: \"true\""]),
    adds(
        "metrics: {serviceMonitor: {enabled: true, labels: {release: prometheus}, interval: 10s}}",
        &["kind: ServiceMonitor", "release: prometheus", "interval: 10s", "honorLabels: true"],
    ),
    adds(
        "metrics: {podMonitor: {enabled: true, labels: {release: prometheus}, interval: 5s}}",
        &["kind: PodMonitor", "release: prometheus", "interval: 5s", "any: true"],
    ),
    adds(
        "{namespaces: [dao-one], metrics: {podMonitor: {enabled: true}}}",
        &["kind: PodMonitor", "matchNames:\n      - dao-one"],
    ),
    adds(
        "metrics: {rules: {enabled: true, labels: {release: prometheus}, runbookUrl: 'https://docs.example/runbooks'}}",
        &["kind: PrometheusRule", "runbook_url: https://docs.example/runbooks#pnyxoperatornotleading"],
    ),
    adds(
        "metrics: {dashboard: {enabled: true, labels: {dashboards: mine}, annotations: {folder: Votes}}}",
        &["kind: ConfigMap", "dashboards: mine", "folder: Votes", "\"uid\": \"pnyx-votes\""],
    ),
    adds(
        "demo: {enabled: true}",
        &[
            "kind: StatefulSet",
            "image: \"apache/kafka:4.3.1\"",
            "advertised.listeners=BROKER://pnyx-demo-kafka.pnyx-system.svc:9092\n",
            "image: \"redis:7.4.6\"",
            "--maxmemory-policy, noeviction",
        ],
    ),
    adds(
        "{image: {registry: registry.example, pullSecrets: [{name: registry-key}]}, demo: {enabled: true, \
         kafka: {image: {repository: logs/kafka, tag: '5', \
         digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}}, \
         redis: {image: {registry: mirror.example, repository: stores/redis, tag: '9'}}}}",
        &["\"registry.example/logs/kafka:5@sha256:0123456789abcdef", "\"mirror.example/stores/redis:9\""],
    ),
    adds(
        "{namespaces: [dao-one], fullnameOverride: agora, demo: {enabled: true, kafka: {image: {registry: mirror.example}}, \
         redis: {image: {digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}}}}",
        &["BROKER://agora-demo-kafka.pnyx-system.svc:9092", "\"mirror.example/apache/kafka:4.3.1\"", "\"redis:7.4.6@sha256:01"],
    ),
    omits("test: {enabled: false}", &["helm.sh/hook: test"]),
    adds(
        "test: {image: {registry: registry.example, repository: tools/shell, tag: '2', \
         digest: 'sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef'}}",
        &["registry.example/tools/shell:2@sha256:0123456789abcdef"],
    ),
];

/// Values that the chart refuses, and what it says.
pub(crate) const REFUSED: &[(&str, &[&str])] = &[
    ("replicas: 3", &["additional properties 'replicas' not allowed"]),
    ("operator: {replica: 3}", &["/operator", "additional properties 'replica' not allowed"]),
    ("edge: {ingress: {hosts: [a.example]}}", &["/edge/ingress", "additional properties 'hosts' not allowed"]),
    ("operator: {tolerations: [{keys: votes}]}", &["/operator/tolerations/0", "'keys' not allowed"]),
    ("operator: {affinity: {podAffinty: {}}}", &["/operator/affinity", "'podAffinty' not allowed"]),
    ("operator: {replicas: two}", &["/operator/replicas", "want integer"]),
    ("operator: {resources: {limits: {memory: lots}}}", &["/operator/resources/limits/memory"]),
    ("image: {digest: 'sha256:12'}", &["/image/digest"]),
    ("image: {pullPolicy: Sometimes}", &["/image/pullPolicy"]),
    ("namespaces: [One]", &["/namespaces/0"]),
    ("edge: {platform: dao.example}", &["/edge/platform"]),
    ("edge: {platform: dao-0123456789abcdef}", &["/edge/platform"]),
    ("edge: {ingress: {enabled: true}}", &["edge.ingress.host: name the host"]),
    ("edge: {httpRoute: {enabled: true}}", &["edge.httpRoute.hosts: name the hosts"]),
    ("edge: {httpRoute: {enabled: true, hosts: [a.example]}}", &["edge.httpRoute.parentRefs: name the Gateway"]),
    (
        "edge: {httpRoute: {enabled: true, hosts: [a.example], gateway: {create: true}}}",
        &["edge.httpRoute.gateway.className: name the class"],
    ),
    (
        "edge: {httpRoute: {enabled: true, hosts: [a.example], gateway: {create: true, className: envoy}}}",
        &["edge.httpRoute.gateway.tlsSecretName: name the Secret"],
    ),
    ("demo: {kafka: {replicas: 3}}", &["/demo/kafka", "additional properties 'replicas' not allowed"]),
    ("serviceAccount: {create: false}", &["serviceAccount.name: name the account"]),
    (
        "metrics: {service: {enabled: false}, serviceMonitor: {enabled: true}}",
        &["metrics.serviceMonitor.enabled: needs metrics.service.enabled"],
    ),
];
