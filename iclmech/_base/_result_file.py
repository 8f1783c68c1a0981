"""Results in netCDF files: one writer and one reader for every kind, with schema versions and migrations."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ._errors import FileError
from ._files import atomic_write
from ._registry import REGISTRIES, resolve

if TYPE_CHECKING:
    import xarray as xr

    from ._result import Result

    Groups = dict[str, xr.Dataset]

RESULT = "result.nc"
"""The file in a directory that holds a result."""


def write_groups(path: str | Path, groups: Groups, stored_as: str, schema: int) -> Path:
    """Write the groups into one netCDF file; the first says what the file is."""
    path = Path(path)
    with atomic_write(path) as temporary:
        for number, (name, dataset) in enumerate(groups.items()):
            if not number:
                dataset = dataset.assign_attrs(kind=stored_as, schema=schema)
            packed = {
                n: {"zlib": True, "complevel": 4}
                for n, v in dataset.data_vars.items()
                if name and v.dtype.kind in "fiu" and v.ndim
            }
            mode = "a" if number else "w"
            dataset.to_netcdf(temporary, mode=mode, group=name or None, engine="h5netcdf", encoding=packed)
    return path


def load_result(path: str | Path, wanted: type[Result] | None = None) -> Result:
    """Open any saved result, by the kind that the file names; with `wanted`, of that class only.

    Args:
        path: a file, or a directory that holds result.nc (or one single .nc file).

    Raises:
        FileError: no such file, a damaged or foreign one, another class than `wanted`, or a newer schema.
    """
    from ._result import Result

    path = _file(Path(path))
    what = f"a saved {wanted.__name__}" if wanted not in (None, Result) else "a saved result"
    groups = _read(path, what)
    attributes = next(iter(groups.values())).attrs
    stored = str(attributes.get("kind", ""))
    if not stored.startswith("iclmech "):
        raise FileError(f"{path} is a netCDF file, but not {what} (kind: {attributes.get('kind')!r}).")
    kind, found = _class_of(stored)
    if wanted is not None and not issubclass(found, wanted):
        raise FileError(f"{path} holds {stored!r}; expected {what}. icl.load opens any kind.")
    schema = int(attributes.get("schema", 0))
    if schema > found.schema:
        raise FileError(
            f"{path} has schema {schema} of {stored!r}; this version of iclmech reads up to {found.schema}. Update iclmech."
        )
    for version in range(schema, found.schema):
        groups = found.migrations[version](groups)
    for key in ("kind", "schema"):
        next(iter(groups.values())).attrs.pop(key, None)
    return found.opened(groups, kind)


def _file(path: Path) -> Path:
    if path.is_dir():
        inside = [path / RESULT] if (path / RESULT).is_file() else sorted(path.glob("*.nc"))
        if len(inside) != 1:
            raise FileError(f"{path} holds {len(inside)} .nc files and no {RESULT}; name the file.")
        return inside[0]
    if not path.is_file():
        raise FileError(f"{path} is not a file; expected a result that save() wrote, or its directory.")
    return path


def _read(path: Path, what: str) -> Groups:
    """All groups of a file, the one that says what it is first."""
    import h5netcdf
    import xarray as xr

    try:
        with h5netcdf.File(path, "r") as file:
            names = list(file.groups) or [""]
            names.sort(key=lambda name: "kind" not in (file.groups[name] if name else file).attrs)
        groups: Groups = {}
        for name in names:
            with xr.open_dataset(path, group=name or None, engine="h5netcdf") as opened:
                groups[name] = opened.load()
    except Exception as error:  # whatever a damaged file makes the libraries raise
        raise FileError(
            f"{path} cannot be read as {what} ({_line(error)}); the file is damaged or of another kind."
        ) from error
    return groups


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _class_of(stored: str) -> tuple[str, type[Result]]:
    """(kind, class) behind what a file calls itself; a plain `Result` where no such experiment is registered."""
    from ._result import Result

    experiments: Any = REGISTRIES["experiment"]
    for name in experiments:
        experiment = experiments[name]
        if stored == (experiment.stored_as or f"iclmech {name}"):
            return name, resolve(experiment.result)
    return stored.removeprefix("iclmech "), Result
