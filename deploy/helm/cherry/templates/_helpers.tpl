{{- define "cherry.fullname" -}}
{{- $name := ternary .Release.Name (printf "%s-cherry" .Release.Name) (contains "cherry" .Release.Name) | trunc 30 | trimSuffix "-" -}}
{{- if not (regexMatch "^[a-z]" $name) -}}
{{- fail (printf "release name: '%s' begins with no letter, and workers are named after it: install it under another name" .Release.Name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "cherry.selector" -}}
app.kubernetes.io/name: cherry
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "cherry.labels" -}}
{{ include "cherry.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "cherry.claim" -}}
{{- .Values.storage.existingClaim | default (printf "%s-data" (include "cherry.fullname" .)) -}}
{{- end -}}

{{/* (list $ "coordinator"|"worker") */}}
{{- define "cherry.image" -}}
{{- $image := (index . 0).Values.image -}}
{{- $name := index $image (index . 1) -}}
{{- with $image.registry }}{{ . | trimSuffix "/" }}/{{ end }}{{ $name }}
{{- if not (contains "@" $name) }}:{{ $image.tag | default (index . 0).Chart.AppVersion }}{{ end -}}
{{- end -}}

{{/* Of every pod. */}}
{{- define "cherry.pod" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .Values.runAsUser }}
  runAsGroup: {{ .Values.runAsUser }}
  fsGroup: {{ .Values.runAsUser }}
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "cherry.container" -}}
imagePullPolicy: {{ .Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{- define "cherry.placement" -}}
{{- with .nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with .priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end -}}

{{/* Plain HTTP: kubelet's own gRPC probe knows no TLS, and the coordinator asks for a certificate. The coordinator's page is
     made by the thread that decides, so that one which hangs does not answer in time. */}}
{{- define "cherry.probes" -}}
startupProbe:
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 2
  timeoutSeconds: 4
  failureThreshold: 150
readinessProbe:
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 4
livenessProbe:
  httpGet: {path: /metrics, port: metrics}
  periodSeconds: 10
  timeoutSeconds: 4
  failureThreshold: 6
{{- end -}}

{{/* (list $ pool): its values over the defaults, as YAML. */}}
{{- define "cherry.pool" -}}
{{- mergeOverwrite (deepCopy (index . 0).Values.workerDefaults) (deepCopy (index . 1)) | toYaml -}}
{{- end -}}
