"""Power of a design: simulated screens with the noise of given controls, judged by the real test of activity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import numpy as np
import polars as pl

from phenoprint.errors import UsageError
from phenoprint.evaluation.activity import activity
from phenoprint.evaluation.control_space import ControlSpace
from phenoprint.profiles import cross_fit
from phenoprint.tables import PERT_TYPE, PERTURBATION, PLATE, WELL, feature_columns, feature_matrix, require_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

__all__ = ["ControlNoise", "PowerStudy", "power_study", "smallest_effects"]

_RECIPE: Final = [{"operation": "normalize", "method": "mad_robust", "by": [PLATE], "reference": "negcon"}]
_FEATURE_SHARE = 0.1  # of the features that an effect along features moves
_WANTED = 0.8
_LEAST_CONTROLS = 8


@dataclass(frozen=True)
class ControlNoise:
    """The noise of control wells, from which new wells are drawn.

    Attributes
    ----------
    space
        The controls of each plate.
    radii
        Lengths of the controls relative to their root mean square; heavy tails are drawn again from them.
    length
        Root mean square length of the noise of a well, over all features.
    """

    space: ControlSpace
    radii: Floats
    length: float

    @classmethod
    def of(cls, controls: pl.DataFrame) -> ControlNoise:
        """Learn the noise of controls: profiles with ``Metadata_Plate`` and features.

        Raises
        ------
        UsageError
            For fewer than 8 controls on plates with two or more, or controls that do not vary.
        """
        require_columns(controls, [PLATE], purpose="the noise of controls")
        names = feature_columns(controls)
        by_plate = {}
        for (plate,), own in controls.sort(PLATE).group_by(PLATE, maintain_order=True):
            values = feature_matrix(own, names).astype(np.float64).T
            values = values[np.isnan(values).mean(axis=1) <= 0.5] if names else values
            if len(values) > 1:
                by_plate[str(plate)] = values
        n = sum(len(values) for values in by_plate.values())
        if n < _LEAST_CONTROLS or not names:
            raise UsageError(
                f"the noise is learned from at least {_LEAST_CONTROLS} negative controls on plates with two or more; "
                f"found {n}"
            )
        stacked = np.concatenate(list(by_plate.values()))
        usable = np.isnan(stacked).mean(axis=0) <= 0.5
        filled = {plate: _filled(values[:, usable]) for plate, values in by_plate.items()}
        space = ControlSpace.of(filled)
        if space is None:
            raise UsageError("the negative controls do not vary, so that there is no noise to draw from")
        left = np.concatenate(list(space.deviations.values()))
        squares = (left**2).sum(axis=1)
        length = float(np.sqrt(squares.sum() / (len(left) - len(filled))))
        return cls(space, np.sqrt(squares / squares.mean()), length)

    @property
    def n_features(self) -> int:
        """Number of features."""
        return len(self.space.axes)

    def draw(self, rng: np.random.Generator, n: int) -> Floats:
        """Draw the noise of new wells, shape (wells, features), with root mean square length 1."""
        flat = rng.standard_normal((n, self.n_features)) * np.sqrt(self.space.floor)
        axes = self.space.axes
        along = rng.standard_normal((n, axes.shape[1])) * np.sqrt(self.space.scales - self.space.floor)
        wells = (flat + along @ axes.T) * rng.choice(self.radii, n)[:, None]
        return np.asarray(wells / self.length)


def _filled(values: Floats) -> Floats:
    known = ~np.isnan(values)
    middle = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.asarray(np.where(known, values, middle))


@dataclass(frozen=True, kw_only=True)
class PowerStudy:
    """Which designs are tried, and how.

    Attributes
    ----------
    replicates
        Wells per treatment, each on a plate of its own.
    controls
        Negative controls per plate.
    effects
        Lengths of the shift of a profile, relative to that of the noise of a well.
    along
        Direction of an effect: ``"noise"``, as that of the noise of a well, so that features that vary together move
        together; ``"random"`` over all features; ``"features"``: over a random tenth of them.
    per_effect
        Treatments of each effect in a simulated screen; as many treatments in all have no effect.
    screens
        Simulated screens per design.
    null_size
        Permutations of the test of activity.
    seed
        Seed of all draws.

    Raises
    ------
    UsageError
        If a value is out of range.
    """

    replicates: Sequence[int] = (2, 3, 4, 6)
    controls: Sequence[int] = (8, 16, 32)
    effects: Sequence[float] = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
    along: Literal["noise", "random", "features"] = "noise"
    per_effect: int = 8
    screens: int = 4
    null_size: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Check all values."""
        for name, least in (("replicates", 2), ("controls", 4)):
            values = getattr(self, name)
            if not values or min(values) < least:
                raise UsageError(f"{name} must be {least} or more; found {list(values)}")
        if not self.effects or min(self.effects) <= 0:
            raise UsageError(f"effects must be above 0; found {list(self.effects)}")
        if self.along not in ("noise", "random", "features") or self.per_effect < 1 or self.screens < 1:
            raise UsageError("along must be 'noise', 'random' or 'features', per_effect and screens 1 or more")


def power_study(
    noise: ControlNoise, study: PowerStudy | None = None, *, on_design: Callable[[int, int], None] | None = None
) -> pl.DataFrame:
    """Simulate screens of several designs and count the treatments that are found active.

    Wells are drawn with the covariance and the lengths of given controls, treatments are shifted, and the profiles are
    normalized with cross-fitted controls and judged by `activity`, as in a run.

    Parameters
    ----------
    noise
        The noise of wells.
    study
        Which designs; None: `PowerStudy()`.
    on_design
        Called with replicates and controls before each design.

    Returns
    -------
    polars.DataFrame
        One row per design and effect, 0 included: ``replicates``, ``controls``, ``effect``, ``n`` (treatments
        simulated), ``power`` (share found active, corrected p < 0.05), ``low``, ``high`` (95 % interval, Wilson),
        ``below_p`` (share with p < 0.05 before correction) and ``smallest_p`` (median of the smallest p that the
        numbers of wells allow). With effect 0, power is the share of false positives.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> wells = pl.DataFrame({"Metadata_Plate": ["p"] * 40}).hstack(pl.DataFrame(rng.normal(size=(40, 12))))
    >>> study = PowerStudy(replicates=[4], controls=[12], effects=[3.0], per_effect=10, screens=1, null_size=200)
    >>> powers = power_study(ControlNoise.of(wells), study)
    >>> powers.filter(effect=3.0).select("replicates", "controls", "n", "power").rows()
    [(4, 12, 10, 1.0)]
    """
    chosen = PowerStudy() if study is None else study
    rows: list[tuple[float, ...]] = []
    for replicates in chosen.replicates:
        for controls in chosen.controls:
            if on_design is not None:
                on_design(replicates, controls)
            found = pl.concat([_screen(noise, chosen, replicates, controls, turn) for turn in range(chosen.screens)])
            for effect in sorted({0.0, *map(float, chosen.effects)}):
                own = found.filter(pl.col("effect") == effect)
                n, hits = own.height, int(own["below_corrected_p"].fill_null(value=False).sum())
                low, high = _wilson(hits, n)
                rows.append(
                    (
                        replicates,
                        controls,
                        effect,
                        n,
                        hits / n,
                        low,
                        high,
                        float((own["p_value"] < 0.05).fill_null(value=False).mean() or 0.0),  # type: ignore[arg-type]
                        float(own["smallest_p"].median() or 1.0),  # type: ignore[arg-type]
                    )
                )
    whole, real = pl.Int64(), pl.Float64()
    schema = {
        "replicates": whole, "controls": whole, "effect": real, "n": whole, "power": real, "low": real, "high": real,
        "below_p": real, "smallest_p": real,
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def smallest_effects(powers: pl.DataFrame, *, wanted: float = _WANTED) -> pl.DataFrame:
    """Return the smallest effect that each design finds with some power, between the effects that were simulated.

    Parameters
    ----------
    powers
        What `power_study` returned.
    wanted
        The power.

    Returns
    -------
    polars.DataFrame
        One row per design: ``replicates``, ``controls``, ``smallest_effect`` (NULL where no effect reaches it) and
        ``false_positives``, the share found among treatments without effect.

    Examples
    --------
    >>> names = ["replicates", "controls", "effect", "power"]
    >>> rows = [(2, 8, 0.0, 0.02), (2, 8, 1.0, 0.6), (2, 8, 2.0, 1.0)]
    >>> smallest_effects(pl.DataFrame(rows, schema=names, orient="row")).rows()
    [(2, 8, 1.5, 0.02)]
    """
    rows = []
    for (replicates, controls), own in powers.group_by("replicates", "controls", maintain_order=True):
        curve = own.sort("effect")
        effects, power = curve["effect"].to_numpy(), np.maximum.accumulate(curve["power"].to_numpy())
        at = int(np.searchsorted(power, wanted - 1e-9))
        smallest = None
        if at < len(power):
            before = max(at - 1, 0)
            rise = power[at] - power[before]
            step = (wanted - power[before]) / rise if rise > 0 else 0.0
            smallest = round(float(effects[before] + step * (effects[at] - effects[before])), 4)
        rows.append((replicates, controls, smallest, float(curve["power"][0])))
    schema = {
        "replicates": pl.Int64,
        "controls": pl.Int64,
        "smallest_effect": pl.Float64,
        "false_positives": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def _screen(noise: ControlNoise, study: PowerStudy, replicates: int, controls: int, turn: int) -> pl.DataFrame:
    """Simulate and judge one screen: effect, below_corrected_p, p_value and smallest_p of each treatment."""
    rng = np.random.default_rng([study.seed, replicates, controls, turn])
    effects = np.repeat([float(effect) for effect in study.effects], study.per_effect)
    effects = np.concatenate([np.zeros(len(effects)), effects])
    shifts = effects[:, None] * _directions(rng, noise, len(effects), study.along)
    names = [f"treatment {number}" for number in range(len(effects))]
    n = controls + len(effects)
    features = [f"feature_{number}" for number in range(noise.n_features)]
    plates = []
    for plate in range(replicates):
        values = noise.draw(rng, n)
        values[controls:] += shifts
        about = pl.DataFrame(
            {
                PLATE: [f"plate {plate}"] * n,
                WELL: [f"well {place}" for place in rng.permutation(n).tolist()],
                PERT_TYPE: ["negcon"] * controls + ["trt"] * len(effects),
                PERTURBATION: ["control"] * controls + names,
            }
        )
        plates.append(about.hstack(pl.from_numpy(values.astype(np.float32), schema=features)))
    folds = cross_fit(plates, _RECIPE, seed=turn)
    found = activity(folds, null_size=study.null_size, seed=turn)
    truth = pl.DataFrame({PERTURBATION: names, "effect": effects})
    return truth.join(found.select(PERTURBATION, "below_corrected_p", "p_value", "smallest_p"), on=PERTURBATION)


def _directions(rng: np.random.Generator, noise: ControlNoise, n: int, along: str) -> Floats:
    """Draw unit vectors, shape (n, features)."""
    drawn = noise.draw(rng, n) if along == "noise" else rng.standard_normal((n, noise.n_features))
    if along == "features":
        most = max(1, round(_FEATURE_SHARE * noise.n_features))
        keys = rng.random(drawn.shape)
        drawn[keys > np.sort(keys, axis=1)[:, most - 1 : most]] = 0.0
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _wilson(hits: int, n: int) -> tuple[float, float]:
    from scipy.stats import binomtest

    interval = binomtest(hits, n).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)
