"""Every pod's network namespace is found in CNI's records, whichever way they name it."""

import pytest

from tools.devcluster.containers import sandboxes


@pytest.mark.parametrize(
    ("record", "names"),
    [
        ({"netns": "/run/netns/cni-1"}, ["cni-1"]),
        (
            {"result": {"interfaces": [{"name": "cni0"}, {"name": "eth0", "sandbox": "/var/run/netns/cni-2"}]}},
            ["cni-2"],
        ),
        ({"netns": "/run/netns/cni-3", "result": {"interfaces": [{"sandbox": "/run/netns/cni-3"}]}}, ["cni-3"]),
        ({"result": {}}, []),
    ],
)
def test_a_record_names_its_namespace(record: dict[str, object], names: list[str]) -> None:
    assert sandboxes(record) == names
