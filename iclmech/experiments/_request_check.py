"""What the values of a request may be, by the name of the field: asked before anything is loaded."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from iclmech._base import REGISTRIES, SITES, ICLMechError

from ._request import CUSTOM, ExperimentError, ModelTaskRequest, Request, seeds_of

Names = Sequence[str] | Callable[[], Sequence[str]]
LONGEST = 4096
"""Characters of a text, and entries of a list."""


def check_request(request: Request) -> None:
    """Look at every value of a request. Fields with names that are not known here are asked for their type alone.

    Raises:
        ExperimentError: the first value that cannot be meant, with what was expected and the nearest name.
    """
    own_names, own_checks = CHOICES.get(type(request).__name__, {}), OWN_CHECKS.get(type(request).__name__, {})
    for f in fields(request):
        value = getattr(request, f.name)
        for one in value if isinstance(value, tuple) else (value,):
            _check_plain(f.name, one)
        if value is None or CUSTOM in str(value)[:LONGEST]:
            continue
        names = ("float32", "float64", "bfloat16", "float16") if f.name == "dtype" else own_names.get(f.name)
        for one in (value if isinstance(value, tuple) else (value,)) if names else ():
            choose(f.name, one, names() if callable(names) else names)  # type: ignore[arg-type]  # not None here
        fits, expected = own_checks.get(f.name) or CHECKS.get(f.name) or (lambda _: True, "")
        if not fits(value):
            raise ExperimentError(f"got {f.name}={_short(value)}; expected {expected}.")
    if isinstance(request, ModelTaskRequest):
        for task, data in (("task", "data"), ("wrong_task", "wrong_data")):
            template = request.template if task == "task" else None
            _check_task(getattr(request, task, None), getattr(request, data, None), template)


def choose(what: str, value: Any, known: Iterable[str]) -> None:
    """Raise `ExperimentError` for a name that is none of the known ones, with the nearest."""
    known = list(known)
    if value in known:
        return
    near = difflib.get_close_matches(str(value)[:80], known, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ExperimentError(f"got {what}={_short(value)}; expected one of {', '.join(known)}.{hint}")


def _check_plain(name: str, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ExperimentError(f"got {name}={value}; expected a finite number.")
    if isinstance(value, int) and abs(value) >= 2**63:
        raise ExperimentError(f"got {name}={_short(value)}; expected a number of at most 18 digits.")
    if isinstance(value, str):
        hidden = [c for c in value if c == "\0" or 0xD800 <= ord(c) < 0xE000]
        if hidden or len(value) > LONGEST:
            got = f"the character U+{ord(hidden[0]):04X} in it" if hidden else f"{len(value)} characters"
            raise ExperimentError(f"got {name} with {got}; expected a text of at most {LONGEST} characters.")


def _check_task(name: str | None, data: str | None, template: str | None = None) -> None:
    """Load a task, which says itself what is wrong with it."""
    from iclmech.tasks import load_task

    if name is not None and CUSTOM not in name:
        load_task(name, data=data, template=template)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"


def _whole(least: int) -> tuple[Callable[[Any], bool], str]:
    return lambda n: not isinstance(n, int) or n >= least, f"a whole number of at least {least}"


def _seeds(value: Any) -> bool:
    if isinstance(value, int):
        return 1 <= value <= 10_000
    try:
        return min(seeds_of(value)) >= 0
    except ExperimentError:
        return False


def _rates(value: Any) -> bool:
    rates = value if isinstance(value, tuple) else (value,)
    if isinstance(value, str) and value != "auto":
        words = re.fullmatch(r"\s*[^=,]+=[^=,]+(,[^=,]+=[^=,]+)*\s*", value)
        try:
            rates = [float(r) for part in value.split(",") for r in part.split("=")[1].split("/")] if words else [-1.0]
        except ValueError:
            return False
    return value == "auto" or (bool(rates) and all(0 <= r < math.inf for r in rates))


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, RuntimeError):  # too long a name; no such home
        return False


def _edges(value: Any) -> bool:
    from iclmech.interventions import parse_edges
    from iclmech.interventions._token_roles import codes_of

    try:
        for edges in value:
            for side in parse_edges(edges):
                codes_of(side)
    except ICLMechError:
        return False
    return bool(value)


def _model(value: Any) -> bool:
    from iclmech.models import list_models

    if _exists(value) or value.lower().endswith(".gguf"):
        return True  # what is in it is for the loader to say
    if value.partition("@")[0] in {name.partition("@")[0] for name in list_models()}:
        return value in list_models()
    return bool(re.fullmatch(r"[\w.-]{1,96}(/[\w.-]{1,96})?", value, re.ASCII)) and not value.startswith((".", "-"))


Check = tuple[Callable[[Any], Any], str]
CHECKS: dict[str, Check] = {
    **dict.fromkeys(("k", "seed", "prompts_seed", "n_examples"), _whole(0)),
    **dict.fromkeys(
        ("n_queries", "n_contexts", "n_boot", "n_permutations", "n_orders", "n_rows", "n_held_out"), _whole(1)
    ),
    "seeds": (_seeds, "1 to 10000 seeds, or different whole numbers from 0"),
    "level": (lambda level: 0 < level < 1, "a number between 0 and 1"),
    "model": (_model, "a shipped model (iclmech models), a directory, a GGUF file, or owner/name on the hub"),
    "device": (lambda d: re.fullmatch(r"[a-z]{2,12}(:\d{1,3})?", d), "cpu, cuda, cuda:1, …"),
    **dict.fromkeys(("data", "wrong_data"), (_exists, "a directory or a file that is there")),
}
"""Field of any request → (whether a value may be meant, what is expected)."""

_RATES: Check = (_rates, "auto, a number from 0, numbers joined by commas, or gd=0.01/0.1,lcgd=0.03/0.3")
_IN_PYTHON: Check = (lambda _: False, "nothing: an object of one's own is handed over in Python")
OWN_CHECKS: dict[str, dict[str, Check]] = {
    "CompareRequest": {"lr": _RATES, "k": _whole(1)},
    "OrderRequest": {"lr": _RATES},
    "SimilarityRequest": {"lr": _RATES, "k": _whole(1), "runs": _whole(1)},
    "SupportiveRequest": {"lr": (lambda lr: lr >= 0, "a number from 0"), "length": _whole(8), "chosen": _whole(1)},
    "DualFormRequest": {"lr": (lambda lr: lr >= 0, "a number from 0"), "rank": _whole(1), "prompts": _IN_PYTHON},
    "InductionRequest": {"n_tokens": _whole(2)},
    "HistoryRequest": {
        "source": (lambda s: s == "icl-mini" or _exists(s), "icl-mini, or a history.json that is there")
    },
    "CircuitRequest": {
        "edges": (_edges, "edges such as x->s,s->y,y->s_q"),
        "windows": (lambda w: w and all(0 <= a <= b for a, b in w), "pairs of layers such as 0-1,2-3"),
        "reference": _IN_PYTHON,
    },
}
"""The same for the fields of one request, by the name of its class."""

_TRAINING: dict[str, Names] = {"loss": ("label", "all"), "parameters": ("attn_kv", "attn_v", "all")}
CHOICES: dict[str, dict[str, Names]] = {
    "CompareRequest": {
        **_TRAINING,
        "updates": lambda: REGISTRIES["update"].names(),
        "metrics": lambda: REGISTRIES["measure"].names(),
        "controls": lambda: ["all", "essential", "none", *REGISTRIES["control"]],
        "preset": ("deutch2024",),
        "position": ("prediction", "label"),
        "selection": ("random", "balanced"),
        "embeddings": ("keep", "fresh"),
        "calibrate": ("dc", "cc", "bc"),
        "sites": SITES,
    },
    "OrderRequest": {**_TRAINING, "updates": lambda: REGISTRIES["update"].names()},
    "SimilarityRequest": {"updates": lambda: REGISTRIES["update"].names()},
    "DualFormRequest": {"update": lambda: REGISTRIES["update"].names()},
    "CircuitRequest": {"selection": ("random", "balanced")},
    "PublishedRequest": {"paper": ("deutch2024",)},
    "ReproduceRequest": {"name": lambda: REGISTRIES["paper"].names()},
}
"""Field of one request → the names that it takes."""
