"""High-content screens from plate images to profiles, SQL and mechanism-of-action calls.

The names below are the public Python API. Each is loaded at first use, so importing the package is fast.

Examples
--------
>>> import phenoprint
>>> phenoprint.normalize  # doctest: +ELLIPSIS
<function normalize at ...>
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from phenoprint._api import analyse, open, run, simulate
    from phenoprint.evaluation import (
        average_precision,
        mean_average_precision,
        moa_accuracy,
        replicate_reproducibility,
    )
    from phenoprint.exchange import read_profiles
    from phenoprint.features import measure
    from phenoprint.profiles import aggregate, consensus, correct_batch, normalize, select_features
    from phenoprint.segmentation import segment
    from phenoprint.store import Screen, exclude
    from phenoprint.version import __version__ as __version__

__all__ = [
    "Screen",
    "aggregate",
    "analyse",
    "average_precision",
    "consensus",
    "correct_batch",
    "exclude",
    "find_similar",
    "mean_average_precision",
    "measure",
    "moa_accuracy",
    "normalize",
    "open",
    "read_profiles",
    "replicate_reproducibility",
    "run",
    "segment",
    "select_features",
    "simulate",
]

_HOMES = {
    "__version__": "version",
    "Screen": "store",
    "aggregate": "profiles",
    "analyse": "_api",
    "average_precision": "evaluation",
    "consensus": "profiles",
    "correct_batch": "profiles",
    "exclude": "store",
    "find_similar": "pipeline",
    "mean_average_precision": "evaluation",
    "measure": "features",
    "moa_accuracy": "evaluation",
    "normalize": "profiles",
    "open": "_api",
    "read_profiles": "exchange",
    "replicate_reproducibility": "evaluation",
    "run": "_api",
    "segment": "segmentation",
    "select_features": "profiles",
    "simulate": "_api",
}


def __getattr__(name: str) -> Any:
    """Load a public name from its package the first time it is asked for."""
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'phenoprint' has no attribute {name!r}")
    value = getattr(import_module(f"phenoprint.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return [*__all__, "__version__"]
