from __future__ import annotations

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


@pytest.mark.slow
def test_a_browser_draws_the_page_without_complaint(small_source: Any, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on the path to draw the page with")
    page = write_report(small_source, output=tmp_path / "page.html")
    page.write_text(page.read_text("utf-8").replace("</body>", ACT), "utf-8")
    switches = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    run = subprocess.run(
        [
            browser,
            *switches,
            f"--user-data-dir={tmp_path / 'profile'}",
            "--enable-logging=stderr",
            "--v=0",
            "--virtual-time-budget=8000",
            "--window-size=1400,9000",
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
    complaints = [line for line in run.stderr.splitlines() if ":CONSOLE" in line]
    assert complaints == []
    drawn = run.stdout
    assert len(re.findall(r'class="plot js-plotly-plot"', drawn)) >= 10
    card = drawn[drawn.index('id="well-card"') :].split("</aside>")[0]
    assert "<h4>A01</h4>" in card
    assert "<dd>negative control</dd>" in card
    assert 'src="data:image/jpeg' in card
