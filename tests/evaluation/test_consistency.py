"""Whether compounds of one mechanism resemble each other."""

from __future__ import annotations

from math import comb

import numpy as np
import polars as pl
import pytest

from phenoprint.evaluation import mechanism_consistency
from phenoprint.evaluation.matching import matching_groups


def treatments(moa: dict[str, str | None], *, doses: int = 1, strength: float = 3.0, seed: int = 0) -> pl.DataFrame:
    """Treatments of compounds with their mechanisms; 20 features."""
    rng = np.random.default_rng(seed)
    names = {part for label in moa.values() if label for part in label.split("|")}
    axes = {name: rng.normal(size=20) for name in sorted(names)}
    rows, values = [], []
    for compound, label in moa.items():
        own = rng.normal(size=20)
        for dose in range(doses):
            rows.append((f"{compound}@{dose}", compound, label, "trt"))
            shared = sum(axes[part] for part in label.split("|")) if label else 0.0
            values.append(own + strength * shared + 0.1 * rng.normal(size=20))
    columns = ["Metadata_perturbation", "Metadata_compound", "Metadata_moa", "Metadata_pert_type"]
    described = pl.DataFrame(rows, schema=columns, orient="row")
    return described.hstack(pl.DataFrame(np.array(values), schema=[f"F{i}" for i in range(20)]))


def all_active(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("Metadata_perturbation", below_corrected_p=pl.lit(value=True))


def test_mechanisms_that_share_a_phenotype_are_consistent() -> None:
    moa = (
        {f"t{i}": "tubulin" for i in range(4)}
        | {f"a{i}": "actin" for i in range(4)}
        | {f"n{i}": None for i in range(12)}
    )
    frame = treatments(moa)
    table, scores = mechanism_consistency(frame, all_active(frame))
    assert table["below_corrected_p"].to_list() == [True, True]
    # Each of the two may score above the other, and no other set of four does.
    assert sorted(table["p_value"].to_list()) == pytest.approx([1 / comb(20, 4), 2 / comb(20, 4)])
    consistent = scores.filter(score="mechanisms_consistent")
    assert consistent.select("baseline", "value", "n").rows() == [("none", 1.0, 2)]


def test_doses_of_one_compound_are_no_evidence() -> None:
    """Two compounds that differ, each at eight doses that agree."""
    moa = {"x": "m", "y": "m"} | {f"n{i}": None for i in range(20)}
    frames = [treatments(moa, doses=8, strength=0.0, seed=seed) for seed in range(100, 130)]
    found = pl.concat(mechanism_consistency(frame, all_active(frame))[0] for frame in frames)
    assert set(found["n_compounds"]) == {2}
    assert (found["p_value"] < 0.05).sum() <= 5


def test_random_mechanisms_have_p_values_that_hold() -> None:
    rng = np.random.default_rng(0)
    p = []
    for seed in range(12):
        names = [f"c{i:02d}" for i in range(60)]
        moa = dict(zip(names, rng.permutation([f"m{i % 12:02d}" for i in range(60)]).tolist(), strict=True))
        frame = treatments(moa, strength=0.0, seed=seed)
        p += mechanism_consistency(frame, all_active(frame), null_size=400)[0]["p_value"].to_list()
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=3.5 * np.sqrt(0.05 * 0.95 / len(p)))
    assert np.mean(np.array(p) < 0.2) == pytest.approx(0.2, abs=3.5 * np.sqrt(0.2 * 0.8 / len(p)))


def test_compounds_of_two_mechanisms_belong_to_both() -> None:
    moa = {"x": "m", "y": "m|k", "z": "k"} | {f"n{i}": None for i in range(30)}
    frame = treatments(moa)
    found = mechanism_consistency(frame, all_active(frame))[0]
    assert found.select("label", "n_compounds").rows() == [("k", 2), ("m", 2)]


def test_what_cannot_be_judged_has_a_status() -> None:
    moa = {"x": "m", "y": "m", "z": "k", "u": "j", "v": "j"}
    frame = treatments(moa)
    active = all_active(frame).with_columns(below_corrected_p=~pl.col("Metadata_perturbation").is_in(["v@0"]))
    found = mechanism_consistency(frame, active)[0]
    assert dict(found.select("label", "status").iter_rows()) == {
        "m": "too few compounds", "k": "one compound", "j": "one compound",
    }  # fmt: skip
    assert found.filter(status="one compound")["p_value"].null_count() == 2
    assert mechanism_consistency(frame.drop("Metadata_moa"), active)[0].is_empty()
    nothing = mechanism_consistency(frame, active.with_columns(below_corrected_p=pl.lit(value=False)))
    assert set(nothing[0]["status"]) == {"one compound"}
    assert nothing[1].is_empty()


def test_mechanisms_match_beside_shuffled_compounds() -> None:
    moa = {f"c{i:02d}": f"m{i % 10}" for i in range(30)} | {"other": None}
    frame = treatments(moa)
    scores = mechanism_consistency(frame, all_active(frame))[1].filter(score="mechanisms_matching")
    found = {row["baseline"]: row for row in scores.iter_rows(named=True)}
    assert (found["none"]["value"], found["none"]["n"]) == (1.0, 10)
    assert found["shuffled_labels"]["value"] < 0.4
    assert found["none"]["low"] <= 1.0 <= found["none"]["high"]


def test_random_mechanisms_match_at_the_rate_of_the_null() -> None:
    rng = np.random.default_rng(0)
    member = np.repeat(np.eye(30, dtype=bool), 3, axis=0)
    found = [own for seed in range(10) for own in matching_groups(rng.normal(size=(90, 15)), member, seed=seed)]
    assert np.mean(np.array(found, float)) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 300))


def test_a_mechanism_without_a_null_is_not_judged() -> None:
    member = np.repeat(np.eye(2, dtype=bool), [3, 1], axis=0)
    assert matching_groups(np.random.default_rng(0).normal(size=(4, 5)), member) == [None, None]
