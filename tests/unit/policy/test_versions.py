"""Versions: out of the catalogue, never back, and never changed by an edit of the catalogue."""

import pytest

from zilliz_operator.api.dataplane import CatalogVersion
from zilliz_operator.api.exceptions import InvalidSpec
from zilliz_operator.policy.versions import Effective, effective, order


def catalogue(*versions: str) -> list[CatalogVersion]:
    return [CatalogVersion(version=version, image=f"milvus:v{version}") for version in versions]


CATALOGUE = catalogue("2.6.22", "2.6.15", "2.3.5")


def test_a_new_cluster_gets_the_first_of_the_catalogue() -> None:
    found = effective(requested=None, running=None, catalogue=CATALOGUE)
    assert found == Effective(version="2.6.22", image="milvus:v2.6.22")


def test_a_cluster_keeps_its_version_until_its_spec_says_otherwise() -> None:
    running = Effective(version="2.6.15", image="milvus:v2.6.15")
    assert effective(requested=None, running=running, catalogue=CATALOGUE) == running
    newest = effective(requested="2.6.22", running=running, catalogue=CATALOGUE)
    assert newest.version == "2.6.22"


def test_taking_a_version_off_the_catalogue_stops_nobody() -> None:
    running = Effective(version="2.6.10", image="mirror/milvus:2.6.10")
    assert effective(requested=None, running=running, catalogue=CATALOGUE) == running
    assert effective(requested="2.6.10", running=running, catalogue=CATALOGUE) == running


def test_a_new_image_for_the_same_version_is_followed() -> None:
    running = Effective(version="2.6.15", image="old-mirror/milvus:v2.6.15")
    assert effective(requested=None, running=running, catalogue=CATALOGUE).image == "milvus:v2.6.15"


def test_going_back_is_refused_even_to_a_listed_version() -> None:
    with pytest.raises(InvalidSpec, match=r"spec\.version: 2\.6\.15 is older than 2\.6\.22.*restore a backup"):
        effective(requested="2.6.15", running=Effective(version="2.6.22", image="milvus:v2.6.22"), catalogue=CATALOGUE)


def test_the_floor_holds_unless_listed() -> None:
    assert effective(requested="2.3.5", running=None, catalogue=CATALOGUE).version == "2.3.5"
    with pytest.raises(InvalidSpec, match=r"older than 2\.6\.15.*list it"):
        effective(requested="2.3.4", running=None, catalogue=CATALOGUE)


@pytest.mark.parametrize("requested", ["2.7.0", "latest"])
def test_an_unknown_version_is_refused_with_the_choices(requested: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        effective(requested=requested, running=None, catalogue=CATALOGUE)
    assert refused.value.path == "spec.version"
    assert requested in refused.value.message


def test_an_empty_catalogue_says_what_to_do() -> None:
    with pytest.raises(InvalidSpec, match="add one"):
        effective(requested=None, running=None, catalogue=[])


def test_versions_are_ordered_by_number() -> None:
    texts = ["2.10.0", "2.6.22", "2.6.3", "2.6.22-rc1"]
    assert sorted(texts, key=order) == ["2.6.3", "2.6.22-rc1", "2.6.22", "2.10.0"]
