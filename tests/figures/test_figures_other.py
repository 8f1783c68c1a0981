"""Attention over text, trajectories, the logit lens, the circuit, emergence; and the look of all figures."""

from __future__ import annotations

import re

import numpy as np
import plotly.graph_objects as go
import pytest
from figures import synthetic

from iclmech import figures
from iclmech._base import REGISTRIES, ICLMechError


def numbers(values) -> np.ndarray:
    return np.array(values, dtype=float)


def every_figure() -> dict[str, go.Figure]:
    result = synthetic.comparison(n_layers=2, n_heads=2)
    return {
        "similarity": figures.similarity_by_layer(result),
        "accuracy": figures.accuracy_by_setting(result),
        "heads": figures.head_map(result),
        "rates": figures.learning_rate_curve(result),
        "attention": figures.attention_text(result),
        "trajectory": figures.shift_trajectory(synthetic.trajectory(4)),
        "lens": figures.logit_lens(*synthetic.lens(4)),
        "circuit": figures.circuit_diagram(synthetic.circuit()),
        "emergence": figures.emergence(synthetic.history()),
    }


FIGURES = every_figure()


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_valid_titled_and_themed(name: str):
    figure = FIGURES[name]
    again = go.Figure(figure.to_plotly_json())  # validates
    assert again.layout.title.text
    assert figure.layout.height >= 200
    assert all(len(line) <= 62 for line in (figure.layout.title.subtitle.text or "").split("<br>"))  # fits 400 px


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_line_is_too_faint_on_either_background(name: str, theme: str):
    paper = luminance(figures.template(theme).layout.paper_bgcolor)
    for trace in FIGURES[name].data:
        colour = getattr(getattr(trace, "line", None), "color", None)
        if trace.type == "scatter" and isinstance(colour, str) and re.fullmatch("#[0-9a-fA-F]{6}", colour):
            light, dark = sorted((luminance(colour), paper), reverse=True)
            assert (light + 0.05) / (dark + 0.05) >= 3, colour


def test_an_unknown_theme_is_refused():
    with pytest.raises(ICLMechError, match="'light' or 'dark'"):
        figures.template("blue")  # type: ignore[arg-type]  # on purpose


def test_attention_shows_the_shares_of_the_chosen_head_in_three_settings():
    result = synthetic.comparison(n_layers=2, n_heads=2)
    figure = figures.attention_text(result, heads=[(1, 0), (0, 1)])
    pattern = result.examples["pattern"].values[0]
    for s, trace in enumerate(figure.data):
        expected = pattern[s, 1, 0]
        np.testing.assert_allclose(numbers(trace.marker.color), expected[np.isfinite(expected)], atol=1e-4)
    other = figure.layout.updatemenus[0].buttons[1]
    assert other.label == "L0H1"
    other_shares = numbers(other.args[0]["marker.color"][1])
    np.testing.assert_allclose(other_shares, pattern[1, 0, 1][np.isfinite(pattern[1, 0, 1])], atol=1e-4)


def test_the_text_flows_and_no_word_covers_another():
    for trace in figures.attention_text(synthetic.comparison(n_layers=2, n_heads=2)).data:
        line, start, width = (np.array(v, float) for v in (trace.y, trace.base, trace.x))
        assert (np.diff(line) >= 0).all()
        same = np.diff(line) == 0
        assert (start[1:][same] >= (start + width)[:-1][same] - 1e-9).all()
        assert (start + width).max() <= 58


def test_attention_starts_at_the_head_that_attends_most_to_labels():
    result = synthetic.comparison(n_layers=2, n_heads=2)
    roles = np.array(result.example_tokens(0)[1])
    strength = np.nansum(result.examples["pattern"].values[0, 1][..., roles == "label"], axis=-1)
    layer, head = np.unravel_index(strength.argmax(), strength.shape)
    assert figures.attention_text(result).layout.updatemenus[0].buttons[0].label == f"L{layer}H{head}"


def test_attention_errors():
    with pytest.raises(ICLMechError, match="n_examples"):
        figures.attention_text(synthetic.comparison(n_layers=2, n_heads=2, examples=False))
    result = synthetic.comparison(n_layers=2, n_heads=2)
    with pytest.raises(ICLMechError, match="expected 0 to 0"):
        figures.attention_text(result, example=1)
    with pytest.raises(ICLMechError, match="L2H0"):
        figures.attention_text(result, heads=[(2, 0)])


def test_lens_averages_over_queries():
    values, words = synthetic.lens(4)
    figure = figures.logit_lens(values, words)
    line = next(t for t in figure.data if t.name == "positive")
    np.testing.assert_allclose(numbers(line.y), values["zs"].mean(0)[:, 1])
    with pytest.raises(ICLMechError, match="3 labels"):
        figures.logit_lens(values, ["a", "b", "c"])


def test_trajectory_draws_each_setting_from_layer_to_layer():
    data = synthetic.trajectory(5)
    line = next(t for t in figures.shift_trajectory(data).data if t.name == "after LCGD")
    np.testing.assert_allclose(numbers(line.x), data["trajectory"].sel(setting="ft:lcgd", component=1))
    assert line.line.color == REGISTRIES["update"]["lcgd"].colour


def test_circuit_arrows_are_dashed_where_the_effect_may_be_zero():
    figure = figures.circuit_diagram(synthetic.circuit())
    arrows = [t for t in figure.data if t.mode == "lines"]
    assert [a.line.dash for a in arrows] == ["solid", "solid", "solid", "dash", "solid", "solid", "solid"]
    widths = [a.line.width for a in arrows]
    assert widths[5] == widths[6] == max(widths)  # the wider cut of label to query, an arc to each of its ends
    assert widths[2] == max(widths[:4])
    middle = [
        (numbers(a.x)[20] - numbers(a.x)[[0, -1]].mean(), numbers(a.y)[20] - numbers(a.y)[[0, -1]].mean())
        for a in arrows
    ]
    assert [bool(np.hypot(*m) > 0.05) for m in middle] == [False, False, False, False, True, True, True]
    lost = next(t for t in figure.data if t.name == "these edges cut")
    np.testing.assert_allclose(numbers(lost.x), [0.21, 0.08, 0.41, 0.03, 0.3, 0.5])


def test_emergence_takes_the_most_demonstrations_of_each_task():
    figure = figures.emergence(synthetic.history())
    named = {t.name for t in figure.data if t.name}
    assert named == {
        "held-pair, 16 demonstrations",
        "held-topic, 16 demonstrations",
        "in weights",
        "prefix matching",
        "previous token",
    }
    line = next(t for t in figure.data if t.name == "prefix matching")
    rows = [r["prefix_matching"] for r in synthetic.history() if r["step"] == 2500]
    assert numbers(line.y)[list(line.x).index(2500)] == pytest.approx(np.mean(rows))
    ragged = [r for r in synthetic.history() if r["seed"] == 0 or r["step"] <= 3000]
    short = next(t for t in figures.emergence(ragged).data if t.name == "prefix matching")
    assert max(short.x) == 3000  # a mean over fewer seeds is not drawn
    with pytest.raises(ICLMechError, match="in_weights"):
        figures.emergence(synthetic.history(), ["no_such"])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("$x$", "&#36;x&#36;"),
        ("%{y}", "&#37;{y}"),
        ("a\u202eb", "a⟨U+202E⟩b"),
        ("a\nb\ud800", "a⏎b⟨U+D800⟩"),
        ("&lt;", "&amp;lt;"),
    ],
)
def test_texts_from_data_are_no_markup(text: str, shown: str):
    assert figures.plain(text) == shown


def test_label_words_reach_a_figure_escaped():
    values, _ = synthetic.lens(4)
    figure = figures.logit_lens(values, ["<i>a</i>", '<a href="javascript:x">b</a>'])
    assert "<i>" not in figure.to_json().replace("\\u003c", "<")
    assert "<a " not in figure.to_json().replace("\\u003c", "<")
