"""Results in netCDF files: one writer and one reader for every kind, with schema versions and migrations."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

from ._errors import FileError
from ._files import atomic_write
from ._tensor_file import understanding

if TYPE_CHECKING:
    import xarray as xr

    Groups = dict[str, xr.Dataset]

RESULT = "result.nc"
"""The file in a directory that holds a result."""
FINISHED = ".finished"
"""The directory in it that holds complete files on their way to their names."""


def write_groups(path: str | Path, groups: Groups, stored_as: str, schema: int) -> Path:
    """Write the groups into one netCDF file; the first says what the file is.

    The file is made in memory: where a disk is full, HDF5 takes the whole process down when it closes what it could not write.

    Raises:
        OSError: the file cannot be written; nothing of it is kept.
    """
    path, image = Path(path), io.BytesIO()
    with atomic_write(path) as temporary:
        for number, (name, dataset) in enumerate(groups.items()):
            if not number:
                dataset = dataset.assign_attrs(kind=stored_as, schema=schema, sealed=1)
            packed = {
                n: {"zlib": True, "complevel": 4}
                for n, v in dataset.data_vars.items()
                if name and v.dtype.kind in "fiu" and v.ndim
            }
            mode = "a" if number else "w"
            dataset.to_netcdf(image, mode=mode, group=name or None, engine="h5netcdf", encoding=packed)  # type: ignore[call-overload]  # its types know no file that is added to
        temporary.write_bytes(image.getbuffer())
        seal(temporary)
    return path


def read_groups(path: str | Path, what: str) -> Groups:
    """All groups of a file, or of the one .nc file of a directory; the first says what the file is.

    Raises:
        FileError: no such file, a damaged one, or a foreign one.
    """
    path = file_of(path)
    found = sealed(path)
    groups = _read(path, what) if found is not False else {}
    if not groups or (next(iter(groups.values())).attrs.pop("sealed", 0) and found is None):
        raise FileError(
            f"{path} is damaged: it lacks its checksum, or has another content's. Take another copy, or run it again."
        )
    stored = str(next(iter(groups.values())).attrs.get("kind", ""))
    if not stored.startswith("iclmech "):
        raise FileError(f"{path} is a netCDF file, but not {what} (kind: {stored[:60] or None!r}).")
    return groups


_SEAL = b"\niclmech xxh3_128 "
"""What stands behind a file, followed by its checksum in hex; readers of HDF5 go by the length in its header."""


def seal(path: Path) -> None:
    """Append the checksum of a file to it."""
    from xxhash import xxh3_128

    check = xxh3_128(path.read_bytes()).hexdigest()
    with path.open("ab") as file:
        file.write(_SEAL + check.encode())


def sealed(path: Path) -> bool | None:
    """Whether a file is as it was sealed; None where there is no seal, as on files of earlier versions."""
    from xxhash import xxh3_128

    data = path.read_bytes()
    body, mark, check = data[: -32 - len(_SEAL)], data[-32 - len(_SEAL) : -32], data[-32:]
    return check.decode("latin-1") == xxh3_128(body).hexdigest() if mark == _SEAL else None


def file_of(path: str | Path) -> Path:
    """The file itself, or the one .nc file of a directory."""
    path = Path(path)
    if path.is_dir():
        if (path / FINISHED / RESULT).is_file():
            return path / FINISHED / RESULT
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
    import h5py
    import xarray as xr

    with understanding(path, what):
        with h5py.File(path, "r") as plain:
            dict(plain.attrs)  # where this fails, h5netcdf leaves more than an error behind
        with h5netcdf.File(path, "r") as file:
            names = list(file.groups) or [""]
            names.sort(key=lambda name: "kind" not in (file.groups[name] if name else file).attrs)
        groups: Groups = {}
        for name in names:
            with xr.open_dataset(path, group=name or None, engine="h5netcdf") as opened:
                groups[name] = opened.load()
    return groups
