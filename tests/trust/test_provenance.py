from __future__ import annotations

import pytest

from engine.trust.provenance import provenance_tags
from engine.version import VERSION


@pytest.mark.parametrize(("is_checked", "words"), [(True, "passed"), (False, "turned off")])
def test_a_mark_says_what_made_the_picture_and_whether_it_was_checked(
    *, is_checked: bool, words: str
) -> None:
    (comment,) = provenance_tags("mesh", content_checked=is_checked).values()
    assert comment == (
        f"Synthetic media: faces were swapped by faceswap-engine {VERSION} (mesh); "
        f"content check {words}."
    )
