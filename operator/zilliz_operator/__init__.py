"""A Kubernetes operator for Milvus clusters in your own cloud account, where every promise is proved."""

__version__ = "0.1.0"
