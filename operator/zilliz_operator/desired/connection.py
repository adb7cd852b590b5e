"""How applications learn where a cluster is and what opens it: Secrets in the project, in the Service Binding shape.

They belong to the object they are made for (same namespace, so the garbage collector may follow the reference) and hold
nothing that the door's certificate authority did not already publish, but for the credential itself.
"""

from collections.abc import Mapping

from zilliz_operator.api import names
from zilliz_operator.api.accesspolicy import AccessPolicy, Subject

from .context import ClusterContext
from .manifest import Manifest, manifest, secret_data

TYPE = "servicebinding.io/milvus"
PROVIDER = "zilliz-byoc"
DB_ADMIN = "db_admin"


def connection_secret(ctx: ClusterContext, *, host: str, password: str, ca_pem: str) -> Manifest:
    """`<cluster>-connection`: everything a client needs. `ca_pem` empty: the certificate is publicly trusted."""
    values = {**endpoint(host=host, ca_pem=ca_pem), "username": DB_ADMIN, "password": password}
    secret = manifest(
        "Secret",
        name=names.connection_secret(ctx.name),
        namespace=ctx.project,
        labels=ctx.labels("connection"),
        type=TYPE,
        data=secret_data(values),
    )
    return _owned(secret, kind="ZillizCluster", name=ctx.name, uid=ctx.uid)


def endpoint(*, host: str, ca_pem: str) -> dict[str, str]:
    """Where the cluster is, and whom to trust there."""
    values = {
        "type": "milvus",
        "provider": PROVIDER,
        "host": host,
        "port": str(names.GATEWAY_PORT),
        "uri": f"https://{host}:{names.GATEWAY_PORT}",
    }
    return values | ({"ca.crt": ca_pem} if ca_pem else {})


def user_secret(
    policy: AccessPolicy,
    subject: Subject,
    *,
    name: str,
    password: str,
    where: Mapping[str, str],
    marks: Mapping[str, str],
) -> Manifest:
    """A cluster user's Secret. `where`: the endpoint, when the policy means exactly one cluster; `marks`: its annotations."""
    values = {"username": subject.name, "password": password, "token": user_token(subject.name, password)}
    return _subject_secret(policy, name, subject, {**where, **values}, marks)


def user_token(name: str, password: str) -> str:
    """What a client sends as a user, and takes as its `token`."""
    return f"{name}:{password}"


def api_key_secret(
    policy: AccessPolicy, subject: Subject, *, name: str, token: str, where: Mapping[str, str], marks: Mapping[str, str]
) -> Manifest:
    """An API key's Secret: the only place where the key itself is."""
    return _subject_secret(policy, name, subject, {**where, "token": token, "keyName": subject.name}, marks)


def _subject_secret(
    policy: AccessPolicy, name: str, subject: Subject, values: Mapping[str, str], marks: Mapping[str, str]
) -> Manifest:
    labels = {
        "app.kubernetes.io/managed-by": names.FIELD_MANAGER,
        "app.kubernetes.io/part-of": "zilliz-byoc",
        "app.kubernetes.io/component": "access",
        names.POLICY_UID_LABEL: policy.metadata.uid,
        names.SUBJECT_LABEL: str(subject.kind),
    }
    data = secret_data({"type": "milvus", "provider": PROVIDER, **values})
    where = policy.metadata.namespace
    secret = manifest("Secret", name=name, namespace=where, labels=labels, annotations=marks, type=TYPE, data=data)
    return _owned(secret, kind="AccessPolicy", name=policy.metadata.name, uid=policy.metadata.uid)


def _owned(secret: Manifest, *, kind: str, name: str, uid: str) -> Manifest:
    owner = {"apiVersion": names.API_VERSION, "kind": kind, "name": name, "uid": uid}
    return {**secret, "metadata": {**secret["metadata"], "ownerReferences": [owner]}}
