"""`task_vector`: the mean state at the prediction position behind demonstrations."""

from __future__ import annotations

from iclmech.captures import capture
from iclmech.models import ICLModel
from iclmech.tasks import PromptSet

from ._layer_choice import split_queries, with_chosen_layer
from ._one_task import origin, require_one_task
from ._vector import Vector


def task_vector(
    model: ICLModel, prompts: PromptSet, layer: int | None = None, *, held_out: PromptSet | None = None
) -> Vector:
    """The mean of `resid_post` at the query's last token under ICL, to be put in the place of that of a zero-shot query.

        θ_l = mean over queries of h_l[p_q] behind their demonstrations;   applied: h_l[p_q] ← (1−s)·h_l[p_q] + s·θ_l

    Args:
        model: with whatever updates are in force.
        prompts: queries behind demonstrations, all under the same label words. Training queries
            (`build_prompts(..., queries_from="train")`); never those on which the vector is judged.
        layer: where it acts. By default it is chosen on `held_out`.
        held_out: zero-shot queries to choose the layer on. By default the last quarter of the queries of `prompts`, of which
            the vector is then not made; where there are fewer than four, no layer is chosen.

    Returns:
        A `Vector` with a row for every layer, how "replace".

    Raises:
        VectorError: contexts that differ in their label words, or without demonstrations.

    When it misleads: replacing takes away what the query had put there, so a late layer gives one constant answer, right
    as often as that answer is: look at the number of different answers. A model that retrieves labels for each query has no
    such vector, however well it learns in context.

    Source: Hendel, Geva, Globerson, In-Context Learning Creates Task Vectors (Findings of EMNLP 2023, arXiv 2310.15916). They
    use two queries for each demonstration set; here all queries of `prompts`.

    >>> import iclmech as icl
    >>> model, task = icl.load_model("icl-mini"), icl.load_task("mini/sentiment")
    >>> prompts = icl.build_prompts(model, task, k=4, n_queries=8, queries_from="train")
    >>> vector = task_vector(model, prompts)
    >>> vector.values.shape, vector.layer in vector.layers
    (torch.Size([4, 64]), True)
    """
    require_one_task(prompts)
    mine, held = (prompts, held_out) if layer is not None or held_out is not None else split_queries(prompts)
    states = capture(model, mine, "icl", ("resid_post",))["resid_post"]
    vector = Vector(states.mean(dim=0), layer=layer, meta=origin(model, mine, "task"))
    return vector if layer is not None or held is None else with_chosen_layer(model, vector, held)
