"""Show on a terminal what a script is at."""

from __future__ import annotations

import sys


def show(stage: str, done: int, total: int | None) -> None:
    """Show a stage: on a terminal always on the same line, elsewhere every fiftieth step."""
    ended = done > 0 and done == total
    words = f"  {stage}" + (f": {done} of {total}" if done else "")
    if sys.stdout.isatty():
        print(f"\r\033[K{words}", end="\n" if ended else "", flush=True)
    elif ended or done % 50 == 0:
        print(words, flush=True)
