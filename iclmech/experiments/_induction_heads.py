"""Induction heads on repeated random tokens, by our own test and by TransformerLens' detector."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from iclmech._base import rng
from iclmech.analysis import AnalysisError, circuit
from iclmech.analysis.statistics import clustered_bootstrap
from iclmech.captures import Row, iter_run
from iclmech.models import ICLModel, weights_view

if TYPE_CHECKING:
    import pandas as pd

Pattern = Literal["previous_token_head", "duplicate_token_head", "induction_head"]


def induction_heads(
    model: ICLModel, n_tokens: int = 50, n_rows: int = 8, seed: int = 0, level: float = 0.95
) -> pd.DataFrame:
    """A row for every head, on BOS + r + r with r of `n_tokens` random tokens, the best prefix matcher on top.

    Columns: `prefix_matching` with `low`, `high` (bootstrap over rows; the mean of A[t, t-n+1] over the second copy),
    `one_further` (A[t, t-n+2]: heads that read one token further on), `duplicate` (A[t, t-n]), `previous` (A[t, t-1]),
    `copying` (direct logit of the token to be copied above the mean), and `tl_induction`, `tl_induction_without_bos`:
    TransformerLens' detector, where a perfect induction head scores .49 and 1; the second flatters heads that rest on BOS.
    Random tokens of even attention give about 1 / (2n).

    Raises `AnalysisError` if the sequence does not fit the window.

    Source: Olsson et al. 2022, In-context Learning and Induction Heads; `transformer_lens.head_detector`.
    """
    import pandas as pd

    if n_tokens < 4 or 2 * n_tokens + 1 > model.shape.n_ctx or n_rows < 1:
        raise AnalysisError(
            f"got n_tokens={n_tokens}, n_rows={n_rows}; expected at least 4 tokens, 2 n + 1 within the window of "
            f"{model.shape.n_ctx}, and a row."
        )
    half = _random_tokens(model, n_tokens, n_rows, seed)
    measured = [_measure(model, row.tolist()) for row in half]
    stacked = {name: torch.stack([m[name] for m in measured]) for name in measured[0]}
    found = clustered_bootstrap(stacked["prefix_matching"][:, None].double().numpy(), level=level, crossed=False)
    table = circuit.head_table(
        {
            "prefix_matching": stacked.pop("prefix_matching").mean(dim=0),
            "low": torch.from_numpy(np.asarray(found.low)),
            "high": torch.from_numpy(np.asarray(found.high)),
            **{name: value.mean(dim=0) for name, value in stacked.items()},
        }
    )
    return pd.DataFrame(table)


def _random_tokens(model: ICLModel, n: int, rows: int, seed: int) -> Tensor:
    special = set(getattr(model.backend.tokenizer, "all_special_ids", None) or [model.bos])
    pool = torch.tensor([t for t in range(model.shape.d_vocab) if t not in special])
    generator = rng(seed, "repeated tokens")
    if len(pool) >= n:
        return torch.stack([pool[torch.randperm(len(pool), generator=generator)[:n]] for _ in range(rows)])
    return pool[torch.randint(len(pool), (rows, n), generator=generator)]


def _measure(model: ICLModel, half: list[int]) -> dict[str, Tensor]:
    n = len(half)
    row = Row([*half, *half], tuple(range(2 * n)))
    (chunk,) = iter_run(model, [model.bos], [row], ("attn_pattern", "z"), path="uncached")
    own = chunk.values["attn_pattern"][0].float().cpu().nan_to_num()  # [at, layer, head, key]
    first = torch.zeros_like(own[:1])
    first[..., 0] = 1  # BOS reads itself
    pattern = torch.cat([first, own]).permute(1, 2, 0, 3)[None]  # [row, layer, head, query, key]
    second = chunk.values["z"][0, n : 2 * n - 1].float().cpu()
    weights = weights_view(model)
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
