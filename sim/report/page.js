
"use strict";
(() => {
  const root = document.documentElement;
  root.dataset.errors = "0";
  const count = () => { root.dataset.errors = String(Number(root.dataset.errors) + 1); };
  addEventListener("error", count);
  addEventListener("securitypolicyviolation", count);

  const json = id => JSON.parse(document.getElementById(id).textContent);
  const record = json("record"), states = json("states");
  const wordClasses = {n: "w new", g: "w gone", ".": "w none"};
  const wordClass = s => wordClasses[s] || "w";
  const cellClass = s => s === "." ? "absent" : s === "n" || s === "g" ? "cut" : "l" + s;
  const chosen = states.map(s => s.steps.length - 1);

  // -- the step of a sequence: only classes and counts of what is there change ------------------------------
  const show = (section, n, i) => {
    const step = states[n].steps[i];
    chosen[n] = i;
    section.querySelector(".step").textContent = step.name;
    for (const line of section.querySelectorAll(".line")) {
      const row = Number(line.dataset.row), text = (step.words || step.tokens)[row];
      [...line.querySelectorAll("span")].forEach((w, k) => { w.className = wordClass(text[k]); });
      line.parentNode.querySelector(".count").textContent = step.token_counts[row];
    }
    for (const svg of section.querySelectorAll("svg.grid")) {
      const kind = svg.dataset.kind, counts = step[kind === "tokens" ? "token_counts" : "head_counts"];
      const labels = svg.querySelectorAll("text.count");
      for (const g of svg.querySelectorAll("g.r")) {
        const row = Number(g.dataset.row), text = step[kind][row];
        [...g.children].forEach((cell, k) => { cell.setAttribute("class", cellClass(text[k])); });
        labels[row].textContent = counts[row];
      }
    }
  };

  // -- what is under the pointer -----------------------------------------------------------------------------
  const tip = document.getElementById("tip");
  const number = x => x === undefined || x === null ? "" : ", importance " + x.toPrecision(4);
  const fate = s => s === "n" ? "pruned before it" : s === "g" ? "gone earlier" : s === "." ? "not there yet" : "alive";
  const describe = (n, kind, row, k) => {
    const step = states[n].steps[chosen[n]], layer = record.sequences[n].steps[chosen[n]].layers[row];
    if (kind === "heads") {
      const value = layer.head_importance && layer.head_importance[k];
      return `head ${k}, after layer ${row}: ${fate(step.heads[row][k])}${number(value)}`;
    }
    const [first, last] = kind === "words" ? [k, k] : states[n].columns[k];
    if (first < last) {
      const range = layer.importance ? layer.importance.slice(first, last + 1) : [];
      const most = range.length ? ", importance up to " + Math.max(...range).toPrecision(4) : "";
      const alive = layer.alive.filter(t => t >= first && t <= last).length;
      return `tokens ${first} – ${last}, after layer ${row}: ${alive} alive${most}`;
    }
    const text = kind === "words" ? null : step.tokens[row][k];
    const state = text === null ? (layer.alive.includes(first) ? "alive" : "pruned") : fate(text);
    const value = layer.importance && layer.importance[first];
    return `token ${first} ${JSON.stringify(record.sequences[n].tokens[first])}, after layer ${row}: ${state}${number(value)}`;
  };
  const wordId = (n, k) => {
    for (const [first, last] of states[n].words) {
      if (k <= last - first) return first + k;
      k -= last - first + 1;
    }
    return null;
  };
  const point = event => {
    const at = event.target, row = at.closest && at.closest("g.r, .line"), section = row && at.closest(".sequence");
    if (!section || at === row || at.tagName === "EM") { tip.hidden = true; return; }
    const n = Number(section.dataset.sequence), y = Number(row.dataset.row);
    const words = row.classList.contains("line");
    const k = [...row.children].filter(c => c.tagName !== "EM").indexOf(at);
    tip.textContent = words ? describe(n, "words", y, wordId(n, k))
      : describe(n, row.closest("svg").dataset.kind, y, k);
    tip.hidden = false;
    tip.style.left = Math.max(4, Math.min(event.clientX + 12, innerWidth - tip.offsetWidth - 8)) + "px";
    tip.style.top = Math.max(4, event.clientY - tip.offsetHeight - 12) + "px";
  };
  addEventListener("pointermove", point);
  addEventListener("pointerdown", point);
  addEventListener("scroll", () => { tip.hidden = true; }, {passive: true});

  for (const section of document.querySelectorAll(".sequence")) {
    const n = Number(section.dataset.sequence), slider = section.querySelector(".steps input");
    if (!slider || states[n].steps.length < 2) continue;
    slider.hidden = false;
    slider.addEventListener("input", () => show(section, n, Number(slider.value)));
  }
  root.dataset.script = "ready";
})();
