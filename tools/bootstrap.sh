#!/bin/sh
# Makes .venv: a Python environment with exactly the locked dependencies, kept in the cache under the hash of the lock.
# Everything else (Debian packages, Go, binaries, images) is brought by `python -m tools.devcluster`, which this makes possible.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cache=${ZILLIZ_BYOC_CACHE:-$HOME/.cache/zilliz-byoc}
python=${PYTHON:-python3}

fail() { printf 'bootstrap: %s\n' "$*" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 || fail "python3 (3.11 or newer) is needed: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed, this is $("$python" -V 2>&1)"

key=$(cat "$root/requirements-dev.lock" | "$python" -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read() + sys.version.encode()).hexdigest()[:16])')
venv=$cache/venv/$key
if [ ! -e "$venv/.complete" ]; then
    rm -rf "$venv"
    mkdir -p "$cache/venv"
    if ! "$python" -m venv "$venv" 2>/dev/null; then
        rm -rf "$venv"
        [ "$(id -u)" = 0 ] || fail "the venv module is missing: apt-get install python3-venv"
        printf 'bootstrap: installing python3-venv\n' >&2
        apt-get update -qq && apt-get install -qq -y --no-install-recommends python3-venv >/dev/null
        "$python" -m venv "$venv"
    fi
    printf 'bootstrap: installing the locked Python packages (about a minute)\n' >&2
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps --require-hashes -r "$root/requirements-dev.lock"
    touch "$venv/.complete"
fi
ln -sfn "$venv" "$root/.venv"
