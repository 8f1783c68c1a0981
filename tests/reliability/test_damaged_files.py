"""Files that were damaged or made by hand: read right, or refused in one line; never anything else."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from iclmech._base import FileError, ICLMechError, Result, load_result
from iclmech.captures import Activations
from iclmech.training import load_recipe
from iclmech.training._recipe import RECIPES
from iclmech.updates import WeightUpdate
from iclmech.updates._parameter_layout import ParameterLayout

LONGEST = 700  # of a message, the file's path included


def an_update() -> WeightUpdate:
    layout = {
        "k": ParameterLayout(0, "k", "out_in", 2, 4, 1.0),
        "k_bias": ParameterLayout(0, "k_bias", "out", 2, 4, 0.5),
        "norm": ParameterLayout(None, "other", "other", 0, 0, 1.0),
    }
    deltas = {"k": torch.arange(40.0).view(8, 5), "k_bias": torch.ones(8), "norm": torch.ones(3, dtype=torch.float64)}
    return WeightUpdate(deltas, layout, "0123456789abcdef", {"method": "gd", "lr": 0.1, "requires": [], "n_layers": 2})


def activations() -> Activations:
    data = {"attn_out": torch.randn(3, 2, 4), "attn_scores": torch.randn(3, 2, 2, 5)}
    dims = {"attn_out": ("query", "layer", "d_model"), "attn_scores": ("query", "layer", "head", "key")}
    meta = {"model": "m", "contexts": [0, 0, 1]}
    return Activations(data, dims, torch.randn(3, 2), torch.randn(3), "icl", (0, 3), meta, torch.tensor([0, 1, 2]))


def a_result() -> Result:
    data = xr.Dataset({"accuracy": ("k", np.arange(40.0)), "name": ("k", [f"n{i}" for i in range(40)])})
    return Result(data, kind="nobody-knows", provenance={"model": {"name": "m"}, "notes": ["one"]})


def update_content(path: Path) -> Any:
    update = WeightUpdate.load(path)
    return update.hash, dict(update.meta), [vars(spec) for spec in update.layout.values()]


def activations_content(path: Path) -> Any:
    acts = Activations.load(path)
    tensors = [*acts.data.items(), ("labels", acts.label_scores), ("t", acts.target_scores), ("r", acts.target_ranks)]
    return acts.setting, acts.layers, dict(acts.meta), [(n, t.numpy().tobytes()) for n, t in tensors]


def result_content(path: Path) -> Any:
    result = load_result(path)
    return result.kind, str(result.data.to_dict()), str(result.provenance)


FORMATS: dict[str, tuple[Callable[[], Any], Callable[[Path], Any]]] = {
    "update.safetensors": (an_update, update_content),
    "activations.safetensors": (activations, activations_content),
    "result.nc": (a_result, result_content),
}


def refusal_of(read: Callable[[Path], Any], path: Path) -> tuple[Any, str]:
    """(content, "") where a file is read; (None, what is wrong) where the refusal is none of ours."""
    try:
        return read(path), ""
    except ICLMechError as error:
        text = str(error)
        return None, "" if "\n" not in text and len(text) <= LONGEST else f"a message of {len(text)}: {text[:90]!r}"
    except Exception as error:
        return None, repr(error)


def damaged(data: bytes, draw: random.Random) -> bytes:
    """Bits flipped, bytes replaced, cut off, doubled, put in."""
    found = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 3, 20))):
        at = draw.randrange(len(found)) if draw.random() < 0.5 else draw.randrange(min(len(found), 1500))
        kind = draw.randrange(6)
        if kind == 0:
            found[at] ^= 1 << draw.randrange(8)
        elif kind == 1:
            found[at] = draw.randrange(256)
        elif kind == 2:
            del found[at : at + draw.choice((1, 4, 100))]
        elif kind == 3:
            found[at:at] = bytes(draw.randrange(256) for _ in range(draw.choice((1, 8))))
        elif kind == 4:
            found[at:at] = found[at : at + draw.choice((1, 50))]
        else:
            del found[at:]
        if not found:
            return b""
    return bytes(found)


@pytest.mark.parametrize("name", FORMATS)
def test_no_flipped_bit_is_read(name, tmp_path, size):
    """1,000 single bits, anywhere: the file is refused, or the content is what it was."""
    make, read = FORMATS[name]
    path = tmp_path / name
    make().save(path)
    whole, expected = path.read_bytes(), read(path)
    draw, silent = random.Random(0), []
    for _ in range(size(200, 10000)):
        at, bit = draw.randrange(len(whole)), draw.randrange(8)
        path.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :])
        content, wrong = refusal_of(read, path)
        if wrong or content not in (None, expected):
            silent.append((at, bit, wrong))
    assert not silent, f"{len(silent)}: {silent[:3]}"


@pytest.mark.parametrize("name", FORMATS)
def test_damaged_bytes_are_refused_in_one_line(name, tmp_path, size):
    make, read = FORMATS[name]
    path = tmp_path / name
    make().save(path)
    whole, expected = path.read_bytes(), read(path)
    draw, wrong = random.Random(1), []
    for _ in range(size(200, 100_000)):
        path.write_bytes(damaged(whole, draw))
        content, why = refusal_of(read, path)
        if why or content not in (None, expected):
            wrong.append(why or "other content")
    assert not wrong, f"{len(wrong)}: {wrong[:3]}"


def test_results_without_a_checksum_are_refused_in_one_line(tmp_path, size):
    """Files of earlier versions: HDF5 itself must find the damage, or the numbers are read."""
    path = tmp_path / "result.nc"
    a_result().data.assign_attrs(kind="iclmech nobody-knows", schema=1).to_netcdf(path, engine="h5netcdf")
    whole = path.read_bytes()
    assert result_content(path)[0] == "nobody-knows"
    draw, wrong = random.Random(2), []
    for _ in range(size(25, 20_000)):
        path.write_bytes(damaged(whole, draw))
        wrong += filter(None, [refusal_of(result_content, path)[1]])
    assert not wrong, f"{len(wrong)}: {wrong[:3]}"


HOSTILE: list[Any] = [None, [], {}, "x", -1, 0, 2**70, 1.5, float("nan"), True, [None], {"a": {}}, "k" * 5000]


def mutated(value: Any, draw: random.Random) -> Any:
    """A JSON value with one thing in it replaced, taken out or put in."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        key = draw.choice(list(value))
        kind = draw.randrange(8)
        if kind == 0:
            return {k: v for k, v in value.items() if k != key}
        if kind == 1:
            return {**value, draw.choice(("x", "kind", "meta", "layer", "")): draw.choice(HOSTILE)}
        return {**value, key: mutated(value[key], draw)}
    if isinstance(value, list) and value and draw.random() < 0.7:
        at = draw.randrange(len(value))
        return [*value[:at], mutated(value[at], draw), *value[at + 1 :]]
    return draw.choice(HOSTILE)


def with_header(data: bytes, change: Callable[[Any], Any]) -> bytes:
    """A safetensors file with another header of ours, and no checksum."""
    (n,) = struct.unpack("<Q", data[:8])
    outer = json.loads(data[8 : 8 + n])
    own = json.loads(outer["__metadata__"]["iclmech"])
    own.pop("checksum")
    outer["__metadata__"]["iclmech"] = json.dumps(change(own))
    head = json.dumps(outer).encode()
    head += b" " * (-len(head) % 8)
    return struct.pack("<Q", len(head)) + head + data[8 + n :]


@pytest.mark.parametrize("name", ["update.safetensors", "activations.safetensors"])
def test_altered_headers_are_refused_in_one_line(name, tmp_path, size):
    make, read = FORMATS[name]
    path = tmp_path / name
    thing = make()
    thing.save(path)
    whole = path.read_bytes()
    path.write_bytes(with_header(whole, lambda own: own))
    assert read(path)  # an old file, without a checksum, opens
    draw, wrong = random.Random(3), []
    for _ in range(size(200, 100_000)):
        path.write_bytes(with_header(whole, lambda own: mutated(own, draw)))
        content, why = refusal_of(read, path)
        wrong += [why] if why else []
        if content is not None:  # what was accepted can be used
            repr(make().load(path))
            make().load(path)._repr_html_()
    assert not wrong, f"{len(wrong)}: {wrong[:3]}"


def test_numbers_that_are_none_are_refused(tmp_path):
    update = an_update()
    update.deltas["k"][0, 0] = float("nan")  # type: ignore[index]
    update.save(tmp_path / "nan.safetensors")
    with pytest.raises(FileError, match="k holds what is no finite number"):
        WeightUpdate.load(tmp_path / "nan.safetensors")


@pytest.mark.parametrize(
    "attributes",
    [{"schema": "x"}, {"schema": -3}, {"schema": [1, 2]}, {"provenance": "no json"}, {"provenance": "[1]"}],
)
def test_results_altered_by_hand(attributes, tmp_path):
    data = xr.Dataset(
        {"accuracy": ("k", [0.5])}, attrs={"kind": "iclmech compare-not", "schema": 1, "provenance": "{}"}
    )
    data.assign_attrs(attributes).to_netcdf(tmp_path / "result.nc", engine="h5netcdf")
    with pytest.raises(FileError):
        load_result(tmp_path / "result.nc").claims()


@pytest.mark.parametrize("lost", ["lr_value"])
def test_a_comparison_that_lacks_what_it_rests_on(lost, tmp_path):
    import gzip

    saved = Path(__file__).parents[1] / "experiments" / "saved" / "comparison.nc.gz"
    (tmp_path / "whole.nc").write_bytes(gzip.decompress(saved.read_bytes()))
    load_result(tmp_path / "whole.nc")
    groups = {
        g: xr.load_dataset(tmp_path / "whole.nc", group=g, engine="h5netcdf")
        for g in ("summary", "queries", "examples")
    }
    groups["summary"] = groups["summary"].drop_vars(lost)
    for number, (group, data) in enumerate(groups.items()):
        data.to_netcdf(tmp_path / "result.nc", mode="a" if number else "w", group=group, engine="h5netcdf")
    with pytest.raises(FileError, match=lost):
        load_result(tmp_path / "result.nc")


def test_altered_recipes_are_refused_in_one_line(tmp_path, size):
    path = tmp_path / "recipe.toml"
    whole = (RECIPES / "quick.toml").read_bytes()
    draw, wrong = random.Random(4), []
    values = (b"nan", b"-1", b'"x"', b"[1]", b"1e400", b"true", b"0", b"[" * 3000, b"1979-05-27")
    for n in range(size(200, 100_000)):
        text = damaged(whole, draw)
        if n % 2:
            lines = whole.split(b"\n")
            at = draw.choice([i for i, line in enumerate(lines) if b"=" in line])
            lines[at] = lines[at].split(b"=")[0] + b"= " + draw.choice(values)
            text = b"\n".join(lines)
        path.write_bytes(text)
        wrong += filter(None, [refusal_of(lambda p: load_recipe(p), path)[1]])
    assert not wrong, f"{len(wrong)}: {wrong[:3]}"


def test_a_full_disk_while_writing_is_told_in_one_line(tmp_path, monkeypatch):
    import safetensors
    import safetensors.torch

    def full(*args: Any, **kwargs: Any) -> None:
        raise safetensors.SafetensorError("No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(FileError, match="cannot be written"):
        an_update().save(tmp_path / "u.safetensors")
    assert list(tmp_path.iterdir()) == []
