"""How the agent is called, and that it needs nothing but Python's own library."""

import subprocess
import sys
from pathlib import Path

import pytest

from zilliz_operator.agent import main as module
from zilliz_operator.agent.settings import HAVE_IPV6, Settings, haproxy_environment

SOURCE = Path(__file__).parents[3] / "operator"


@pytest.mark.parametrize("argv", [["gateway"], ["agent", "gateway"]])
def test_both_ways_of_calling_start_the_supervisor(argv: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Settings] = []

    class Fake:
        def __init__(self, settings: Settings) -> None:
            seen.append(settings)

        def run(self) -> int:
            return 7

    monkeypatch.setattr(module, "Supervisor", Fake)
    assert module.main([*argv, "--mounts", "/m"]) == 7
    assert (seen[0].mounts, seen[0].port) == (Path("/m"), 8405)


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        module.main(["window"])
    assert caught.value.code == 2
    assert "gateway" in capsys.readouterr().err


def test_it_imports_nothing_but_the_standard_library() -> None:
    """The gateway's image has no other package."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import zilliz_operator.agent.main;"
        "print([m for m in sys.modules if m.split('.')[0] not in sys.stdlib_module_names | {'zilliz_operator', '__main__'}])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, str(SOURCE)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_haproxy_inherits_nothing_but_what_it_needs() -> None:
    given = {"PATH": "/bin", "SECRET": "x", "HOME": "/"}
    assert set(haproxy_environment(given)) - {HAVE_IPV6} == {"PATH"}


def test_agent_command_carries_every_setting_of_the_door() -> None:
    words = Settings(mounts=Path("/m"), run=Path("/r"), port=7, haproxy="/h").agent_command()
    assert words[3:] == ["door", "--mounts", "/m", "--run", "/r", "--port", "7", "--haproxy", "/h"]
