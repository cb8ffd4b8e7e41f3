"""The metadata that says of every output what it is."""

from __future__ import annotations

from engine.version import VERSION

NAME = "faceswap-engine"


def synthetic_marks(swapper: str, *, content_checked: bool) -> dict[str, str]:
    """Metadata for an output file: a sentence in the one field that every container has.

    It says that the picture is synthetic, what made it, and whether the content check ran.
    """
    check = "passed" if content_checked else "turned off"
    return {
        "comment": (
            f"Synthetic media: faces were swapped by {NAME} {VERSION} ({swapper}); "
            f"content check {check}."
        )
    }
