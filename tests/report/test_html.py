from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from phenoprint.report.html import Html, data_island, join, number, table, tag, term


class Text(HTMLParser):
    """What a browser would show, and which elements it would make."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""
        self.elements: list[str] = []
        self.attributes: dict[str, str | None] = {}

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= dict(attrs)


def parse(markup: str) -> Text:
    parser = Text()
    parser.feed(markup)
    parser.close()
    return parser


# a parser folds carriage returns and drops NUL, which no name of a compound holds
words = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]))


@given(words, words)
def test_text_and_attributes_come_back_as_they_were_and_make_no_element(text: str, title: str) -> None:
    found = parse(tag("b", text, title=title))
    assert found.text == text
    assert found.elements == ["b"]
    assert found.attributes == {"title": title}


def test_markup_is_escaped_once() -> None:
    inner = tag("i", "<&>")
    assert tag("b", inner, None, "<") == "<b><i>&lt;&amp;&gt;</i>&lt;</b>"
    assert join(["<", Html("<br>"), None, 3], ", ") == "&lt;, <br>, 3"


@given(st.dictionaries(words, words | st.floats(allow_nan=False, allow_infinity=False) | st.none()))
def test_data_come_back_and_cannot_end_their_element(value: dict[str, object]) -> None:
    written = data_island("x", value)
    body = written.removeprefix('<script type="application/json" id="data-x">').removesuffix("</script>")
    assert "<" not in body
    assert json.loads(body) == value


def test_data_refuse_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        data_island("x", [float("nan")])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0"),
        (1234.5, "1,234"),
        (12345678, "12,345,678"),
        (0.00012345, "0.000123"),
        (-0.5, "-0.5"),
        (float("nan"), "–"),
    ],
)
def test_numbers_are_short(value: float, shown: str) -> None:
    assert number(value) == shown


def test_table_writes_numbers_dashes_and_escapes() -> None:
    found = parse(table(("a", "b"), [(1.23456, "<x>"), (None, True)], numeric=(0,)))
    assert "1.23" in found.text
    assert "<x>" in found.text
    assert "–" in found.text
    assert "True" in found.text
    assert found.elements.count("td") == 4


def test_terms_carry_their_meaning() -> None:
    found = parse(term("Z'", "far < near"))
    assert found.text == "Z'far < near"
