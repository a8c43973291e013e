{{/* The Secret with the certificate; empty without TLS. */}}
{{- define "broker.tlsSecret" -}}
{{- if .Values.tls.existingSecret -}}
{{- .Values.tls.existingSecret -}}
{{- else if .Values.tls.certManager.enabled -}}
{{- printf "%s-tls" (include "brokkr.fullname" .) -}}
{{- end -}}
{{- end }}

{{/* Kubelets have no certificate to show: where clients need one, a probe can only connect. */}}
{{- define "broker.probe" -}}
{{- $ := index . 0 -}}
{{- if $.Values.tls.clientCa.existingSecret -}}
tcpSocket:
  port: rpc
{{- else -}}
httpGet:
  path: {{ index . 1 }}
  port: rpc
  scheme: {{ ternary "HTTPS" "HTTP" (ne (include "broker.tlsSecret" $) "") }}
{{- end -}}
{{- end }}

{{- define "broker.env" -}}
{{- include "brokkr.secretEnv" (list "BROKKR_DATABASE_URL" (required "database.existingSecret: name the Secret with the connection string of PostgreSQL" .Values.database.existingSecret) .Values.database.key) }}
- name: BROKKR_DATABASE_SCHEMA
  value: {{ .Values.database.schema | quote }}
- name: BROKKR_LISTEN
  value: {{ printf "%s:%v" .Values.listenHost .Values.ports.rpc | quote }}
- name: BROKKR_METRICS_LISTEN
  value: {{ printf "%s:%v" .Values.listenHost .Values.ports.metrics | quote }}
- name: BROKKR_ADMIN_PAK_FILE
  value: /run/brokkr/admin-pak
- name: BROKKR_LOG_LEVEL
  value: {{ .Values.logLevel }}
- name: BROKKR_WORKERS
  value: {{ .Values.workers | quote }}
{{- with .Values.trustedProxies }}
- name: BROKKR_TRUSTED_PROXIES
  value: {{ . | quote }}
{{- end }}
{{- with .Values.corsOrigins }}
- name: BROKKR_CORS_ORIGINS
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.encryption }}
{{- if .existingSecret }}
{{ include "brokkr.secretEnv" (list "BROKKR_ENCRYPTION_KEY" .existingSecret .key) }}
{{- end }}
{{- end }}
{{- if include "broker.tlsSecret" . }}
- name: BROKKR_TLS_CERT
  value: /etc/brokkr/tls/tls.crt
- name: BROKKR_TLS_KEY
  value: /etc/brokkr/tls/tls.key
{{- with .Values.tls.clientCa }}
{{- if .existingSecret }}
- name: BROKKR_TLS_CLIENT_CA
  value: /etc/brokkr/client-ca/{{ .key }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}
