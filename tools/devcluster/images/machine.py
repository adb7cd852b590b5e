"""How this machine reaches its package sources, for use during a build only.

A build needs the machine's own Debian mirror, proxy, certificate authorities and Python index. An image must hold
none of them: it would work nowhere else, and would tell strangers about our network. So everything lives in one
directory that is mounted while a `RUN` is running, over directories every Debian has (nothing stays behind), and the
finished archive is searched for the names in `private_names`.
"""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tools.devcluster.images.errors import BuildFailed

SUITE = "bookworm"
DEBIAN = "http://deb.debian.org/debian"
SECURITY = "http://deb.debian.org/debian-security"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
PUBLIC_HOSTS = frozenset(
    {"deb.debian.org", "security.debian.org", "pypi.org", "files.pythonhosted.org", "localhost", "127.0.0.1"}
)
CA_BUNDLES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")
PROXY_VARIABLES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
APT_SETTING = re.compile(r"^Acquire::(http|https|Retries|ForceIPv4|Check-Valid-Until|Check-Date)\b.*;$")
PIP_SETTING = re.compile(r"^(?:global|install|download|:env:)\.(?P<key>[a-z-]+)='(?P<value>.*)'$")
PIP_KEYS = frozenset({"index-url", "extra-index-url", "find-links", "no-index", "trusted-host", "timeout", "retries"})
PIP_ALIASES = {"default-timeout": "timeout"}
MOUNT = "/mnt"  # exists, empty, in every Debian


@dataclass(frozen=True, kw_only=True)
class Mirrors:
    """Where Debian packages come from."""

    debian: str
    security: str

    def sources(self) -> str:
        """deb822 text as it stands in an official image's debian.sources."""
        common = f"Components: main\nSigned-By: {KEYRING}\n"
        return (
            f"Types: deb\nURIs: {self.debian}\nSuites: {SUITE} {SUITE}-updates\n{common}\n"
            f"Types: deb\nURIs: {self.security}\nSuites: {SUITE}-security\n{common}"
        )


PUBLIC_MIRRORS = Mirrors(debian=DEBIAN, security=SECURITY)


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The machine's package settings, ready to be mounted into a build."""

    directory: Path
    mirrors: Mirrors
    proxies: Mapping[str, str]
    private_names: tuple[str, ...]

    def build_options(self) -> list[str]:
        """Options of `buildah build` that lend the settings to `RUN` steps."""
        options = []
        for source, target in (("apt.conf.d", "/etc/apt/apt.conf.d"), ("sources.list.d", "/etc/apt/sources.list.d")):
            options += ["--volume", f"{self.directory / source}:{target}:ro"]
        options += ["--volume", f"{self.directory / 'mnt'}:{MOUNT}:ro"]
        for name, value in self.proxies.items():
            options += ["--build-arg", f"{name}={value}"]
        return options


def read_mirrors(texts: Iterable[str]) -> Mirrors:
    """The mirrors named in apt source files of either format; Debian's own where the machine names none."""
    debian, security = DEBIAN, SECURITY
    for text in texts:
        for uri, suites in _deb822(text) + _one_line(text):
            if f"{SUITE}-security" in suites:
                security = uri
            elif SUITE in suites:
                debian = uri
    return Mirrors(debian=debian.rstrip("/"), security=security.rstrip("/"))


def _deb822(text: str) -> list[tuple[str, list[str]]]:
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields = {}
        for line in stanza.splitlines():
            name, colon, value = line.partition(":")
            if colon and not line.startswith(("#", " ", "\t")):
                fields[name.strip().lower()] = value.split()
        main = "main" in fields.get("components", [])
        if main and "deb" in fields.get("types", []) and fields.get("enabled", ["yes"]) != ["no"]:
            found += [(uri, fields.get("suites", [])) for uri in fields.get("uris", [])[:1]]
    return found


def _one_line(text: str) -> list[tuple[str, list[str]]]:
    pattern = re.compile(r"^deb\s+(?:\[[^\]]*\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s+(?P<components>.+)$", re.MULTILINE)
    return [(m["uri"], [m["suite"]]) for m in pattern.finditer(text) if "main" in m["components"].split()]


def pip_configuration(listing: str, *, certificate: bool, wheels: bool) -> str:
    """A pip.conf for the build from `pip config list`: the same indexes, reached from inside."""
    config = configparser.ConfigParser(interpolation=None)
    config["global"] = {"disable-pip-version-check": "true", "no-cache-dir": "true"}
    for line in listing.splitlines():
        match = PIP_SETTING.match(line)
        key = PIP_ALIASES.get(match["key"], match["key"]) if match else ""
        if match and key in PIP_KEYS and key != "find-links":
            config["global"][key] = match["value"].replace("\\n", "\n")
    links = [link for link in _find_links(listing) if "://" in link]
    links += [f"{MOUNT}/wheels"] if wheels else []
    if links:
        config["global"]["find-links"] = "\n".join(links)
    if certificate:
        config["global"]["cert"] = f"{MOUNT}/ca.pem"
    lines = [f"{key} = " + value.replace("\n", "\n    ") for key, value in config["global"].items()]
    return "[global]\n" + "\n".join(lines) + "\n"


def _find_links(listing: str) -> list[str]:
    found: list[str] = []
    for line in listing.splitlines():
        match = PIP_SETTING.match(line)
        if match and match["key"] == "find-links":
            found += match["value"].replace("\\n", " ").split()
    return found


def private_names(*, mirrors: Mirrors, pip_conf: str, proxies: Mapping[str, str]) -> tuple[str, ...]:
    """Hosts and passwords of this machine's network that no image may hold: those long enough not to be chance."""
    names = set()
    urls = [mirrors.debian, mirrors.security, *re.findall(r"[a-z+]+://\S+", pip_conf), *_proxy_urls(proxies)]
    for url in urls:
        parts = urlsplit(url if "://" in url else f"//{url}")
        host = parts.hostname or ""
        if host not in PUBLIC_HOSTS and ("." in host or parts.port):
            names.add(host if "." in host else f"{host}:{parts.port}")
        if parts.password and len(parts.password) >= 8:
            names.add(parts.password)
    return tuple(sorted(names))


def _proxy_urls(proxies: Mapping[str, str]) -> list[str]:
    return [value for name, value in proxies.items() if not name.lower().startswith("no_")]


def prepare(directory: Path) -> Machine:
    """Write the machine's settings below `directory` (readable by its owner only) and describe them."""
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    inside = directory / "mnt"
    for name in ("apt.conf.d", "sources.list.d", "mnt", "mnt/wheels"):
        (directory / name).mkdir(exist_ok=True)
    bundles = [Path(name) for name in (os.environ.get("SSL_CERT_FILE", ""), *CA_BUNDLES) if name]
    bundle = next((file for file in bundles if file.is_file()), None)
    if bundle:
        shutil.copyfile(bundle, inside / "ca.pem")
    listing = _output([sys.executable, "-m", "pip", "config", "list"])
    wheels = [w for link in _find_links(listing) if "://" not in link for w in Path(link).glob("*.whl")]
    for wheel in wheels:
        shutil.copyfile(wheel, inside / "wheels" / wheel.name)
    pip_conf = pip_configuration(listing, certificate=bundle is not None, wheels=bool(wheels))
    (inside / "pip.conf").write_text(pip_conf)
    (directory / "apt.conf.d" / "00machine").write_text(_apt_configuration(certificate=bundle is not None))
    mirrors = read_mirrors(_apt_sources())
    (directory / "sources.list.d" / "debian.sources").write_text(mirrors.sources())
    proxies = {name: os.environ[name] for name in PROXY_VARIABLES if os.environ.get(name)}
    names = private_names(mirrors=mirrors, pip_conf=pip_conf, proxies=proxies)
    return Machine(directory=directory, mirrors=mirrors, proxies=proxies, private_names=names)


def _apt_sources() -> list[str]:
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    return [file.read_text() for file in files if file.suffix in {".list", ".sources"} and file.is_file()]


def _apt_configuration(*, certificate: bool) -> str:
    lines = [line for line in _output(["apt-config", "dump"]).splitlines() if APT_SETTING.match(line)]
    lines += [f'Acquire::https::CaInfo "{MOUNT}/ca.pem";'] if certificate else []
    lines += ['Acquire::Languages "none";', 'APT::Install-Recommends "false";', 'Acquire::Retries "5";']
    return "\n".join(lines) + "\n"


def _output(command: list[str]) -> str:
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise BuildFailed(f"cannot read this machine's package settings: `{' '.join(command)}` failed") from error
