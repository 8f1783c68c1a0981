"""One number: how often a model is right."""

from __future__ import annotations

import iclmech as icl


def test_it_is_the_share_of_right_answers() -> None:
    model = icl.load_model("icl-mini")
    prompts = icl.build_prompts(model, icl.load_task("mini/sentiment"), k=4, n_queries=12)
    acts = icl.capture(model, prompts, "icl", ())
    right = [int(p) == q.label for p, q in zip(acts.predictions, prompts.queries, strict=True)]
    assert icl.accuracy(model, prompts) == sum(right) / len(right)
    cut = icl.interventions.cut_edges(prompts, "y->s_q")
    assert icl.accuracy(model, prompts, "icl", (cut,)) <= 1
