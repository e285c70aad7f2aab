"use strict";
(() => {
  const root = document.documentElement, NS = "http://www.w3.org/2000/svg";
  root.dataset.errors = "0";
  const count = () => { root.dataset.errors = String(Number(root.dataset.errors) + 1); };
  addEventListener("error", count);
  addEventListener("securitypolicyviolation", count);

  const data = JSON.parse(document.getElementById("data").textContent);
  const axes = data.axes.map((a, i) => ({...a, i, range: null}));
  const rows = data.rows, plot = document.getElementById("plot"), LISTED = 50;
  const top = 42, height = 400, bottom = height - 8;
  let by = axes.find(a => a.metric && a.shown) || axes[0], lit = -1;

  const make = (name, attributes, parent, text) => {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    parent.append(element);
    return element;
  };
  const short = v => v === null ? "–" : typeof v === "number" ? String(Number(v.toPrecision(4))) : String(v);

  // -- scales: a place 0 … 1 for every value of an axis; numbers that span much are logarithmic ---------------
  for (const axis of axes) {
    const values = rows.map(r => r[axis.i]).filter(v => v !== null);
    if (axis.number) {
      const low = Math.min(...values), high = Math.max(...values), log = low > 0 && high > 20 * low;
      const f = log ? Math.log : v => v;
      const back = t => { const y = f(low) + t * (f(high) - f(low)); return log ? Math.exp(y) : y; };
      axis.place = v => v === null ? null : (f(v) - f(low)) / (f(high) - f(low) || 1);
      const few = [...new Set(values)].sort((a, b) => a - b);
      axis.ticks = few.length <= 8 ? few : [0, .25, .5, .75, 1].map(back);
    } else {
      const kinds = [...new Set(values.map(String))];
      axis.place = v => v === null ? null : kinds.length < 2 ? .5 : kinds.indexOf(String(v)) / (kinds.length - 1);
      axis.ticks = kinds.slice(0, 24);
    }
  }
  const y = (axis, v) => { const t = axis.place(v); return t === null ? height + 14 : bottom - t * (bottom - top); };
  // From blue to orange through grey, told apart with any colour vision.
  const colour = t => {
    const mix = (a, b, u) => a.map((x, k) => Math.round(x + (b[k] - x) * u));
    const [blue, grey, orange] = [[0, 114, 178], [140, 140, 140], [213, 94, 0]];
    return `rgb(${(t < .5 ? mix(blue, grey, 2 * t) : mix(grey, orange, 2 * t - 1)).join(",")})`;
  };
  const inside = row => axes.every(a => !a.range || !a.shown || (v => v !== null && v >= a.range[0] - 1e-9 &&
    v <= a.range[1] + 1e-9)(a.place(row[a.i])));

  // -- drawing -------------------------------------------------------------------------------------------------
  let paths = [];
  const draw = () => {
    plot.replaceChildren();
    const width = plot.clientWidth || 1200, shown = axes.filter(a => a.shown);
    plot.setAttribute("viewBox", `0 0 ${width} ${height + 24}`);
    const x = k => shown.length < 2 ? width / 2 : 60 + k * (width - 130) / (shown.length - 1);
    const lines = make("g", {}, plot);
    paths = rows.map((row, n) => {
      const at = shown.map((a, k) => `${x(k).toFixed(1)},${y(a, row[a.i]).toFixed(1)}`);
      const path = make("path", {d: "M" + at.join("L"), "data-row": n}, lines);
      path.addEventListener("pointerenter", () => light(n));
      return path;
    });
    shown.forEach((axis, k) => {
      const g = make("g", {"data-axis": axis.name}, plot);
      make("line", {x1: x(k), x2: x(k), y1: top, y2: bottom}, g);
      for (const tick of axis.ticks) make("text", {x: x(k) + 5, y: y(axis, tick) + 4}, g, short(tick));
      const name = make("text", {x: x(k), y: 12 + 14 * (k % 2), "text-anchor": "middle",
        class: axis === by ? "name by" : "name"}, g, axis.name);
      name.addEventListener("click", () => { by = axis; draw(); });
      const box = make("rect", {x: x(k) - 7, width: 14, class: "brush"}, g);
      const hit = make("rect", {x: x(k) - 12, width: 24, y: top - 6, height: bottom - top + 12, class: "hit"}, g);
      brush(axis, box, hit);
    });
    paint();
  };

  const brush = (axis, box, hit) => {
    const show = () => {
      box.setAttribute("visibility", axis.range ? "visible" : "hidden");
      if (axis.range) {
        box.setAttribute("y", bottom - axis.range[1] * (bottom - top));
        box.setAttribute("height", Math.max(2, (axis.range[1] - axis.range[0]) * (bottom - top)));
      }
    };
    const part = event => {
      const frame = plot.getBoundingClientRect();
      const at = (event.clientY - frame.top) * (height + 24) / (frame.height || 1);
      return Math.min(1.01, Math.max(-.01, (bottom - at) / (bottom - top)));
    };
    let from = null;
    hit.addEventListener("pointerdown", event => {
      from = part(event);
      try { hit.setPointerCapture(event.pointerId); } catch { /* a pointer of a test */ }
    });
    hit.addEventListener("pointermove", event => {
      if (from === null) return;
      const to = part(event);
      axis.range = [Math.min(from, to), Math.max(from, to)];
      show();
      paint();
    });
    hit.addEventListener("pointerup", event => {
      if (from !== null && Math.abs(part(event) - from) < .01) axis.range = null;
      from = null;
      show();
      paint();
    });
    show();
  };

  const paint = () => {
    const chosen = [];
    rows.forEach((row, n) => {
      const on = inside(row), t = by ? by.place(row[by.i]) : null;
      if (on) chosen.push(n);
      paths[n].setAttribute("class", (on ? "" : "off") + (n === lit ? " lit" : ""));
      paths[n].setAttribute("stroke", t === null ? "#888" : colour(t));
    });
    for (const n of chosen) paths[n].parentNode.append(paths[n]);
    const few = chosen.length > LISTED ? `, the first ${LISTED} are listed` : "";
    document.getElementById("count").textContent = `${chosen.length} of ${rows.length} in range${few}.`;
    root.dataset.chosen = String(chosen.length);
    list(chosen.slice(0, LISTED));
  };

  const list = chosen => {
    const table = document.getElementById("table"), shown = axes.filter(a => a.shown || a.name === "point");
    const line = (tag, cells, n) => {
      const tr = document.createElement("tr");
      for (const cell of cells) {
        const td = document.createElement(tag);
        td.textContent = cell;
        tr.append(td);
      }
      if (n !== undefined) {
        tr.dataset.row = n;
        tr.addEventListener("pointerenter", () => light(n));
      }
      return tr;
    };
    table.replaceChildren(line("th", shown.map(a => a.name)),
      ...chosen.map(n => line("td", shown.map(a => short(rows[n][a.i])), n)));
  };

  const light = n => {
    for (const element of document.querySelectorAll(".lit")) element.classList.remove("lit");
    lit = n;
    paths[n].classList.add("lit");
    const line = document.querySelector(`tr[data-row="${n}"]`);
    if (line) line.classList.add("lit");
  };

  // -- which axes are shown ------------------------------------------------------------------------------------
  for (const axis of axes) {
    const label = document.createElement("label"), box = document.createElement("input");
    box.type = "checkbox";
    box.checked = axis.shown;
    box.addEventListener("change", () => { axis.shown = box.checked; draw(); });
    label.append(box, ` ${axis.name}`);
    document.getElementById("choose").append(label);
  }
  addEventListener("resize", draw);
  draw();
})();
