{{/* Variables of a container: root, name, needs. */}}
{{- define "penstock.environment" -}}
{{- $values := .root.Values }}
{{- $secrets := "/run/secrets/penstock" }}
{{- $env := dict "PENSTOCK_LOG_LEVEL" $values.logLevel "PENSTOCK_STATE" "/var/lib/penstock" }}
{{- $_ := set $env "PENSTOCK_CREDENTIALS" $secrets }}
{{- $_ := set $env "PENSTOCK_SECRETS_FOLDER" $secrets }}
{{- $_ := set $env "PENSTOCK_AUTH" "callout" }}
{{- if hasKey $values.services .name }}
{{- $_ := set $env "PENSTOCK_HOST" "0.0.0.0" }}
{{- $_ := set $env "PENSTOCK_PORT" (eq .name "edge" | ternary "8443" "8080") }}
{{- end }}
{{- if ne .name "edge" }}
{{- $_ := set $env "PENSTOCK_NATS_URL" $values.nats.url }}
{{- if $values.nats.ca.secret }}{{ $_ := set $env "PENSTOCK_NATS_CA_FILE" (printf "%s/nats_ca.pem" $secrets) }}{{ end }}
{{- end }}
{{- if $values.contracts.configMap }}{{ $_ := set $env "PENSTOCK_CONTRACTS" "/etc/penstock/contracts" }}{{ end }}
{{- if has "token" .needs }}{{ $_ := set $env "PENSTOCK_TOKEN_FILE" (printf "%s/token" $secrets) }}{{ end }}
{{- if or (has "clusterIssuer" .needs) (and (has "issuers" .needs) $values.issuers) }}
{{- $_ := set $env "PENSTOCK_ISSUERS_FILE" "/etc/penstock/issuers.yaml" }}
{{- end }}
{{- if and (has "apiKeys" .needs) $values.secrets.apiKeys }}
{{- $_ := set $env "PENSTOCK_KEYS_FILE" (printf "%s/keys.json" $secrets) }}
{{- end }}
{{- if has "elasticsearch" .needs }}
{{- $_ := set $env "PENSTOCK_ELASTICSEARCH_URL" $values.elasticsearch.url }}
{{- if $values.elasticsearch.ca.secret }}
{{- $_ := set $env "PENSTOCK_ELASTICSEARCH_CA_FILE" (printf "%s/elasticsearch_ca.pem" $secrets) }}
{{- end }}
{{- if ($values.elasticsearch.apiKeys | dig .name "secret" "") }}
{{- $_ := set $env "PENSTOCK_ELASTICSEARCH_API_KEY_FILE" (printf "%s/elasticsearch_api_key" $secrets) }}
{{- end }}
{{- end }}
{{- if or (has "cassandra" .needs) (has "cassandraAdmin" .needs) }}
{{- $cassandra := $values.cassandra }}
{{- $role := has "cassandraAdmin" .needs | ternary $cassandra.admin $cassandra.writer }}
{{- $_ := set $env "PENSTOCK_CASSANDRA_HOSTS" $cassandra.hosts }}
{{- $_ := set $env "PENSTOCK_CASSANDRA_PORT" ($cassandra.port | int64 | toString) }}
{{- $_ := set $env "PENSTOCK_CASSANDRA_KEYSPACE" $cassandra.keyspace }}
{{- $_ := set $env "PENSTOCK_CASSANDRA_PERIOD" $cassandra.period }}
{{- $_ := set $env "PENSTOCK_CASSANDRA_CONSISTENCY" $cassandra.consistency }}
{{- $_ := set $env "PENSTOCK_CASSANDRA_USERNAME" $role.username }}
{{- $_ := set $env "PENSTOCK_CASSANDRA_PASSWORD_FILE" (printf "%s/cassandra_password" $secrets) }}
{{- if $cassandra.ca.secret }}
{{- $_ := set $env "PENSTOCK_CASSANDRA_CA_FILE" (printf "%s/cassandra_ca.pem" $secrets) }}
{{- with $cassandra.serverName }}{{ $_ := set $env "PENSTOCK_CASSANDRA_SERVER_NAME" . }}{{ end }}
{{- end }}
{{- end }}
{{- if has "certificate" .needs }}
{{- $edge := get $values.services .name }}
{{- $headless := printf "%s-ingress-headless.%s.svc.%s:8080" (include "penstock.fullname" .root) .root.Release.Namespace $values.clusterDomain }}
{{- $_ := set $env "PENSTOCK_EDGE_CERTIFICATE" (printf "%s/edge.pem" $secrets) }}
{{- $_ := set $env "PENSTOCK_EDGE_INGRESS" $headless }}
{{- $_ := set $env "PENSTOCK_EDGE_INGRESS_SLOTS" ($values.services.ingress.autoscaling.max | int64 | toString) }}
{{- $_ := set $env "PENSTOCK_EDGE_DRAIN" ($edge.drain | int64 | toString) }}
{{- $_ := set $env "PENSTOCK_EDGE_READER" "false" }}
{{- end }}
{{- if $values.traces.enabled }}
{{- $_ := set $env "PENSTOCK_TRACES" "on" }}
{{- $_ := set $env "PENSTOCK_TRACES_RATIO" (toString $values.traces.ratio) }}
{{- $_ := set $env "OTEL_EXPORTER_OTLP_ENDPOINT" (required "traces.endpoint is needed for traces" $values.traces.endpoint) }}
{{- end }}
{{- $own := get (get $values.services .name | default dict) "env" | default dict }}
{{- range $name, $value := mustMergeOverwrite $env (deepCopy $values.env) $own }}
- {name: {{ $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
