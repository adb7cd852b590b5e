"""The image pipeline's promises: equal inputs are not built again, other inputs are, and no image tells of its builder."""

import ast
import base64
import gzip
import hashlib
import io
import json
import re
import tarfile
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from tools.devcluster.images import __main__ as command
from tools.devcluster.images import archive, base, build, catalogue, layers, machine
from tools.devcluster.images.catalogue import REPOSITORY, Image
from tools.devcluster.images.errors import BuildFailed
from tools.devcluster.images.store import Store

CONTAINERFILES = sorted([*REPOSITORY.glob("images/*/Containerfile"), *REPOSITORY.glob("tools/**/Containerfile")])


def tree(root: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def layer(files: Mapping[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


def make_archive(path: Path, *contents: bytes, name: str = "docker.io/x/y:1", config: str = '{"config": {}}') -> Path:
    blobs = layers.Blobs(path.parent / "blobs")
    described = [{"digest": blobs.put(content), "size": len(content)} for content in contents]
    manifest = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"digest": blobs.put(config.encode()), "size": len(config)},
        "layers": described,
    }
    archive.write(json.dumps(manifest).encode(), blobs, path, name=name)
    return path


class Builder:
    """Stands in for buildah: counts builds, and writes an archive with the staged files as its layer."""

    def __init__(self) -> None:
        self.built: list[str] = []
        self.hold = threading.Event()
        self.hold.set()
        self.entered = threading.Event()

    def __call__(self, image: Image, *, context: Path, path: Path, **_: object) -> None:
        self.entered.set()
        assert self.hold.wait(30)
        self.built.append(image.key)
        staged = {str(p.relative_to(context)): p.read_bytes() for p in sorted(context.rglob("*")) if p.is_file()}
        make_archive(path, layer(staged), name=image.name)


class World:
    """A checkout with one image in it, a cache, and a builder that counts."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = tree(root / "checkout", {"Containerfile": "FROM scratch", "code/a.py": "A = 1", "x.lock": "a==1"})
        self.cache = root / "cache"
        self.builder = Builder()
        self.said: list[str] = []
        self.arguments: dict[str, str] = {"VERSION": "1"}
        monkeypatch.setattr(build, "_build", self.builder)
        monkeypatch.setattr(catalogue, "images", lambda *, coredns: (self.image(),))

    def image(self) -> Image:
        return Image(
            key="thing",
            name="docker.io/x/thing:1",
            root=self.root,
            sources=("code", "x.lock"),
            arguments=self.arguments,
            estimate=77,
        )

    def ensure(self) -> build.ImageArchive:
        (only,) = build.ensure_all(self.said.append, only=["thing"], cache=self.cache)
        return only


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return World(tmp_path, monkeypatch)


# ---------------------------------------------------------------------------------------------- what is built, and when


def test_an_image_is_built_once(world: World) -> None:
    first, second = world.ensure(), world.ensure()
    assert first == second
    assert world.builder.built == ["thing"]
    assert world.said[0] == "image thing: building, about 77 s"
    assert world.said[-1] == "image thing: up to date"


@pytest.mark.parametrize(
    "edit", ["code/a.py", "code/new.py", "Containerfile", "x.lock"], ids=["code", "new file", "Containerfile", "lock"]
)
def test_any_edit_of_what_it_is_made_of_builds_it_again(world: World, edit: str) -> None:
    before = world.ensure()
    (world.root / edit).write_text("# edited")
    after = world.ensure()
    assert after.path != before.path
    assert after.digest != before.digest
    assert world.builder.built == ["thing", "thing"]


def test_a_file_that_became_executable_builds_it_again(world: World) -> None:
    world.ensure()
    (world.root / "code/a.py").chmod(0o755)
    world.ensure()
    assert len(world.builder.built) == 2


def test_another_build_argument_builds_it_again(world: World) -> None:
    world.ensure()
    world.arguments = {"VERSION": "2"}
    world.ensure()
    assert len(world.builder.built) == 2


def test_clock_umask_and_byte_code_do_not(world: World) -> None:
    world.ensure()
    (world.root / "code/a.py").touch()
    (world.root / "code/a.py").chmod(0o600)
    tree(world.root, {"code/__pycache__/a.cpython-311.pyc": "x", "unrelated.txt": "x"})
    world.ensure()
    assert world.builder.built == ["thing"]


def test_a_build_sees_the_staged_copy_and_nothing_else(world: World) -> None:
    tree(world.root, {"secret.env": "x", "code/__pycache__/a.pyc": "x"})
    assert set(archive.files(world.ensure().path)) == {"Containerfile", "code/a.py", "x.lock"}


def test_two_builds_at_once_make_one(world: World) -> None:
    world.builder.hold.clear()
    results: list[build.ImageArchive] = []
    threads = [threading.Thread(target=lambda: results.append(world.ensure())) for _ in range(2)]
    threads[0].start()
    assert world.builder.entered.wait(30)
    threads[1].start()
    waiting = "images: another build is running, waiting for it"
    deadline = threading.Event()
    for _ in range(300):
        if waiting in world.said:
            break
        deadline.wait(0.1)
    assert waiting in world.said
    world.builder.hold.set()
    for thread in threads:
        thread.join(30)
    assert world.builder.built == ["thing"]
    assert results[0] == results[1]


def test_old_archives_go_and_the_three_youngest_stay(world: World) -> None:
    paths = []
    for number in range(5):
        (world.root / "code/a.py").write_text(f"A = {number}")
        paths.append(world.ensure().path)
    assert [path.exists() for path in paths] == [False, False, True, True, True]


def test_estimates_follow_the_last_build_until_the_slow_layers_change(world: World) -> None:
    world.ensure()
    (world.root / "code/a.py").write_text("A = 2")
    world.ensure()
    assert "image thing: building, about 1 s" in world.said
    (world.root / "x.lock").write_text("a==2")
    world.ensure()
    assert world.said.count("image thing: building, about 77 s") == 2


def test_a_broken_record_of_timings_is_no_obstacle(world: World) -> None:
    world.cache.mkdir()
    (world.cache / "timings.json").write_text("{")
    world.ensure()
    assert world.said[0] == "image thing: building, about 77 s"


def test_a_missing_source_is_named(world: World) -> None:
    (world.root / "x.lock").unlink()
    with pytest.raises(BuildFailed, match=r"x\.lock is missing"):
        world.ensure()


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BuildFailed, match=r"no image is called opertor; there are .*operator"):
        build.ensure_all(only=["opertor"])


def test_coredns_without_its_binary_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(BuildFailed, match="give its binary"):
        build.ensure_all(only=["coredns"])
    with pytest.raises(BuildFailed, match="is not a file"):
        build.ensure_all(coredns=tmp_path / "absent")


def test_leaving_coredns_out_is_said(world: World) -> None:
    build.ensure_all(world.said.append, cache=world.cache)
    assert world.said[0] == "image coredns: left out, no CoreDNS binary was given"


def test_list_shows_what_is_built(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "cache_directory", lambda: world.cache)
    assert command.main(["list"]) == 0
    assert "not built, about 77 s" in capsys.readouterr().out
    assert command.main(["build", "thing"]) == 0
    capsys.readouterr()
    assert command.main(["list"]) == 0
    assert str(world.ensure().path) in capsys.readouterr().out


def test_a_failure_is_one_line_and_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["build", "nothing"]) == 1
    assert capsys.readouterr().err.startswith("error: no image is called nothing")


# ---------------------------------------------------------------------------------------------- archives and layers


def test_an_archive_is_read_back(tmp_path: Path) -> None:
    path = make_archive(
        tmp_path / "a.tar",
        layer({"etc/a": b"1", "etc/gone": b"2", "opt/x/y": b"3"}),
        layer({"etc/.wh.gone": b"", "./etc/b": b"4", ".wh.opt": b""}),
        name="docker.io/x/y:7",
        config='{"config": {"User": "10001"}}',
    )
    assert set(archive.files(path)) == {"etc/a", "etc/b"}
    assert archive.configuration(path)["config"] == {"User": "10001"}
    with tarfile.open(path) as tar:
        index = json.load(tar.extractfile("index.json"))  # type: ignore[arg-type]
        manifest = tar.extractfile(f"blobs/{archive.digest(path).replace(':', '/')}")
        assert manifest is not None
        assert archive.digest(path) == f"sha256:{hashlib.sha256(manifest.read()).hexdigest()}"
    assert index["manifests"][0]["annotations"]["io.containerd.image.name"] == "docker.io/x/y:7"
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"etc/os-release": b"Debian"}, []),
        ({"etc/pip.conf": b"[global]"}, ["file /etc/pip.conf"]),
        ({"usr/x": b"index at mirror.corp.example/simple"}, ["the name 'mirror.corp.example'"]),
    ],
)
def test_leaks_are_found(tmp_path: Path, files: dict[str, bytes], expected: list[str]) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(layer(files))
    assert archive.leaks(blob, private_names=["mirror.corp.example"]) == expected


def test_leaks_are_found_in_a_configuration_too(tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_text('{"config": {"Env": ["http_proxy=http://proxy.corp.example:3128"]}}')
    assert archive.leaks(blob, private_names=["proxy.corp.example"]) == ["the name 'proxy.corp.example'"]


def storage(root: Path, content: bytes, files: Mapping[str, bytes]) -> str:
    """buildah's store with one layer: each file's bytes are in its directory, all else in the recipe."""
    entries, rest = [], content
    for name, data in files.items():
        before, found, rest = rest.partition(data)
        assert found
        entries += [{"type": 2, "payload": base64.b64encode(before).decode()}]
        entries += [{"type": 1, "name": name, "size": len(data)}]
    entries += [{"type": 2, "payload": base64.b64encode(rest).decode()}, {"type": 1, "name": "empty", "payload": None}]
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    tree(root, {"overlay-layers/layers.json": json.dumps([{"id": "other"}, {"id": "L", "diff-digest": digest}])})
    with gzip.open(root / "overlay-layers/L.tar-split.gz", "wt") as recipe:
        recipe.write("\n".join(json.dumps(entry) for entry in entries))
    for name, data in files.items():
        tree(root, {f"overlay/L/diff/{name}": data.decode()})
    return digest


def test_a_layer_is_made_again_to_the_byte(tmp_path: Path) -> None:
    files = {"etc/a": b"alpha" * 1000, "etc/b": b"beta"}
    content = layer(files)
    digest = storage(tmp_path / "store", content, files)
    blobs = layers.Blobs(tmp_path / "blobs")
    assert not blobs.has(digest)
    assert blobs.take(layers.stream(tmp_path / "store", driver="overlay", digest=digest), digest=digest)
    assert blobs.has(digest)
    assert blobs.path(digest).read_bytes() == content


@pytest.mark.parametrize("damage", ["changed file", "no recipe", "no index", "unknown layer"])
def test_a_store_that_is_laid_out_otherwise_gives_no_blob(tmp_path: Path, damage: str) -> None:
    files = {"etc/a": b"alpha"}
    digest = storage(tmp_path, layer(files), files)
    if damage == "changed file":
        (tmp_path / "overlay/L/diff/etc/a").write_text("ALPHA")
    elif damage == "no recipe":
        (tmp_path / "overlay-layers/L.tar-split.gz").unlink()
    elif damage == "no index":
        (tmp_path / "overlay-layers/layers.json").unlink()
    else:
        digest = "sha256:" + "0" * 64
    blobs = layers.Blobs(tmp_path / "blobs")
    assert not blobs.take(layers.stream(tmp_path, driver="overlay", digest=digest), digest=digest)
    assert not list(blobs.directory.iterdir())


def described(content: bytes) -> str:
    """What `buildah inspect` says of an image with this one layer."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    config = '{"config": {"User": "1"}}'
    manifest = {
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"digest": f"sha256:{hashlib.sha256(config.encode()).hexdigest()}"},
        "layers": [{"digest": digest}],
    }
    return json.dumps({"Manifest": json.dumps(manifest), "Config": config})


@pytest.mark.parametrize("readable", [True, False], ids=["from the store", "by buildah push"])
def test_export_is_the_same_either_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, readable: bool) -> None:
    files = {"etc/a": b"alpha"}
    content = layer(files)
    image = json.loads(described(content))
    pushes = []

    def buildah(self: Store, verb: str, *arguments: str) -> str:
        if verb == "inspect":
            return json.dumps(image)
        assert verb == "push"
        target = Path(arguments[-1].removeprefix("dir:"))
        pushes.append(target)
        (target / "manifest.json").write_text(image["Manifest"])
        for blob in (content, image["Config"].encode()):
            (target / hashlib.sha256(blob).hexdigest()).write_bytes(blob)
        return ""

    monkeypatch.setattr(Store, "_buildah", buildah)
    monkeypatch.setattr("tools.devcluster.images.store._driver", lambda root: "overlay")
    if readable:
        storage(tmp_path / "buildah/store", content, files)
    store = Store(root=tmp_path / "buildah", log=tmp_path / "log")
    blobs = layers.Blobs(tmp_path / "blobs")
    fresh = store.export("docker.io/x/y:1", tmp_path / "a.tar", blobs=blobs)
    assert len(pushes) == (0 if readable else 1)
    assert {path.read_bytes() for path in fresh} == {content, image["Config"].encode()}
    assert set(archive.files(tmp_path / "a.tar")) == {"etc/a"}
    again = store.export("docker.io/x/y:1", tmp_path / "b.tar", blobs=blobs)
    assert content not in [path.read_bytes() for path in again]
    assert archive.digest(tmp_path / "a.tar") == archive.digest(tmp_path / "b.tar")


def test_a_failed_build_leaves_no_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(Store, "_buildah", lambda self, *words: calls.append(words))
    monkeypatch.setattr("tools.devcluster.images.store._driver", lambda root: "vfs")
    with pytest.raises(BuildFailed), Store(root=tmp_path / "buildah", log=tmp_path / "log"):
        raise BuildFailed("as it happens")
    assert calls == [("rm", "--all")]


def test_an_image_that_leaks_is_removed_with_its_blobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = machine.Machine(
        directory=tmp_path, mirrors=machine.PUBLIC_MIRRORS, proxies={}, private_names=("mirror.corp.example",)
    )
    content = layer({"etc/a": b"mirror.corp.example"})

    def export(self: Store, name: str, path: Path, *, blobs: layers.Blobs) -> list[Path]:
        make_archive(path, content)
        return [blobs.path(blobs.put(content))]

    monkeypatch.setattr(build, "require_tools", lambda: None)
    monkeypatch.setattr(machine, "prepare", lambda directory: settings)
    monkeypatch.setattr(build, "_ensure_base", lambda *_, **__: None)
    monkeypatch.setattr(Store, "build", lambda self, **_: None)
    monkeypatch.setattr(Store, "_buildah", lambda self, *_: "")
    monkeypatch.setattr(Store, "export", export)
    monkeypatch.setattr(catalogue, "images", lambda *, coredns: (Image(key="pause", name="x", root=tmp_path),))
    tree(tmp_path, {"Containerfile": "FROM scratch"})
    with pytest.raises(BuildFailed, match=r"image pause holds the name 'mirror\.corp\.example'"):
        build.ensure_all(lambda _: None, only=["pause"], cache=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("pause-*.tar"))
    assert not layers.Blobs(tmp_path / "cache/blobs").has(f"sha256:{hashlib.sha256(content).hexdigest()}")


# ---------------------------------------------------------------------------------------------- the machine's settings

DEB822 = """
# http://snapshot.example/debian
Types: deb
URIs: http://mirror.corp.example/debian/
Suites: bookworm bookworm-updates
Components: main

Types: deb
URIs: http://mirror.corp.example/debian-security
Suites: bookworm-security
Components: main contrib
"""


@pytest.mark.parametrize(
    ("texts", "debian", "security"),
    [
        ([DEB822], "http://mirror.corp.example/debian", "http://mirror.corp.example/debian-security"),
        (
            ["deb [signed-by=/k.gpg] http://m.example/debian bookworm main\ndeb http://m.example/sec bookworm-security main\n"],
            "http://m.example/debian",
            "http://m.example/sec",
        ),
        (["Types: deb\nURIs: http://deb.tool.example/x\nSuites: nodistro\nComponents: main"], machine.DEBIAN, machine.SECURITY),
        (["deb http://tools.example/apt cloud-bookworm main"], machine.DEBIAN, machine.SECURITY),
        (["Types: deb\nEnabled: no\nURIs: http://m.example\nSuites: bookworm\nComponents: main"], machine.DEBIAN, machine.SECURITY),
        ([], machine.DEBIAN, machine.SECURITY),
    ],
    ids=["deb822", "one-line", "another product", "another suite", "switched off", "none"],
)  # fmt: skip
def test_mirrors_are_the_machines_own(texts: list[str], debian: str, security: str) -> None:
    assert machine.read_mirrors(texts) == machine.Mirrors(debian=debian, security=security)


def test_pip_reaches_the_same_indexes_from_inside() -> None:
    listing = (
        "global.cert='/etc/ssl/certs/ca-certificates.crt'\n:env:.default-timeout='180'\n"
        ":env:.find-links='/opt/wheels https://w.example/links'\n"
        ":env:.index-url='https://user:hunter22@pypi.corp.example/simple'\nfreeze.timeout='1'\n"
    )
    text = machine.pip_configuration(listing, certificate=True, wheels=True)
    assert "index-url = https://user:hunter22@pypi.corp.example/simple\n" in text
    assert "find-links = https://w.example/links\n    /mnt/wheels\n" in text
    assert "cert = /mnt/ca.pem\n" in text
    assert "timeout = 180\n" in text
    assert "/opt/wheels" not in text
    assert "cert" not in machine.pip_configuration("", certificate=False, wheels=False)


def test_private_names_are_hosts_and_credentials_but_not_the_publics() -> None:
    names = machine.private_names(
        mirrors=machine.Mirrors(debian="http://apt.corp.example/debian", security=machine.SECURITY),
        pip_conf="[global]\nindex-url = https://user:hunter22@pypi.corp.example/simple\nextra-index-url = https://pypi.org/simple\n",
        proxies={
            "http_proxy": "proxy.corp.example:3128",
            "https_proxy": "http://proxy:8080",
            "HTTP_PROXY": "http://127.0.0.1:3128",
            "no_proxy": "localhost,10.0.0.0/8",
        },
    )
    assert names == ("apt.corp.example", "hunter22", "proxy.corp.example", "proxy:8080", "pypi.corp.example")


def test_machine_settings_are_lent_not_given(tmp_path: Path) -> None:
    settings = machine.Machine(
        directory=tmp_path, mirrors=machine.PUBLIC_MIRRORS, proxies={"https_proxy": "http://p:1"}, private_names=()
    )
    options = settings.build_options()
    volumes = [options[i + 1] for i, word in enumerate(options) if word == "--volume"]
    assert volumes
    assert all(volume.endswith(":ro") for volume in volumes)
    assert {volume.split(":")[1] for volume in volumes} <= {"/etc/apt/apt.conf.d", "/etc/apt/sources.list.d", "/mnt"}
    assert "https_proxy=http://p:1" in options
    assert "--env" not in options


def test_the_base_names_the_public_mirror_and_carries_no_trace_of_its_making(tmp_path: Path) -> None:
    made = tree(
        tmp_path,
        {
            "etc/apt/sources.list": "deb http://apt.corp.example/debian bookworm main",
            "etc/resolv.conf": "search corp.example",
            "etc/hostname": "buildhost",
            "etc/dpkg/dpkg.cfg.d/x": "",
            "var/cache/apt/archives/a.deb": "x",
            "var/lib/apt/lists/apt.corp.example_debian": "x",
            "var/log/dpkg.log": "x",
            "usr/share/man/man1/x": "x",
            "usr/bin/tool": "x",
        },
    )
    base.slim(made)
    texts = {str(p.relative_to(made)): p.read_text() for p in made.rglob("*") if p.is_file()}
    assert not [name for name, text in texts.items() if "corp.example" in name + text or "buildhost" in text]
    assert texts["etc/apt/sources.list.d/debian.sources"] == machine.PUBLIC_MIRRORS.sources()
    assert not {name for name in texts if name.startswith(("var/cache", "var/log", "usr/share/man"))}
    assert texts["usr/bin/tool"] == "x"


# ---------------------------------------------------------------------------------------------- what the images promise


def instructions(path: Path) -> list[tuple[str, str]]:
    text = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", path.read_text(), flags=re.MULTILINE))
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def final_stage(path: Path) -> list[tuple[str, str]]:
    found = instructions(path)
    return found[max(i for i, (word, _) in enumerate(found) if word == "FROM") :]


def test_the_names_are_those_that_manifests_use(tmp_path: Path) -> None:
    version = catalogue.version()
    assert {image.key: image.name for image in catalogue.images(coredns=tmp_path)} == {
        "operator": f"docker.io/zillizbyoc/operator:{version}",
        "gateway": f"docker.io/zillizbyoc/gateway:{version}",
        "milvus": "docker.io/milvusdb/milvus:v2.3.5",
        "coredns": "docker.io/coredns/coredns:1.14.7",
        "pause": "registry.k8s.io/pause:3.10",
        "toolbox": "docker.io/zillizbyoc/toolbox:dev",
    }


def test_there_are_containerfiles_to_judge() -> None:
    assert len(CONTAINERFILES) == 6


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.parent.name)
def test_every_base_is_the_one_pinned_name(path: Path) -> None:
    stages = {rest.split(" AS ")[1] for word, rest in instructions(path) if word == "FROM" and " AS " in rest}
    bases = {rest.split(" AS ")[0] for word, rest in instructions(path) if word == "FROM"} - stages
    assert bases <= {base.NAME, "scratch"}


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.parent.name)
def test_every_image_runs_without_root(path: Path) -> None:
    users = [rest for word, rest in final_stage(path) if word == "USER"]
    if path.parent.name == "coredns":  # port 53; the pod drops all but NET_BIND_SERVICE
        assert users == []
    else:
        assert users in (["10001:10001"], ["65535:65535"])


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.parent.name)
def test_entry_points_are_programs_not_shells(path: Path) -> None:
    starts = [rest for word, rest in final_stage(path) if word in {"ENTRYPOINT", "CMD"}]
    assert starts
    assert all(json.loads(start)[0] not in {"sh", "/bin/sh", "bash"} for start in starts)


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.parent.name)
def test_package_lists_and_logs_are_removed_in_the_layer_that_makes_them(path: Path) -> None:
    runs = [rest for word, rest in final_stage(path) if word == "RUN" and "apt-get" in rest]
    assert all("rm -rf" in run and "/var/lib/apt/lists/*" in run and "/var/log/*" in run for run in runs)


def test_dependencies_are_installed_by_hash_and_pip_leaves() -> None:
    (run,) = [rest for word, rest in final_stage(REPOSITORY / "images/operator/Containerfile") if "pip install" in rest]
    for flag in ("--no-deps", "--require-hashes", "--only-binary :all:", "pip uninstall", "purge"):
        assert flag in run
    pins = (REPOSITORY / "requirements.lock").read_text()
    names = re.findall(r"^[a-z0-9._-]+==\S+", pins, flags=re.MULTILINE)
    assert names
    assert pins.count("--hash=sha256:") >= len(names)


def test_the_code_is_the_operators_last_layer() -> None:
    assert final_stage(REPOSITORY / "images/operator/Containerfile")[-1][1].startswith("--from=code")


def test_the_gateway_stops_by_the_agents_signal() -> None:
    stage = final_stage(REPOSITORY / "images/gateway/Containerfile")
    assert ("STOPSIGNAL", "SIGTERM") in stage
    assert ("ENTRYPOINT", '["zilliz-operator", "agent", "gateway"]') in stage


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in found if name.startswith("zilliz_operator")}


def test_the_gateway_image_holds_every_module_the_agent_imports_and_needs_no_other_package() -> None:
    (gateway,) = [image for image in catalogue.images(coredns=None) if image.key == "gateway"]
    held = [REPOSITORY / source for source in gateway.sources if source.startswith("operator/")]
    files = [file for path in held for file in ([path] if path.is_file() else path.rglob("*.py"))]
    names = {
        ".".join(file.relative_to(REPOSITORY / "operator").with_suffix("").parts).removesuffix(".__init__")
        for file in files
    }
    modules = set()
    for file in files:
        for name in imported(file):
            source = REPOSITORY / "operator" / name.replace(".", "/")
            if source.is_dir() or source.with_suffix(".py").is_file():
                modules.add(name)
    assert modules
    assert modules <= names
    foreign = re.compile(
        r"^\s*(?:import|from) (?:pydantic|yaml|kopf|kubernetes|boto3|aiohttp|jinja2|cryptography)\b", re.M
    )
    assert not [file for file in files if foreign.search(file.read_text())]


def test_the_gateway_containerfile_copies_what_the_pipeline_stages() -> None:
    text = (REPOSITORY / "images/gateway/Containerfile").read_text()
    copied = set(re.findall(r"operator/zilliz_operator/(\S+)", text))
    assert copied == set(catalogue.GATEWAY_CODE)
