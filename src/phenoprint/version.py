"""The version of Phenoprint, as the installed package declares it in its metadata."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("phenoprint")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "unknown"
