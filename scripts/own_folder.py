"""A folder for what a script writes, from which nothing but that is ever removed."""

from __future__ import annotations

import shutil
from pathlib import Path


def claim(folder: Path, owner: str, *made: str) -> None:
    """Make the folder for a run of `owner`, without what an earlier run of it left there.

    Args:
        folder: is new, empty, or of an earlier run.
        owner: names the script.
        made: patterns of the names that it writes.

    Raises:
        OSError: The folder holds files of somebody else, or cannot be made or emptied.
    """
    folder.mkdir(parents=True, exist_ok=True)
    mark = folder / f".made-by-{owner}"
    if not mark.is_file() and any(folder.iterdir()):
        raise FileExistsError(
            f"{folder} is not empty and was not made by scripts/{owner}; name another folder"
        )
    mark.touch()
    for path in [path for pattern in made for path in folder.glob(pattern)]:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
