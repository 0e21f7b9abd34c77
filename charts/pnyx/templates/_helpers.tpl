{{/* Names, labels and images. */}}

{{- define "pnyx.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* What all objects begin with: the release's name, which says "pnyx" once. */}}
{{- define "pnyx.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "pnyx.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "pnyx.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "pnyx.operator" -}}
{{- include "pnyx.fullname" . }}-operator
{{- end -}}

{{- define "pnyx.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "pnyx.operator" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the account that is there, or let serviceAccount.create make one" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* By which the operator's pods are found. None of these may ever change. */}}
{{- define "pnyx.selector" -}}
app.kubernetes.io/name: {{ include "pnyx.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end -}}

{{- define "pnyx.labels" -}}
{{ include "pnyx.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* A whole image name, from a dict with registry, repository, tag and digest. */}}
{{- define "pnyx.reference" -}}
{{- with .registry }}{{ . }}/{{ end }}{{ .repository }}:{{ .tag }}{{ with .digest }}@{{ . }}{{ end }}
{{- end -}}

{{- define "pnyx.image" -}}
{{- $tag := default .Chart.AppVersion .Values.image.tag -}}
{{- include "pnyx.reference" (merge (dict "tag" $tag) .Values.image) -}}
{{- end -}}

{{/* An image of others, from a list of the root and its values: from the same registry unless it names its own. */}}
{{- define "pnyx.otherImage" -}}
{{- $image := index . 1 -}}
{{- $registry := default (index . 0).Values.image.registry $image.registry -}}
{{- include "pnyx.reference" (merge (dict "registry" $registry) $image) -}}
{{- end -}}

{{/* What a restricted namespace asks of every pod, and of every container. */}}
{{- define "pnyx.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "pnyx.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where the platform is that edge.* is about. */}}
{{- define "pnyx.edgeNamespace" -}}
{{- default .Release.Namespace .Values.edge.namespace -}}
{{- end -}}

{{/* The operator calls a platform's Services `<platform>-ingest` and `<platform>-tally`. */}}
{{- define "pnyx.ingestService" -}}
{{- default (printf "%s-ingest" .Values.edge.platform) .Values.edge.ingestService -}}
{{- end -}}

{{- define "pnyx.tallyService" -}}
{{- default (printf "%s-tally" .Values.edge.platform) .Values.edge.tallyService -}}
{{- end -}}

{{/* Where pods find the demo's servers. */}}
{{- define "pnyx.demoKafka" -}}
{{- printf "%s-demo-kafka.%s.svc:9092" (include "pnyx.fullname" .) .Release.Namespace -}}
{{- end -}}

{{- define "pnyx.demoRedis" -}}
{{- printf "%s-demo-redis.%s.svc:6379" (include "pnyx.fullname" .) .Release.Namespace -}}
{{- end -}}

{{/* What surrounds a server of the demo but for its pod's containers: from a list of the root, its name and its port. */}}
{{- define "pnyx.demoServer" -}}
{{- $root := index . 0 -}}
{{- $component := printf "demo-%s" (index . 1) -}}
{{- $port := index . 2 -}}
{{- $name := printf "%s-%s" (include "pnyx.fullname" $root) $component -}}
{{- $labels := include "pnyx.labels" $root | replace "component: operator" (printf "component: %s" $component) -}}
{{- $selector := include "pnyx.selector" $root | replace "component: operator" (printf "component: %s" $component) -}}
apiVersion: v1
kind: Service
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- $labels | nindent 4 }}
spec:
  # Its name leads to the pod itself, as a StatefulSet wants it.
  clusterIP: None
  selector: {{- $selector | nindent 4 }}
  ports:
    - {name: {{ index . 1 }}, port: {{ $port }}, targetPort: {{ index . 1 }}, protocol: TCP}
{{- if $root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- $labels | nindent 4 }}
spec:
  podSelector:
    matchLabels: {{- $selector | nindent 6 }}
  policyTypes: [Ingress, Egress]
  ingress:
    # Platforms may be in any namespace.
    - from:
        - namespaceSelector: {}
      ports:
        - {protocol: TCP, port: {{ $port }}}
  # It asks nobody.
  egress: []
{{- end }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  name: {{ $name }}
  namespace: {{ $root.Release.Namespace }}
  labels: {{- $labels | nindent 4 }}
spec:
  replicas: 1
  serviceName: {{ $name }}
  selector:
    matchLabels: {{- $selector | nindent 6 }}
  template:
    metadata:
      labels: {{- $selector | nindent 8 }}
    spec:
      automountServiceAccountToken: false
      enableServiceLinks: false
      terminationGracePeriodSeconds: 30
      securityContext: {{- include "pnyx.podSecurity" $root | nindent 8 }}
      {{- with $root.Values.image.pullSecrets }}
      imagePullSecrets: {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end -}}
