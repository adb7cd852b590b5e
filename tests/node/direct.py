"""Milvus itself, past the door, as only the node can: with the gateway's client certificate and a user's own password.

For what nobody may do through the door: changing a password behind the operator's back, and asking whether root's old one still works.
Run as a process of its own on the node; passwords pass by its input.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.node.attempts import SECONDS, outcome
from tests.node.harness import Cluster, Product


def login(product: Product, cluster: Cluster, *, user: str, password: str) -> str:
    """What comes of logging in."""
    return _asked(product, cluster, {"do": "login", "user": user, "password": password})


def set_password(product: Product, cluster: Cluster, *, user: str, old: str, new: str) -> None:
    """Change a user's password as that user, and see that the new one works."""
    said = _asked(product, cluster, {"do": "change", "user": user, "password": old, "new": new})
    assert said == "done", said


def _asked(product: Product, cluster: Cluster, what: dict[str, str]) -> str:
    identity = product.secret("gateway-client", cluster.namespace)
    asked = {"address": cluster.pods("milvus")[0].address, "identity": identity, **what}
    said = product.run(sys.executable, "-m", "tests.node.direct", input=json.dumps(asked), seconds=SECONDS * 3)
    return said.splitlines()[-1]


def main() -> None:
    from pymilvus import MilvusClient

    asked: dict[str, Any] = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as directory:
        files = {name: Path(directory) / name for name in ("ca.crt", "tls.crt", "tls.key")}
        for name, file in files.items():
            file.write_text(asked["identity"][name])

        def client(password: str) -> Any:
            return MilvusClient(
                uri=f"https://{asked['address']}:19530", user=asked["user"], password=password, secure=True,
                ca_pem_path=str(files["ca.crt"]), client_pem_path=str(files["tls.crt"]),
                client_key_path=str(files["tls.key"]), server_name="milvus", timeout=SECONDS, dedicated=True,
            )  # fmt: skip

        def enter() -> None:
            entered = client(asked["password"])
            if asked["do"] == "change":
                entered.update_password(asked["user"], asked["password"], asked["new"])
                client(asked["new"]).close()
            entered.close()

        print(outcome(enter))


if __name__ == "__main__":
    main()
