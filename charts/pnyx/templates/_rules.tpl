{{/* What the operator may do where platforms and proposals are. Every rule says why; nothing is granted by wildcard. */}}
{{- define "pnyx.rules" -}}
# What people write is followed.
- apiGroups: [pnyx.dev]
  resources: [governanceplatforms, governanceproposals]
  verbs: [list, watch]
# A finalizer holds a proposal's deletion until its ballots are verified and, if it says so, its topics are removed.
- apiGroups: [pnyx.dev]
  resources: [governanceproposals]
  verbs: [patch]
# What becomes of it is said in its status.
- apiGroups: [pnyx.dev]
  resources: [governanceplatforms/status, governanceproposals/status]
  verbs: [patch]
# Children name their owner as one whose deletion waits for them. Servers with OwnerReferencesPermissionEnforcement let
# only those do so who could set the owner's finalizers.
- apiGroups: [pnyx.dev]
  resources: [governanceplatforms/finalizers, governanceproposals/finalizers]
  verbs: [update]
# Children that pods need: accounts without rights, the configuration without secrets, names in front of pods.
- apiGroups: [""]
  resources: [serviceaccounts, configmaps, services]
  verbs: [get, list, watch, create, patch, delete]
# Who may speak with whom.
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# How many pods a node's drain may take at once.
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
# Edges, tallies and verifiers, and how many of each.
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
# What runs once for a proposal: its trial, its pin and its recount.
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
# Whether the Secrets that a platform names are there with their keys, and what its Kafka is reached with. They are asked
# for one by one and never listed.
- apiGroups: [""]
  resources: [secrets]
  {{- with .Values.rbac.secretNames }}
  resourceNames: {{- toYaml . | nindent 4 }}
  {{- end }}
  verbs: [get]
# What happened is told where people look first.
- apiGroups: [events.k8s.io]
  resources: [events]
  verbs: [create]
{{- end -}}
