"""Choice of the built-in file name pattern for a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import polars as pl

from phenoprint.images.readers.pattern_reader import match_pattern, one_kind
from phenoprint.images.readers.patterns import GENERIC, PATTERNS
from phenoprint.images.readers.reader import INDEX_SCHEMA
from phenoprint.tables import WELL_KEY

__all__ = ["PatternFit", "count_clashes", "fit_patterns", "some_names"]

_KEYS = [name for name in INDEX_SCHEMA if name.startswith("Metadata_")]
# Words before numbers of wells, fields, planes or times, which do not name a stain; w1 (wave) and c1 (channel) do.
_COUNTERS = frozenset(
    {
        "p",
        "z",
        "t",
        "s",
        "f",
        "x",
        "y",
        "fld",
        "field",
        "site",
        "pos",
        "position",
        "well",
        "time",
        "tile",
        "img",
        "image",
    }
)
# Wavelengths of light in nm: numbers that name a stain.
_WAVELENGTHS = range(350, 951)
# With at least this many plates, one well per plate means that the plate is in fact part of the well.
_MANY_PLATES = 4


@dataclass(frozen=True)
class PatternFit:
    """The result of a pattern on a folder.

    Parameters
    ----------
    name
        Name of the built-in pattern.
    index
        The images it finds, as returned by `Reader.index`.
    n_clashes
        Number of files with the same plate, well, site, channel, z and t as another.
    doubt
        Why it must not be chosen automatically; None if it may.
    """

    name: str
    index: pl.DataFrame = field(repr=False)
    n_clashes: int
    doubt: str | None

    @property
    def score(self) -> float:
        """Number of files found, without doubtful ones; files of general patterns count less."""
        return GENERIC.get(self.name, 1.0) * (self.index["path"].n_unique() - self.n_clashes)


def fit_patterns(paths: pl.Series) -> list[PatternFit]:
    """Try every built-in pattern; return those that match any file, the best first and doubtful ones last.

    Parameters
    ----------
    paths
        Relative paths of image files.
    """
    found = []
    for name, expression in PATTERNS.items():
        matched = match_pattern(paths, expression)
        index = one_kind(matched.filter(pl.col("Metadata_Well").is_not_null()))
        if index.height:
            doubt = _doubt(index, name) if name in GENERIC else None
            found.append(PatternFit(name, index, count_clashes(index), doubt))
    # A stable sort: of equal patterns the more specific one comes first.
    return sorted(found, key=lambda fit: (fit.doubt is not None, -fit.score))


def count_clashes(index: pl.DataFrame) -> int:
    """Count the files with the keys of another file."""
    return index.height - index.select(_KEYS).unique().height


def _doubt(index: pl.DataFrame, name: str) -> str | None:
    """Return why the channel or plate found by a general pattern cannot be right."""
    channels = index["Metadata_Channel"].unique().sort().to_list()
    if left := _counters(channels, may_be_numbers=name != "generic_one_site"):
        return f"the channel would be {left!r}, which looks like a number of a well, field, plane or time"
    of_wells = index.group_by(WELL_KEY).agg(pl.col("Metadata_Channel").unique())
    n_wells, most = of_wells.height, of_wells["Metadata_Channel"].list.len().max()
    in_wells = of_wells.explode("Metadata_Channel").group_by("Metadata_Channel").len()["len"]
    some = ", ".join(channels[:3])
    if n_wells > 1 and in_wells.max() == 1:
        return f"every well would have channels of its own ({some}, ...)"
    if isinstance(most, int) and len(channels) > 2 * most:
        return f"{len(channels)} channels ({some}, ...), of which no well would have more than {most}"
    per_plate = of_wells.group_by("Metadata_Plate").len()["len"]
    if len(per_plate) >= _MANY_PLATES and per_plate.max() == 1 and of_wells["Metadata_Well"].n_unique() > 1:
        plates = index["Metadata_Plate"].unique().sort().head(3).to_list()
        return f"every well would have a plate of its own ({', '.join(map(str, plates))}, ...)"
    return None


def _counters(channels: list[str], *, may_be_numbers: bool) -> str | None:
    """Return a channel that is a count: a counting word with 0, 1, several numbers or leading zeros."""
    numbers: dict[str, set[str]] = {}
    holders: dict[str, str] = {}
    for channel in channels:
        for part in re.split(r"[ ._+-]", channel.lower()):
            split = re.fullmatch(r"([a-z]*)(\d+)", part)
            if split is not None and (split[1] in _COUNTERS or split[1] in {"", "w"}):
                numbers.setdefault(split[1], set()).add(split[2])
                holders.setdefault(split[1], channel)
    for word, found in numbers.items():
        is_padded = any(len(number) > 1 and number.startswith("0") for number in found)
        if word in {"", "w"}:
            is_light = all(int(number) in _WAVELENGTHS for number in found)
            is_sole = any(channel.isdigit() for channel in channels)
            is_count = any(len(number) > 2 for number in found) if word else is_sole and not may_be_numbers
            if not is_light and (is_count or (is_padded and not may_be_numbers)):
                return holders[word]
        elif is_padded or len(found) > 1 or found <= {"0", "1"}:
            return holders[word]
    return None


def some_names(paths: pl.Series) -> str:
    """Return three file names from the beginning, the middle and the end of a list.

    Examples
    --------
    >>> some_names(pl.Series(["a.tif", "b.tif", "c.tif", "d.tif"]))
    'a.tif, c.tif, d.tif'
    """
    places = sorted({0, len(paths) // 2, len(paths) - 1}) if len(paths) else []
    return ", ".join(str(paths[place]) for place in places)
