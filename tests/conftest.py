"""Tiny random models of five families, saved to a temporary directory, and a tokenizer that needs no download."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # so that `import reference` works whatever the import mode

import reference

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from iclmech.models import ICLModel

torch.set_num_threads(1)

FAMILIES: tuple[str, ...] = reference.FAMILIES


@pytest.fixture(scope="session")
def families() -> tuple[str, ...]:
    """gpt2, gpt_neox, llama, gpt_neo, qwen2."""
    return FAMILIES


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`tiny_path(family, n_layers=3)`: a directory in Hugging Face format (model and tokenizer), built once a session.

    Random weights (seeded, larger than the default initialisation, with non-trivial biases and norms), d_model 32,
    4 heads of 8, a byte-level vocabulary of fewer than 300 tokens, a window of 256 tokens.
    """
    root = tmp_path_factory.mktemp("tiny")

    def build(family: str, n_layers: int = 3) -> Path:
        path = root / f"{family}-{n_layers}"
        if not path.exists():
            reference.save_tiny(family, path, n_layers=n_layers)
        return path

    return build


@pytest.fixture(scope="session")
def tiny_hf(tiny_path: Callable[..., Path]) -> Callable[..., PreTrainedModel]:
    """`tiny_hf(family, n_layers=3, dtype=torch.float32)`: a fresh plain transformers model (eager attention, eval)."""

    def build(family: str, n_layers: int = 3, dtype: torch.dtype = torch.float32) -> PreTrainedModel:
        return reference.load_plain(tiny_path(family, n_layers), dtype=dtype)

    return build


@pytest.fixture(scope="session")
def tiny_tokenizer(tiny_path: Callable[..., Path]) -> Any:
    """The byte-level tokenizer of the tiny models, with `<bos>` and `<eos>`."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_path("gpt2"))


@pytest.fixture(scope="session")
def fresh_model(tiny_path: Callable[..., Path]) -> Callable[..., ICLModel]:
    """`fresh_model(family, n_layers=3, **load_model_arguments)`: an `ICLModel` that no other test sees."""

    def build(family: str, n_layers: int = 3, **kwargs: Any) -> ICLModel:
        from iclmech.models import load_model

        return load_model(str(tiny_path(family, n_layers)), **kwargs)

    return build


@pytest.fixture(scope="session")
def tiny_model(fresh_model: Callable[..., ICLModel]) -> Callable[..., ICLModel]:
    """`tiny_model(family, n_layers=3)`: an `ICLModel`, loaded once a session: leave it as you found it."""
    loaded: dict[tuple[str, int], ICLModel] = {}

    def build(family: str, n_layers: int = 3) -> ICLModel:
        key = (family, n_layers)
        if key not in loaded:
            loaded[key] = fresh_model(family, n_layers)
        return loaded[key]

    return build


@pytest.fixture(scope="session")
def native_model() -> Callable[..., ICLModel]:
    """`native_model(tokenizer, **config)`: one of TransformerLens' own models (3 layers, learnt positions by default)."""

    def build(tokenizer: Any, **config: Any) -> ICLModel:
        from transformer_lens.config import TransformerBridgeConfig
        from transformer_lens.model_bridge import TransformerBridge

        from iclmech.models import ICLModel

        sizes = {"d_model": 32, "d_head": 8, "n_heads": 4, "n_layers": 3, "n_ctx": 256, "d_vocab": len(tokenizer)}
        kinds = {"d_mlp": 48, "act_fn": "gelu", "architecture": "TransformerLensNative", "normalization_type": "LN"}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            bridge = TransformerBridge.boot_native(TransformerBridgeConfig(**{**sizes, **kinds, **config}))
        return ICLModel(bridge, "native", tokenizer)

    return build


CONTRACT_PLACES = (
    "tests/models/",
    "tests/captures/",
    "tests/updates/",
    "tests/interventions/",
    "tests/test_against_reference.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything that touches TransformerLens carries the marker "contract" and is run on 3.9 as well."""
    for item in items:
        if any(place in item.path.as_posix() for place in CONTRACT_PLACES):
            item.add_marker(pytest.mark.contract)
