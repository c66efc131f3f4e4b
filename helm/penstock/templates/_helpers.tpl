{{/* Names, labels, images, and what every pod has in common. */}}

{{- define "penstock.fullname" -}}
{{- if contains "penstock" .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-penstock" (.Release.Name | trunc 31 | trimSuffix "-") }}{{ end -}}
{{- end }}

{{- define "penstock.selector" -}}
app.kubernetes.io/name: penstock
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .name }}
{{- end }}

{{- define "penstock.labels" -}}
{{ include "penstock.selector" . }}
app.kubernetes.io/part-of: penstock
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What the chart takes from contracts/. */}}
{{- define "penstock.fleet" -}}
{{ .Files.Get "files/fleet.yaml" }}
{{- end }}

{{/* The authority knows an identity by the name of its service account. */}}
{{- define "penstock.account" -}}
{{- $accounts := (include "penstock.fleet" .root | fromYaml).accounts }}
{{- get $accounts .name | default (printf "%s-%s" (include "penstock.fullname" .root) .name) }}
{{- end }}

{{- define "penstock.image" -}}
{{- $image := .root.Values.image }}
{{- with get $image.digests .image }}{{ $image.registry }}penstock-{{ $.image }}@{{ . }}
{{- else }}{{ $image.registry }}penstock-{{ .image }}:{{ $image.tag | default .root.Chart.AppVersion }}{{ end }}
{{- end }}

{{/* The port of a URL, the first of several. */}}
{{- define "penstock.port" -}}
{{- $host := (urlParse (index (splitList "," .url) 0)).host }}
{{- regexFind "[0-9]+$" (regexFind ":[0-9]+$" $host) | default .default }}
{{- end }}

{{- define "penstock.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "penstock.httpPort" -}}
{{ if eq . "edge" }}7407{{ else }}8080{{ end }}
{{- end }}

{{/* A process of a service more than these has no work. */}}
{{- define "penstock.most" -}}
{{- $shards := get (include "penstock.fleet" .root | fromYaml).shards .name | int }}
{{- $max := .root.Values.services | dig .name "autoscaling" "max" 0 | int }}
{{- if and $shards (gt $max $shards) }}
{{- fail (printf "services.%s.autoscaling.max is %d, and its consumers have %d shards: more processes have no work" .name $max $shards) }}
{{- end }}
{{- $max }}
{{- end }}
