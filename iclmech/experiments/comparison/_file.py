"""Comparisons in netCDF files: groups, schema version, migration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import xarray as xr

from iclmech._base import FileError, atomic_write

SCHEMA = 1
"""Version of the layout. Add one and a migration when the meaning or the name of a variable changes."""

Groups = dict[str, xr.Dataset]
GROUPS = ("summary", "queries", "examples")
KIND = "iclmech comparison"

MIGRATIONS: dict[int, Callable[[Groups], Groups]] = {}
"""Schema version → function that turns groups of that version into groups of the next one."""


def write_groups(path: str | Path, groups: Groups) -> Path:
    """Write the groups into one netCDF file, whole or not at all."""
    path = Path(path)
    with atomic_write(path) as temporary:
        for number, name in enumerate(GROUPS):
            dataset = groups[name]
            if name == "summary":
                dataset = dataset.assign_attrs(kind=KIND, schema=SCHEMA)
            packed = {
                n: {"zlib": True, "complevel": 4}
                for n, v in dataset.data_vars.items()
                if v.dtype.kind in "fiu" and v.ndim
            }
            dataset.to_netcdf(temporary, mode="a" if number else "w", group=name, engine="h5netcdf", encoding=packed)
    return path


def read_groups(path: str | Path) -> Groups:
    """Read what `write_groups` wrote, brought to the present schema.

    Raises:
        FileError: no such file, not a comparison, a damaged one, or a newer schema.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path} is not a file; expected a comparison saved with Comparison.save.")
    try:
        groups = {}
        for name in GROUPS:
            with xr.open_dataset(path, group=name, engine="h5netcdf") as opened:
                groups[name] = opened.load()
    except (OSError, ValueError, KeyError) as error:
        raise FileError(
            f"{path} cannot be read as a saved comparison ({error}); expected a netCDF file with the groups {', '.join(GROUPS)}."
        ) from error
    attributes = groups["summary"].attrs
    found = int(attributes.get("schema", 0)) if attributes.get("kind") == KIND else 0
    if not found:
        raise FileError(f"{path} is a netCDF file, but not a saved comparison (kind: {attributes.get('kind')!r}).")
    if found > SCHEMA:
        raise FileError(
            f"{path} has schema {found} of comparisons; this version of iclmech reads up to {SCHEMA}. Update iclmech."
        )
    for version in range(found, SCHEMA):
        groups = MIGRATIONS[version](groups)
    for key in ("kind", "schema"):
        groups["summary"].attrs.pop(key)
    return groups
