"""Name the command's options in messages of the engine, which name the parameters of Python."""

from __future__ import annotations

import re
from collections.abc import Iterator

import typer

from engine.cli.commands import application

# Parameters that are arguments of the command.
_ARGUMENTS = {"source_image": "SOURCE"}
_IN_FILE = re.compile(r"\S.*, (line|row|role|correction) \d+: ")


def name_options(message: str) -> str:
    """Return a message with options, such as `--pixel-boost`, in place of parameters' names.

    A name of several words, such as `pixel_boost`, is replaced wherever it is not a part of a path
    or a quoted value, nor the key of a file that is named before a colon. A name that is also a
    word, such as `device`, is replaced where it begins a sentence, as a word would have a capital
    letter there. A message about a line or record of a file keeps the names, as the file has them.
    """
    if _IN_FILE.match(message):
        return message
    names = {**_ARGUMENTS, **dict(_options(typer.main.get_command(application())))}
    several = "|".join(sorted(filter(re.compile("_").search, names), key=len, reverse=True))
    one = "|".join(name for name in names if "_" not in name)
    inside = rf"(?<![\w./\\'\"=-])(?<!: )(?:{several})(?![\w/\\'\"=-]|\.\w)"
    return re.sub(rf"{inside}|(?:^|(?<=\. ))(?:{one})(?= )", lambda found: names[found[0]], message)


def _options(command: object) -> Iterator[tuple[str, str]]:
    """Yield the name of each parameter of a command and its subcommands, with its option."""
    for parameter in getattr(command, "params", ()):
        if parameter.param_type_name == "option":
            yield parameter.name, max(parameter.opts, key=len)
    for subcommand in getattr(command, "commands", {}).values():
        yield from _options(subcommand)
