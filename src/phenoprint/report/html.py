"""Functions that write HTML; text is escaped unless it is already `Html`.

Names of compounds, wells and plates come from users' files, so a name such as ``<i>`` must never become markup.
"""

from __future__ import annotations

import html as _html
import json
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["Html", "data_island", "details", "join", "notice", "number", "sql_hint", "table", "tag", "term"]

_VOID = frozenset({"br", "hr", "img", "input", "link", "meta"})


class Html(str):
    """Markup, which is not escaped again.

    Examples
    --------
    >>> tag("b", Html("<i>x</i>"), "<y>")
    '<b><i>x</i>&lt;y&gt;</b>'
    """

    __slots__ = ()


def _text(value: object) -> str:
    return value if isinstance(value, Html) else _html.escape(str(value), quote=True)


def join(parts: Iterable[object], separator: str = "") -> Html:
    """Concatenate markup and text; text is escaped, None is left out."""
    return Html(_text(separator).join(_text(part) for part in parts if part is not None))


def tag(name: str, *children: object, **attributes: object) -> Html:
    """Write one element.

    Parameters
    ----------
    name
        The element, such as ``"div"``.
    *children
        `Html` is taken as it is, anything else is escaped; None is left out.
    **attributes
        A trailing underscore is dropped (``class_``), other underscores become hyphens (``data_figure``). True writes
        the bare attribute; None and False leave it out.

    Examples
    --------
    >>> tag("a", "x < y", class_="k", data_n=3, hidden=True, title=None)
    '<a class="k" data-n="3" hidden>x &lt; y</a>'
    """
    written = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        label = key.rstrip("_").replace("_", "-")
        written.append(label if value is True else f'{label}="{_text(value)}"')
    start = f"<{' '.join(written)}>"
    return Html(start) if name in _VOID else Html(f"{start}{join(children)}</{name}>")


def number(value: float | None, *, digits: int = 3) -> str:
    """Format a number: thousands separators, `digits` significant digits, a dash for a missing value.

    Examples
    --------
    >>> number(1234567), number(0.123456), number(None), number(-4.0), number(2.3e-7)
    ('1,234,567', '0.123', '–', '-4', '2.3e-07')
    """
    if value is None or value != value:  # noqa: PLR0124 - NaN is the one value unlike itself
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:.{digits}g}"


def table(
    header: Sequence[object],
    rows: Iterable[Sequence[object]],
    *,
    numeric: Iterable[int] = (),
    class_: str = "",
    caption: str | None = None,
) -> Html:
    """Write a table inside a scrollable box.

    Parameters
    ----------
    header
        Column titles.
    rows
        Cells, row by row; floats are written by `number`, None as a dash.
    numeric
        Positions of right-aligned columns.
    class_
        Further CSS classes of the table.
    caption
        Caption for screen readers.
    """
    right = frozenset(numeric)

    def cell(name: str, position: int, value: object) -> Html:
        shown = number(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
        return tag(
            name,
            "–" if shown is None else shown,
            class_="n" if position in right else None,
            scope="col" if name == "th" else None,
        )

    head = tag("thead", tag("tr", *(cell("th", i, text) for i, text in enumerate(header))))
    body = tag("tbody", *(tag("tr", *(cell("td", i, v) for i, v in enumerate(row))) for row in rows))
    titled = tag("caption", caption) if caption else None
    return tag("div", tag("table", titled, head, body, class_=class_ or None), class_="scroll", tabindex="0")


def notice(*children: object) -> Html:
    """Write a box with a note, such as the reason why something is not shown."""
    return tag("p", *children, class_="notice")


def details(summary: object, *children: object, open_: bool = False) -> Html:
    """Write a part that is folded until the reader opens it."""
    return tag("details", tag("summary", summary), *children, open=open_)


def term(text: str, meaning: str) -> Html:
    """Write a technical term with its meaning on hover, focus or tap."""
    return tag("span", text, tag("span", meaning, class_="tip", role="tooltip"), class_="term", tabindex="0")


def sql_hint(query: str) -> Html:
    """Write the SQL query for the numbers of a section, ready to copy."""
    return details("These numbers in SQL", tag("pre", tag("code", query), class_="sql"))


def data_island(identifier: str, value: Any) -> Html:
    r"""Write data for the page's script as JSON that cannot end the script element; its id gets the prefix ``data-``.

    Examples
    --------
    >>> data_island("d", {"a": "</script>"})
    '<script type="application/json" id="data-d">{"a":"\\u003c/script>"}</script>'
    """
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    )
    return Html(f'<script type="application/json" id="data-{_html.escape(identifier)}">{_close(text)}</script>')


def _close(text: str) -> str:
    # "<" is only ever inside strings in JSON, where the escape means the same; U+2028/9 end lines in old engines
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
