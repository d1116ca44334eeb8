"""A screen in memory with every table the report reads, small and large."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from phenoprint.analysis import dose_curves, dose_points, dose_summary, relative_to_controls
from phenoprint.evaluation import replicate_agreement
from phenoprint.plates import PlateFormat, perturbation_id
from phenoprint.tables import WELL_KEY, conform, frame_of, get_table

HOSTILE = '<b>α-"Tubulin"</b> & </script><script>alert(1)</script>'
CHANNELS = ("DNA", "ER", "RNA", "AGP", "Mito")
MECHANISMS = (
    "tubulin",
    "actin",
    "ER stress",
    "DNA damage",
    "proteasome",
    "mTOR",
    "HDAC",
    "Eg5",
    "cyclin <CDK>",
    "inert",
)


@dataclass
class Source:
    """Tables in memory with the interface of a screen."""

    path: Path
    name: str = "Synthetic screen"
    frames: dict[str, pl.DataFrame] = field(default_factory=dict)

    def tables(self) -> list[str]:
        return sorted(self.frames)

    def table(self, name: str) -> pl.LazyFrame:
        return self.frames[name].lazy()

    def sql(self, query: str) -> pl.DataFrame:
        raise AssertionError(f"the report asks for whole tables only: {query}")


_CALIBRATION = {"variant": "random", "n": 40, "below_05": 0.05, "below_05_low": 0.01, "below_05_high": 0.17}
_CALIBRATION |= {"below_20": 0.2, "cross_fitted": True, "status": "ok"}
_CHECK = ("Metadata_Plate", "criterion", "value", "threshold", "verdict", "reason")


def picture(rng: np.random.Generator, side: int, hue: np.ndarray) -> np.ndarray:
    """A few soft blobs in colour, (side, side, 3) uint8."""
    y, x = np.mgrid[:side, :side]
    image = np.zeros((side, side, 3))
    for _ in range(max(1, side // 20)):
        cy, cx, r = *rng.uniform(0, side, 2), rng.uniform(side / 14, side / 7)
        image += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * r**2))[..., None] * hue
    noise = rng.normal(0, 4, image.shape)
    return np.clip(230 * image + 12 + noise, 0, 255).astype(np.uint8)


def png(pixels: np.ndarray) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.png_encode(pixels))


def jpeg(pixels: np.ndarray) -> bytes:
    import imagecodecs

    return bytes(imagecodecs.jpeg8_encode(pixels, level=80))


def _layout(plates: int, n: int) -> pl.DataFrame:
    rows = []
    shape = PlateFormat.of(n)
    compounds = [f"{m} {'abc'[i]}" for m in MECHANISMS for i in range(3)]
    compounds[0] = HOSTILE
    for p in range(plates):
        for well in shape.wells():
            trt = (well.row * shape.columns + well.col) % (len(compounds) * 4)
            compound, dose = compounds[trt // 4], 10.0 ** (trt % 4 - 2)
            kind, moa = "trt", MECHANISMS[(trt // 4) // 3]
            if well.col in {0, shape.columns - 2}:
                kind, compound, dose, moa = "negcon", "DMSO", None, None
            elif well.col in {1, shape.columns - 1} and well.row % 2 == 0:
                kind, compound, dose, moa = "poscon", "nocodazole", 1.0, "tubulin"
            rows.append(
                {
                    "Metadata_Plate": f"SIM-{p + 1:02d}",
                    "Metadata_Well": str(well),
                    "Metadata_Row": well.row + 1,
                    "Metadata_Col": well.col + 1,
                    "Metadata_Batch": f"batch {p // 2 + 1}",
                    "Metadata_pert_type": kind,
                    "Metadata_compound": compound,
                    "Metadata_Concentration": dose,
                    "Metadata_Concentration_Unit": None if dose is None else "uM",
                    "Metadata_moa": moa,
                    "has_images": str(well) != "B02",
                    "is_annotated": True,
                }
            )
    wells = frame_of("well", rows)
    return wells.with_columns(perturbation_id(wells))


def _feature_names(n: int) -> list[str]:
    names = []
    for compartment in ("Nuclei", "Cells", "Cytoplasm"):
        names += [f"{compartment}_AreaShape_{m}" for m in ("Area", "Eccentricity", "FormFactor", "Solidity")]
        for channel in CHANNELS:
            names += [
                f"{compartment}_Intensity_{m}_{channel}"
                for m in ("MeanIntensity", "IntegratedIntensity", "StdIntensity")
            ]
            names += [f"{compartment}_Texture_{m}_{channel}_3_00_256" for m in ("Contrast", "Entropy")]
            names += [f"{compartment}_Granularity_{k}_{channel}" for k in range(1, 4)]
    return (names * (n // len(names) + 1))[:n] if n <= len(names) else names


def make_source(
    folder: Path, *, plates: int = 2, n: int = 96, features: int = 120, pictures: bool = True, seed: int = 0
) -> Source:
    """Every table of the contract, with plausible values, a column gradient and one hostile compound name."""
    rng = np.random.default_rng(seed)
    wells = _layout(plates, n)
    names = _feature_names(features)
    effect = {m: rng.normal(0, 1, len(names)) * (rng.random(len(names)) < 0.4) for m in MECHANISMS[:-1]}
    effect["inert"] = np.zeros(len(names))
    dose = wells["Metadata_Concentration"].fill_null(0).to_numpy()
    strength = 3.2 * dose / (dose + 0.3)
    z = (
        np.stack([effect.get(m, np.zeros(len(names))) for m in wells["Metadata_moa"].fill_null("inert").to_list()])
        * strength[:, None]
    )
    z += rng.normal(0, 0.6, z.shape) + 0.02 * wells["Metadata_Col"].to_numpy()[:, None]
    scale, base = 10.0 ** rng.uniform(-2, 2, len(names)), rng.uniform(1, 5, len(names))
    counts = np.maximum(0, rng.normal(320, 40, len(z)) - 60 * strength).astype(np.int64)
    meta = wells.drop("has_images", "is_annotated").with_columns(
        Metadata_Object_Count=pl.Series(counts), Metadata_Site_Count=pl.lit(2, dtype=pl.Int64)
    )
    keep = wells["has_images"]

    def profile(values: np.ndarray, columns: list[str]) -> pl.DataFrame:
        return meta.hstack(pl.DataFrame(values.astype(np.float32), schema=columns)).filter(keep)

    selected = names[::3]
    frames = {
        "well": wells,
        "plate": wells.group_by("Metadata_Plate", "Metadata_Batch").agg(plate_format=pl.lit(n)).sort("Metadata_Plate"),
        "profile_well": profile((z + base) * scale, names),
        "profile_normalized": profile(z, names),
        "profile_selected": profile(z[:, ::3], selected),
        "readout": meta.filter(keep).select(
            *WELL_KEY, readout=pl.lit("log ratio"), value=pl.Series(z[:, 0]).filter(keep), n_cells=pl.lit(100)
        ),
    }
    frames |= _images(wells, rng, counts) | _answers(wells, meta, z, rng) | _losses(wells, counts, names, selected)
    frames |= _doses(wells, frames["readout"], counts)
    frames["replicate_agreement"], frames["replicate_null"], _ = replicate_agreement(frames["profile_selected"])
    if pictures:
        frames["gallery"] = _gallery(wells, rng)
    source = Source(folder, frames={name: _declared(frame, name) for name, frame in frames.items()})
    if pictures:
        hues = {m: rng.uniform(0.2, 1, 3) for m in MECHANISMS}
        for plate, well, moa in wells.filter(keep).select(*WELL_KEY, "Metadata_moa").iter_rows():
            path = folder / "thumbnails" / plate / f"{well}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jpeg(picture(rng, 160, hues.get(moa, np.ones(3)))))
    (folder / "screen.toml").write_text('[screen]\nname = "Synthetic <screen>"\n', encoding="utf-8")
    return source


def _doses(wells: pl.DataFrame, readout: pl.DataFrame, counts: np.ndarray) -> dict[str, pl.DataFrame]:
    named = readout.select(*WELL_KEY, "readout", "value")
    count = wells.select(*WELL_KEY, readout=pl.lit("cell_count"), value=pl.Series(counts, dtype=pl.Float64))
    responses = pl.concat(
        relative_to_controls(rows, wells).with_columns(kind=pl.lit(kind))
        for kind, rows in (("readout", named), ("count", count))
    )
    curves = dose_curves(responses, wells)
    return {
        "dose_response": curves,
        "dose_summary": dose_summary(curves, wells),
        "dose_point": dose_points(responses, wells),
    }


def _declared(frame: pl.DataFrame, table: str) -> pl.DataFrame:
    """Return a table as a screen holds it; columns that no declaration explains are an error."""
    declared = get_table(table)
    undeclared = set(frame.columns) - set(declared.schema)
    assert declared.holds_features or not undeclared, f"{table}: {undeclared}"
    return conform(frame, table)


def _images(wells: pl.DataFrame, rng: np.random.Generator, counts: np.ndarray) -> dict[str, pl.DataFrame]:
    base = wells.select(*WELL_KEY).with_columns(n_cells=pl.Series(counts // 2)).filter(wells["has_images"])
    sites = base.join(pl.DataFrame({"Metadata_Site": ["1", "2"]}), how="cross")
    rows = sites.join(pl.DataFrame({"Metadata_Channel": list(CHANNELS)}), how="cross")
    n = rows.height
    columns = {
        "focus_slope": rng.normal(-2.2, 0.1, n),
        "saturated_percent": rng.exponential(0.02, n),
        "minimum_percent": rng.exponential(0.01, n),
        "background": rng.normal(0.02, 0.002, n),
        "noise": rng.normal(0.002, 0.0002, n),
        **{f"p{q:02d}": rng.normal(0.01 * q**0.5, 0.001, n) for q in (1, 5, 25, 50, 75, 95, 99)},
        "mean": rng.normal(0.06, 0.005, n),
        "sd": rng.normal(0.03, 0.003, n),
        "area_covered": rng.uniform(0.3, 0.5, n),
    }
    bad = (rows["Metadata_Well"] == "C05").to_numpy() & (rows["Metadata_Channel"] == "DNA").to_numpy()
    quality = rows.with_columns(**{k: pl.Series(v, dtype=pl.Float32) for k, v in columns.items()}).with_columns(
        is_flagged=pl.Series(bad),
        reasons=pl.when(pl.Series(bad)).then(pl.lit("out of focus\nsaturated")).otherwise(None),
    )
    failed = pl.col("Metadata_Well") == "D04"
    site = sites.drop("n_cells").with_columns(
        status=pl.when(failed).then(pl.lit("failed")).otherwise(pl.lit("ok")),
        reason=pl.when(failed).then(pl.lit("truncated TIFF: <page 3>")).otherwise(None),
    )
    return {"image_quality": quality, "site": site}


def _answers(
    wells: pl.DataFrame, meta: pl.DataFrame, z: np.ndarray, rng: np.random.Generator
) -> dict[str, pl.DataFrame]:
    size = np.linalg.norm(z, axis=1)
    scored = meta.with_columns(size=pl.Series(size)).filter(pl.col("Metadata_pert_type") != "negcon")
    about = [
        "Metadata_perturbation",
        "Metadata_compound",
        "Metadata_Concentration",
        "Metadata_Concentration_Unit",
        "Metadata_moa",
        "Metadata_pert_type",
    ]
    activity = (
        scored.group_by(about)
        .agg(n_replicates=pl.len().cast(pl.Int64), s=pl.col("size").mean())
        .sort("Metadata_perturbation")
    )
    score = 1 / (1 + np.exp(-(activity["s"].to_numpy() - 10) / 2))
    p = np.clip(10 ** (-4 * score), 1e-4, 1)
    activity = activity.drop("s").with_columns(
        mean_average_precision=pl.Series(0.2 + 0.8 * score),
        mean_normalized_average_precision=pl.Series(score),
        p_value=pl.Series(p),
        corrected_p_value=pl.Series(np.minimum(1, 1.5 * p)),
        smallest_p=pl.Series(np.where(activity["n_replicates"] < 2, 0.2, 1e-4)),
        below_corrected_p=pl.Series(1.5 * p <= 0.05),
    )
    labelled = activity.filter("below_corrected_p", Metadata_pert_type="trt").drop_nulls("Metadata_moa")
    guess = rng.choice(MECHANISMS, labelled.height)
    right = rng.random(labelled.height) < 0.75
    predicted = labelled.select("Metadata_perturbation", "Metadata_compound", "Metadata_moa").with_columns(
        protocol=pl.lit("not_same_compound"),
        is_active=pl.lit(value=True),
        predicted=pl.when(pl.Series(right)).then(pl.col("Metadata_moa")).otherwise(pl.Series(guess)),
        nearest=pl.lit(HOSTILE),
        similarity=pl.lit(0.8),
    )
    predicted = predicted.with_columns(is_correct=pl.col("predicted") == pl.col("Metadata_moa"))
    calls = activity.select("Metadata_perturbation", "Metadata_compound", "Metadata_moa", "below_corrected_p")
    calls = (
        calls.join(
            predicted.select("Metadata_perturbation", "predicted", "nearest", "similarity"),
            on="Metadata_perturbation",
            how="left",
        )
        .with_columns(
            status=pl.when("below_corrected_p").then(pl.lit("called")).otherwise(pl.lit("inactive")),
            probability=pl.when(pl.col("predicted").is_not_null()).then(0.9),
            prediction_set=pl.col("predicted"),
            set_size=pl.when("below_corrected_p").then(pl.lit(1, pl.Int32)),
            is_label_in_set=pl.col("predicted") == pl.col("Metadata_moa"),
            reason=pl.lit(None, pl.String),
        )
        .drop("below_corrected_p")
    )
    accuracy = float(predicted["is_correct"].mean() or 0)
    values = {"none": accuracy, "shuffled_labels": 0.11, "cell_count": 0.24, "well_position": 0.17}
    counted = {"score": "moa_accuracy", "n": 60, "n_total": 80, "is_headline": True}
    scores: list[dict[str, object]] = [{**counted, "baseline": name, "value": value} for name, value in values.items()]
    gain = accuracy - 0.24
    scores[0] |= {"low": accuracy - 0.1, "high": accuracy + 0.1, "best_baseline": "cell_count", "gain": gain}
    scores[0] |= {"gain_low": gain - 0.1, "gain_high": gain + 0.1}
    u, s, _ = np.linalg.svd(z - z.mean(0), full_matrices=False)
    xy = u[:, :2] * s[:2]
    points = wells.select(WELL_KEY).with_columns(
        method=pl.lit("umap"),
        x=pl.Series(xy[:, 0], dtype=pl.Float32),
        y=pl.Series(xy[:, 1], dtype=pl.Float32),
    )
    checks = []
    for i, plate in enumerate(wells["Metadata_Plate"].unique().sort()):
        verdict = ("pass", "warn", "fail")[i % 3]
        checks += [
            (plate, "z_prime", 0.71, 0.5, "pass", None),
            (plate, "robust_z_prime", 0.68, 0.5, "pass", None),
            (
                plate,
                "edge_effect",
                0.41 * (i % 3) + 0.05,
                0.3,
                verdict,
                None if verdict == "pass" else "outer wells hold 18 % fewer cells than the inside",
            ),
            (plate, "flagged_fields_percent", 1.0, 5.0, "pass", None),
        ]
    return {
        "activity": activity,
        "moa_call": calls,
        "moa_prediction": predicted,
        **_effects(activity["Metadata_perturbation"]),
        "score": frame_of("score", scores),
        "projection": points,
        **_clusters(activity["Metadata_perturbation"], points),
        "step_score": _step_scores(),
        **_heterogeneity(wells),
        "calibration": frame_of("calibration", [_CALIBRATION]),
        "plate_acceptance": frame_of("plate_acceptance", [dict(zip(_CHECK, row, strict=True)) for row in checks]),
    }


def _heterogeneity(wells: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """Every aspect of every well; no stable states; one score with columns of distributions."""
    rng = np.random.default_rng(3)
    rows = []
    for aspect in ("shift", "spread", "shape", "tail", "responders", "states"):
        for plate, well in wells.select(WELL_KEY).iter_rows():
            row = {"Metadata_Plate": plate, "Metadata_Well": well, "aspect": aspect, "n_cells": 90}
            if aspect == "states":
                row |= {"value": 0.2, "status": "unstable", "reason": "states are not given: halves disagree"}
            else:
                row |= {"value": 1.0, "p": rng.random(), "q": rng.random(), "status": "ok", "low": 0.1, "high": 0.3}
            rows.append(row)
    gain = {"score": "activity", "without": 0.4, "with_columns": 0.5, "gain": 0.1, "gain_low": 0.05, "gain_high": 0.2}
    gain |= {"n": 30, "status": "ok", "description": "precision among controls"}
    return {
        "heterogeneity": frame_of("heterogeneity", rows),
        "heterogeneity_gain": frame_of("heterogeneity_gain", [gain]),
    }


def _effects(treatments: pl.Series) -> dict[str, pl.DataFrame]:
    rank = pl.DataFrame({"rank": range(1, 13)}, schema={"rank": pl.Int32})
    known = treatments.drop_nulls().unique().sort().to_frame()
    neighbour = known.with_columns(
        rank=pl.lit(1, pl.Int32),
        neighbour=pl.lit(HOSTILE),
        is_same_compound=pl.lit(value=False),
        neighbour_pert_type=pl.lit("trt"),
        neighbour_moa=pl.lit(None, pl.String),
        similarity=pl.lit(0.8),
    )
    effect = known.join(rank, how="cross").with_columns(
        feature=pl.lit(HOSTILE) + pl.col("rank").cast(pl.String),
        compartment=pl.lit("Nuclei"),
        channel=pl.lit("DNA"),
        effect=9.0 - pl.col("rank"),
        n_wells=pl.lit(2),
        n_controls=pl.lit(12),
        q_value=pl.col("rank") / 100,
    )
    return {"neighbour": neighbour, "feature_effect": effect}


def _clusters(treatments: pl.Series, points: pl.DataFrame) -> dict[str, pl.DataFrame]:
    known = treatments.drop_nulls().unique().sort().to_frame().with_row_index("n")
    cluster = known.select(
        "Metadata_perturbation",
        cluster=pl.when(pl.col("n") > 3).then(pl.col("n") % 3 + 1).cast(pl.Int32),
        stability=pl.lit(0.9),
        cluster_stability=pl.lit(0.8),
        is_medoid=pl.col("n").is_between(4, 6),
        technical=pl.when(pl.col("n") % 3 == 2).then(pl.lit("plate SIM-02 (5 of 6)")),
        status=pl.when(pl.col("n") > 3).then(pl.lit("ok")).otherwise(pl.lit("inactive")),
    )
    choices = frame_of(
        "cluster_choice",
        [
            ("leiden", "resolution", 1.0, 5, 2, 20, 0.5, 0.9, False),
            ("leiden", "resolution", 2.0, 5, 3, 10, 0.9, 0.9, True),
        ],
    )
    enriched = [(1, "mechanism", HOSTILE, 4, 9, 5, 30, 0.4, 5.0, 0.0001, 0.001)]
    signature = {"cluster": 1, "feature": HOSTILE, "effect": 2.5, "cliffs_delta": 0.9, "rank": 1}
    counts = {"n_wells": 4, "n_others": 20}
    maps = points.head(known.height).drop(WELL_KEY)
    return {
        "cluster": cluster,
        "cluster_choice": choices,
        "cluster_enrichment": frame_of("cluster_enrichment", enriched),
        "cluster_signature": pl.concat(
            [frame_of("cluster_signature"), pl.DataFrame([signature | counts])], how="diagonal_relaxed"
        ).cast(frame_of("cluster_signature").schema),
        "treatment_projection": pl.concat([known.drop("n").head(maps.height), maps], how="horizontal"),
    }


def _step_scores() -> pl.DataFrame:
    rows = []
    for number, step in enumerate(("level3", "normalize", "select")):
        rows.append((step, number, "control_retrieval", 0.4 + 0.1 * number, 0.0, 24, 30, None))
        rows.append((step, number, "moa_consistency", 1.0, 0.1, 2, 30, None))
        rows.append((step, number, "position_variance", 0.2 - 0.05 * number, 0.0, 96, 96, None))
        rows.append((step, number, "batch_mixing", None, 1.0, 0, 96, "<one> batch"))
        rows.append((step, number, "n_features", 40.0 - 10 * (number == 2), None, 96, 96, None))
    return frame_of("step_score", rows)


def _losses(wells: pl.DataFrame, counts: np.ndarray, names: list[str], selected: list[str]) -> dict[str, pl.DataFrame]:
    rows = []
    for (plate, well), count in zip(wells.select(WELL_KEY).iter_rows(), counts.tolist(), strict=True):
        rows.append((plate, well, "ingest", "images", 10, 10, 0, None))
        rows.append(
            (
                plate,
                well,
                "segment",
                "sites",
                2,
                1 if well == "D04" else 2,
                1 if well == "D04" else 0,
                "truncated TIFF: <page 3>" if well == "D04" else None,
            )
        )
        border, small = count // 10, count // 40
        found = count + border + small
        rows.append((plate, well, "aggregate", "cells", found, count, border, "cell cut by the border of the field"))
        rows.append((plate, well, "aggregate", "cells", found, count, small, "flagged cell, see cell_quality"))
    rows += [
        (plate, None, "normalize", "features", len(names), len(names) - 3, 3, "zero_mad")
        for plate in wells["Metadata_Plate"].unique().sort()
    ]
    rows.append(
        (
            None,
            None,
            "select",
            "features",
            len(names),
            len(selected),
            len(names) - len(selected),
            "correlated",
        )
    )
    gone = [name for name in names if name not in set(selected)]
    status = frame_of(
        "feature_status", [(None, name, "select", "correlated", f"r = 0.95 with {name}", 0.95) for name in gone]
    )
    parts = [name.split("_") for name in names]
    dictionary = pl.DataFrame(
        {
            "feature": names,
            "compartment": [p[0] for p in parts],
            "family": [p[1] for p in parts],
            "channel": [p[3] if len(p) > 3 else None for p in parts],
            "difference": ["pixels on the border count" if p[1] == "Granularity" else None for p in parts],
        }
    )
    exclusion = frame_of("exclusion", [("well", "SIM-01", "E06", None, None, "fibre <in> the field", None, None)])
    return {
        "ledger": frame_of("ledger", rows),
        "feature_status": status,
        "feature": dictionary,
        "exclusion": exclusion,
    }


def _gallery(wells: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    rows = []
    groups = (
        wells.filter("has_images")
        .sort("Metadata_perturbation", *WELL_KEY)
        .group_by("Metadata_perturbation", maintain_order=True)
    )
    for (name,), part in groups:
        if not str(name).endswith("@1 uM") and name != "DMSO":
            continue
        hue = rng.uniform(0.2, 1, 3)
        for rank in range(8):
            well = part.row(rank % part.height, named=True)
            place = (well["Metadata_Plate"], well["Metadata_Well"], "1", rank + 1)
            rows.append((*place, name, rank, png(picture(rng, 64, hue))))
    return frame_of("gallery", rows)


@pytest.fixture(scope="session")
def small_source(tmp_path_factory: pytest.TempPathFactory) -> Source:
    """Two plates of 96 wells, every table, pictures."""
    return make_source(tmp_path_factory.mktemp("screen"))


@pytest.fixture
def empty_source(tmp_path: Path) -> Source:
    """A screen without any table."""
    return Source(tmp_path, name="Empty")


@pytest.fixture(scope="session")
def source_factory() -> Callable[..., Source]:
    """Make a source of another size."""
    return make_source
