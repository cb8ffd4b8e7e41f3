"""Contents of the documentation site that `scripts/docs` builds."""

import inspect
import re
from pathlib import Path

import engine

DOCS = Path(__file__).parents[1] / "docs"


def test_every_page_is_in_the_table_of_contents_once() -> None:
    index = (DOCS / "index.md").read_text(encoding="utf-8")
    tables = re.findall(r"^```\{toctree\}\n(.*?)^```$", index, re.DOTALL | re.MULTILINE)
    listed = [
        line for table in tables for line in table.splitlines() if re.fullmatch(r"[\w-]+", line)
    ]
    pages = {path.relative_to(DOCS).with_suffix("").as_posix() for path in DOCS.rglob("*.md")}
    assert sorted([*listed, "index"]) == sorted(pages)


def directive(name: str) -> str:
    """Return the directive of autodoc for an exported name."""
    value = getattr(engine, name)
    if inspect.isfunction(value):
        return "autofunction"
    if not inspect.isclass(value):
        return "autodata"
    return "autoexception" if issubclass(value, BaseException) else "autoclass"


def test_the_reference_lists_every_exported_name_once() -> None:
    reference = (DOCS / "reference.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\.\. (auto\w+):: engine\.(\w+)(?:\(.*\))?$", reference, re.MULTILINE)
    assert sorted(listed) == sorted((directive(name), name) for name in engine.__all__)
