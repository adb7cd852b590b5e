"""The local cluster of real components: Kubernetes, certificates, DNS and object storage, without a container engine.

Everything lives in one network namespace without a default route, keeps its state in one directory, and is started,
watched and removed by this package. See `python -m tools.devcluster --help`.
"""
