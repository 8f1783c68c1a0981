"""Sphinx configuration. Nothing here needs a network: no intersphinx, formulas as MathML, plotly from the package."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

import api_pages  # noqa: E402 - found through the path above
import command_pages  # noqa: E402
import notebook_pages  # noqa: E402

import iclmech  # noqa: E402

project = "iclmech"
author = "The iclmech authors"
copyright = "the iclmech authors, MIT licence"
release = version = iclmech.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "house_docstrings", "mathml"]
exclude_patterns = ["_build", "_ext", "executed"]

myst_enable_extensions = ["deflist", "colon_fence", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # notebooks are executed by `make notebooks`; their outputs are shown where there are any
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True
viewcode_follow_imported_members = True
nitpicky = False

html_theme = "furo"
html_math_renderer = "mathml"
html_title = f"iclmech {release}"
html_static_path = ["_static"]
html_css_files = ["house.css"]
html_theme_options = {"navigation_with_keys": True}

api_pages.write(HERE / "api" / "generated")
command_pages.write(HERE / "api" / "generated" / "commands.md")
html_js_files = notebook_pages.copy(HERE.parent / "notebooks", HERE / "executed", HERE / "notebooks")
html_static_path += [str(notebook_pages.scripts(HERE / "_build" / "scripts"))] if html_js_files else []
