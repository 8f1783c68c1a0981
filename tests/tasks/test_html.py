from __future__ import annotations

from iclmech.tasks import Span
from iclmech.tasks._html import plain, prompt_html


def test_every_text_is_escaped_and_signs_are_shown() -> None:
    assert plain('<a href="javascript:x">\'&') == "&lt;a href=&quot;javascript:x&quot;&gt;&#x27;&amp;"
    assert plain("a\nb\x00\ud800") == "a⏎<br>b\\x00\\ud800"


def test_long_prompts_lose_their_middle_and_say_so() -> None:
    tokens = list(range(2000))
    spans = [Span("text", i, i + 1) for i in tokens]
    html = prompt_html("<t>", tokens, spans, {0: "<first>", 1999: "last"})
    assert "1400 tokens" in html
    assert "&lt;first&gt;" in html
    assert "last" in html
    assert "[5]" in html
    assert "<t>" not in html
