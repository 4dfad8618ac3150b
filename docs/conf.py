"""Settings of the documentation site: ``python -m sphinx -W --keep-going docs build/site``."""

import contextlib
import io
from pathlib import Path
from typing import Any

import fastsw
import lac.cli

project = "fastsw and lac"
author = "The fastsw developers"
version = release = fastsw.__version__

extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["generated/**/*.ipynb", "tutorials/README.rst"]
default_role = "autolink"  # single backticks of docstrings: a link where there is such an object

myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3

numpydoc_show_class_members = False
autosummary_generate = True
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "exclude-members": "training",  # an attribute of every torch module
}
autodoc_typehints = "none"  # the docstrings say them, with shapes
autodoc_preserve_defaults = True

sphinx_gallery_conf = {
    "examples_dirs": "tutorials",
    "gallery_dirs": "generated/tutorials",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "reset_modules": ("matplotlib",),
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "fastsw and lac"
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_show_sourcelink = False
project_copyright = "the fastsw developers, MIT licence"

COMMANDS = "train", "evaluate", "embed", "align", "check", "label", "app", "compare", "data"


def write_commands(app: Any) -> None:
    """Keep what each command says to ``--help``; `commands.md` includes it."""
    folder = Path(app.srcdir) / "generated" / "commands"
    folder.mkdir(parents=True, exist_ok=True)
    for name in COMMANDS:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            lac.cli.main([name, "--help"])
        path = folder / f"{name}.txt"
        if not path.exists() or path.read_text() != text.getvalue():
            path.write_text(text.getvalue())


def follow_included(app: Any, page: str, source: list[str]) -> None:
    """Lead links to a file above `docs` to the page that includes it; the forge has the file."""
    for name in ("CHANGELOG", "SECURITY"):
        source[0] = source[0].replace(f"](../{name}.md", f"]({name.lower()}.md")


def setup(app: Any) -> None:
    """Have the commands' help written before the pages are read, and links led to pages."""
    app.connect("builder-inited", write_commands)
    app.connect("source-read", follow_included)
