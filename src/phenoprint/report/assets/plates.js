"use strict";
(() => {
  const wells = Report.read("wells"), measures = Report.read("measures");
  if (!wells || !measures) return;
  const skeletons = Report.read("plate_figures"), thumbnails = Report.read("thumbnails") || {};
  const byId = (id) => document.getElementById(id);
  const maps = byId("plate-maps"), card = byId("well-card");
  const state = { measure: 0, plate: "0", kind: "raw", shared: true, marks: true, chosen: null };
  const pending = [];
  let frame = null; // what the boxes were made for
  const viridis = skeletons[Object.keys(skeletons)[0]].data[0].colorscale;
  const diverging = [[0, "#1b5fa5"], [0.25, "#6aa5d8"], [0.5, "#e8e8e6"], [0.75, "#eba35a"], [1, "#b34a00"]];
  const rowsOf = wells.plates.map(() => []);
  wells.plate.forEach((plate, row) => rowsOf[plate].push(row));
  const level = (coded, row) => coded.codes[row] < 0 ? null : coded.levels[coded.codes[row]];
  // numbered entities for quotes: plotly decodes those in its labels, but not &quot;
  const entities = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;" };
  const escape = (text) => String(text).replace(/[&<>"']/g, (mark) => entities[mark]);
  const shown = (v) => v === null || v === undefined ? "no value" : Number(v.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
  const letters = (r) => r < 26 ? String.fromCharCode(65 + r) : "A" + String.fromCharCode(65 + r - 26);
  const values = () => { const m = measures[state.measure]; return state.kind === "norm" && m.norm ? m.norm : m.raw || m.norm; };
  const isNormalized = () => { const m = measures[state.measure]; return (state.kind === "norm" && m.norm) || !m.raw; };

  // the 1st to the 99th percentile: a few extreme wells must not wash out the plate
  const limits = (rows) => {
    const v = values(), finite = rows.map((r) => v[r]).filter((x) => x !== null && x !== undefined).sort((a, b) => a - b);
    if (!finite.length) return [0, 1];
    const at = (q) => finite[Math.round(q * (finite.length - 1))];
    let [low, high] = [at(0.01), at(0.99)];
    if (isNormalized()) { high = Math.max(Math.abs(low), Math.abs(high)) || 1; low = -high; }
    return high > low ? [low, high] : [low - 0.5, high + 0.5];
  };

  const select = (row) => {
    state.chosen = row;
    const lines = wells.fields.map((f) => [f.label, level(f, row)]).filter((x) => x[1]);
    const flag = level(wells.flag, row);
    if (flag) lines.push(["Flagged", flag]);
    const m = measures[state.measure];
    if (m.raw) lines.push([m.label, shown(m.raw[row])]);
    if (m.norm) lines.push([`${m.label}, normalized`, shown(m.norm[row])]);
    const picture = thumbnails[row] ? `<img alt="well ${wells.well[row]}" src="data:image/jpeg;base64,${thumbnails[row]}">` : "";
    card.innerHTML = `<h4>${escape(wells.well[row])}</h4><span class="quiet">${escape(wells.plates[wells.plate[row]].name)}</span>${picture}` +
      `<dl>${lines.map(([k, v]) => `<dt>${escape(k)}</dt><dd>${escape(v)}</dd>`).join("")}</dl>`;
  };

  const heat = (box, index, range) => {
    const plate = wells.plates[index], rows = rowsOf[index], v = values();
    const skeleton = skeletons[plate.n];
    const grid = (make) => Array.from({ length: plate.rows }, (_, r) => Array.from({ length: plate.columns }, (_, c) => make(r, c)));
    const z = grid(() => null), text = grid(() => ""), id = grid(() => null);
    const marks = { negcon: [], poscon: [], flag: [], missing: [] };
    for (const row of rows) {
      const r = Math.floor(wells.at[row] / plate.columns), c = wells.at[row] % plate.columns;
      const value = v[row] ?? null;
      z[r][c] = value; id[r][c] = row;
      const what = wells.fields.slice(0, 2).map((f) => level(f, row)).filter(Boolean).map(escape).join("<br>");
      const flag = level(wells.flag, row);
      text[r][c] = `<b>${wells.well[row]}</b>  ${shown(value)}<br>${what}${flag ? "<br><i>flagged: " + escape(flag).replaceAll("\n", "<br>") + "</i>" : ""}`;
      const role = level(wells.role, row), at = [c + 1, r + 1, row, text[r][c]];
      if (marks[role]) marks[role].push(at);
      if (flag) marks.flag.push(at);
      if (value === null) marks.missing.push(at);
    }
    const small = maps.classList.contains("many");
    const scale = isNormalized() ? diverging : viridis;
    const bar = { ...skeleton.data[0].colorbar, title: { text: "" } };
    const data = [{ ...skeleton.data[0], z, text, customdata: id, zmin: range[0], zmax: range[1], colorscale: scale, showscale: !small, colorbar: bar,
      ...(small ? { xgap: 0.5, ygap: 0.5 } : {}) }];
    const dot = (points, marker) => points.length && data.push({ type: "scatter", mode: "markers", x: points.map((p) => p[0]), y: points.map((p) => p[1]),
      customdata: points.map((p) => p[2]), text: points.map((p) => p[3]), hovertemplate: "%{text}<extra></extra>", showlegend: false, marker });
    const width = box.clientWidth, tight = !small && width < 560, cell = (width - 34) / plate.columns;
    const size = small ? 4 : tight ? Math.max(3, Math.min(9, 0.45 * cell)) : plate.rows > 16 ? 4 : plate.rows > 8 ? 7 : 10;
    dot(marks.missing, { symbol: "square-open", size: size * 1.2, color: Report.css("--line"), line: { width: 1 } });
    if (state.marks) {
      dot(marks.negcon, { symbol: "circle-open", size, color: "rgba(255,255,255,0.95)", line: { width: small ? 1 : 1.6 } });
      dot(marks.poscon, { symbol: "circle", size: size * 0.8, color: "#d55e00", line: { width: 1, color: "#ffffff" } });
      dot(marks.flag, { symbol: "x", size: size * 0.9, color: "#ffffff", line: { width: 1, color: "#17202a" } });
    }
    const layout = { ...skeleton.layout, xaxis: { ...skeleton.layout.xaxis }, height: small ? 300 : skeleton.layout.height };
    if (small) { layout.xaxis.dtick = plate.columns > 12 ? 4 : 2; layout.margin = { l: 26, r: 4, t: 24, b: 6 }; }
    if (tight) { // cells stay square, and the colours are named below the plate
      layout.margin = { l: 26, r: 8, t: 24, b: 46 };
      layout.height = Math.round(layout.margin.t + layout.margin.b + cell * plate.rows);
      layout.xaxis.dtick = plate.columns > 12 ? 2 : 1;
      data[0].colorbar = { ...bar, orientation: "h", len: 1, x: 0.5, xanchor: "center", y: 0, yanchor: "top", ypad: 10 };
    }
    const drawing = Report.draw(box, data, layout, { keep: true, options: { displayModeBar: small ? false : "hover" } }).then((plot) => {
      plot.removeAllListeners("plotly_click");
      plot.on("plotly_click", (e) => { const row = e.points[0].customdata; if (row !== null && row !== undefined) select(row); });
    });
    pending.push(drawing);
  };

  const pictures = (box, index) => {
    const plate = wells.plates[index], at = new Map(rowsOf[index].map((row) => [wells.at[row], row]));
    box.className = "pictures";
    box.style.gridTemplateColumns = `1.4rem repeat(${plate.columns}, minmax(0, 1fr))`;
    const cells = ["<span></span>", ...Array.from({ length: plate.columns }, (_, c) => `<span>${c + 1}</span>`)];
    for (let r = 0; r < plate.rows; r++) {
      cells.push(`<span>${letters(r)}</span>`);
      for (let c = 0; c < plate.columns; c++) {
        const row = at.get(r * plate.columns + c);
        if (row === undefined) { cells.push("<span></span>"); continue; }
        const what = [wells.well[row], ...wells.fields.slice(0, 2).map((f) => level(f, row))].filter(Boolean).join(" · ");
        const image = thumbnails[row] ? `<img loading="lazy" alt="" src="data:image/jpeg;base64,${thumbnails[row]}">` : "";
        const role = state.marks ? level(wells.role, row) : "";
        cells.push(`<button type="button" data-row="${row}" class="${image ? "" : "none"} ${role === "negcon" || role === "poscon" ? role : ""}" title="${escape(what)}">${image}</button>`);
      }
    }
    box.innerHTML = cells.join("");
    box.onclick = (e) => { const b = e.target.closest("button"); if (b) select(Number(b.dataset.row)); };
  };

  const render = () => {
    const m = measures[state.measure];
    for (const b of byId("plate-kind").children) {
      b.disabled = b.dataset.kind !== "pictures" && !m[b.dataset.kind];
      b.setAttribute("aria-pressed", b.dataset.kind === (state.kind === "pictures" ? "pictures" : isNormalized() ? "norm" : "raw"));
    }
    const scale = isNormalized() ? " Normalized: 0 is the typical negative control, the unit is one robust standard deviation." : "";
    byId("plate-about").textContent = state.kind === "pictures" ? "One field of each well, channels as colours." : (m.about || "") + scale;
    const chosen = state.plate === "all" ? wells.plates.map((_, i) => i) : [Number(state.plate)];
    maps.classList.toggle("many", chosen.length > 1);
    const layoutKey = `${state.kind === "pictures"} ${chosen}`;
    if (layoutKey !== frame) {
      frame = layoutKey;
      const old = [...maps.querySelectorAll(".js-plotly-plot")];
      for (const box of old) Report.forget(box);
      // plotly fails when a figure goes away while it is still being drawn
      Promise.allSettled(pending.splice(0)).then(() => old.forEach((box) => Plotly.purge(box)));
      maps.replaceChildren(...chosen.map((index) => {
        const holder = document.createElement("div"), title = document.createElement("h4");
        title.textContent = wells.plates[index].name;
        holder.append(title, document.createElement("div"));
        return holder;
      }));
    }
    const everywhere = wells.plate.map((_, row) => row);
    chosen.forEach((index, i) => {
      const box = maps.children[i].lastElementChild;
      if (state.kind === "pictures") pictures(box, index);
      else heat(box, index, limits(state.shared ? everywhere : rowsOf[index]));
    });
    if (state.chosen !== null) select(state.chosen);
  };

  byId("plate-measure").addEventListener("change", (e) => { state.measure = Number(e.target.value); render(); });
  byId("plate-plate").addEventListener("change", (e) => { state.plate = e.target.value; state.chosen = null; render(); });
  byId("plate-shared")?.addEventListener("change", (e) => { state.shared = e.target.checked; render(); });
  byId("plate-marks").addEventListener("change", (e) => { state.marks = e.target.checked; render(); });
  byId("plate-kind").addEventListener("click", (e) => { const b = e.target.closest("button"); if (b && !b.disabled) { state.kind = b.dataset.kind; render(); } });
  render();
})();
