"""screen.toml: what is refused, and how it is said."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from phenoprint.errors import ConfigError
from phenoprint.pipeline import load_config, parse_config
from phenoprint.pipeline.recipe import recipe_of

MINIMAL = '[screen]\nname = "pilot"\n[images]\nroot = "plates"\n'


def test_defaults_are_filled_in() -> None:
    config = parse_config(MINIMAL)
    assert config.profiles.recipe == "phenoprint"
    assert config.profiles.reference == "negcon"
    assert config.illumination.method == "cellprofiler"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MINIMAL + "[segmentation]\nsegmentor = 'x'\n", "did you mean 'segmenter'"),
        (MINIMAL + "[ilumination]\nmethod = 'none'\n", "did you mean 'illumination'"),
        (MINIMAL + "[illumination]\nmethod = 'magic'\n", "'magic'"),
        (MINIMAL + "[profiles]\nmin_cells = 0\n", "profiles.min_cells"),
        ('[images]\nroot = "x"\n', "screen: missing"),
        ('[screen]\nname = "a"\n[images]\n', "exactly one of 'root'"),
        ('[screen]\nname = "a"\n[images]\nroot="x"\ndataset="y"\n', "exactly one of 'root'"),
        ('[screen]\nname = "a/b"\n[images]\nroot="x"\n', "screen.name"),
        ("[screen\n", "not valid TOML"),
        (MINIMAL + "[segmentation]\nnucleus_diameter_um=1\nnucleus_diameter_px=2\n", "not both"),
    ],
)
def test_wrong_configurations_are_named(text: str, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(text)
    assert expected in str(caught.value)


def test_all_problems_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_config(MINIMAL + "[features]\npresset='a'\n[profiles]\nmin_cells=-1\n")
    assert "presset" in str(caught.value)
    assert "min_cells" in str(caught.value)


def test_the_message_on_an_absent_file_names_the_command_that_writes_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="phenoprint init"):
        load_config(tmp_path / "screen.toml")


def test_byte_order_mark_is_no_obstacle(tmp_path: Path) -> None:
    path = tmp_path / "screen.toml"
    path.write_text(MINIMAL, encoding="utf-8-sig")
    assert load_config(path).screen.name == "pilot"


def test_sections_are_plain_data() -> None:
    section = parse_config(MINIMAL).section("cell_quality")
    assert section == {
        "exclude_flagged_cells": True,
        "exclude_border_cells": True,
        "rules": None,
        "protect_phenotypes": True,
    }


def test_configurations_of_the_readme_can_be_used(project_root: Path) -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (project_root / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) >= 2
    for block in blocks:
        config = parse_config('[screen]\nname = "r"\n' + block, source="README.md")
        assert recipe_of(config.profiles).steps


def test_the_name_of_a_cell_rule_holds_no_separator() -> None:
    """Reasons of a cell are names of rules, joined by ``;``."""
    rule = '[[cell_quality.rules]]\nname = "small; round"\nlimits = [{ feature = "x", side = "below", z = -3 }]\n'
    with pytest.raises(ConfigError, match=r"rules\.0\.name: a rule's name cannot hold ';', which separates names"):
        parse_config(f'[screen]\nname = "s"\n{rule}')
    parse_config(f'[screen]\nname = "s"\n{rule.replace(";", "")}')
