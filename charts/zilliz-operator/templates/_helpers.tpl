{{/* One operator per Kubernetes cluster: its names are the same whatever the release is called. */}}
{{- define "zilliz.name" -}}zilliz-operator{{- end }}

{{- define "zilliz.selector" -}}
app.kubernetes.io/name: zilliz-operator
app.kubernetes.io/component: operator
{{- end }}

{{- define "zilliz.labels" -}}
{{ include "zilliz.selector" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/part-of: zilliz-byoc
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* The reference of an image: (dict "image" .Values.image "version" .Chart.AppVersion) */}}
{{- define "zilliz.image" -}}
{{- if .image.digest -}}
{{ .image.repository }}@{{ .image.digest }}
{{- else -}}
{{ .image.repository }}:{{ .image.tag | default .version }}
{{- end -}}
{{- end }}

{{/* The operator's user names, as a list in CEL. */}}
{{- define "zilliz.operatorUsers" -}}
{{- $own := printf "system:serviceaccount:%s:%s" .Release.Namespace .Values.serviceAccount.name -}}
[{{ range $index, $user := prepend .Values.admissionPolicies.operatorUsers $own }}{{ if $index }}, {{ end }}{{ $user | quote }}{{ end }}]
{{- end }}
