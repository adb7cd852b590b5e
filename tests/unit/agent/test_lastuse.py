"""The last use of each credential: only of lines that say so, and never of what a client wrote into one."""

import json
from pathlib import Path

from zilliz_operator.agent.lastuse import MOST, LastUse, read_used, write_used


def line(*, auth: str = "api_key", key_id: str = "team/app/ingest", decision: str = "allowed", **more: str) -> bytes:
    fields = {
        "time": "2026-11-26T12:00:00.000Z",
        "kind": "request",
        "rpc": more.get("rpc", "/x"),
        "auth": auth,
        "subject": more.get("subject", key_id),
        "key_id": key_id,
        "milvus_user": "zt_viewer",
        "decision": decision,
        "agent": more.get("agent", "grpc"),
    }
    return json.dumps(fields, separators=(",", ":")).replace("/", "\\/").encode() + b"\n"  # as HAProxy does


def seen(*lines: bytes) -> dict[str, int]:
    found = LastUse(clock=lambda: 1_800_000_059.9)
    found.see(b"".join(lines))
    return found.snapshot()


def test_the_minute_of_each_credential_that_was_let_in() -> None:
    lines = [line(), line(auth="password", key_id="team/app/app", subject="app"), line(key_id="team/b/x")]
    minute = 1_800_000_000
    assert seen(*lines) == {
        "api_key:team/app/ingest": minute,
        "password:team/app/app": minute,
        "api_key:team/b/x": minute,
    }


def test_a_refusal_is_no_use() -> None:
    assert seen(line(decision="denied"), line(key_id="-"), line(auth="oidc"), line(auth="none")) == {}


def test_what_a_client_writes_forges_no_use() -> None:
    forged = line(key_id="team/b/forged").decode().strip()
    forged = forged.replace("\\/", "/")
    part = forged[forged.index('"auth"') :]
    for hostile in (forged, part, part.replace('"', '\\"'), "\\" + part):
        assert seen(line(agent=hostile, decision="denied"), line(rpc=hostile, decision="denied")) == {}
        assert seen(line(subject=hostile, decision="denied")) == {}


def test_memory_is_bounded_and_what_was_used_longest_ago_goes() -> None:
    now = [1_800_000_000.0]
    used = LastUse(clock=lambda: now[0])
    for number in range(MOST):
        used.see(line(key_id=f"team/app/k{number}"))
    now[0] += 60
    used.see(line(key_id="team/app/k0"))
    used.see(line(key_id="team/app/new"))
    found = used.snapshot()
    assert len(found) == MOST
    assert "api_key:team/app/k1" not in found
    assert found["api_key:team/app/k0"] == found["api_key:team/app/new"] == 1_800_000_060


def test_it_travels_by_file(tmp_path: Path) -> None:
    path = tmp_path / "used"
    assert read_used(path) == {}
    write_used(path, {"api_key:a": 60})
    assert read_used(path) == {"api_key:a": 60}
    path.write_text("[1]")
    assert read_used(path) == {}
