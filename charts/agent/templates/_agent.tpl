{{/* The volume's source for the authority; empty without one. */}}
{{- define "agent.ca" -}}
{{- with .Values.broker.ca }}
{{- if .existingConfigMap }}
configMap:
  name: {{ .existingConfigMap }}
{{- else if .existingSecret }}
secret:
  secretName: {{ .existingSecret }}
{{- end }}
{{- end }}
{{- end }}

{{/* The Secret with the token; that of the release holds one that is among the values. */}}
{{- define "agent.tokenSecret" -}}
{{- with .Values.enrollment -}}
{{- if .existingSecret -}}
{{- .existingSecret -}}
{{- else -}}
{{- $_ := required "enrollment.token: say how the agent gets its key, or pak.existingSecret where it is" .token -}}
{{- printf "%s-enrollment" (include "brokkr.fullname" $) -}}
{{- end -}}
{{- end -}}
{{- end }}

{{/* The Secret in which an agent that enrolls keeps its key; empty for one that has it from elsewhere. */}}
{{- define "agent.keySecret" -}}
{{- if not .Values.pak.existingSecret -}}
{{- printf "%s-key" (include "brokkr.fullname" .) -}}
{{- end -}}
{{- end }}

{{- define "agent.env" -}}
- name: BROKKR_BROKER_URL
  value: {{ required "broker.url: say where the broker is" .Values.broker.url | quote }}
{{- if .Values.broker.allowCleartext }}
- name: BROKKR_ALLOW_CLEARTEXT
  value: 'true'
{{- end }}
{{- with .Values.pak }}
{{- if .existingSecret }}
{{ include "brokkr.secretEnv" (list "BROKKR_PAK" .existingSecret .key) }}
{{- else }}
- name: BROKKR_ENROLLMENT_TOKEN
  valueFrom:
    secretKeyRef:
      name: {{ include "agent.tokenSecret" $ }}
      key: {{ $.Values.enrollment.key }}
      # Of no more use once the agent has its key: it may be taken away.
      optional: true
- name: BROKKR_PAK_SECRET
  value: {{ include "agent.keySecret" $ }}
{{- end }}
{{- end }}
- name: BROKKR_NAMESPACE
  valueFrom:
    fieldRef:
      fieldPath: metadata.namespace
# Also with one replica: for a moment there are two of them while it is replaced.
- name: BROKKR_LEADER_ELECTION
  value: 'true'
{{- with .Values.watchNamespace }}
- name: BROKKR_WATCH_NAMESPACE
  value: {{ . | quote }}
{{- end }}
{{- with .Values.generators }}
- name: BROKKR_GENERATORS
  value: {{ join "," . | quote }}
{{- end }}
- name: BROKKR_PULL_INTERVAL
  value: {{ .Values.pullInterval | quote }}
- name: BROKKR_MAX_DELETIONS
  value: {{ .Values.maxDeletions | quote }}
- name: BROKKR_HEALTH_LISTEN
  value: {{ printf "%s:%v" .Values.listenHost .Values.ports.metrics | quote }}
- name: BROKKR_STATE_DIR
  value: /var/cache/brokkr/manifests
- name: BROKKR_LOG_LEVEL
  value: {{ .Values.logLevel }}
{{- if include "agent.ca" . }}
- name: BROKKR_TLS_CA
  value: /etc/brokkr/ca/{{ .Values.broker.ca.key }}
{{- end }}
{{- with .Values.broker.ca.fingerprint }}
- name: BROKKR_CA_FINGERPRINT
  value: {{ . | quote }}
{{- end }}
{{- if .Values.broker.clientCertificate.existingSecret }}
- name: BROKKR_TLS_CERT
  value: /etc/brokkr/tls/tls.crt
- name: BROKKR_TLS_KEY
  value: /etc/brokkr/tls/tls.key
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* The ports of the broker: those that are named, or the one in its URL. */}}
{{- define "agent.brokerPorts" -}}
{{- if .Values.networkPolicy.brokerPorts -}}
{{- toJson .Values.networkPolicy.brokerPorts -}}
{{- else -}}
{{- $url := urlParse .Values.broker.url -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $url.host) -}}
{{- list (int (default (ternary "80" "443" (eq $url.scheme "http")) $port)) | toJson -}}
{{- end -}}
{{- end }}
