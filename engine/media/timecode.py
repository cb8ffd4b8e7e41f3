"""Advance SMPTE time codes (ST 12-1)."""

from __future__ import annotations

import re
from fractions import Fraction

_CODE = re.compile(r"(\d\d):([0-5]\d):([0-5]\d)([:;.])(\d\d+)")


def advance_time_code(code: str, seconds: Fraction, frame_rate: Fraction) -> str | None:
    """Return the time code `seconds` after `code`; None if `code` is invalid at this frame rate.

    A time code with `;` or `.` before the frames is drop-frame: at 30000/1001 frames per second it
    omits the first two numbers of each minute, except every tenth.
    """
    found = _CODE.fullmatch(code)
    whole = round(frame_rate)
    if found is None or not whole or int(found[5]) >= whole:
        return None
    # An average rate may differ from the rate by which frames are numbered.
    rate = min((Fraction(whole), Fraction(whole * 1000, 1001)), key=lambda r: abs(r - frame_rate))
    hours, minutes, second, frame = (int(found[n]) for n in (1, 2, 3, 5))
    dropped = whole // 30 * 2 if found[4] != ":" and whole % 30 == 0 else 0
    minutes += 60 * hours
    number = (60 * minutes + second) * whole + frame - dropped * (minutes - minutes // 10)
    number += round(seconds * rate)
    if dropped:
        number += _dropped_before(number, whole, dropped)
    second, frame = divmod(number, whole)
    minutes, second = divmod(second, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours % 24:02}:{minutes:02}:{second:02}{found[4]}{frame:02}"


def _dropped_before(number: int, whole: int, dropped: int) -> int:
    """Return how many numbers are omitted before the frame with the index `number`."""
    tens, rest = divmod(number, 600 * whole - 9 * dropped)
    # The first minute of ten has all of its numbers.
    minutes = max(0, rest - dropped) // (60 * whole - dropped)
    return dropped * (9 * tens + minutes)
