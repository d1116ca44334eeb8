"""One check of a plate, its limits and its verdict."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["AcceptanceLimits", "Check", "judge", "unjudged"]


@dataclass(frozen=True)
class AcceptanceLimits:
    """Limits at which each check warns and fails.

    Attributes
    ----------
    controls
        Negative control wells, at least.
    cells
        Median cells per well, at least.
    z_prime
        Z' and robust Z' of a readout, at least.
    ssmd
        Absolute SSMD of a readout or of the profile, at least.
    retrieval
        Mean normalized average precision of positive controls among the negative, at least.
    edge
        Absolute Cliff's delta of cell counts between the rim and the inside, at most.
    count_difference
        Difference of cell counts between the rim and the inside, as a share of the inside, at most; an edge effect
        breaks both limits.
    pattern
        Share of the variance between wells that the rim, rows, columns or a gradient explain, at most.
    significance
        A pattern is an effect of position where its p is below this, and its size beyond the limit.
    flagged_fields
        Share of fields with a quality flag, at most.
    count_shift
        Median count of the controls relative to that of the other plates, up or down, at most this many fold.
    control_shift
        Distance of the plate's control profile from the other plates, relative to what is typical of these, at most.
    drift
        Share of the differences between the plates' controls that their order explains, at most.
    replicates
        Correlation with the plates of the same layout relative to the correlation of these, at least.
    """

    controls: tuple[float, float] = (4, 2)
    cells: tuple[float, float] = (50, 10)
    z_prime: tuple[float, float] = (0.5, 0.0)
    ssmd: tuple[float, float] = (2.0, 1.0)
    retrieval: tuple[float, float] = (0.5, 0.2)
    edge: tuple[float, float] = (0.2, 0.6)
    count_difference: tuple[float, float] = (0.05, 0.3)
    pattern: tuple[float, float] = (0.1, 0.5)
    significance: float = 0.01
    flagged_fields: tuple[float, float] = (0.1, 0.3)
    count_shift: tuple[float, float] = (1.5, 3.0)
    control_shift: tuple[float, float] = (3.0, 10.0)
    drift: tuple[float, float] = (0.5, 1.0)
    replicates: tuple[float, float] = (0.5, 0.2)


@dataclass(frozen=True)
class Check:
    """One row of ``plate_acceptance`` without its plate; see the table for the columns."""

    criterion: str
    value: float | None
    effect: float | None = None
    p: float | None = None
    n: int | None = None
    threshold: float | None = None
    verdict: str | None = None
    reason: str = ""
    poscon: str | None = None
    readout: str | None = None
    is_best: bool | None = None
    n_compared: int | None = None


def judge(check: Check, size: float, limits: tuple[float, float], *, at_least: bool) -> Check:
    """Compare a size with the limits that warn and fail; the check gets verdict and threshold.

    Examples
    --------
    >>> made = judge(Check("cell_count", 40.0), 40.0, (50, 10), at_least=True)
    >>> made.verdict, made.threshold
    ('warn', 50)
    """
    warn, fail = limits

    def broken(limit: float) -> bool:
        return size < limit if at_least else size > limit

    if broken(fail):
        return replace(check, threshold=fail, verdict="fail")
    return replace(check, threshold=warn, verdict="warn" if broken(warn) else "pass")


def unjudged(criterion: str, reason: str, *, value: float | None = None, n: int | None = None) -> Check:
    """Return a check without verdict."""
    return Check(criterion, value, n=n, reason=f"not judged: {reason}")
