"""``phenoprint design``: power of a design, and randomized layouts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from phenoprint.cli.render import console, errors, print_frame, print_json

if TYPE_CHECKING:
    import polars as pl

__all__ = ["app"]

app = typer.Typer(help="Design a screen: what will be found, and where each well goes.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Seed of all random numbers.")]


def _numbers(text: str, kind: type[Any], option: str) -> list[Any]:
    from phenoprint.errors import UsageError

    try:
        return [kind(part) for part in text.split(",")]
    except ValueError:
        raise UsageError(f"{option} takes numbers with commas between them, such as 2,3,4; found {text!r}") from None


@app.command()
def power(
    screen: Annotated[
        Path | None,
        typer.Argument(metavar="[SCREEN]", help="A screen whose negative controls give the noise. Default: simulated."),
    ] = None,
    replicates: Annotated[str, typer.Option("--replicates", help="Wells per treatment, one per plate.")] = "2,3,4,6",
    controls: Annotated[str, typer.Option("--controls", help="Negative controls per plate.")] = "8,16,32",
    effects: Annotated[
        str, typer.Option("--effects", help="Lengths of the shift of a profile; 1: as the noise of a well.")
    ] = "0.5,0.75,1,1.5,2,3",
    along: Annotated[
        str, typer.Option("--along", help="Direction of effects: noise, random, or features (a tenth of them).")
    ] = "noise",
    screens: Annotated[int, typer.Option("--screens", min=1, help="Simulated screens per design.")] = 4,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write all powers to this CSV file.")] = None,
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """Simulate screens and count the treatments that the test of activity finds: power, false positives."""
    from phenoprint.evaluation import PowerStudy, power_study, smallest_effects
    from phenoprint.pipeline import noise_of_screen, simulated_noise
    from phenoprint.store import open as open_screen

    study = PowerStudy(
        replicates=_numbers(replicates, int, "--replicates"),
        controls=_numbers(controls, int, "--controls"),
        effects=_numbers(effects, float, "--effects"),
        along=along,  # type: ignore[arg-type]  # checked there
        screens=screens,
        seed=seed,
    )
    noise, source = simulated_noise(seed=seed) if screen is None else noise_of_screen(open_screen(screen))
    n_designs = len(study.replicates) * len(study.controls)
    done = iter(range(1, n_designs + 1))

    def report(n_replicates: int, n_controls: int) -> None:
        if not as_json:
            text = f"design {next(done)} of {n_designs}: {n_replicates} replicates, {n_controls} controls per plate"
            errors.print(text, highlight=False)

    powers = power_study(noise, study, on_design=report)
    if output is not None:
        powers.write_csv(output)
    smallest = smallest_effects(powers)
    if as_json:
        print_json({"noise": source, "powers": powers.to_dicts(), "designs": smallest.to_dicts()})
        return 0
    console.print(f"noise   {source}", soft_wrap=True, markup=False, highlight=False)
    print_frame(_by_effect(powers, smallest))
    console.print(
        "Columns after the controls: share of treatments found active (corrected p < 0.05) by effect; of those without "
        "effect, false positives. smallest: effect found with 80% power.",
        soft_wrap=True,
        highlight=False,
    )
    if output is not None:
        console.print(f"written {output}", soft_wrap=True, markup=False)
    return 0


def _by_effect(powers: pl.DataFrame, smallest: pl.DataFrame) -> pl.DataFrame:
    """Return one row per design, one column per effect."""
    import polars as pl

    keys = ["replicates", "controls"]
    shown = powers.with_columns(
        pl.when(pl.col("effect") == 0).then(pl.lit("none")).otherwise(pl.col("effect").cast(pl.String)).alias("effect"),
        pl.format("{}%", (100 * pl.col("power")).round(0).cast(pl.Int64)).alias("power"),
    )
    wide = shown.pivot("effect", index=keys, values="power")
    found = smallest.select(
        *keys, pl.col("smallest_effect").round(2).cast(pl.String).fill_null("none").alias("smallest")
    )
    return wide.join(found, on=keys, how="left", maintain_order="left")


@app.command()
def layout(
    treatments: Annotated[
        Path, typer.Argument(metavar="LIST", help="Compounds or treatments: CSV, TSV or a spreadsheet, as a plate map.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The plate map to write, CSV.")],
    plate_format: Annotated[int, typer.Option("--format", help="Wells per plate: 96, 384, 1536, ...")] = 384,
    replicates: Annotated[int, typer.Option("--replicates", min=1, help="Wells per treatment.")] = 4,
    per_plate: Annotated[int, typer.Option("--per-plate", min=1, help="Wells of a treatment on one plate.")] = 1,
    controls: Annotated[int, typer.Option("--controls", min=0, help="Negative controls per plate.")] = 32,
    positive: Annotated[
        int, typer.Option("--positive", min=0, help="Wells per plate of each positive control of the list.")
    ] = 8,
    doses: Annotated[
        str | None, typer.Option("--doses", help="Doses of each compound, such as 0.1,1,10; if the list has none.")
    ] = None,
    unit: Annotated[str, typer.Option("--unit", help="Unit of --doses.")] = "uM",
    edges: Annotated[str, typer.Option("--edges", help="The outer ring of wells: empty or treatments.")] = "empty",
    spare: Annotated[str, typer.Option("--spare", help="Wells left over off the edge: empty or controls.")] = "empty",
    plates: Annotated[int | None, typer.Option("--plates", min=1, help="Plates that there are.")] = None,
    prefix: Annotated[str, typer.Option("--prefix", help="Plates are named by it and a number.")] = "P",
    control: Annotated[str, typer.Option("--control", help="Name of the negative control.")] = "DMSO",
    seed: Seed = 0,
    as_json: Json = False,
) -> int:
    """Write a randomized plate map: controls off the edge and spread out, treatments elsewhere on each plate."""
    from dataclasses import asdict

    from phenoprint.errors import UsageError
    from phenoprint.exchange import read_treatments
    from phenoprint.plates import LayoutPlan, layout_quality, plate_map_text, randomized_layout, with_doses

    plan = LayoutPlan(
        plate_format=plate_format,
        replicates=replicates,
        per_plate=per_plate,
        controls=controls,
        positive=positive,
        edges=edges,  # type: ignore[arg-type]  # checked there
        spare=spare,  # type: ignore[arg-type]
        max_plates=plates,
        prefix=prefix,
        control=control,
        seed=seed,
    )
    if output.exists():
        raise UsageError(f"{output} exists; name another file, or move it away")
    listed = read_treatments(treatments).frame
    if doses is not None:
        listed = with_doses(listed, _numbers(doses, float, "--doses"), unit)
    made = randomized_layout(listed, plan)
    output.write_text(plate_map_text(made), encoding="utf-8")
    quality = layout_quality(made, plate_format)
    n_treatments = made.filter(Metadata_pert_type="trt").select("^Metadata_(compound|Concentration.*)$").n_unique()
    if as_json:
        print_json({"plate_map": str(output), "treatments": n_treatments, **asdict(quality)})
        return 0
    facts = {
        "treatments": f"{n_treatments} in {replicates} wells each",
        "plates": f"{quality.n_plates} of {plate_format} wells",
        "same position": f"{quality.n_same_position} pairs of wells of a treatment in one position",
        "controls": f"{quality.n_edge_controls} at the edge; per quadrant {_span(quality.controls_per_quadrant)}, row "
        f"{_span(quality.controls_per_row)}, column {_span(quality.controls_per_column)}",
        "to a control": f"{quality.median_to_control:.1f} wells (median), {quality.largest_to_control:.1f} at most",
        "written": str(output),
    }
    for name, text in facts.items():
        console.print(f"{name:<14} {text}", soft_wrap=True, markup=False, highlight=False)
    return 0


def _span(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]} to {pair[1]}"
