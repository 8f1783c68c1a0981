"""Induction heads on repeated random tokens, by our own test and by TransformerLens' detector."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from iclmech._base import Claim, Formerly, Result, by_interval, provenance, rng, track
from iclmech.analysis import AnalysisError, circuit
from iclmech.analysis.statistics import clustered_bootstrap
from iclmech.captures import Row, iter_run
from iclmech.models import ICLModel, WeightsView, weights_view

from ._experiment import Given
from ._induction_request import INDUCTION_HEADS, InductionRequest

if TYPE_CHECKING:
    import pandas as pd

Pattern = Literal["previous_token_head", "duplicate_token_head", "induction_head"]


class InductionHeads(Formerly, Result):
    """Scores of every head on BOS + r + r, with r of random tokens.

    `data` (layer, head): `prefix_matching` with `low`, `high` (bootstrap over rows; the mean of A[t, t-n+1] over the second
    copy), `one_further` (A[t, t-n+2]: heads that read one token further on), `duplicate` (A[t, t-n]), `previous` (A[t, t-1]),
    `copying` (direct logit of the token to be copied above the mean), and `tl_induction`, `tl_induction_without_bos`:
    TransformerLens' detector, where a perfect induction head scores .49 and 1; the second flatters heads that rest on BOS.
    Random tokens of even attention give about 1 / (2n).
    """

    kind = "induction-heads"
    formerly = "table"

    @property
    def table(self) -> pd.DataFrame:
        """The heads as a table."""
        return self.summary()

    def summary(self) -> pd.DataFrame:
        """A row for every head, the best prefix matcher on top; the columns are the variables of `data`."""
        table = self.data.to_dataframe().reset_index()
        return table.sort_values("prefix_matching", ascending=False, kind="stable", ignore_index=True)

    def tables(self) -> dict[str, pd.DataFrame]:
        """The twelve best heads."""
        return {"Heads by prefix matching": self.summary().head(12)}

    def judged(self) -> list[Claim]:
        """Whether the best head looks back for the token behind the last occurrence."""
        best = self.summary().iloc[0]
        even = 1 / (2 * float(self.provenance["request"]["n_tokens"]))
        name = f"L{int(best['layer'])}H{int(best['head'])} is an induction head"
        rule = f"the interval of its prefix matching lies above .3 (even attention: {even:.3f})"
        verdict = by_interval(float(best["low"]), float(best["high"]), 0.3)
        measured, low, high = (float(best[c]) for c in ("prefix_matching", "low", "high"))
        return [Claim(name, measured, low, high, "even attention", rule, verdict)]


def induction_heads(
    model: ICLModel | str, n_tokens: int = 50, n_rows: int = 8, seed: int = 0, level: float = 0.95
) -> InductionHeads:
    """Every head on BOS + r + r with r of `n_tokens` random tokens: does it look for what came next the last time?

    Args:
        model: a model or its name.
        n_tokens: length of r, at least 4.
        n_rows: rows that are averaged.
        seed: of the random tokens.
        level: of the interval.

    Returns:
        An `InductionHeads`; `summary()` is a table with the best prefix matcher on top.

    Raises:
        AnalysisError: the sequence does not fit the window.

    Source: Olsson et al. 2022, In-context Learning and Induction Heads; `transformer_lens.head_detector`.

    Example:
        >>> import iclmech as icl
        >>> icl.induction_heads("icl-mini", n_tokens=20, n_rows=2).summary()[["layer", "head"]].values[0].tolist()
        [1, 3]
    """
    given = Given()
    request = InductionRequest(given.name("model", model, by="name"), n_tokens, n_rows, seed, level)
    return INDUCTION_HEADS.run(request, progress=False, **given.inputs)  # type: ignore[return-value]


def run_induction(request: InductionRequest, *, progress: bool, model: ICLModel) -> InductionHeads:
    """Measure every row and average."""
    n_tokens, n_rows = request.n_tokens, request.n_rows
    if n_tokens < 4 or 2 * n_tokens + 1 > model.shape.n_ctx or n_rows < 1:
        raise AnalysisError(
            f"got n_tokens={n_tokens}, n_rows={n_rows}; expected at least 4 tokens, 2 n + 1 within the window of "
            f"{model.shape.n_ctx}, and a row."
        )
    weights = weights_view(model)
    half = random_tokens(model, n_tokens, n_rows, request.seed)
    measured = [_measure(model, row.tolist(), weights) for row in track(half, "induction heads", enabled=progress)]
    stacked = {name: torch.stack([m[name] for m in measured]) for name in measured[0]}
    rows = stacked["prefix_matching"][:, None].double().numpy()
    found = clustered_bootstrap(rows, level=request.level, crossed=False)
    variables = {
        "prefix_matching": stacked.pop("prefix_matching").mean(dim=0).double().numpy(),
        "low": np.asarray(found.low),
        "high": np.asarray(found.high),
        **{name: value.mean(dim=0).double().numpy() for name, value in stacked.items()},
    }
    data = xr.Dataset({name: (("layer", "head"), value) for name, value in variables.items()})
    data = data.assign_coords(layer=range(data.sizes["layer"]), head=range(data.sizes["head"]))
    return InductionHeads(data, provenance=provenance(model={"name": model.name, "hash": model.hash()}))


def random_tokens(model: ICLModel, n: int, rows: int, seed: int) -> Tensor:
    """Rows of n random tokens [row, token], no special ones among them, different within a row where there are so many."""
    special = set(getattr(model.backend.tokenizer, "all_special_ids", None) or [model.bos])
    pool = torch.tensor([t for t in range(model.shape.d_vocab) if t not in special])
    generator = rng(seed, "repeated tokens")
    if len(pool) >= n:
        return torch.stack([pool[torch.randperm(len(pool), generator=generator)[:n]] for _ in range(rows)])
    return pool[torch.randint(len(pool), (rows, n), generator=generator)]


def _measure(model: ICLModel, half: list[int], weights: WeightsView) -> dict[str, Tensor]:
    n = len(half)
    row = Row([*half, *half], tuple(range(2 * n)))
    (chunk,) = iter_run(model, [model.bos], [row], ("attn_pattern", "z"), path="uncached")
    own = chunk.values["attn_pattern"][0].float().cpu().nan_to_num()  # [at, layer, head, key]
    first = torch.zeros_like(own[:1])
    first[..., 0] = 1  # BOS reads itself
    pattern = torch.cat([first, own]).permute(1, 2, 0, 3)[None]  # [row, layer, head, query, key]
    second = chunk.values["z"][0, n : 2 * n - 1].float().cpu()
    copied = circuit.copying(circuit.attention_by_head(second, weights), weights.W_U, torch.tensor(half[1:]))
    tokens = [model.bos, *half, *half]
    return {
        "prefix_matching": circuit.prefix_matching(pattern, n, start=1)[0],
        "one_further": circuit.prefix_matching(pattern, n, start=1, offset=2)[0],
        "duplicate": circuit.prefix_matching(pattern, n, start=1, offset=0)[0],
        "previous": pattern[0].diagonal(-1, -2, -1).mean(dim=-1),
        "copying": copied.mean(dim=0),
        "tl_induction": tl_head_scores(pattern[0], tokens),
        "tl_induction_without_bos": tl_head_scores(pattern[0], tokens, exclude_bos=True),
    }


def tl_head_scores(
    pattern: Tensor, tokens: list[int], kind: Pattern = "induction_head", *, exclude_bos: bool = False
) -> Tensor:
    """`transformer_lens.head_detector.detect_head` on given attention [layer, head, query, key] and token ids.

    The detector takes text and runs the model itself; it is handed the ids and the patterns of our own run instead, so that
    BOS and tokens are those that were measured. Returns [layer, head]: the share of a head's attention on the pattern.
    """
    from transformer_lens.head_detector import detect_head

    n_layers, n_heads, length = pattern.shape[:3]
    cfg = SimpleNamespace(n_layers=n_layers, n_heads=n_heads, n_ctx=length + 1, dtype=torch.float32, device="cpu")
    model = SimpleNamespace(cfg=cfg, to_tokens=lambda _: torch.tensor([tokens]))
    cache = {("pattern", layer, "attn"): pattern[layer] for layer in range(n_layers)}
    return detect_head(model, "", kind, cache=cache, exclude_bos=exclude_bos)  # type: ignore[arg-type]  # all that it asks of them
