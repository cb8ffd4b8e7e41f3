"""Settings of Sphinx for the documentation site; `scripts/docs` builds it."""

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

from engine.version import VERSION

project = "faceswap-engine"
version = release = VERSION
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

html_theme = "alabaster"
html_theme_options = {"description": "An offline face-swap engine", "page_width": "72rem"}
html_copy_source = False
html_show_copyright = False

myst_heading_anchors = 3  # links such as hosted-api.md#jobs

autodoc_default_options = {"members": True, "exclude-members": "model_config"}
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
napoleon_use_ivar = True  # the fields of a class in one list
napoleon_use_rtype = False  # a return value is described in words; its type is in the signature
default_role = "literal"  # docstrings write code in single backquotes, as Markdown does


def setup(app: Sphinx) -> None:
    """Show Mermaid diagrams as text: drawing them needs a script from a network."""
    app.add_lexer("mermaid", TextLexer)
