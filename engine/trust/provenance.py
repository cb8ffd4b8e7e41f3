"""Provenance: the statement in every output that it is synthetic."""

from __future__ import annotations

from engine.version import VERSION

NAME = "faceswap-engine"


def provenance_tags(swapper: str, *, content_checked: bool) -> dict[str, str]:
    """Return the metadata tags of an output: a sentence in "comment".

    The sentence says that the faces are synthetic, and names the engine, its version, the swapper
    and the result of the content check.
    """
    check = "passed" if content_checked else "turned off"
    return {
        "comment": (
            f"Synthetic media: faces were swapped by {NAME} {VERSION} ({swapper}); "
            f"content check {check}."
        )
    }
