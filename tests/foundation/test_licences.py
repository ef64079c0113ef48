"""Licences: names as people write them, terms of several, and the decision on a row."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foundation.sources.licences import LICENCES, LicenceError, combine, licence_of, reason_to_keep_back

NAMES = sorted({licence.name for licence in LICENCES.values()})


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("CC BY-SA 3.0", "CC-BY-SA-3.0"),
        ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
        ("CC BY-NC-SA 3.0 IT", "CC-BY-NC-SA-3.0-IT"),
        ("cc0", "CC0-1.0"),
        ("https://creativecommons.org/licenses/by-sa/3.0/it/", "CC-BY-SA-3.0-IT"),
        ("http://creativecommons.org/licenses/by/4.0/deed.it", "CC-BY-4.0"),
        ("Apache 2.0", "Apache-2.0"),
        ("MIT License", "MIT"),
        ("GPL-2.0-or-later", "GPL-2.0"),
        ("LGPL-3+", "LGPL-3.0"),
        ("MPL-2.0", "MPL-2.0"),
        ("GFDL", "GFDL-1.3"),
        ("llama2", "Llama-2"),
        ("odc-by", "ODC-BY-1.0"),
        (None, "none stated"),
        ("", "none stated"),
        ("none stated", "none stated"),
    ],
)  # fmt: skip
def test_names_as_people_write_them(written: str | None, name: str) -> None:
    assert licence_of(written).name == name


@pytest.mark.parametrize("name", NAMES)
def test_every_licence_is_found_by_its_own_name(name: str) -> None:
    assert licence_of(name).name == name == licence_of(name.lower()).name


@given(st.text(max_size=20))
def test_what_is_not_known_is_never_given_on(text: str) -> None:
    licence = licence_of(text)
    assert licence.name in NAMES or " AND " in text or not licence.redistributable


@pytest.mark.parametrize(
    ("row", "asked", "allowed"),
    [
        (None, "other", False),
        ("none stated", "cc-by-4.0", False),
        ("Common Crawl terms of somebody", "other", False),
        ("CC-BY-ND-4.0", "other", False),
        ("CC-BY-NC-4.0", "other", True),
        ("CC-BY-NC-4.0", "cc-by-4.0", False),
        ("CC-BY-NC-4.0", "cc-by-nc-4.0", True),
        ("CC-BY-SA-3.0", "cc-by-sa-4.0", True),
        ("CC-BY-SA-4.0", "cc-by-sa-3.0", False),
        ("CC-BY-SA-3.0", "cc-by-4.0", False),
        ("CC-BY-SA-3.0", "cc-by-nc-sa-4.0", False),
        ("MIT", "cc-by-sa-4.0", True),
        ("CC-BY-4.0", "apache-2.0", True),
        ("GPL-3.0", "MPL-2.0", False),
        ("GPL-2.0", "GPL-3.0", True),
        ("CC-BY-SA-3.0 AND CC-BY-NC-4.0", "cc-by-sa-4.0", False),
        ("MIT AND none stated", "other", False),
    ],
)  # fmt: skip
def test_whether_a_row_may_be_given_on(row: str | None, asked: str, allowed: bool) -> None:
    assert (reason_to_keep_back(row, asked) is None) == allowed


def test_a_permission_speaks_for_its_licence_alone() -> None:
    assert reason_to_keep_back(None, permissions=["none stated"]) is None
    assert reason_to_keep_back("CC-BY-ND-4.0", permissions=["none stated"]) is not None


def test_an_unknown_release_licence_is_an_error() -> None:
    with pytest.raises(LicenceError, match=r"'cc-by-5\.0' is not known"):
        reason_to_keep_back("MIT", "cc-by-5.0")


@given(st.lists(st.sampled_from([*NAMES, None]), max_size=6))
def test_terms_are_as_strict_as_their_strictest_part(names: list[str | None]) -> None:
    terms = combine(names)
    parts = [licence_of(name) for name in names]
    assert terms.redistributable == all(part.redistributable for part in parts)
    assert terms.non_commercial == any(part.non_commercial for part in parts)
    assert set(terms.share_alike) == {part.name for part in parts if part.share_alike}
    assert combine(reversed(names)) == terms


def test_model_terms_bring_their_notice() -> None:
    terms = combine(["llama2", "CC-BY-SA-3.0"])
    assert "LLAMA 2 Community License" in terms.notices[0] and terms.share_alike == ("CC-BY-SA-3.0",)
    assert terms.card_name == "other" and combine(["MIT"]).card_name == "mit"
