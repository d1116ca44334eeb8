"use strict";
const Report = (() => {
  const read = (id) => { const e = document.getElementById(`data-${id}`); return e ? JSON.parse(e.textContent) : null; };
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const isObject = (v) => v !== null && typeof v === "object" && !Array.isArray(v);
  const merge = (a, b) => {
    const out = { ...a };
    for (const [k, v] of Object.entries(b)) out[k] = isObject(v) && isObject(out[k]) ? merge(out[k], v) : v;
    return out;
  };
  // the buttons are named one by one: plotly's own set holds one that sends the figure's data to a server
  const options = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]], plotlyServerURL: "" };

  // colours of text and lines follow the page; everything else is the figure's own
  const themed = (layout) => {
    const ink = css("--soft"), grid = css("--line");
    const axis = { gridcolor: grid, linecolor: grid, tickfont: { color: ink }, title: { font: { color: ink } } };
    const theme = { font: { color: ink }, hoverlabel: { bgcolor: css("--card"), bordercolor: grid, font: { color: css("--ink") } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: ink, activecolor: css("--accent") }, autosize: true };
    for (const key of Object.keys(layout)) if (/^[xy]axis\d*$/.test(key)) theme[key] = axis;
    return merge(layout, theme);
  };

  // on a narrow page names are shortened, the legend is below the axes, and dragging scrolls the page
  const small = matchMedia("(max-width: 640px)");
  const short = (text, most) => text.length > most ? `${text.slice(0, Math.ceil(most / 2) - 1)}…${text.slice(1 - Math.floor(most / 2))}` : text;
  const categories = (data, axis) => [...new Set(data.flatMap((t) => typeof t[axis]?.[0] === "string" ? t[axis] : []))];
  const narrowed = (data, layout, width) => {
    const out = { ...layout, dragmode: false };
    for (const key of Object.keys(layout)) {
      if (/^[xy]axis\d*$/.test(key)) out[key] = merge(layout[key], { title: { font: { size: 11 } } });
    }
    for (const [axis, most] of [["y", 22], ["x", 14]]) {
      const names = layout[`${axis}axis`]?.categoryarray || categories(data, axis);
      if (names.some((name) => name.length > most)) {
        out[`${axis}axis`] = { ...out[`${axis}axis`], tickvals: names, ticktext: names.map((name) => short(name, most)) };
      }
    }
    const named = data.filter((t) => t.name && t.showlegend !== false && t.type !== "heatmap");
    let height = layout.height || 380;
    if (data.length && data.every((t) => t.type === "scatter" || t.type === "scattergl")) height = Math.min(height, width);
    if (layout.showlegend !== false && (named.length > 1 || layout.showlegend)) {
      const lines = named.reduce(([n, at], t) => { const w = 44 + 6.6 * t.name.length; return at + w > width ? [n + 1, w] : [n, at + w]; }, [1, 0])[0];
      const room = 20 * lines + 8;
      out.legend = { ...layout.legend, orientation: "h", x: 0, xanchor: "left", xref: "container", y: 0, yref: "container", yanchor: "bottom" };
      out.margin = { ...layout.margin, t: 12, r: 8, b: (layout.margin?.b ?? 48) + room };
      height += room;
    }
    return { ...out, height };
  };

  const drawn = new Map(); // element -> function that draws it again
  const draw = (element, data, layout, further = {}) => {
    drawn.set(element, () => {
      const isNarrow = small.matches && !further.keep;
      const shown = isNarrow ? narrowed(data, layout, element.clientWidth) : layout;
      if (element.style.minHeight) element.style.minHeight = `${shown.height || 380}px`;
      const bar = small.matches ? { displayModeBar: false } : {};
      // with few columns the cells show their values; with many the text would be too small, and the colours are named
      const many = categories(data, "x").length > 5;
      const traces = isNarrow ? data.map((t) => t.texttemplate ? { ...t, showscale: many, texttemplate: many ? "" : t.texttemplate } : t) : data;
      return Plotly.react(element, traces, themed(shown), { ...options, ...further.options, ...bar });
    });
    return drawn.get(element)();
  };

  const fill = (figure) => {
    if (!figure.pool) return figure.data;
    const pool = read(figure.pool); // positions and texts that several figures share
    return figure.data.map((t) => ({ ...t, x: t.rows.map((r) => pool.x[r]), y: t.rows.map((r) => pool.y[r]), text: t.rows.map((r) => pool.text[r]) }));
  };

  const figures = read("figures") || {};
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      const figure = figures[entry.target.dataset.figure];
      draw(entry.target, fill(figure), figure.layout);
    }
  }, { rootMargin: "600px" });
  for (const element of document.querySelectorAll("[data-figure]")) seen.observe(element);
  addEventListener("beforeprint", () => { // paper has no scrolling
    for (const element of document.querySelectorAll("[data-figure]")) {
      if (!drawn.has(element)) { const f = figures[element.dataset.figure]; draw(element, fill(f), f.layout); }
    }
  });

  const repaint = () => { for (const again of drawn.values()) again(); };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  const button = document.getElementById("theme");
  const modes = ["system", "light", "dark"];
  let mode = 0;
  const remember = (value) => { try { localStorage.setItem("phenoprint-theme", value); } catch { /* pages from disk may have no storage */ } };
  const setMode = (index) => {
    mode = index;
    if (mode) document.documentElement.dataset.theme = modes[mode]; else delete document.documentElement.dataset.theme;
    button.textContent = `Theme: ${modes[mode]}`;
  };
  try { setMode(Math.max(0, modes.indexOf(localStorage.getItem("phenoprint-theme")))); } catch { setMode(0); }
  button.addEventListener("click", () => { setMode((mode + 1) % 3); remember(modes[mode]); repaint(); });

  for (const tabs of document.querySelectorAll(".tabs")) {
    const buttons = [...tabs.querySelectorAll(":scope > .tablist > button")];
    const choose = (chosen) => {
      for (const b of buttons) {
        const on = b === chosen;
        b.setAttribute("aria-selected", on);
        b.tabIndex = on ? 0 : -1;
        document.getElementById(b.getAttribute("aria-controls")).hidden = !on;
      }
    };
    buttons.forEach((b, i) => {
      b.addEventListener("click", () => choose(b));
      b.addEventListener("keydown", (e) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
        if (!step) return;
        const next = buttons[(i + step + buttons.length) % buttons.length];
        choose(next); next.focus(); e.preventDefault();
      });
    });
  }

  for (const input of document.querySelectorAll("[data-filter]")) {
    const rows = document.querySelectorAll(`${input.dataset.filter} tbody tr, ${input.dataset.filter} [data-row]`);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      for (const row of rows) { const text = row.textContent.toLowerCase(); row.hidden = !words.every((w) => text.includes(w)); }
    });
  }

  // on a narrow page a row is a block of named values: the stylesheet shows these labels
  for (const table of document.querySelectorAll("main table")) {
    const names = [...table.tHead.rows[0].cells].map((c) => (c.querySelector(".term") || c).firstChild?.textContent || "");
    for (const row of table.tBodies[0].rows) [...row.cells].forEach((c, i) => { c.dataset.label = names[i] || ""; });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const heads = [...table.tHead.rows[0].cells];
    const value = (row, i) => row.cells[i].textContent.trim();
    heads.forEach((head, i) => head.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((h) => h.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const number = (text) => parseFloat(text.replace(/,/g, ""));
      const numeric = head.classList.contains("n") || [...table.tBodies[0].rows].every((r) => !Number.isNaN(number(value(r, i))));
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [value(a, i), value(b, i)];
        if (!numeric) return x.localeCompare(y, undefined, { numeric: true });
        const [p, q] = [number(x), number(y)];
        return (Number.isNaN(p) - Number.isNaN(q)) || p - q;
      });
      table.tBodies[0].append(...(down ? rows.reverse() : rows));
    }));
  }

  // explanations float above scrolling boxes, so they are placed by hand
  for (const term of document.querySelectorAll(".term")) {
    const tip = term.querySelector(".tip");
    const show = () => {
      const box = term.getBoundingClientRect();
      document.body.append(tip);
      const width = tip.offsetWidth, height = tip.offsetHeight;
      tip.style.left = `${Math.max(8, Math.min(innerWidth - width - 8, box.left))}px`;
      tip.style.top = `${box.top > height + 12 ? box.top - height - 6 : box.bottom + 6}px`;
      tip.classList.add("shown");
    };
    const hide = () => { tip.classList.remove("shown"); term.append(tip); };
    term.addEventListener("mouseenter", show);
    term.addEventListener("mouseleave", hide);
    term.addEventListener("focus", show);
    term.addEventListener("blur", hide);
  }

  const bar = document.querySelector("nav.page .links");
  const links = new Map([...document.querySelectorAll("nav.page .links a")].map((a) => [a.hash.slice(1), a]));
  const spy = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) {
      for (const a of links.values()) a.removeAttribute("aria-current");
      const link = links.get(entry.target.id);
      link?.setAttribute("aria-current", "true");
      if (link) bar.scrollTo({ left: link.offsetLeft - bar.offsetLeft - bar.clientWidth / 3 });
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  for (const section of document.querySelectorAll("main > section")) spy.observe(section);

  return { read, draw, css, forget: (element) => drawn.delete(element) };
})();
