"""The report: one self-contained HTML page from a saved result, a page module per kind."""

from __future__ import annotations

from ._page import Caption as Caption, Page as Page, Table as Table
from ._write import report_html as report_html, write_report as write_report
