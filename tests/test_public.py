"""The public face: every name is there, documented, found by completion, and costs nothing before it is used."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import iclmech

CONTRACT = {
    "load_model", "ICLModel", "list_models", "list_tasks", "load_task", "Task", "build_prompts", "PromptSet", "capture",
    "Activations", "gradient_descent", "layer_causal_gd", "WeightUpdate", "metrics", "compare", "Comparison", "figures",
    "write_report", "published", "ICLMechError",
}  # fmt: skip


def test_every_promised_name_is_there():
    assert set(dir(iclmech)) >= CONTRACT
    for name in dir(iclmech):
        assert getattr(iclmech, name) is not None


@pytest.mark.parametrize("name", [name for name in dir(iclmech) if not name.startswith("_")])
def test_every_public_name_is_documented(name: str):
    thing = getattr(iclmech, name)
    assert inspect.getdoc(thing), f"{name} has no docstring"
    if inspect.isclass(thing):
        for attribute, member in vars(thing).items():
            if not attribute.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                assert inspect.getdoc(member), f"{name}.{attribute} has no docstring"


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(AttributeError, match="load_model"):
        _ = iclmech.no_such_name


def test_importing_brings_neither_torch_nor_transformer_lens():
    code = (
        "import iclmech, sys; print([m for m in ('torch', 'transformer_lens', 'plotly', 'xarray') if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_errors_have_one_root():
    from iclmech import _base

    errors = [e for name, e in vars(_base).items() if name.endswith("Error")]
    assert len(errors) > 5
    assert all(issubclass(e, iclmech.ICLMechError) for e in errors)
