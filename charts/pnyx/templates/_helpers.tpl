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

{{/* The test's image comes from the same registry unless it names its own. */}}
{{- define "pnyx.testImage" -}}
{{- $registry := default .Values.image.registry .Values.test.image.registry -}}
{{- include "pnyx.reference" (merge (dict "registry" $registry) .Values.test.image) -}}
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
