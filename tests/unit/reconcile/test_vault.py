"""Technical users' passwords: from one seed, each its own, and nobody's when the seed is another."""

import re

from zilliz_operator.adapters.randomness import SystemSecrets
from zilliz_operator.desired.credentials import TECHNICAL_SEED
from zilliz_operator.reconcile.vault import Vault, fill


def filled(stored: dict[str, str] | None = None) -> Vault:
    return fill(None, fallbacks=stored or {}, marks={}, randomness=SystemSecrets())


def test_a_technical_users_password_follows_from_the_seed() -> None:
    vault = filled()
    first, second = vault.password("zt_viewer"), vault.password("zt_0123456789ab")
    assert first != second
    again = filled({TECHNICAL_SEED: vault.values[TECHNICAL_SEED]})
    assert (again.password("zt_viewer"), again.password("zt_0123456789ab")) == (first, second)
    assert filled().password("zt_viewer") != first
    assert not {"zt_viewer", first} & {*vault.values, *vault.values.values()}


def test_it_fits_a_map_file_and_every_rule_for_passwords() -> None:
    password = filled().password("zt_viewer")
    assert re.fullmatch(r"[A-Za-z0-9_-]{40,72}", password)
    assert all(re.search(group, password) for group in ("[A-Z]", "[a-z]", "[0-9]", "[_-]"))
