"""Which profiles resemble each other, and how likely unrelated profiles would resemble each other as much."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from phenoprint.analysis.nearest import largest, unit_rows
from phenoprint.errors import MissingExtraError, SchemaError, UsageError
from phenoprint.evaluation import similarity_block, to_vectors
from phenoprint.tables import feature_columns, feature_matrix, require_columns, to_polars

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from phenoprint.tables import FrameLike

    Floats = NDArray[np.float32]

__all__ = ["FEWEST_UNRELATED", "Search", "nearest_profiles", "similarity_matrix", "unrelated_p"]

FEWEST_UNRELATED = 20
_MOST_UNRELATED = 20_000  # similarities per query that the null is fitted to
_QUERIES = 1_000  # that are compared with a block of the library at a time
_BLOCK_VALUES = 16_000_000  # similarities of a block, and values of a block of the library
# Share of a normal sample that a quarter to three quarters of it are worth for its standard deviation.
_EFFICIENCY = 0.37
_IQR = 1.3489795003921634  # interquartile range of the standard normal distribution


@dataclass(frozen=True)
class Search:
    """Outcome of `nearest_profiles`.

    Attributes
    ----------
    table
        One row per query and rank: the name of the query, ``rank`` (Int32, from 1), ``neighbour``, ``similarity``
        (Float64, cosine), ``p_value``, ``e_value`` (Float64, NULL with fewer than 20 unrelated profiles),
        ``is_same_group``, ``n_searched`` (Int64), ``n_features`` (Int32).
    lost
        Queries without a result, by reason.
    lost_library
        Profiles of the library that were not searched, by reason.
    features
        The features compared, in the order of the queries.
    only_queries, only_library
        Features that the other side lacks; they are not compared.
    """

    table: pl.DataFrame
    lost: dict[str, int]
    lost_library: dict[str, int]
    features: tuple[str, ...]
    only_queries: tuple[str, ...]
    only_library: tuple[str, ...]


def nearest_profiles(
    queries: FrameLike,
    library: FrameLike | Sequence[FrameLike] | None = None,
    *,
    k: int = 20,
    name: str = "Metadata_perturbation",
    group: str = "Metadata_compound",
    only: Sequence[str] | None = None,
    approximate: bool = False,
) -> Search:
    """Find the profiles of a library that are most similar to each query.

    Parameters
    ----------
    queries
        Profiles relative to controls.
    library
        The profiles that are searched, relative to their own controls: a frame, or a sequence of frames with the same
        columns that are read one after the other, so that a million profiles need not be in memory. None: the queries
        themselves, each without itself.
    k
        Neighbours of a query, at most.
    name
        Column that names a profile, in both. Rows without a name take no part.
    group
        Column of what is related by itself, such as the compound; absent columns relate nothing.
    only
        Names of the queries whose neighbours are wanted; None: of all.
    approximate
        Look for the nearest in an index (hierarchical small worlds; Malkov and Yashunin, IEEE PAMI 42:824, 2020; extra
        ``search``) instead of comparing with all. The index of the whole library is in memory.

    Returns
    -------
    Search
        The neighbours. Features are compared by name: those that only one side has are named. A missing value counts as
        no difference from the controls; profiles that lack more than half of the features, or that differ in none, are
        left out.

    Raises
    ------
    MissingExtraError
        For `approximate` without the extra.
    SchemaError
        If the two sides share no feature.
    UnknownNameError
        For an absent column of names.
    UsageError
        For k below 1.

    Notes
    -----
    The p value of a similarity is its chance among *unrelated* profiles: those of other groups. Most of these are
    unrelated, some are not; median and quartiles of their similarities (after Fisher's transformation) see the bulk
    alone, as an empirical null does (Efron, J Am Stat Assoc 99:96, 2004). p is the upper tail of Student's t for one
    more value of that distribution, so that it holds with few profiles, too. ``e_value`` is p times the number
    searched: so many unrelated profiles as similar as this one, or more, are expected in such a library.

    Examples
    --------
    >>> profiles = pl.DataFrame({"Metadata_perturbation": ["a", "b", "c"], "F": [1.0, 2.0, -1.0], "G": [1.0, 1.9, 0.1]})
    >>> nearest_profiles(profiles, k=1).table.select("Metadata_perturbation", "neighbour").rows()
    [('a', 'b'), ('b', 'a'), ('c', 'a')]
    """
    if k < 1:
        raise UsageError(f"k must be 1 or more; found {k}")
    asked = to_polars(queries)
    blocks: Sequence[FrameLike] = [asked] if library is None else _blocks(library)
    of_queries, of_library = feature_columns(asked), feature_columns(to_polars(blocks[0])) if len(blocks) else []
    known = set(of_library)
    features = tuple(feature for feature in of_queries if feature in known)
    both = set(features)
    if of_queries and of_library and not features:
        raise SchemaError(
            f"queries and library share none of their {len(of_queries)} and {len(of_library)} features, such as "
            f"{of_queries[0]} and {of_library[0]}: features are compared by name"
        )
    wanted = _Profiles.of(asked, features, name, group)
    rows: list[pl.DataFrame] = []
    lost_library: dict[str, int] = {}
    rows_asked = np.flatnonzero(np.isin(wanted.names, list(only))) if only is not None else np.arange(len(wanted.names))
    for start in range(0, len(rows_asked), _QUERIES):
        chosen = rows_asked[start : start + _QUERIES]
        scan = _Scan(wanted.part(chosen), k=k, own=chosen if library is None else None)
        searched = [wanted] if library is None else _library(blocks, features, name, group)
        if approximate:
            scan.approximate(searched)
        else:
            for own in searched:
                scan.compare(own)
        rows.append(scan.table(name, len(features)))
        lost_library = scan.lost
    only_queries = tuple(feature for feature in of_queries if feature not in both)
    only_library = tuple(feature for feature in of_library if feature not in both)
    table = pl.concat(rows) if rows else _Scan(wanted, k=k, own=None).table(name, len(features))
    return Search(table, wanted.lost, lost_library, features, only_queries, only_library)


def unrelated_p(similarity: Floats, unrelated: Floats) -> NDArray[np.float64]:
    """Return the chance that an unrelated profile is as similar, or more.

    Parameters
    ----------
    similarity
        Cosine similarities to judge, any shape.
    unrelated
        Similarities of the same query to profiles most of which are unrelated, shape (profiles,).

    Returns
    -------
    numpy.ndarray
        p values, the shape of `similarity`; NaN with fewer than 20 unrelated profiles or where these do not differ.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p = unrelated_p(np.array([0.0, 0.6], np.float32), rng.normal(0, 0.2, 200).astype(np.float32))
    >>> bool(p[0] > 0.4), bool(p[1] < 0.01)
    (True, True)
    """
    from scipy.stats import t

    n = len(unrelated)
    quartiles = np.quantile(_fisher(unrelated), [0.25, 0.5, 0.75]) if n >= FEWEST_UNRELATED else np.full(3, np.nan)
    spread = (quartiles[2] - quartiles[0]) / _IQR
    if not spread > 0:
        return np.full(similarity.shape, np.nan)
    # The median of n normal values has the variance pi / 2n.
    z = (_fisher(similarity) - quartiles[1]) / (spread * np.sqrt(1 + np.pi / (2 * n)))
    p: NDArray[np.float64] = t.sf(z, _EFFICIENCY * n)
    return p


def _fisher(similarity: Floats) -> NDArray[np.float64]:
    return np.arctanh(np.clip(similarity.astype(np.float64), -1 + 1e-9, 1 - 1e-9))


@dataclass(frozen=True)
class _Profiles:
    """Profiles of length 1 with their names and groups; unusable rows are left out and counted."""

    unit: Floats
    names: NDArray[np.object_]
    groups: NDArray[np.object_]
    lost: dict[str, int]

    @classmethod
    def of(cls, frame: pl.DataFrame, features: Sequence[str], name: str, group: str) -> _Profiles:
        require_columns(frame, [name], purpose="similarity")
        named = frame.filter(pl.col(name).is_not_null())
        values = feature_matrix(named, features).T if features else np.zeros((named.height, 0), np.float32)
        absent = np.isnan(values)
        sparse = absent.mean(axis=1) > 0.5 if features else np.ones(named.height, bool)
        unit = unit_rows(np.where(absent, 0, values))
        flat = ~sparse & ~unit.any(axis=1)  # a profile of zeros would resemble all others alike
        kept = ~sparse & ~flat
        groups = named[group] if group in named.columns else pl.Series([None] * named.height, dtype=pl.String)
        lost = {
            "the profile has no name": frame.height - named.height,
            "lacks more than half of the features": int(sparse.sum()),
            "does not differ from the controls in any feature": int(flat.sum()),
        }
        if not features:
            lost = {"no feature to compare by": frame.height}
        names = named[name].cast(pl.String).to_numpy()
        return cls(unit[kept], names[kept], groups.cast(pl.String).to_numpy()[kept], lost)

    def part(self, rows: slice | NDArray[np.intp]) -> _Profiles:
        return _Profiles(self.unit[rows], self.names[rows], self.groups[rows], self.lost)


def _blocks(library: FrameLike | Sequence[FrameLike]) -> Sequence[FrameLike]:
    is_frame = hasattr(library, "columns")
    return [library] if is_frame else library  # type: ignore[list-item,return-value]


def _library(blocks: Sequence[FrameLike], features: Sequence[str], name: str, group: str) -> Iterator[_Profiles]:
    for block in blocks:
        frame = to_polars(block)
        step = max(1, _BLOCK_VALUES // max(1, len(features)))
        for start in range(0, frame.height, step):
            yield _Profiles.of(frame.slice(start, step), features, name, group)


@dataclass
class _Scan:
    """Compares some queries with a library that passes by, in memory that does not grow with the library."""

    queries: _Profiles
    k: int
    own: NDArray[np.intp] | None  # numbers of the queries in the library, where this holds them
    n: int = 0
    stride: int = 1
    lost: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        width = (len(self.queries.names), 0)
        self.best, self.index = np.zeros(width, np.float32), np.zeros(width, np.intp)
        self.found: dict[int, tuple[str, str | None]] = {}
        self.null, self.null_groups = np.zeros(width, np.float32), np.zeros(0, object)
        self.null_rows = np.zeros(0, np.intp)

    def compare(self, library: _Profiles) -> None:
        """Compare with all profiles of a block."""
        step = max(1, _BLOCK_VALUES // max(1, len(self.queries.names)))
        for start in range(0, len(library.names), step):
            part = library.part(slice(start, start + step))
            self._take(part, self.queries.unit @ part.unit.T)
        self._count(library)

    def approximate(self, library: Iterator[_Profiles] | list[_Profiles]) -> None:
        """Put the library into an index and ask that; compare with every so many for the null."""
        try:
            from usearch.index import Index
        except ImportError as error:
            raise MissingExtraError("usearch", extra="search", purpose="Approximate search") from error
        index = Index(ndim=self.queries.unit.shape[1], metric="ip", dtype="f32")
        names: list[NDArray[np.object_]] = []
        groups: list[NDArray[np.object_]] = []
        for own in library:
            index.add(np.arange(self.n, self.n + len(own.names), dtype=np.uint64), own.unit)
            self._sample(own, self.queries.unit, self.n)
            names.append(own.names)
            groups.append(own.groups)
            self._count(own)
            self.n += len(own.names)
        every, of_group = np.concatenate([*names, []]), np.concatenate([*groups, []])
        wanted = min(self.k + (self.own is not None), self.n)
        width = min(self.k, wanted - (self.own is not None))
        self.best = np.zeros((len(self.queries.names), width), np.float32)
        self.index = np.zeros(self.best.shape, np.intp)
        for row, query in enumerate(self.queries.unit):
            matches = index.search(query, wanted)
            keys, alike = np.asarray(matches.keys).astype(np.intp), 1 - np.asarray(matches.distances)
            others = keys != self.own[row] if self.own is not None else np.ones(len(keys), bool)
            self.index[row], self.best[row] = keys[others][:width], alike[others][:width]
        self.found = {int(i): (every[i], of_group[i]) for i in np.unique(self.index)}

    def _count(self, library: _Profiles) -> None:
        for reason, n in library.lost.items():
            self.lost[reason] = self.lost.get(reason, 0) + n

    def _take(self, part: _Profiles, alike: Floats) -> None:
        """Keep the nearest so far, and every so many similarities for the null."""
        self._keep_null(alike, part.groups, self.n)
        numbers = np.arange(self.n, self.n + len(part.names))
        if self.own is not None:
            alike[numbers[None, :] == self.own[:, None]] = -np.inf
        alike = np.hstack([self.best, alike])
        every = np.hstack([self.index, np.broadcast_to(numbers, (len(alike), len(numbers)))])
        self.n += len(numbers)
        others = self.n - (self.own is not None)
        order = largest(alike, min(self.k, alike.shape[1], max(others, 0)))
        self.best = np.take_along_axis(alike, order, axis=1)
        self.index = np.take_along_axis(every, order, axis=1)
        first = self.n - len(numbers)
        new = {int(i): (part.names[i - first], part.groups[i - first]) for i in np.unique(self.index) if i >= first}
        kept = set(np.unique(self.index).tolist())
        self.found = {i: about for i, about in self.found.items() if i in kept} | new

    def _sample(self, part: _Profiles, queries: Floats, first: int) -> None:
        chosen = np.flatnonzero((first + np.arange(len(part.names))) % self.stride == 0)
        thin = part.unit[chosen]
        self._append(queries @ thin.T, part.groups[chosen], first + chosen)

    def _keep_null(self, alike: Floats, groups: NDArray[np.object_], first: int) -> None:
        chosen = np.flatnonzero((first + np.arange(alike.shape[1])) % self.stride == 0)
        self._append(alike[:, chosen], groups[chosen], first + chosen)

    def _append(self, alike: Floats, groups: NDArray[np.object_], rows: NDArray[np.intp]) -> None:
        self.null = np.hstack([self.null, alike])
        self.null_groups = np.concatenate([self.null_groups, groups])
        self.null_rows = np.concatenate([self.null_rows, rows])
        while self.null.shape[1] > _MOST_UNRELATED:
            self.stride *= 2
            kept = self.null_rows % self.stride == 0
            self.null, self.null_groups = self.null[:, kept], self.null_groups[kept]
            self.null_rows = self.null_rows[kept]

    def table(self, name: str, n_features: int) -> pl.DataFrame:
        """Return the neighbours of all queries with p and E."""
        n, width = self.best.shape
        n_searched = max(0, self.n - (self.own is not None))
        p_values = np.full((n, width), np.nan)
        for row in range(n if width else 0):
            group = self.queries.groups[row]
            related = (self.null_groups == group) if group is not None else np.zeros(len(self.null_groups), bool)
            if self.own is not None:
                related |= self.null_rows == self.own[row]
            p_values[row] = unrelated_p(self.best[row], self.null[row, ~related])
        about = [self.found[int(i)] for i in self.index.ravel()]
        own = np.repeat(self.queries.groups, width)
        same = [a is not None and a == b for a, (_, b) in zip(own, about, strict=True)]
        return pl.DataFrame(
            {
                name: pl.Series(np.repeat(self.queries.names, width), dtype=pl.String),
                "rank": pl.Series(np.tile(np.arange(1, width + 1), n), dtype=pl.Int32),
                "neighbour": pl.Series([name for name, _ in about], dtype=pl.String),
                "similarity": pl.Series(self.best.ravel().astype(np.float64), dtype=pl.Float64),
                "p_value": pl.Series(p_values.ravel(), dtype=pl.Float64, nan_to_null=True),
                "e_value": pl.Series(p_values.ravel() * n_searched, dtype=pl.Float64, nan_to_null=True),
                "is_same_group": pl.Series(same, dtype=pl.Boolean),
                "n_searched": pl.Series(np.full(n * width, n_searched), dtype=pl.Int64),
                "n_features": pl.Series(np.full(n * width, n_features), dtype=pl.Int32),
            }
        )


def similarity_matrix(frame: FrameLike, *, metric: str = "cosine", missing: str = "impute") -> NDArray[np.float32]:
    """Compare every profile with every other.

    Parameters
    ----------
    frame
        Profiles of wells or treatments.
    metric
        ``"cosine"``, ``"correlation"`` (also ``"pearson"``) or ``"euclidean"`` (1 / (1 + distance)).
    missing
        ``"impute"`` or ``"error"`` for missing values; see `to_vectors`.

    Returns
    -------
    numpy.ndarray
        Shape (rows, rows), float32, symmetric; NaN for rows that lack more than half of the features.
    """
    data = to_polars(frame)
    vectors = to_vectors(data, metric, missing=missing)
    full = np.full((data.height, data.height), np.nan, dtype=np.float32)
    full[np.ix_(vectors.rows, vectors.rows)] = similarity_block(vectors, slice(None))
    return full
