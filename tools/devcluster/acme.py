"""The ACME test server forgets everything when it restarts, its root included. This makes that a non-event.

Clients may still hold certificates of earlier roots, so all roots seen lately are kept as one bundle; and an issuer
whose account the server has forgotten is made to register again.
"""

from __future__ import annotations

import http.client
import json
import ssl

from tools.devcluster import layout as at
from tools.devcluster.kube import Kube
from tools.devcluster.layout import Layout
from tools.devcluster.process import BOOT_ID, start_time

KEPT_ROOTS = 5
END = "-----END CERTIFICATE-----\n"
ISSUER = "/apis/cert-manager.io/v1/clusterissuers/letsencrypt"
ACCOUNT = "/api/v1/namespaces/cert-manager/secrets/acme-account"


def roots(layout: Layout) -> bytes:
    """The bundle of roots, the current one first; remembered for the next time."""
    file = layout.acme / "roots.pem"
    current = _fetch_root(layout)
    known = [part + END for part in (file.read_text() if file.exists() else "").split(END) if part.strip()]
    bundle = "".join([current, *(root for root in known if root != current)][:KEPT_ROOTS])
    file.write_text(bundle)
    return bundle.encode()


def heal(layout: Layout, admin: Kube) -> None:
    """Let the issuer register again if the server was started anew since it last did."""
    file = layout.acme / "registered-with"
    incarnation = _incarnation(layout)
    if file.exists() and file.read_text() == incarnation:
        return
    if admin.find(ISSUER):
        admin.delete(ISSUER)
        admin.delete(ACCOUNT)
    file.write_text(incarnation)


def _incarnation(layout: Layout) -> str:
    record = json.loads((layout.run / "pebble.json").read_text())
    return f"{BOOT_ID.read_text().strip()} {record['pid']} {start_time(record['pid'])}"


def _fetch_root(layout: Layout) -> str:
    context = ssl.create_default_context(cafile=str(layout.pki / "kube.crt"))
    connection = http.client.HTTPSConnection(str(layout.address), at.ACME_MANAGEMENT_PORT, timeout=10, context=context)
    try:
        connection.request("GET", "/roots/0")
        text = connection.getresponse().read().decode()
    finally:
        connection.close()
    return text if text.endswith("\n") else text + "\n"
