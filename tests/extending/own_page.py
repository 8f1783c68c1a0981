"""Its page in the report: the question, and what a reader needs beside the figure."""

from iclmech.report import Caption, Page

PAGE = Page(
    question=lambda result: f"How many demonstrations does {result.provenance['model']['name']} need?",
    captions=lambda result: {
        "curve": Caption("Accuracy by k", "Line chart: accuracy over k.", "Flat means no learning.")
    },
)
