"""``phenoprint doctor`` prints what it finds and exits with 1 where Phenoprint cannot work."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from phenoprint import pipeline
from phenoprint.pipeline import Finding

Call = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(("state", "code"), [("ok", 0), ("warning", 0), ("error", 1)])
def test_the_exit_code_is_1_where_phenoprint_cannot_work(
    call: Call, monkeypatch: pytest.MonkeyPatch, state: str, code: int
) -> None:
    findings = [
        Finding("software", "Python", "3.11.7"),
        Finding("folders", "temporary files", "/tmp [full]", state, "free some space"),  # noqa: S108
    ]
    monkeypatch.setattr(pipeline, "examine", lambda: findings, raising=False)
    found, out, _ = call("doctor")
    assert found == code
    lines = out.splitlines()
    assert lines[:2] == ["software", "  ok      Python           3.11.7"]
    assert lines[3].split(maxsplit=1) == [state, "temporary files  /tmp [full]"]
    assert lines[4].strip() == "free some space"
    assert ("cannot work" in lines[5]) == (code == 1)
    found, out, _ = call("doctor", "--json")
    assert found == code
    answer = json.loads(out)
    assert answer["works"] == (code == 0)
    assert answer["findings"][1]["advice"] == "free some space"
