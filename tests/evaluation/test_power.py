"""Studies of power: the noise that wells are drawn from, and what is found."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from phenoprint.errors import UsageError
from phenoprint.evaluation import ControlNoise, PowerStudy, power_study, smallest_effects


def controls(n: int = 60, *, plates: int = 2, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.standard_t(5, size=(n, 4)) @ rng.normal(size=(4, 10)) + 0.5 * rng.normal(size=(n, 10))
    plate = [f"p{i % plates}" for i in range(n)]
    offsets = np.array([100.0 * (i % plates) for i in range(n)])
    return pl.DataFrame({"Metadata_Plate": plate}).hstack(
        pl.from_numpy(values + offsets[:, None], schema=list("abcdefghij"))
    )


def test_drawn_wells_have_the_covariance_of_the_controls_within_plates() -> None:
    noise = ControlNoise.of(controls(400))
    drawn = noise.draw(np.random.default_rng(1), 20_000) * noise.length
    own = np.concatenate(list(noise.space.deviations.values()))
    wanted = own.T @ own / (len(own) - 2)
    error = np.linalg.norm(drawn.T @ drawn / len(drawn) - wanted) / np.linalg.norm(wanted)
    assert error < 0.1
    assert np.sqrt((noise.draw(np.random.default_rng(2), 20_000) ** 2).sum(axis=1).mean()) == pytest.approx(1, abs=0.05)


def test_power_grows_with_the_effect_and_false_positives_stay_rare() -> None:
    study = PowerStudy(replicates=[3], controls=[12], effects=[0.3, 3.0], per_effect=10, screens=1, null_size=1000)
    powers = power_study(ControlNoise.of(controls()), study)
    assert powers["effect"].to_list() == [0.0, 0.3, 3.0]
    assert powers["n"].to_list() == [20, 10, 10]
    none, weak, strong = powers["power"].to_list()
    assert none <= 0.1
    assert weak < strong
    assert strong > 0.9
    assert (powers["low"] <= powers["power"]).all()
    assert power_study(ControlNoise.of(controls()), study).equals(powers)


def test_two_replicates_of_few_controls_find_nothing() -> None:
    study = PowerStudy(replicates=[2], controls=[4], effects=[5.0], per_effect=10, screens=1, null_size=100)
    powers = power_study(ControlNoise.of(controls()), study)
    assert powers["power"].max() == 0
    assert powers["smallest_p"].min() > 0.025
    assert smallest_effects(powers)["smallest_effect"].to_list() == [None]


def test_wrong_studies_are_named() -> None:
    with pytest.raises(UsageError, match=r"replicates must be 2 or more; found \[1\]"):
        PowerStudy(replicates=[1])
    with pytest.raises(UsageError, match="effects must be above 0"):
        PowerStudy(effects=[0.0])
    with pytest.raises(UsageError, match="along must be"):
        PowerStudy(along="rows")
    with pytest.raises(UsageError, match="at least 8 negative controls on plates with two or more; found 6"):
        ControlNoise.of(controls(6))
    with pytest.raises(UsageError, match="do not vary"):
        ControlNoise.of(controls().with_columns(pl.lit(1.0).alias(name) for name in "abcdefghij"))
