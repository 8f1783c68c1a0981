"""The page as text: self-contained, escaped, complete; the command that repeats a run."""

from __future__ import annotations

import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from figures import synthetic

from iclmech._base import ICLMechError, to_ascii_json
from iclmech.experiments import CompareRequest, Comparison, command_of, contrast_title
from iclmech.report import report_html, write_report
from iclmech.report._attention_pane import attention_payload
from iclmech.report._escape import script_json
from iclmech.report._tables import tables


class Outline(HTMLParser):
    """Tags with attributes, and the text outside of scripts and styles."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self.inside, self.scripts = "", "", []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else self.inside

    def handle_endtag(self, tag: str) -> None:
        self.inside = "" if tag == self.inside else self.inside

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts.append(data)
        elif not self.inside:
            self.text += data


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    return parser


@pytest.fixture(scope="module")
def result() -> Comparison:
    return synthetic.comparison(n_layers=3, n_heads=2, notes=("something happened",))


@pytest.fixture(scope="module")
def page(result: Comparison) -> str:
    return report_html(result)


def test_nothing_is_loaded_from_elsewhere(page: str):
    found = outline(page)
    for tag, attributes in found.tags:
        assert "src" not in attributes
        if tag in ("a", "link"):
            assert str(attributes["href"]).startswith(("#", "data:,"))
    assert "default-src 'none'" in page


def test_it_holds_what_was_asked_answered_measured_and_how_to_repeat_it(page: str):
    text = outline(page).text
    for part in ("icl-mini on mini/sentiment", "With 32 demonstrations in context", "something happened", "Paired differences",
                 "iclmech compare --model icl-mini --task mini/sentiment", "model.hash"):  # fmt: skip
        assert part in text


def test_every_number_of_the_summary_is_in_a_table(result: Comparison):
    shown = {cell for table in tables(result) for row in table.rows for cell in row}
    means = result.summary()["mean"].dropna()
    assert len(means) > 50
    assert {f"{m:.3f}".replace("-", "−") for m in means} <= shown


def test_hostile_data_make_no_tag_and_leave_no_script():
    page = report_html(synthetic.hostile())
    found, usual = outline(page), outline(report_html(synthetic.comparison(notes=("a note",))))
    assert {t for t, _ in found.tags} == {t for t, _ in usual.tags}
    assert sum(t == "script" for t, _ in found.tags) == sum(t == "script" for t, _ in usual.tags) == 4
    assert synthetic.HOSTILE in found.text
    assert not any(re.match("on|style", name) for tag, attributes in found.tags for name in attributes)
    assert all(str(a.get("href", "#")).startswith(("#", "data:,")) for _, a in found.tags)
    assert "\u202e" not in page


@pytest.mark.parametrize("text", ["</script><script>x", "<!--", "]]>", "\u2028", "\ud800", '"\\'])
def test_json_in_a_script_comes_back_and_cannot_end_it(text: str):
    written = script_json({"a": text, "b": [float("nan"), 1.5]})
    assert not set(written) & set("<>&\u2028")
    assert json.loads(written) == {"a": text, "b": [None, 1.5]}


def test_lone_surrogates_do_not_stop_the_report(tmp_path: Path):
    result = synthetic.comparison(
        n_layers=2, n_heads=2, texts=("a\ud800b",), label_words=("x\x00", "y"), task="t\ud83d"
    )
    text = write_report(result, tmp_path / "deep" / "report.html").read_text("utf-8")
    assert "<h1><bdi>icl-mini on t⟨U+D83D⟩</bdi></h1>" in text
    assert "x⟨U+0000⟩" in outline(text).text
    assert script_json("a⟨U+D800⟩b") in text


def test_results_without_examples_or_values_make_a_page(tmp_path: Path):
    page = outline(report_html(synthetic.empty()))
    assert "Attention over the prompt" not in page.text
    assert "nothing can be said" in page.text


def test_something_else_is_refused(tmp_path: Path):
    with pytest.raises(ICLMechError, match="expected a result"):
        write_report({"a": 1}, tmp_path / "x.html")  # type: ignore[arg-type]  # on purpose
    assert not (tmp_path / "x.html").exists()


def test_attention_is_kept_within_the_budget_and_says_what_is_left_out():
    result = synthetic.comparison(n_layers=4, n_heads=8, texts=("one", "two"))
    tokens = sum(len(result.example_tokens(e)[0]) for e in range(2))
    full = attention_payload(result)
    assert full is not None
    assert (full["left_out"], len(full["examples"]), len(full["heads"])) == (0, 2, 32)
    small = attention_payload(result, budget=3 * tokens // 2 * 5)
    assert small is not None
    assert len(small["examples"]) == 1
    assert small["left_out"] == 32 - len(small["heads"]) > 20
    roles = np.array(result.example_tokens(0)[1])
    strength = np.nansum(result.examples["pattern"].values[0, 1][..., : len(roles)][..., roles == "label"], axis=-1)
    weakest = min(strength[tuple(h)] for h in small["heads"])
    assert (strength > weakest).sum() == len(small["heads"]) - 1


def asked(result: Comparison, **changes: object) -> Comparison:
    """The same result with another request in its provenance."""
    again = Comparison(result.means.copy())
    request = CompareRequest(updates=("gd", "lcgd"), seeds=3)
    return again.with_provenance(request={**request.record(), **changes})


def test_the_command_is_one_that_the_command_line_reads(result: Comparison):
    words = shlex.split(command_of(asked(result)) or "")
    assert words[:2] == ["iclmech", "compare"]
    fields = set(CompareRequest.__dataclass_fields__) | {"out"}
    assert {w.removeprefix("--").replace("-", "_") for w in words if w.startswith("--")} <= fields
    assert words[words.index("--updates") + 1] == "gd,lcgd"


def test_the_command_names_what_is_not_usual_and_quotes_it(result: Comparison):
    changes = {
        "separator": "\n\n",
        "match_positions": True,
        "lr": 0.1,
        "controls": ["untrained"],
        "task": "my data; rm -rf ~",
    }
    words = shlex.split(command_of(asked(result, **changes)) or "")
    assert words[words.index("--task") + 1] == "my data; rm -rf ~"
    assert words[words.index("--separator") + 1] == "\\n\\n"
    assert words[words.index("--lr") + 1] == "0.1"
    assert words[words.index("--controls") + 1] == "untrained"
    assert "--match-positions" in words


@pytest.mark.parametrize("change", [{"metrics": ["mine=custom:0a"]}, {"position": "custom:unhashed"}, {"n_qeries": 3}])
def test_no_command_is_invented_for_what_only_python_can_do(result: Comparison, change: dict):
    assert command_of(asked(result, **change)) is None


def test_files_from_before_requests_have_a_command_too(result: Comparison, tmp_path: Path):
    means = result.means.copy()
    origin = {name: value for name, value in result.provenance.items() if name != "request"}
    means.attrs["provenance"] = to_ascii_json(origin)
    again = Comparison.load(Comparison(means).save(tmp_path / "old.nc"))
    words = shlex.split(command_of(again) or "")
    assert words[words.index("--seeds") + 1] == "3"
    assert words[words.index("--k") + 1] == "32"
    assert "--lr" not in words


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("gd: trained - untrained", "GD: trained − untrained"),
        ("gd - gd:random_update", "GD − GD, random weight change"),
        ("lcgd - gd (untrained)", "LCGD − GD (untrained)"),
        ("gd - closed-form null", "GD − closed-form null"),
        ("gd - icl:reordered", "GD − ICL, another order"),
    ],
)
def test_differences_have_readable_names(name: str, shown: str, result: Comparison):
    assert contrast_title(result.roster.contrasts[name]) == shown


@pytest.mark.parametrize(("task", "said"), [("mini/sentiment", False), ("sst2", True)])
def test_where_records_came_from_has_to_be_added(task: str, said: bool, result: Comparison, monkeypatch):
    origin = result.provenance | {"task": {"name": task}}
    monkeypatch.setattr(Comparison, "provenance", property(lambda self: origin))
    assert ("--data" in report_html(result)) == said
