"""Writes everything that is derived from the API: definitions, the chart's copy of them, the reference and security
pages.

`python -m zilliz_operator.api.generate` writes; `--check` writes nothing and exits 1 where a file differs.
"""

import argparse
import difflib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from zilliz_operator.api import pages, rolepage
from zilliz_operator.api.crd import crds
from zilliz_operator.api.names import GROUP
from zilliz_operator.api.registry import RESOURCES

REPOSITORY: Final = Path(__file__).resolve().parents[3]
_NOTICE: Final = "# Generated from operator/zilliz_operator/api: edit there, then `make generate`.\n"


def outputs(root: Path = REPOSITORY) -> dict[str, str]:
    """Every derived file by its path below the repository, with its text."""
    definitions = crds()
    examples = pages.examples(root)
    written = {
        f"crds/{GROUP}_{definition['spec']['names']['plural']}.yaml": _NOTICE + _yaml(definition)
        for definition in definitions
    }
    written["charts/zilliz-operator/templates/crds.yaml"] = _template(definitions)
    written |= {
        f"docs/reference/{kind.lower()}.md": pages.kind_page(resource, examples.get(kind, ()))
        for kind, resource in RESOURCES.items()
    }
    written["docs/reference/README.md"] = pages.index_page()
    written["docs/reference/conditions.md"] = pages.conditions_page()
    written["docs/reference/ports.md"] = pages.ports_page()
    written["docs/reference/roles.md"] = rolepage.roles_page()
    written["docs/security.md"] = pages.security_page()
    return written


def stale(root: Path = REPOSITORY) -> list[str]:
    """A readable difference for every file that is not what its source says; also for files nobody writes any more."""
    wanted = outputs(root)
    found = []
    for path, text in wanted.items():
        current = (root / path).read_text() if (root / path).exists() else ""
        if current != text:
            lines = difflib.unified_diff(
                current.splitlines(), text.splitlines(), path, f"{path} (from its source)", lineterm="", n=1
            )
            found.append("\n".join(lines))
    return found + [f"{path}: no source writes it any more" for path in _orphans(root, wanted)]


def write(root: Path = REPOSITORY) -> list[str]:
    """Write what differs, remove what nobody writes any more; the paths touched."""
    wanted = outputs(root)
    touched = []
    for path, text in wanted.items():
        target = root / path
        if not target.exists() or target.read_text() != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            touched.append(path)
    for path in _orphans(root, wanted):
        (root / path).unlink()
        touched.append(path)
    return touched


def _orphans(root: Path, wanted: dict[str, str]) -> list[str]:
    there = [*(root / "crds").glob("*.yaml"), *(root / "docs" / "reference").glob("*.md")]
    return sorted(found for path in there if (found := str(path.relative_to(root))) not in wanted)


def _yaml(value: Any) -> str:
    return yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True, width=118)


def _template(definitions: Sequence[dict[str, Any]]) -> str:
    """The definitions as a Helm template. They outlive the release: deleting them would delete everybody's clusters."""
    keep = {"helm.sh/resource-policy": "keep"}
    kept = [each | {"metadata": each["metadata"] | {"annotations": keep}} for each in definitions]
    text = "".join("---\n" + _yaml(each) for each in kept)
    assert "{{" not in text, "a description would be taken for a Helm template"
    return _NOTICE + "{{- if .Values.crds.enabled }}\n" + text + "{{- end }}\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where a file differs from its source"
    )
    if parser.parse_args(arguments).check:
        differences = stale()
        sys.stdout.writelines(f"{each}\n" for each in differences)
        if differences:
            sys.stdout.write(f"{len(differences)} generated files differ from their source: make generate\n")
        return 1 if differences else 0
    sys.stdout.writelines(f"wrote {path}\n" for path in write())
    return 0


if __name__ == "__main__":
    sys.exit(main())
