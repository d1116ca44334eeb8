"""The number of treatments behind a score, and when it is too small for a result of the screen."""

from __future__ import annotations

__all__ = ["LEAST_TREATMENTS", "based_on", "is_headline"]

LEAST_TREATMENTS = 10
"""Treatments that a share must be based on to be a headline.

With fewer, one treatment moves the share by more than a tenth, and even a perfect score leaves a true share of 0.72
within the 95% confidence bound (0.05 ** (1 / 9)); with 2 treatments that is 0.22.
"""


def is_headline(n: int | None) -> bool:
    """Whether a share of `n` treatments may be a result of the screen; see `LEAST_TREATMENTS`.

    Examples
    --------
    >>> is_headline(2), is_headline(103)
    (False, True)
    """
    return n is not None and n >= LEAST_TREATMENTS


def based_on(n: int, n_total: int | None) -> str:
    """Describe how many treatments a share is based on, and whether those are too few.

    Examples
    --------
    >>> based_on(103, 105)
    '103 of 105 treatments'
    >>> based_on(2, 339)
    '2 of 339 treatments, too few for a headline (10 needed)'
    """
    text = f"{n:,} of {n_total:,} treatments" if n_total is not None else f"{n:,} treatments"
    return text if is_headline(n) else f"{text}, too few for a headline ({LEAST_TREATMENTS} needed)"
