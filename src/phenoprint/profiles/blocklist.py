"""Features that are noise in every Cell Painting screen seen so far."""

from __future__ import annotations

from itertools import permutations

__all__ = ["DEFAULT_BLOCKLIST"]

_CHANNELS = ("AGP", "DNA", "ER", "Mito", "RNA")

DEFAULT_BLOCKLIST: tuple[str, ...] = (
    *(f"Nuclei_Correlation_Manders_{a}_{b}" for a, b in permutations(_CHANNELS, 2)),
    *(f"Nuclei_Correlation_RWC_{a}_{b}" for a, b in permutations(_CHANNELS, 2)),
    *(f"Nuclei_Granularity_{scale}_{channel}" for scale in (14, 15, 16) for channel in _CHANNELS),
)
"""The 55 features of Way (2019), "Blocklist features - Cell Profiler", https://doi.org/10.6084/m9.figshare.10255811,
which pycytominer uses by default."""
