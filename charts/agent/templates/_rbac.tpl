{{/*
A role with its binding to the agent: `name` after the release's, `namespace` (none: for the whole cluster), and its `rules`; or
`clusterRole`, one that is there already.
*/}}
{{- define "agent.role" -}}
{{- $ := .top -}}
{{- $name := printf "%s-%s" (include "brokkr.fullname" $) .name -}}
{{- $cluster := empty .namespace -}}
{{- if $cluster -}}
{{- $name = printf "%s-%s" $.Release.Namespace $name -}}
{{- end -}}
{{- $metadata := include "brokkr.metadata" (dict "top" $ "name" $name "namespace" .namespace "cluster" $cluster) -}}
{{- with .rules }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "ClusterRole" "Role" $cluster }}
metadata:
  {{- $metadata | nindent 2 }}
rules:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- if or .rules .clusterRole }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ ternary "ClusterRoleBinding" "RoleBinding" $cluster }}
metadata:
  {{- $metadata | nindent 2 }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: {{ ternary "ClusterRole" "Role" (or $cluster (not (empty .clusterRole))) }}
  name: {{ default $name .clusterRole }}
subjects:
  - kind: ServiceAccount
    name: {{ include "brokkr.serviceAccountName" $ }}
    namespace: {{ $.Release.Namespace }}
{{- end }}
{{- end }}

{{/* What the agent needs in its own namespace, whatever it applies. */}}
{{- define "agent.ownRules" -}}
# The inventories: what each stack has in the cluster.
- apiGroups: ['']
  resources: [configmaps]
  verbs: [get, list, create, update, delete]
# Who acts, of several agents. The name of what is created cannot be limited.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [brokkr-agent]
  verbs: [get, update]
# That it is there, and, for an agent that is limited to a namespace, what cluster this is.
- apiGroups: ['']
  resources: [namespaces]
  resourceNames: [{{ .Release.Namespace }}]
  verbs: [get]
{{- with include "agent.keySecret" . }}
# Its key, when it has enrolled.
- apiGroups: ['']
  resources: [secrets]
  resourceNames: [{{ . }}]
  verbs: [get, update]
{{- end }}
{{- end }}

{{/* Reads, for diagnostics and health. */}}
{{- define "agent.diagnosticRules" -}}
- apiGroups: ['']
  resources: [pods, events]
  verbs: [get, list, watch]
- apiGroups: ['']
  resources: [pods/log]
  verbs: [get]
- apiGroups: [apps]
  resources: [replicasets, controllerrevisions]
  verbs: [get, list, watch]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch]
{{- end }}

{{/* What cluster this is: the uid of this namespace. */}}
{{- define "agent.clusterIdRules" -}}
- apiGroups: ['']
  resources: [namespaces]
  resourceNames: [kube-system]
  verbs: [get]
{{- end }}
