"""Names and what they stand for: lazy, each once, with the nearest name in the error."""

from __future__ import annotations

import sys

import pytest

import iclmech as icl
from iclmech._base import REGISTRIES, Measure, Registry, RegistryError, resolve


def test_a_target_is_imported_when_it_is_asked_for() -> None:
    registry: Registry[object] = Registry("thing")
    registry.add("later", "no_such_module:THING")
    assert registry.names() == ["later"]
    with pytest.raises(RegistryError, match=r"no_such_module:THING.*package\.module:name"):
        registry["later"]


def test_an_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(RegistryError, match=r"got the update 'lcdg'.*Did you mean 'lcgd'"):
        REGISTRIES["update"]["lcdg"]
    assert REGISTRIES["update"].get("lcdg") is None
    assert "gd" in REGISTRIES["update"]


def test_a_name_is_taken_once_but_a_cell_may_be_run_again() -> None:
    registry: Registry[object] = Registry("thing")

    def make() -> object:
        def thing() -> None: ...

        return thing

    registry.add("thing", make())
    registry.add("thing", make())
    with pytest.raises(RegistryError, match="registered already"):
        registry.add("thing", print)


def test_register_makes_a_record_of_a_function() -> None:
    @icl.register("measure", "registry_test_measure", axes=("layer",), title="a test", range=(0, 1))
    def measure(zs: object, icl_acts: object, ft: object) -> int:
        return 3

    record = REGISTRIES["measure"]["registry_test_measure"]
    assert isinstance(record, Measure)
    assert (record.shown, record.bounded, record(1, 2, 3)) == ("a test", True, 3)
    assert measure(1, 2, 3) == 3  # the function stays a function


def test_what_cannot_be_registered_is_refused() -> None:
    with pytest.raises(RegistryError, match="expected one of experiment"):
        icl.register("metric", "x", print)
    with pytest.raises(RegistryError, match="got no control to register"):
        icl.register("control", "x")


def test_names_of_built_in_things_bring_no_torch() -> None:
    import subprocess

    code = (
        "import sys; from iclmech._base import REGISTRIES\n"
        "for kind in ('experiment', 'measure', 'update', 'control'): [REGISTRIES[kind][n] for n in REGISTRIES[kind]]\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_target_is_module_and_name() -> None:
    assert resolve("json:loads") is __import__("json").loads
