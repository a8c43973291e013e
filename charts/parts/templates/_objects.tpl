{{- define "brokkr.serviceAccount" -}}
{{- with .Values.serviceAccount }}
{{- if .create }}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- $name := include "brokkr.serviceAccountName" $ }}
  {{- include "brokkr.metadata" (dict "top" $ "name" $name "annotations" .annotations) | nindent 2 }}
# A pod that asks the API server says so itself.
automountServiceAccountToken: false
{{- end }}
{{- end }}
{{- end }}

{{- define "brokkr.podDisruptionBudget" -}}
{{- with .Values.podDisruptionBudget }}
{{- if .enabled }}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "brokkr.metadata" (dict "top" $) | nindent 2 }}
spec:
  maxUnavailable: {{ .maxUnavailable }}
  # A pod that is not ready keeps no node from being drained: it serves nobody.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "brokkr.selectorLabels" $ | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{/* A Service for Prometheus alone, apart from what clients are given. */}}
{{- define "brokkr.metricsService" -}}
apiVersion: v1
kind: Service
metadata:
  {{- $name := printf "%s-metrics" (include "brokkr.fullname" .) }}
  {{- $labels := dict "app.kubernetes.io/component" "metrics" }}
  {{- include "brokkr.metadata" (dict "top" . "name" $name "labels" $labels) | nindent 2 }}
spec:
  clusterIP: None
  selector:
    {{- include "brokkr.selectorLabels" . | nindent 4 }}
  ports:
    - name: metrics
      port: {{ .Values.ports.metrics }}
      targetPort: metrics
{{- end }}

{{- define "brokkr.serviceMonitor" -}}
{{- with .Values.metrics.serviceMonitor }}
{{- if .enabled }}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "brokkr.metadata" (dict "top" $ "labels" .labels) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "brokkr.selectorLabels" $ | nindent 6 }}
      app.kubernetes.io/component: metrics
  endpoints:
    - port: metrics
      interval: {{ .interval }}
{{- end }}
{{- end }}
{{- end }}

{{- define "brokkr.podMonitor" -}}
{{- with .Values.metrics.podMonitor }}
{{- if .enabled }}
apiVersion: monitoring.coreos.com/v1
kind: PodMonitor
metadata:
  {{- include "brokkr.metadata" (dict "top" $ "labels" .labels) | nindent 2 }}
spec:
  selector:
    matchLabels:
      {{- include "brokkr.selectorLabels" $ | nindent 6 }}
  podMetricsEndpoints:
    - port: metrics
      interval: {{ .interval }}
{{- end }}
{{- end }}
{{- end }}

{{/* A rule of a NetworkPolicy: a list of ports (TCP, unless written as a whole), and of peers: all, when it is empty. */}}
{{- define "brokkr.egress" -}}
{{- include "brokkr.rule" (list "to" (index . 0) (index . 1)) }}
{{- end }}

{{- define "brokkr.ingress" -}}
{{- include "brokkr.rule" (list "from" (index . 0) (index . 1)) }}
{{- end }}

{{- define "brokkr.rule" -}}
- ports:
    {{- range index . 1 }}
    - {{ ternary . (dict "port" . "protocol" "TCP") (kindIs "map" .) | toJson }}
    {{- end }}
  {{- with index . 2 }}
  {{ index $ 0 }}:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}

{{/* To whoever resolves names: the context is the policy's values. */}}
{{- define "brokkr.dnsEgress" -}}
{{- $ports := list (dict "port" 53 "protocol" "UDP") (dict "port" 53 "protocol" "TCP") }}
{{- include "brokkr.egress" (list $ports .dnsTo) }}
{{- end }}
