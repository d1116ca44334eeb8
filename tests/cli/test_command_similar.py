"""``phenoprint similar``."""

from __future__ import annotations

import json
from collections.abc import Callable

from phenoprint.pipeline import RunResult

Call = Callable[..., tuple[int, str, str]]


def test_neighbours_are_listed_and_written_as_json(tiny_run: RunResult, call: Call) -> None:
    table = tiny_run.screen.table("neighbour").collect().sort("Metadata_perturbation", "rank")
    name = table["Metadata_perturbation"][0]
    code, out, err = call("similar", tiny_run.screen.path, name, "-n", 3)
    assert code == 0
    assert table["neighbour"][0] in out
    assert "treatments searched by" in out
    code, out, err = call("similar", tiny_run.screen.path, name, "-n", 3, "--json")
    document = json.loads(out)
    assert (code, document["query"], len(document["neighbours"])) == (0, name, 3)
    assert document["neighbours"][0]["neighbour"] == table["neighbour"][0]
    code, out, err = call("similar", tiny_run.screen.path, "no such thing")
    assert code == 2
    assert "the screen has no compound 'no such thing'" in err
