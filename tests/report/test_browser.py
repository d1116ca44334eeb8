from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from phenoprint.report import write_report

ACT = """<script>addEventListener('load', () => setTimeout(() => {
  const change = (id, value) => {
    const e = document.getElementById(id);
    e.value = value;
    e.dispatchEvent(new Event('change'));
  };
  change('plate-plate', 'all'); change('plate-measure', 3);
  document.querySelector('[data-kind=norm]').click();
  document.querySelector('[data-kind=pictures]').click();
  document.querySelector('.pictures button[data-row="0"]').click();
  document.querySelectorAll('[role=tab], table.sortable th, #theme').forEach((e) => e.click());
}, 200));</script></body>"""


def browse(page: Path, folder: Path, *, width: int) -> subprocess.CompletedProcess[str]:
    """Open a page without a window; its standard output is the page as the scripts left it."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on the path to draw the page with")
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    run = subprocess.run(
        [
            browser,
            *switches,
            f"--user-data-dir={folder / 'profile'}",
            "--enable-logging=stderr",
            "--v=0",
            "--virtual-time-budget=8000",
            f"--window-size={width},9000",
            "--dump-dom",
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if run.returncode:
        pytest.skip(f"Chromium does not start here: {run.stderr[-300:]}")
    return run


NARROW = """<script>addEventListener('load', () => setTimeout(() => {
  const inside = (e) => e.closest('.scroll, .links, .gallery, .crops, .tip, pre');
  const wide = [...document.querySelectorAll('body *')]
    .filter((e) => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !inside(e))
    .map((e) => e.tagName + '.' + (e.getAttribute('class') || ''));
  const root = document.documentElement;
  const label = document.querySelector('#hits-table td:nth-child(2)');
  document.title = JSON.stringify({ wide, page: root.scrollWidth - root.clientWidth, width: root.clientWidth,
    label: getComputedStyle(label, '::before').content });
}, 3000));</script></body>"""


@pytest.mark.slow
def test_a_narrow_page_needs_no_scrolling_sideways(small_source: Any, tmp_path: Path) -> None:
    page = write_report(small_source, output=tmp_path / "page.html")
    page.write_text(page.read_text("utf-8").replace("</body>", NARROW), "utf-8")
    found = json.loads(re.findall(r"<title>(\{.*?\})</title>", browse(page, tmp_path, width=500).stdout)[0])
    assert found["width"] <= 640, "the window is not narrow enough for the stylesheet's rules to hold"
    assert found["wide"] == []
    assert found["page"] == 0
    assert "Mechanism" in found["label"]


@pytest.mark.slow
def test_a_browser_draws_the_page_without_complaint(small_source: Any, tmp_path: Path) -> None:
    page = write_report(small_source, output=tmp_path / "page.html")
    page.write_text(page.read_text("utf-8").replace("</body>", ACT), "utf-8")
    run = browse(page, tmp_path, width=1400)
    complaints = [line for line in run.stderr.splitlines() if ":CONSOLE" in line]
    assert complaints == []
    drawn = run.stdout
    assert len(re.findall(r'class="plot js-plotly-plot"', drawn)) >= 10
    card = drawn[drawn.index('id="well-card"') :].split("</aside>")[0]
    assert "<h4>A01</h4>" in card
    assert "<dd>negative control</dd>" in card
    assert 'src="data:image/jpeg' in card
