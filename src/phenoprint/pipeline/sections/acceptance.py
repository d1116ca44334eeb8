"""Section of ``screen.toml`` about the acceptance of plates."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from phenoprint.pipeline.sections.base import Section

if TYPE_CHECKING:
    from phenoprint.evaluation import AcceptanceLimits

__all__ = ["PlateAcceptanceSection"]

Limits = tuple[float, float]


class PlateAcceptanceSection(Section):
    """Limits of the checks of plates: the first number warns, the second fails.

    With ``exclude_failed``, a plate that fails a check is left out before plates are pooled, as if it were excluded by
    hand; the ledger names the check for each of its wells. ``never_exclude`` names checks, or patterns such as
    ``"z_prime:*"``, that exclude no plate. The limits are explained in `phenoprint.evaluation.AcceptanceLimits`.
    """

    exclude_failed: bool = False
    never_exclude: list[str] = Field(default_factory=list)
    controls: Limits = (4, 2)
    cells: Limits = (50, 10)
    z_prime: Limits = (0.5, 0.0)
    ssmd: Limits = (2.0, 1.0)
    retrieval: Limits = (0.5, 0.2)
    edge: Limits = (0.2, 0.6)
    count_difference: Limits = (0.05, 0.3)
    pattern: Limits = (0.1, 0.5)
    significance: float = Field(default=0.01, gt=0, lt=1)
    flagged_fields: Limits = (0.1, 0.3)
    count_shift: Limits = (1.5, 3.0)
    control_shift: Limits = (3.0, 10.0)
    drift: Limits = (0.5, 1.0)
    replicates: Limits = (0.5, 0.2)

    def limits(self) -> AcceptanceLimits:
        """Return the limits."""
        from phenoprint.evaluation import AcceptanceLimits

        return AcceptanceLimits(**self.model_dump(exclude={"exclude_failed", "never_exclude"}))
