"""Announcement of the compilation of kernels before a measurement."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

__all__ = ["announce_compilation"]

_log = logging.getLogger(__name__)
_announced: set[str] = set()

# A kernel of each family that takes long to compile, by module. If it is in the cache, the others are as well.
_KERNELS = {
    "correlation": ("_kernels_correlation", "colocalization"),
    "granularity": ("_kernels_granularity", "spectrum"),
    "intensity": ("_kernels_intensity", "intensity"),
    "radial": ("_kernels_radial", "radial_bins"),
    "shape": ("_kernels_shape", "radius_statistics"),
    "texture": ("_kernels_texture", "haralick"),
}


def announce_compilation(families: Iterable[str]) -> None:
    """Log once, at level INFO, that kernels of these families are compiled now, unless they are on disk."""
    new = set(families) - _announced
    _announced.update(new)
    folder = _cache_folder()
    if folder is None:
        return
    absent = sorted(name for name in new if name in _KERNELS and not _is_compiled(folder, *_KERNELS[name]))
    if absent:
        text = "compiling the measurement kernels of %s, which takes half a minute on an idle core; they are kept in %s"
        _log.info(text, ", ".join(absent), folder)


def _cache_folder() -> Path | None:
    """Return the cache folder of numba for this package; None if numba does not compile (NUMBA_DISABLE_JIT)."""
    from phenoprint.features._kernels_pixels import group_pixels

    return Path(group_pixels.stats.cache_path) if hasattr(group_pixels, "stats") else None


def _is_compiled(folder: Path, module: str, kernel: str) -> bool:
    """Whether the cache has the kernel, compiled after the last change of its module."""
    source = Path(__file__).with_name(f"{module}.py")
    changed = source.stat().st_mtime if source.is_file() else 0.0
    return any(index.stat().st_mtime >= changed for index in folder.glob(f"{module}.{kernel}-*.nbi"))
