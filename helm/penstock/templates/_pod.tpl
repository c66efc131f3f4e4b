{{/* The spec of every pod of the fleet: root, name, image, needs, resources, containers as `args` or `command`. */}}
{{- define "penstock.pod" -}}
{{- $values := .root.Values }}
{{- $secrets := include "penstock.secrets" . | trim }}
{{- $issuers := or (has "clusterIssuer" .needs) (and (has "issuers" .needs) $values.issuers) }}
serviceAccountName: {{ .account | default (include "penstock.account" .) }}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with $values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with $values.nodeSelector }}
nodeSelector: {{ toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{ toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .name }}
    image: {{ include "penstock.image" . | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    {{- with .args }}
    args: {{ toJson . }}
    {{- end }}
    {{- with .command }}
    command: {{ toJson . }}
    {{- end }}
    env: {{ include "penstock.environment" . | trim | nindent 6 }}
    resources: {{ toYaml .resources | nindent 6 }}
    securityContext: {{ include "penstock.containerSecurity" . | nindent 6 }}
    {{- if .serving }}
    {{- include "penstock.serving" . | nindent 4 }}
    {{- end }}
    volumeMounts: {{ include "penstock.mounts" (merge (dict "secrets" $secrets "issuers" $issuers) .) | nindent 6 }}
  {{- if eq .name "edge" }}
  # New keys of the issuers, and certificates: has HAProxy load them.
  - name: keys
    image: {{ include "penstock.image" . | quote }}
    imagePullPolicy: {{ $values.image.pullPolicy }}
    command: [python3, -m, penstock.services.edge, keys]
    env: {{ include "penstock.environment" . | trim | nindent 6 }}
    resources: {requests: {cpu: 10m, memory: 64Mi}, limits: {memory: 256Mi}}
    securityContext: {{ include "penstock.containerSecurity" . | nindent 6 }}
    volumeMounts: {{ include "penstock.mounts" (merge (dict "secrets" $secrets "issuers" $issuers) .) | nindent 6 }}
  {{- end }}
volumes:
  - name: tmp
    emptyDir: {sizeLimit: 1Gi}
  - name: state # crash counters and the like; they outlive a container, not its pod
    emptyDir: {sizeLimit: 256Mi}
  {{- if $secrets }}
  - name: secrets
    projected:
      defaultMode: 0440
      sources: {{ $secrets | nindent 8 }}
  {{- end }}
  {{- if $issuers }}
  - name: issuers
    configMap:
      name: {{ include "penstock.fullname" .root }}-issuers
      items: [{key: {{ has "clusterIssuer" .needs | ternary "authority.yaml" "people.yaml" }}, path: issuers.yaml}]
  {{- end }}
  {{- with $values.contracts }}
  {{- if .configMap }}
  - name: contracts
    configMap: {name: {{ .configMap }}, items: {{ toJson .items }}}
  {{- end }}
  {{- end }}
{{- end }}

{{- define "penstock.mounts" -}}
- {name: tmp, mountPath: /tmp}
- {name: state, mountPath: /var/lib/penstock}
{{- if .secrets }}
- {name: secrets, mountPath: /run/secrets/penstock, readOnly: true}
{{- end }}
{{- if .issuers }}
- {name: issuers, mountPath: /etc/penstock/issuers.yaml, subPath: issuers.yaml, readOnly: true}
{{- end }}
{{- if .root.Values.contracts.configMap }}
- {name: contracts, mountPath: /etc/penstock/contracts, readOnly: true}
{{- end }}
{{- end }}

{{/* Ports, probes and the stop of a process that serves HTTP. A process that is live and not ready waits for others. */}}
{{- define "penstock.serving" -}}
ports:
  - {name: http, containerPort: {{ include "penstock.httpPort" .name }}}
  {{- if eq .name "edge" }}
  - {name: https, containerPort: 8443}
  {{- end }}
startupProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  httpGet: {path: /livez, port: http}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  httpGet: {path: /readyz, port: http}
  periodSeconds: 5
  timeoutSeconds: 3
  failureThreshold: 2
{{- if has .name (list "edge" "ingress") }}
lifecycle: # requests go on to come until every node has heard that the pod ends
  preStop:
    sleep: {seconds: 5}
{{- end }}
{{- end }}
