"""Peak memory and seconds of importing many plates, running the default recipe and all answers on them, and the report.

Run by hand (Linux; the generated plates and the screen are removed at the end)::

    python tests/benchmarks/many_plates.py                       # 10 plates
    python tests/benchmarks/many_plates.py --plates 100 --folder /data/tmp

Plates are of 384 wells: 16 DMSO, 8 of two positive controls and 360 compounds at one dose. Each plate map has four
replicate plates, a quarter of the screen apart, so that no compound is complete before the last quarter. Features come
in near copies of four, as in real profiles, with a plate effect; half of the compounds act, through one of 100
mechanisms. Import and run are processes of their own; their memory is sampled every 20 ms, with that of all their child
processes. ``anonymous`` leaves out what the system can drop and read again from files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import polars as pl

from phenoprint.store import open as open_screen

WELLS, REPLICATES, MECHANISMS = 384, 4, 100
N_DMSO, N_POSCON = 16, 8


def treatments(layout: int, seed: int) -> pl.DataFrame:
    """Annotate the wells of a plate map, shuffled over the plate."""
    n_compounds = WELLS - N_DMSO - N_POSCON
    numbers = layout * n_compounds + np.arange(n_compounds)
    poscon = [f"poscon{i % 2}" for i in range(N_POSCON)]
    compound = ["DMSO"] * N_DMSO + poscon + [f"c{number:06d}" for number in numbers]
    moa = [None] * N_DMSO + poscon + [f"moa{number % MECHANISMS:03d}" for number in numbers]
    kind = ["negcon"] * N_DMSO + ["poscon"] * N_POSCON + ["trt"] * n_compounds
    place = np.random.default_rng([seed, 1, layout]).permutation(WELLS)
    frame = pl.DataFrame({"Metadata_compound": compound, "Metadata_moa": moa, "Metadata_pert_type": kind})
    wells = [f"{'ABCDEFGHIJKLMNOP'[i // 24]}{i % 24 + 1:02d}" for i in place]
    return frame.with_columns(pl.Series("Metadata_Well", wells)).sort("Metadata_Well")


def write_plates(folder: Path, plates: int, features: int, seed: int) -> None:
    """Write well profiles (level 3), one Parquet file per plate."""
    rng = np.random.default_rng(seed)
    n_hidden = max(8, features // 12)
    mixing = np.repeat(rng.standard_normal((n_hidden, -(-features // 4)), dtype=np.float32), 4, axis=1)[:, :features]
    directions = rng.standard_normal((MECHANISMS + 2, n_hidden), dtype=np.float32)
    names = [f"{('Cells', 'Cytoplasm', 'Nuclei')[i % 3]}_Texture_F{i:04d}" for i in range(features)]
    for number in range(plates):
        rng = np.random.default_rng([seed, 2, number])
        wells = treatments(number % max(1, plates // REPLICATES), seed)
        moa = wells["Metadata_moa"].str.extract(r"(\d+)$").cast(pl.Int64)
        is_poscon = wells["Metadata_pert_type"] == "poscon"
        which = (moa + pl.Series(np.where(is_poscon, MECHANISMS, 0))).fill_null(0).to_numpy()
        compound = wells["Metadata_compound"].str.extract(r"(\d+)$").cast(pl.Int64).fill_null(0).to_numpy()
        acts = is_poscon.to_numpy() | ((wells["Metadata_pert_type"] == "trt").to_numpy() & (compound % 2 == 0))
        hidden = rng.standard_normal((WELLS, n_hidden), dtype=np.float32) + directions[which] * acts[:, None]
        values = hidden @ mixing / np.float32(np.sqrt(n_hidden))
        values += 0.2 * rng.standard_normal((WELLS, features), dtype=np.float32)
        values = 10 + values + 0.5 * rng.standard_normal(features, dtype=np.float32)
        plate = wells.select(pl.lit(f"P{number:04d}").alias("Metadata_Plate"), pl.all()).with_columns(
            pl.Series("Metadata_Object_Count", rng.integers(800, 1200, WELLS))
        )
        plate.hstack(pl.DataFrame(values, schema=names)).write_parquet(folder / f"P{number:04d}.parquet")


class Watch(threading.Thread):
    """Samples the memory of a process and of all its children, in MB."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid = pid
        self.ended = False
        self.peaks: dict[str, tuple[float, float]] = {}
        self.step = "start"

    def run(self) -> None:
        """Sample until the process has ended."""
        while not self.ended:
            resident, anonymous = self.peaks.get(self.step, (0.0, 0.0))
            found = [_memory(pid) for pid in _tree(self.pid)]
            self.peaks[self.step] = (
                max(resident, sum(now for now, _ in found)),
                max(anonymous, sum(now for _, now in found)),
            )
            time.sleep(0.02)


def _tree(pid: int) -> list[int]:
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _memory(pid: int) -> tuple[float, float]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "RssAnon"))}
    return int(values.get("VmRSS", 0)) / 1000, int(values.get("RssAnon", 0)) / 1000


def measured(arguments: list[str]) -> list[dict[str, object]]:
    """Run a process; one row per step that it reports on a line of JSON, and one for the whole."""
    begun = time.perf_counter()
    before = os.times()
    rows: list[dict[str, object]] = []
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.PIPE, text=True) as process:
        watch = Watch(process.pid)
        watch.start()
        assert process.stdout is not None
        for line in process.stdout:
            event = json.loads(line) if line.startswith('{"step"') else {}
            if "cpu_s" in event:
                rows.append(event)
            elif event:
                watch.step = event["step"]
        process.wait()
        watch.ended = True
        watch.join()
    if process.returncode:
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    whole = {"step": "whole", "wall_s": round(time.perf_counter() - begun, 1), "cpu_s": round(cpu, 1)}
    watch.peaks["whole"] = tuple(max(peaks) for peaks in zip(*watch.peaks.values(), strict=True))
    named = [*rows, whole]
    for row in named:
        resident, anonymous = watch.peaks.get(str(row["step"]), (0.0, 0.0))
        row |= {"peak_mb": round(resident), "anonymous_mb": round(anonymous)}
    return named


def run_and_report(screen: str) -> None:
    """Run a screen in this process and write its report; print a line of JSON as each step starts and ends."""
    from phenoprint.pipeline import run_screen
    from phenoprint.pipeline.events import Event, StepFinished, StepStarted
    from phenoprint.report import write_report

    cpu = time.process_time()

    def on_event(event: Event) -> None:
        nonlocal cpu
        if isinstance(event, StepStarted):
            cpu = time.process_time()
            print(json.dumps({"step": event.step}), flush=True)
        elif isinstance(event, StepFinished):
            if event.failed:
                print(f"{event.step}: {event.failed} failed", file=sys.stderr)
            used = round(time.process_time() - cpu, 1)
            row = {"step": event.step, "wall_s": round(event.seconds, 1), "cpu_s": used}
            print(json.dumps(row), flush=True)
            print(json.dumps({"step": "between"}), flush=True)

    result = run_screen(Path(screen), on_event=on_event)
    if result.is_partial:
        raise SystemExit("some steps failed")
    on_event(StepStarted("report", "Report", 1, 0))
    begin = time.perf_counter()
    write_report(result.screen)
    on_event(StepFinished("report", 1, 0, time.perf_counter() - begin))


def main() -> None:
    """Generate, import, run, and print a table for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plates", type=int, default=10)
    parser.add_argument("--features", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="where a temporary folder is made; default: the system's")
    parser.add_argument("--screen", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.screen:
        run_and_report(options.screen)
        return
    work = Path(tempfile.mkdtemp(prefix="many_plates_", dir=options.folder))
    try:
        source, screen = work / "level3", work / "screen"
        source.mkdir()
        write_plates(source, options.plates, options.features, options.seed)
        imports = ["-m", "phenoprint.cli.app", "import", str(source), "-o", str(screen), "--level", "3"]
        with pl.Config(tbl_rows=-1, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
            print(f"{options.plates} plates x {WELLS} wells x {options.features} features")
            print("import", pl.DataFrame(measured(imports)), sep="\n")
            print("run", pl.DataFrame(measured([__file__, "--screen", str(screen)])), sep="\n")
        size = sum(path.stat().st_size for path in screen.rglob("*") if path.is_file())
        selected = open_screen(screen).table("profile_selected").collect_schema().names()
        kept = sum(not name.startswith("Metadata_") for name in selected)
        print(f"features kept: {kept}; screen folder: {size / 1e9:.2f} GB")
        scores = next((screen / "tables" / "score").rglob("*.parquet"))
        print(pl.read_parquet(scores).select("score", "baseline", "value", "n", "n_total").rows())
    finally:
        shutil.rmtree(work)


if __name__ == "__main__":
    main()
