"""Image files of formats that are not read, with advice on how to convert them to TIFF."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from phenoprint.images.readers.reader import check_root

__all__ = ["ForeignFiles", "find_foreign"]

# File name extension to the format and the program that exports it.
_VENDORS = {
    "czi": ("Zeiss CZI", "ZEN"), "lsm": ("Zeiss LSM", "ZEN"), "zvi": ("Zeiss ZVI", "AxioVision"),
    "nd2": ("Nikon ND2", "NIS-Elements"), "lif": ("Leica LIF", "LAS X"), "lof": ("Leica LOF", "LAS X"),
    "xlef": ("Leica XLEF", "LAS X"), "flex": ("Opera FLEX", "Columbus or Acapella"), "vsi": ("Olympus VSI", "cellSens"),
    "ets": ("Olympus ETS", "cellSens"), "oir": ("Olympus OIR", "FluoView"), "oib": ("Olympus OIB", "FluoView"),
    "oif": ("Olympus OIF", "FluoView"), "ims": ("Imaris IMS", "Imaris"), "dv": ("DeltaVision DV", "softWoRx"),
    "r3d": ("DeltaVision R3D", "softWoRx"), "stk": ("MetaMorph STK", "MetaMorph"),
    "c01": ("Cellomics C01", "HCS Studio"), "dib": ("Cellomics DIB", "HCS Studio"),
    "mvd2": ("Volocity MVD2", "Volocity"), "sld": ("SlideBook SLD", "SlideBook"),
}  # fmt: skip
_PICTURES = {"bmp": "BMP", "gif": "GIF", "jp2": "JPEG 2000", "webp": "WebP", "dcm": "DICOM", "npy": "NumPy"}
_ARCHIVES = {"zip": "ZIP archive", "tar": "TAR archive", "tgz": "TAR archive", "7z": "7-Zip archive"}


@dataclass(frozen=True)
class ForeignFiles:
    """Files of one format below a folder.

    Parameters
    ----------
    kind
        Name of the format.
    n
        Number of files.
    example
        Path of the first, relative to the folder.
    advice
        How to make them readable.

    Examples
    --------
    >>> print(ForeignFiles("Nikon ND2", 2, "a.nd2", "export TIFF"))
    2 x Nikon ND2, such as a.nd2: export TIFF
    """

    kind: str
    n: int
    example: str
    advice: str

    def __str__(self) -> str:
        return f"{self.n} x {self.kind}, such as {self.example}: {self.advice}"


def _describe(name: str) -> tuple[str, str] | None:
    """Return format and advice for a file name; None if it is not of another image format."""
    end = name.lower().rpartition(".")[2]
    if end in _VENDORS:
        kind, program = _VENDORS[end]
        return kind, (
            f"export one TIFF per well, field and channel from {program}, or convert with bfconvert of Bio-Formats"
        )
    if end in _PICTURES:
        return _PICTURES[end], "save as TIFF or PNG"
    if end in _ARCHIVES:
        return _ARCHIVES[end], "unpack it"
    if end in {"h5", "hdf5"}:
        return "HDF5", "export one TIFF per well, field and channel"
    return None


def find_foreign(root: Path) -> list[ForeignFiles]:
    """List the image files below a folder that cannot be read, by format, the most frequent first.

    Parameters
    ----------
    root
        Image root. A folder is OME-Zarr if its name ends in ``.zarr`` or it contains ``.zgroup``, ``.zattrs`` or
        ``zarr.json``; its contents are not searched.

    Raises
    ------
    ImageError
        If the folder does not exist.
    """
    base = os.fspath(check_root(root))
    found: dict[tuple[str, str], list[str]] = {}
    for folder, subfolders, names in os.walk(base):
        subfolders.sort()
        here = os.path.relpath(folder, base).replace(os.sep, "/")
        prefix = "" if here == "." else here + "/"
        if folder.endswith(".zarr") or {".zgroup", ".zattrs", "zarr.json"} & set(names):
            subfolders.clear()
            zarr = ("OME-Zarr", "not supported; export one TIFF per well, field and channel")
            found.setdefault(zarr, []).append(here)
            continue
        for name in sorted(names):
            of_name = None if name.startswith("._") else _describe(name)
            if of_name is not None:
                found.setdefault(of_name, []).append(prefix + name)
    kinds = [ForeignFiles(kind, len(paths), paths[0], advice) for (kind, advice), paths in found.items()]
    return sorted(kinds, key=lambda one: (-one.n, one.kind))
