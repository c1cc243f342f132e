{{- /* Settings as YAML: those of all, those that follow from values, then what values say themselves. */ -}}
{{- define "feed.settings" -}}
{{- $values := .root.Values -}}
{{- $settings := dict "FEED_VERSION" $values.image.tag "FEED_DRAIN_S" "20" "FEED_DRAIN_DELAY_MS" "5000" -}}
{{- if has .name (list "bridge" "scorer" "interactions" "insights") -}}
{{- $settings = merge $settings (include "feed.settings.auth" .root | fromYaml) -}}
{{- end -}}
{{- if has .name (list "bridge" "interactions" "sink") -}}
{{- $settings = merge $settings (include "feed.settings.kafka" .root | fromYaml) -}}
{{- end -}}
{{- with include (printf "feed.settings.%s" .name) .root | fromYaml -}}
{{- $settings = merge $settings . -}}
{{- end -}}
{{- $own := index $values (eq .name "retrain" | ternary "trainer" .name) -}}
{{- mergeOverwrite $settings $values.settings ($own.settings | default dict) | toYaml -}}
{{- end -}}

{{- define "feed.settings.auth" -}}
FEED_AUTH: {{ .Values.auth.mode }}
FEED_AUTH_API_KEYS_FILE: /etc/feed/api-keys/api_keys.json
{{- if eq .Values.auth.mode "jwt" }}
FEED_AUTH_ISSUER: {{ required "auth.issuer is needed with auth.mode jwt" .Values.auth.issuer | quote }}
FEED_AUTH_AUDIENCE: {{ required "auth.audience is needed with auth.mode jwt" .Values.auth.audience | quote }}
FEED_AUTH_JWKS_URL: {{ required "auth.jwksUrl is needed with auth.mode jwt" .Values.auth.jwksUrl | quote }}
{{- end }}
{{- end -}}

{{- define "feed.settings.kafka" -}}
FEED_KAFKA_BOOTSTRAP_SERVERS: {{ required "kafka.bootstrapServers is needed" .Values.kafka.bootstrapServers | quote }}
FEED_KAFKA_SECURITY_PROTOCOL: {{ .Values.kafka.securityProtocol }}
{{- with .Values.kafka.saslMechanism }}
FEED_KAFKA_SASL_MECHANISM: {{ . }}
{{- if eq . "AWS_MSK_IAM" }}
FEED_KAFKA_AWS_REGION: {{ required "kafka.awsRegion is needed with AWS_MSK_IAM" $.Values.kafka.awsRegion | quote }}
{{- else }}
FEED_KAFKA_SASL_USERNAME_FILE: /etc/feed/kafka/username
FEED_KAFKA_SASL_PASSWORD_FILE: /etc/feed/kafka/password
{{- end }}
{{- end }}
{{- if .Values.secrets.kafkaCa }}
FEED_KAFKA_SSL_CA_LOCATION: /etc/feed/kafka-ca/ca.crt
{{- end }}
{{- end -}}

{{- define "feed.settings.bridge" -}}
FEED_BRIDGE_HOST: 0.0.0.0
FEED_BRIDGE_SCORER_KEY_FILE: /etc/feed/scorer-key/key
FEED_BRIDGE_TOKEN_KEY_PATH: /etc/feed/token-key/token.key
FEED_SCORER_TARGETS: {{ include "feed.scorers" . }}
{{- end -}}

{{- define "feed.settings.scorer" -}}
FEED_SCORER_HOST: 0.0.0.0
FEED_SCORER_MODEL_PUBLIC_KEY_PATH: /etc/feed/model-signing/model_signing.pub
{{- end -}}

{{- define "feed.settings.interactions" -}}
FEED_INTERACTIONS_HOST: 0.0.0.0
{{- end -}}

{{- define "feed.settings.sink" -}}
FEED_SINK_HOST: 0.0.0.0
{{- end -}}

{{- define "feed.settings.insights" -}}
FEED_INSIGHTS_HOST: 0.0.0.0
FEED_INSIGHTS_TOKEN_KEY_PATH: /etc/feed/token-key/token.key
FEED_INSIGHTS_MODEL_PUBLIC_KEY_PATH: /etc/feed/model-signing/model_signing.pub
FEED_INSIGHTS_WATCHED: {{ include "feed.watched" . | quote }}
{{- end -}}

{{- /* The CronJob trains. MLflow's own store would be a file of one pod. */ -}}
{{- define "feed.settings.trainer" -}}
FEED_TRAINER_HOST: 0.0.0.0
FEED_TRAINER_SCHEDULE_ENABLED: "false"
FEED_TRAINER_SCHEDULE_HOUR: {{ .Values.retrain.hour | quote }}
FEED_TRAINER_SCHEDULE_MINUTE: {{ .Values.retrain.minute | quote }}
{{- if not .Values.trainer.settings.FEED_TRAINER_MLFLOW_URI }}
FEED_TRAINER_MLFLOW_ENABLED: "false"
{{- end }}
{{- end -}}

{{- define "feed.settings.retrain" -}}
{{- if not .Values.trainer.settings.FEED_TRAINER_MLFLOW_URI -}}
FEED_TRAINER_MLFLOW_ENABLED: "false"
{{- end -}}
{{- end -}}

{{- define "feed.settings.prune" -}}{{- end -}}
{{- define "feed.settings.migrations" -}}{{- end -}}

{{- /* A migration may take longer than a pooler lets a transaction last. */ -}}
{{- define "feed.env" -}}
{{- range $name, $value := include "feed.settings" . | fromYaml }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- if ne .name "scorer" }}
- name: FEED_DATABASE_URL
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.secrets.database }}
      key: {{ eq .name "migrations" | ternary "direct-url" "url" }}
{{- end }}
{{- if eq .name "insights" }}
- name: FEED_INSIGHTS_REPLICA_URL
  valueFrom:
    secretKeyRef:
      name: {{ .root.Values.secrets.database }}
      key: replica-url
      optional: true
{{- end }}
{{- end -}}
