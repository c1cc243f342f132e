{{- /* What the processes are: their ports are those of the code, which a test compares. */ -}}
{{- define "feed.processes" -}}
bridge: {command: [bridge], grpc: 50051, http: 8080}
scorer: {command: [scorer], grpc: 50052, http: 8082}
interactions: {command: [interactions], grpc: 50053, http: 8081}
sink: {command: [sink], http: 8083}
insights: {command: [insights], grpc: 50054, http: 8090}
trainer: {command: [trainer, schedule], http: 8084}
{{- end -}}

{{- define "feed.fullname" -}}
{{- contains .Chart.Name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "feed.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end -}}

{{- define "feed.labels" -}}
{{ include "feed.selector" . }}
app.kubernetes.io/part-of: {{ .root.Chart.Name }}
app.kubernetes.io/version: {{ .root.Values.image.tag | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ .root.Chart.Name }}-{{ .root.Chart.Version }}
{{- end -}}

{{- define "feed.metadata" -}}
name: {{ include "feed.fullname" .root }}-{{ .suffix | default .name }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "feed.labels" . | nindent 2 }}
{{- end -}}

{{- /* Every scorer that there may be, by its own name: the bridge has a breaker for each, and asks another one first when it tries again. */ -}}
{{- define "feed.scorers" -}}
{{- $full := include "feed.fullname" . -}}
{{- with .Values.scorer -}}
{{- range $number := until (int (ternary .autoscaling.maxReplicas .replicas .autoscaling.enabled)) -}}
{{- if $number }},{{ end }}{{ $full }}-scorer-{{ $number }}.{{ $full }}-scorer-pods:50052
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Pods that have names are each looked at; of the others, whichever answers. */ -}}
{{- define "feed.watched" -}}
{{- $full := include "feed.fullname" . -}}
{{- $urls := list -}}
{{- range $name, $process := include "feed.processes" . | fromYaml -}}
{{- if has $name (list "scorer" "interactions" "sink") -}}
{{- with index $.Values $name -}}
{{- range $number := until (int (ternary (dig "autoscaling" "minReplicas" 0 .) .replicas (dig "autoscaling" "enabled" false .))) -}}
{{- $urls = append $urls (printf "%s=http://%s-%s-%d.%s-%s-pods:%d/metrics" $name $full $name $number $full $name (int $process.http)) -}}
{{- end -}}
{{- end -}}
{{- else if ne $name "insights" -}}
{{- $urls = append $urls (printf "%s=http://%s-%s:%d/metrics" $name $full $name (int $process.http)) -}}
{{- end -}}
{{- end -}}
{{- join "," $urls -}}
{{- end -}}
