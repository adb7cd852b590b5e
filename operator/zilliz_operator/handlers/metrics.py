"""What the operator tells Prometheus about itself."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()

LEADER = Gauge("zilliz_operator_leader", "1 on the replica that reconciles.", registry=REGISTRY)
PASSES = Counter("zilliz_operator_passes_total", "Reconcile passes.", ["kind", "result"], registry=REGISTRY)
PASS_SECONDS = Histogram(
    "zilliz_operator_pass_seconds",
    "How long a pass took.",
    ["kind"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
QUEUE_DEPTH = Gauge("zilliz_operator_queue_depth", "Objects waiting for a pass.", registry=REGISTRY)
API_REQUESTS = Counter(
    "zilliz_operator_kubernetes_requests_total", "Requests to Kubernetes.", ["verb", "kind", "code"], registry=REGISTRY
)
WRITES = Counter(
    "zilliz_operator_writes_total", "Objects applied, patched or deleted.", ["verb", "kind"], registry=REGISTRY
)
CONDITION = Gauge(
    "zilliz_cluster_condition",
    "1 while a cluster's condition is True, 0 while False, -1 while Unknown.",
    ["project", "cluster", "condition"],
    registry=REGISTRY,
)
DATA_PLANE_CONNECTED = Gauge(
    "zilliz_data_plane_connected",
    "1 while a remote data plane's Kubernetes API answers, else 0.",
    ["data_plane"],
    registry=REGISTRY,
)
WATCH_AGE = Gauge(
    "zilliz_operator_watch_age_seconds", "Seconds since a kind's watch was last opened.", ["kind"], registry=REGISTRY
)
