"""Resolve the name of a network that a parameter asks for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.errors import ParameterError
from engine.options import AUTO


def resolve(
    field: str,
    asked: str,
    names: Sequence[str],
    has: Callable[[str], bool],
    *,
    others: Sequence[str] = (),
) -> str | None:
    """Return the name that is asked for, or for "auto" the first that is installed.

    Args:
        field: Name of the parameter, for the error.
        asked: Its value.
        names: Names of the networks that it allows, the preferred one first.
        has: Tells whether a network is installed.
        others: Further values that it allows.

    Returns:
        None for "auto" if no network is installed. A name need not be installed.

    Raises:
        ParameterError: The value is not allowed.
    """
    if asked == AUTO:
        return next((name for name in names if has(name)), None)
    if asked not in (*others, *names):
        allowed = ", ".join((AUTO, *others, *names))
        raise ParameterError(f"{field} is {asked!r}; allowed: {allowed}.")
    return asked
