"""The pages tell the truth, as far as a page can be checked: objects are valid, commands and links exist, quoted words are in the code."""

import argparse
import ast
import importlib.util
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.devcluster import cli as devcluster
from zilliz_operator.api.conditions import ConditionType, Reason
from zilliz_operator.api.kinds import KINDS
from zilliz_operator.api.registry import RESOURCES
from zilliz_operator.api.validate import validate
from zilliz_operator.cli import main as cli

ROOT = Path(__file__).parents[3]
GENERATED = {ROOT / "docs" / "security.md"}
OWN = sorted({*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "kinds").glob("*.md")} - GENERATED)
PAGES = sorted({*OWN, *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("manifests/*/README.md")})
KIND_PAGES = sorted((ROOT / "docs" / "kinds").glob("*.md"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@dataclass(frozen=True)
class Block:
    """A fenced block, with the comment above it that says which file it is."""

    page: Path
    language: str
    text: str
    line: int
    file: str

    def __str__(self) -> str:
        return f"{name(self.page)}:{self.line}"


def blocks(*languages: str, pages: list[Path] = OWN) -> list[Block]:
    found = []
    for page in pages:
        text = page.read_text()
        for match in re.finditer(r"(?:<!-- (\S+) -->\n)?^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            if match[2] in languages:
                line = text[: match.start(3)].count("\n") + 1
                found.append(Block(page, match[2], match[3], line, match[1] or ""))
    return found


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def tables(page: Path) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Every table as (header, rows)."""
    for match in re.finditer(r"(?:^\|.*\|$\n?)+", prose(page), re.MULTILINE):
        rows = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", row.strip("|"))] for row in match[0].strip().splitlines()
        ]
        yield rows[0], rows[2:]


# ---- YAML ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_yaml_is_valid(block: Block) -> None:
    objects = [found for found in yaml.safe_load_all(block.text) if found]
    assert objects
    for found in objects:
        if (
            found.get("kind") == "AuthenticationConfiguration"
        ):  # tests/unit/cli/test_sso.py holds it to the command's output
            assert block.page.name == "sso-control-plane.md"
        elif "kind" in found:
            assert found["kind"] in RESOURCES, "an object of none of our kinds: extend this test"
            assert [str(finding) for finding in validate(found)] == []


@pytest.mark.parametrize("block", [block for block in blocks("yaml") if block.file], ids=str)
def test_an_example_equals_its_file(block: Block) -> None:
    assert block.text.strip() == (ROOT / block.file).read_text().strip()


@pytest.mark.parametrize("block", [b for b in blocks("yaml") if "values.yaml" in b.text], ids=str)
def test_values_are_values_of_the_chart(block: Block) -> None:
    given = yaml.safe_load(block.text)
    known = yaml.safe_load((ROOT / "charts/zilliz-operator/values.yaml").read_text())
    open_ended = {"dataPlane.spec", "serviceAccount.annotations"}
    assert [path for path in _paths(given, known, open_ended) if path] == []
    spec = given.get("dataPlane", {}).get("spec")
    if spec:
        plane = {"apiVersion": "byoc.zilliz.com/v1alpha1", "kind": "DataPlane", "metadata": {"name": "x"}, "spec": spec}
        assert [str(finding) for finding in validate(plane)] == []


def _paths(given: Any, known: Any, open_ended: set[str], prefix: str = "") -> Iterator[str]:
    """Paths in `given` that `known` has not."""
    if prefix in open_ended or not isinstance(given, dict):
        return
    for key, value in given.items():
        path = f"{prefix}.{key}".lstrip(".")
        if key not in known:
            yield path
        else:
            yield from _paths(value, known[key], open_ended, path)


def test_every_kind_has_its_page_with_an_example_and_the_same_headings() -> None:
    assert {page.stem for page in KIND_PAGES} == {kind.lower() for kind in RESOURCES}
    for page in KIND_PAGES:
        text = page.read_text()
        kind = next(each for each in RESOURCES if each.lower() == page.stem)
        assert text.startswith(f"# {kind}\n")
        assert any(f"kind: {kind}\n" in block.text and block.file for block in blocks("yaml", pages=[page]))
        for heading in ("## Example", "## Conditions", "## Common mistakes", "delete", f"../reference/{page.stem}.md"):
            assert heading in text.replace("Delete", "delete"), heading


# ---- commands -----------------------------------------------------------------------------------------------------------


def commands(text: str) -> Iterator[list[str]]:
    """Every simple command of shell text, without comments, assignments and pipes."""
    for line in text.splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&")
        lexer.whitespace_split = True
        lexer.commenters = "#"
        words = [re.sub(r"^(\w+)=\$\((.*)$", r"\2", word) for word in lexer]
        part: list[str] = []
        for word in [*words, ";"]:
            if set(word) <= set("|;&"):
                while part and re.fullmatch(r"\w+=\S*", part[0]):
                    part.pop(0)
                if part:
                    yield part
                part = []
            else:
                part.append(word)


def shown() -> list[tuple[str, list[str]]]:
    """(where, command): every command of a block, and every inline code that begins like one."""
    found = [(str(block), words) for block in blocks("sh") for words in commands(block.text)]
    for page in OWN:
        for code in re.findall(r"(?<!`)`([^`\n]+)`(?!`)", prose(page)):
            if re.match(r"(make|kubectl|k|helm|zilliz-operator|\.venv/bin/python|pip) \S", code):
                found += [(name(page), words) for words in commands(code)]
    return found


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))


KNOWN_PROGRAMS = {
    "grep",
    "make",
    "kubectl",
    "k",
    "helm",
    "zilliz-operator",
    ".venv/bin/python",
    "pip",
    "alias",
    "base64",
    "curl",
}


@pytest.mark.parametrize(
    ("where", "words"), shown(), ids=lambda value: " ".join(value)[:60] if isinstance(value, list) else value
)
def test_a_command_exists(where: str, words: list[str]) -> None:
    assert words[0] in KNOWN_PROGRAMS, f"{where}: {words[0]}"
    CHECKS.get(words[0], lambda _: None)(words[1:])


def _make(words: list[str]) -> None:
    for word in words:
        if match := re.fullmatch(r"L=(\w+)", word):
            assert match[1] in layers(), word
        elif "=" not in word and word != "…":
            assert word in targets(), word


def layers() -> set[str]:
    from tools.run_tests import LAYERS

    return set(LAYERS)


def _python(words: list[str]) -> None:
    assert words[0] == "-m", words
    assert importlib.util.find_spec(words[1]) is not None, words[1]
    match words[1]:
        case "tools.devcluster":
            given = devcluster.parse(words[2:])
            inner = getattr(given, "command", [])
            if words[2] == "kubectl":
                _kubectl(inner)
            elif words[2] == "helm":
                _helm(inner)
        case "zilliz_operator.cli":
            cli._parser().parse_args(words[2:])
        case "tools.devcluster.issuer":
            assert words[2] in {"serve", "token", "forget"}
        case "tools.devcluster.images":
            assert words[2] in {"list", "build"}
        case other:
            raise AssertionError(f"{other}: extend this test")


KUBECTL_VERBS = {
    *("get", "describe", "apply", "create", "delete", "patch", "wait", "annotate", "label", "logs", "exec"),
    *("explain", "rollout", "config", "auth"),
}
OTHER_RESOURCES = {
    *("zilliz", "namespace", "namespaces", "pods", "networkpolicies", "certificates", "challenges", "services"),
    *("secret", "issues", "crd"),
}


def resources() -> set[str]:
    ours = {word for kind, info in KINDS.items() if kind in RESOURCES for word in (info.plural, kind.lower())}
    short = {
        short
        for resource in RESOURCES.values()
        for short in re.findall(r"short name `(\w+)`", reference(resource.KIND))
    }
    return ours | short | OTHER_RESOURCES


def reference(kind: str) -> str:
    return (ROOT / "docs" / "reference" / f"{kind.lower()}.md").read_text()


def _without_flags(words: list[str]) -> list[str]:
    """Words that are no flag and no flag's value."""
    valued = {"-n", "--namespace", "-l", "-o", "--type", "-p", "-f", "--for", "--timeout", "--tail"}
    found, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in valued:
            skip = True
        elif not word.startswith("-"):
            found.append(word)
    return found


def _kubectl(words: list[str]) -> None:
    for flag, value in pairwise(words):
        if flag == "-f":
            assert (ROOT / value).exists(), value
    inner: list[str] = []
    if "--" in words:
        words, inner = words[: words.index("--")], words[words.index("--") + 1 :]
    plain = _without_flags(words)
    if not plain:
        return
    if plain[0] == "zilliz":
        _operator(plain[1:])
        return
    assert plain[0] in KUBECTL_VERBS, plain[0]
    if plain[0] in {"get", "describe", "delete", "patch", "wait", "annotate", "label"}:
        for kind in plain[1].partition("/")[0].split(","):
            assert kind in resources(), kind
    if inner:
        _operator(inner[1:]) if inner[0] == "zilliz-operator" else None


def _helm(words: list[str]) -> None:
    assert words[0] in {"install", "upgrade", "uninstall", "list"}, words[0]
    for word in words:
        if word.startswith("charts/"):
            assert (ROOT / word / "Chart.yaml").is_file(), word


def _operator(words: list[str]) -> None:
    if words and words[0] != "agent":
        cli._parser().parse_args(words)


CHECKS = {
    "make": _make,
    ".venv/bin/python": _python,
    "kubectl": _kubectl,
    "k": _kubectl,
    "helm": _helm,
    "zilliz-operator": _operator,
}


def test_a_wrong_command_would_be_found() -> None:
    for wrong in ("make everything", "kubectl frobnicate x", "kubectl get zx", "kubectl apply -f manifests/none.yaml"):
        with pytest.raises(AssertionError):
            test_a_command_exists("here", wrong.split())
    with pytest.raises((SystemExit, argparse.ArgumentError)):
        test_a_command_exists("here", ["zilliz-operator", "frobnicate"])


def test_every_door_of_make_is_documented_by_help_and_the_pages_name_the_main_ones() -> None:
    used = {words[1] for _, words in shown() if words[0] == "make"}
    assert {"demo", "test", "down", "up", "unit", "lint", "generate", "help"} <= used


# ---- links --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_resolve(page: Path) -> None:
    broken = [link for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)) if not _resolves(page, link)]
    assert broken == []


def _resolves(page: Path, link: str) -> bool:
    if re.match(r"https?://|mailto:", link):
        return True
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


@cache
def anchors(page: Path) -> frozenset[str]:
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


@pytest.mark.parametrize("page", OWN, ids=name)
def test_files_named_in_code_exist(page: Path) -> None:
    named = re.findall(r"`((?:operator|charts|manifests|tools|tests|docs|images|crds)/[\w./-]+)`", page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


# ---- words --------------------------------------------------------------------------------------------------------------


@cache
def sayings() -> tuple[list[str], list[re.Pattern[str]]]:
    """Everything the product can say: plain strings of the code and the chart, and the shapes of those with values in them."""
    plain = [rule.message for resource in RESOURCES.values() for rule in resource.RULES]
    shapes = []
    for file in (ROOT / "operator" / "zilliz_operator").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                plain.append(node.value)
            elif isinstance(node, ast.JoinedStr):
                parts = [re.escape(p.value) if isinstance(p, ast.Constant) else ".+?" for p in node.values]
                if sum(len(part) for part in parts if part != ".+?") > 20:
                    shapes.append(re.compile("".join(parts), re.DOTALL))
    templates = (ROOT / "charts/zilliz-operator/templates").glob("*admission*.yaml")
    chart = "\n".join(template.read_text() for template in sorted(templates))
    plain.append(chart.replace("{{ .Release.Namespace }}", "zilliz-system").replace('\\"', '"'))
    return plain, shapes


ELSEWHERE = {"expected string", "spec.size.cuSize in body should be greater than or equal to 1"}
"""What the API server itself says."""


def told() -> list[tuple[str, str]]:
    found = []
    for page in OWN:
        for header, rows in tables(page):
            if "You are told" in header:
                column = header.index("You are told")
                found += [(name(page), match) for row in rows for match in re.findall(r"^`([^`]+)`", row[column])]
    return found


@pytest.mark.parametrize(("page", "words"), told())
def test_a_quoted_refusal_is_what_the_product_says(page: str, words: str) -> None:
    plain, shapes = sayings()
    assert words in ELSEWHERE or any(words in text for text in plain) or any(shape.fullmatch(words) for shape in shapes)


def test_an_invented_refusal_would_be_found() -> None:
    with pytest.raises(AssertionError):
        test_a_quoted_refusal_is_what_the_product_says("here", "this is not what anybody says")


def test_every_row_of_mistakes_quotes_a_refusal() -> None:
    rows = [row for page in OWN for header, found in tables(page) if "You are told" in header for row in found]
    assert len(rows) == len(told()) > 30


@pytest.mark.parametrize("page", OWN, ids=name)
def test_conditions_and_reasons_in_tables_exist(page: Path) -> None:
    conditions, reasons = {str(each) for each in ConditionType}, {str(each) for each in Reason}
    for header, rows in tables(page):
        for row in rows:
            words = re.findall(r"`([A-Z]\w+)`", row[0])
            if header[0] == "Condition":
                assert set(words) <= conditions, words
            if header[0].startswith("Reason"):
                assert set(words) <= reasons, words


def test_reasons_of_the_outage_table_exist() -> None:
    known = {str(each) for each in (*ConditionType, *Reason)}
    header, rows = next(t for t in tables(ROOT / "docs" / "operations.md") if t[0][0] == "Down")
    seen = {word for row in rows for word in re.findall(r"`([A-Z]\w+)(?:=\w+)?`", row[header.index("What you see")])}
    assert len(seen) > 8
    assert seen - known == {"DataPlane"} & seen


def test_metrics_in_the_pages_exist() -> None:
    code = "".join((ROOT / f"operator/zilliz_operator/{part}/metrics.py").read_text() for part in ("handlers", "agent"))
    named = set(re.findall(r"`(zilliz_\w+)", (ROOT / "docs" / "operations.md").read_text()))
    assert len(named) == 14
    assert [metric for metric in sorted(named) if f'"{metric}"' not in code] == []


def test_annotations_in_the_pages_are_known_to_the_code() -> None:
    code = "\n".join(
        file.read_text()
        for root in ("operator/zilliz_operator", "charts/zilliz-operator/templates")
        for file in (ROOT / root).rglob("*.*")
        if file.suffix in {".py", ".yaml", ".tpl"}
    )
    for page in OWN:
        for key in set(re.findall(r"(?<![\w.])byoc\.zilliz\.com/([a-z-]+[a-z])", page.read_text())) - {"v1alpha"}:
            assert f"byoc.zilliz.com/{key}" in code or f'PREFIX + "{key}"' in code, f"{name(page)}: {key}"


def test_the_counts_in_the_readme_are_those_of_the_security_page() -> None:
    from zilliz_operator.api.promises import PROMISES, Claim

    kept = sum(promise.claim is Claim.KEPT for promise in PROMISES)
    others = sum(promise.claim in {Claim.PARTLY, Claim.NOT_YET} for promise in PROMISES)
    assert f"counts {kept} sentences kept and {others} *not yet*" in (ROOT / "README.md").read_text()


def test_the_licence_is_the_whole_apache_licence() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
