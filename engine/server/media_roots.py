"""Media roots: the folders of this machine whose files clients may name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from engine.errors import ParameterError
from engine.jobs.inputs import check_readable
from engine.server.responses import Refusal


@dataclass(frozen=True, slots=True)
class MediaRoots:
    """Folders with resolved symbolic links; without a folder, no file may be named."""

    folders: tuple[Path, ...] = ()

    @classmethod
    def from_folders(cls, folders: Iterable[Path]) -> Self:
        """Resolve the symbolic links in the folders.

        Raises:
            ParameterError: One of them is not a folder.
        """
        roots = tuple(folders)
        for folder in roots:
            if not folder.is_dir():
                raise ParameterError(f"media_root is {folder}, which is no folder; name one.")
        return cls(tuple(folder.resolve() for folder in roots))

    def resolve(self, field: str, path: Path) -> Path:
        """Return the file at a path, with links resolved; a relative path is tried in each root.

        Raises:
            Refusal: 403 for a path outside the roots, 400 for an impossible path.
            ParameterError: There is no such file, or it may not be read.
        """
        if not self.folders:
            raise Refusal(
                403,
                f"{field} names a file of the server, and this server has no media root; send the "
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
            # The same message whether the file exists or not, so that nobody can probe the disk.
            raise Refusal(
                403, f"{field} names a file outside the folders that this server reads from."
            )
        # Unlike Path.is_file, this is False for a name that is too long for the disk.
        there = (candidate for candidate in inside if os.path.isfile(candidate))  # noqa: PTH113
        return check_readable(field, next(there, inside[0]), sent=str(path))

    def hide_folders(self, text: str) -> str:
        """Return a text with the roots removed from its paths."""
        for folder in self.folders:
            if folder != folder.parent:
                text = text.replace(f"{folder}{os.sep}", "")
        return text
