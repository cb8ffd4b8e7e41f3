from __future__ import annotations

import pytest

from engine.errors import ParameterError
from engine.networks.resolve import resolve

NAMES = ("first", "second", "third")


@pytest.mark.parametrize(
    ("installed", "found"), [({"third", "second"}, "second"), (set(NAMES), "first"), (set(), None)]
)
def test_auto_is_the_first_that_is_installed(installed: set[str], found: str | None) -> None:
    assert resolve("field", "auto", NAMES, installed.__contains__) == found


def test_a_name_need_not_be_installed() -> None:
    assert resolve("field", "second", NAMES, lambda _: False) == "second"
    assert resolve("field", "none", NAMES, lambda _: False, others=("none",)) == "none"


def test_another_name_is_refused_with_those_that_are_allowed() -> None:
    with pytest.raises(
        ParameterError, match=r"^field is 'fourth'; allowed: auto, none, first, second, third\.$"
    ):
        resolve("field", "fourth", NAMES, lambda _: True, others=("none",))
