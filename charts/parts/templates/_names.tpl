{{/* The name of everything in a release, and of its pods. */}}
{{- define "brokkr.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* What pods are found by: never changes in the life of a release. */}}
{{- define "brokkr.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "brokkr.labels" -}}
{{ include "brokkr.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: brokkr
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/*
Metadata of an object: `top` is the context; `name` where it is not the release's, `namespace` likewise (`cluster`: none), and
`labels` and `annotations` beyond.
*/}}
{{- define "brokkr.metadata" -}}
{{- $ := .top -}}
name: {{ default (include "brokkr.fullname" $) .name }}
{{- if not .cluster }}
namespace: {{ default $.Release.Namespace .namespace }}
{{- end }}
labels:
  {{- include "brokkr.labels" $ | nindent 2 }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{- define "brokkr.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "brokkr.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}
