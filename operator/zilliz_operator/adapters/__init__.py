"""The only I/O: Kubernetes, object stores, Milvus, TLS."""
