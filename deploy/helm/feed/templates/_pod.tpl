{{- /* Where each process finds its secrets: name of the volume, of the Secret, and its keys; all of them if none is named. */ -}}
{{- define "feed.secrets" -}}
{{- $secrets := .root.Values.secrets -}}
{{- $mounts := list -}}
{{- if has .name (list "bridge" "scorer" "interactions" "insights") -}}
{{- $mounts = append $mounts (dict "at" "api-keys" "secret" $secrets.apiKeys) -}}
{{- end -}}
{{- if has .name (list "bridge" "interactions" "sink") -}}
{{- if not (has .root.Values.kafka.saslMechanism (list "" "AWS_MSK_IAM")) -}}
{{- $mounts = append $mounts (dict "at" "kafka" "secret" (index $secrets.kafka .name)) -}}
{{- end -}}
{{- if $secrets.kafkaCa -}}
{{- $mounts = append $mounts (dict "at" "kafka-ca" "secret" $secrets.kafkaCa) -}}
{{- end -}}
{{- end -}}
{{- if eq .name "bridge" -}}
{{- $mounts = append $mounts (dict "at" "scorer-key" "secret" $secrets.scorerKey) -}}
{{- end -}}
{{- if has .name (list "bridge" "insights") -}}
{{- $mounts = append $mounts (dict "at" "token-key" "secret" $secrets.tokenKey) -}}
{{- end -}}
{{- if has .name (list "scorer" "insights") -}}
{{- $mounts = append $mounts (dict "at" "model-signing" "secret" $secrets.modelSigning "keys" (list "model_signing.pub")) -}}
{{- end -}}
{{- $own := index .root.Values (eq .name "retrain" | ternary "trainer" .name) -}}
{{- range $at, $secret := $own.secretFiles -}}
{{- $mounts = append $mounts (dict "at" $at "secret" $secret) -}}
{{- end -}}
{{- $mounts | toYaml -}}
{{- end -}}

{{- define "feed.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- /* Spec of a pod: root, name, command, data (the volume under /var/lib/feed), ports (as of feed.processes). */ -}}
{{- define "feed.pod" -}}
{{- $values := .root.Values -}}
{{- $own := index $values .name -}}
{{- $secrets := include "feed.secrets" . | fromYamlArray -}}
{{- $trains := has .name (list "trainer" "retrain") -}}
{{- $models := or $trains (has .name (list "scorer" "insights")) -}}
{{- $ports := .ports | default dict -}}
serviceAccountName: {{ .account | default (printf "%s-%s" (include "feed.fullname" .root) .name) }}
automountServiceAccountToken: false
# Kubernetes would add names such as FEED_BRIDGE_PORT, which a process refuses as settings that it does not know.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $values.imagePullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if $ports }}
# Longer than a process takes to finish what it has begun (FEED_DRAIN_S).
terminationGracePeriodSeconds: 40
topologySpreadConstraints:
  {{- range $key, $when := dict "topology.kubernetes.io/zone" $values.topologySpread.zones "kubernetes.io/hostname" $values.topologySpread.nodes }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: {{ $when }}
    labelSelector:
      matchLabels: {{- include "feed.selector" $ | nindent 8 }}
    {{- if eq $.kind "Deployment" }}
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- end }}
containers:
  - name: {{ .name }}
    image: "{{ required "image.repository is needed" $values.image.repository }}:{{ required "image.tag is needed" $values.image.tag }}{{ with $values.image.digest }}@{{ . }}{{ end }}"
    imagePullPolicy: {{ $values.image.pullPolicy }}
    args: {{ toJson .command }}
    env: {{- include "feed.env" . | nindent 6 }}
    {{- with $ports }}
    ports:
      {{- range $port := list "grpc" "http" }}
      {{- with index $ports $port }}
      - {name: {{ $port }}, containerPort: {{ . }}}
      {{- end }}
      {{- end }}
    # Over HTTP throughout: the kubelet's gRPC probes show no certificate, and health is the same there.
    startupProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 1
      failureThreshold: 60
    livenessProbe:
      httpGet: {path: /healthz, port: http}
      periodSeconds: 10
      timeoutSeconds: 5
      failureThreshold: 3
    readinessProbe:
      httpGet: {path: /readyz, port: http}
      periodSeconds: 2
      timeoutSeconds: 2
      failureThreshold: 2
    {{- end }}
    resources: {{- toYaml $own.resources | nindent 6 }}
    securityContext: {{- include "feed.securityContext" . | nindent 6 }}
    volumeMounts:
      - {name: data, mountPath: /var/lib/feed}
      - {name: tmp, mountPath: /tmp}
      {{- if $models }}
      - {name: models, mountPath: /var/lib/feed/models, readOnly: {{ not $trains }}}
      {{- end }}
      {{- if $trains }}
      - {name: model-signing, mountPath: /var/lib/feed/keys, readOnly: true}
      {{- end }}
      {{- range $secrets }}
      - {name: {{ .at }}, mountPath: /etc/feed/{{ .at }}, readOnly: true}
      {{- end }}
volumes:
  {{- if not .claims }}
  - name: data
    {{- toYaml (.data | default (dict "emptyDir" (dict "sizeLimit" "100Mi"))) | nindent 4 }}
  {{- end }}
  - name: tmp
    emptyDir: {sizeLimit: 1Gi}
  {{- if $models }}
  - name: models
    persistentVolumeClaim:
      claimName: {{ $values.models.existingClaim | default (printf "%s-models" (include "feed.fullname" .root)) }}
  {{- end }}
  {{- if $trains }}
  - name: model-signing
    secret: {secretName: {{ $values.secrets.modelSigning }}, defaultMode: 0440}
  {{- end }}
  {{- range $secrets }}
  - name: {{ .at }}
    secret:
      secretName: {{ .secret }}
      defaultMode: 0440
      {{- with .keys }}
      items:
        {{- range . }}
        - {key: {{ . }}, path: {{ . }}}
        {{- end }}
      {{- end }}
  {{- end }}
{{- end -}}

{{- define "feed.template" -}}
metadata:
  labels: {{- include "feed.labels" . | nindent 4 }}
  {{- with .root.Values.podAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
spec: {{- include "feed.pod" . | nindent 2 }}
{{- end -}}
