"""Which files of this machine a client may name: those in folders that the owner gave."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engine.errors import ParameterError
from engine.jobs.inputs import readable_file
from engine.server.responses import Refusal


@dataclass(frozen=True, slots=True)
class MediaRoots:
    """The folders, with all symbolic links in them resolved; none means no file at all."""

    folders: tuple[Path, ...] = ()

    @classmethod
    def of(cls, folders: Iterable[Path]) -> Self:
        """The folders as they lie on the disk.

        Raises:
            ParameterError: One of them is no folder.
        """
        given = tuple(folders)
        for folder in given:
            if not folder.is_dir():
                raise ParameterError(f"media_root is {folder}, which is no folder; name one.")
        return cls(tuple(folder.resolve() for folder in given))

    def admit(self, field: str, path: Path) -> Path:
        """The file that a path means, links resolved; a relative one is sought in each folder.

        Raises:
            Refusal: 403 for a path that leads out of the folders, 400 for what is no path.
            ParameterError: There is no file, or it may not be read.
        """
        if not self.folders:
            raise Refusal(
                403,
                f"{field} names a file of the server, and this server gives none away; send the "
                "file itself as a data: URI, or let the server's owner name a --media-root.",
            )
        try:
            candidates = [(folder / path).resolve() for folder in self.folders]
        except (OSError, RuntimeError, ValueError):
            raise Refusal(400, f"{field} is no path of a file; check it.") from None
        inside = [
            candidate
            for folder, candidate in zip(self.folders, candidates, strict=True)
            if candidate.is_relative_to(folder)
        ]
        if not inside:
            # Said alike whether it is there or not, so that nobody can feel their way around.
            raise Refusal(
                403, f"{field} names a file outside the folders that this server reads from."
            )
        # Unlike Path.is_file, this is False for a name that is too long for the disk.
        there = (candidate for candidate in inside if os.path.isfile(candidate))  # noqa: PTH113
        return readable_file(field, next(there, inside[0]), sent=str(path))

    def hide(self, text: str) -> str:
        """A text in which the folders' files are called by their places in them."""
        for folder in self.folders:
            if folder != folder.parent:
                text = text.replace(f"{folder}{os.sep}", "")
        return text
