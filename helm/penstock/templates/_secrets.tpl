{{/* Sources of the volume at /run/secrets/penstock: tokens that kubelet renews, and keys of Secrets. */}}
{{- define "penstock.secrets" -}}
{{- $values := .root.Values }}
{{- $named := list }}
{{- if has "token" .needs }}
- serviceAccountToken: {path: token, audience: {{ $values.tokens.audience | quote }}, expirationSeconds: {{ $values.tokens.seconds | int64 }}}
{{- end }}
{{- if and (has "clusterIssuer" .needs) $values.tokens.keysOfApiServer }}
- serviceAccountToken: {path: api_token, expirationSeconds: 3600}
- configMap: {name: kube-root-ca.crt, items: [{key: ca.crt, path: api_ca.pem}]}
{{- end }}
{{- if and $values.nats.ca.secret (ne .name "edge") }}{{ $named = append $named (list $values.nats.ca.secret $values.nats.ca.key "nats_ca.pem") }}{{ end }}
{{- if has "nkey" .needs }}
{{- range $file := list "authority.nk" "authority.issuer.nk" "authority.xkey.nk" }}
{{- $named = append $named (list $values.secrets.authority $file $file) }}
{{- end }}
{{- end }}
{{- if has "provisionKey" .needs }}{{ $named = append $named (list $values.secrets.provision "provision.nk" "provision.nk") }}{{ end }}
{{- if has "seal" .needs }}
{{- range $file := list "auditor.seal.pem" "auditor.seal.pub" }}
{{- $named = append $named (list $values.secrets.auditor $file $file) }}
{{- end }}
{{- range $name := (include "penstock.fleet" .root | fromYaml).nkeys }}
{{- $named = append $named (list $values.secrets.auditor (printf "%s.pub" $name) (printf "%s.pub" $name)) }}
{{- end }}
{{- end }}
{{- if has "proof" .needs }}{{ $named = append $named (list $values.secrets.edgeProof "edge_proof" "edge_proof") }}{{ end }}
{{- if has "certificate" .needs }}
{{- $named = append $named (list $values.secrets.edgeCertificate "tls.crt" "edge.pem") }}
{{- $named = append $named (list $values.secrets.edgeCertificate "tls.key" "edge.pem.key") }}
{{- end }}
{{- if and (has "apiKeys" .needs) $values.secrets.apiKeys }}{{ $named = append $named (list $values.secrets.apiKeys "keys.json" "keys.json") }}{{ end }}
{{- if has "elasticsearch" .needs }}
{{- with $values.elasticsearch.ca }}{{ if .secret }}{{ $named = append $named (list .secret .key "elasticsearch_ca.pem") }}{{ end }}{{ end }}
{{- with get $values.elasticsearch.apiKeys .name }}{{ if .secret }}{{ $named = append $named (list .secret .key "elasticsearch_api_key") }}{{ end }}{{ end }}
{{- end }}
{{- if or (has "cassandra" .needs) (has "cassandraAdmin" .needs) }}
{{- $role := has "cassandraAdmin" .needs | ternary $values.cassandra.admin $values.cassandra.writer }}
{{- $named = append $named (list $role.secret $role.key "cassandra_password") }}
{{- with $values.cassandra.ca }}{{ if .secret }}{{ $named = append $named (list .secret .key "cassandra_ca.pem") }}{{ end }}{{ end }}
{{- end }}
{{- range $named }}
- secret: {name: {{ index . 0 | quote }}, items: [{key: {{ index . 1 | quote }}, path: {{ index . 2 }}}]}
{{- end }}
{{- end }}
