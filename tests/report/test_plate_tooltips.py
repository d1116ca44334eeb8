"""Names of compounds in the plate map's tooltips are escaped, and escaped once."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
from importlib import resources

import pytest

SCRIPT = resources.files("phenoprint.report").joinpath("assets", "plates.js").read_text(encoding="utf-8")
NAMES = ['5\'-"x" <b>&', "a&quot;b", 'say "hi"', "it's", "1 < 2 > 0", "R&D &amp; Co"]


def test_tooltips_go_through_one_function_once() -> None:
    assert SCRIPT.count("const escape = ") == 1
    assert '"&quot;"' not in SCRIPT
    title = re.search(r'title="\$\{escape\((\w+)\)\}"', SCRIPT)
    assert title is not None
    made = re.search(rf"const {title[1]} = (\[wells\.well.*);", SCRIPT)
    assert made is not None
    assert "replace" not in made[1]
    assert "escape" not in made[1]


def test_all_marks_of_markup_have_an_entity_that_browsers_and_plotly_decode() -> None:
    entities = dict(re.findall(r"""["']([&<>"'])["']: "(&[^"]+;)\"""", SCRIPT))
    assert set(entities) == set("&<>\"'")
    marks = re.search(r"replace\(/\[([^\]]+)\]/g, \(mark\) => entities\[mark\]\)", SCRIPT)
    assert marks is not None
    assert set(marks[1]) == set(entities)
    # what plotly.js decodes in its labels: numbers, and few names
    assert all(re.fullmatch(r"&(?:#\d+|amp|lt|gt);", entity) for entity in entities.values())
    for name in NAMES:
        assert html.unescape("".join(entities.get(mark, mark) for mark in name)) == name


def test_the_function_itself_gives_names_that_read_back() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to run the report's script with; the entities are checked above")
    lines = [line for line in SCRIPT.splitlines() if re.match(r"\s*const (?:entities|escape) = ", line)]
    for name in NAMES:
        code = "\n".join([*lines, "process.stdout.write(escape(process.argv[1]))"])
        done = subprocess.run([node, "-e", code, "--", name], capture_output=True, text=True, check=True)
        assert html.unescape(done.stdout) == name
        assert not set(done.stdout) & set("<>\"'")
