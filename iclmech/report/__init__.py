"""The report: one self-contained HTML page from a saved result."""

from __future__ import annotations

from ._write import report_html as report_html, write_report as write_report
