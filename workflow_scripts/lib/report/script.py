"""The page's own script: it unpacks the tables, and draws the figures anew by what the reader chooses.

Charts are Vega-Lite's; this only hands them rows. choice.py and drawing.py do the same before there is a browser.
"""

SCRIPT = r"""
"use strict";
(async () => {
  const page = JSON.parse(document.getElementById("page-data").textContent);
  const form = document.getElementById("choices");
  const tables = await unpacked(page.tables, page.bytes);
  const figures = [...document.querySelectorAll("figure[data-figure]")];
  const stale = new Set(figures);

  async function unpacked(told, text) {
    const packed = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const plain = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    const bytes = new Uint8Array(await new Response(plain).arrayBuffer());
    let at = 0;
    const column = (rows) => {
      const found = new Int16Array(rows);
      for (let i = 0; i < rows; i++) found[i] = bytes[at + i] | (bytes[at + rows + i] << 8);
      at += 2 * rows;
      return found;
    };
    const summed = (found) => {
      for (let i = 1; i < found.length; i++) found[i] += found[i - 1];
      return found;
    };
    return Object.fromEntries(Object.entries(told).map(([name, table]) => {
      const { rows, keys, numbers, scale } = table;
      const codes = Object.keys(keys).map(() => column(rows));
      const raw = numbers.map((number) => {
        const found = column(rows);
        return /(low|high)$/.test(number) ? found : summed(found);
      });
      const mean = raw[numbers.indexOf("mean")];
      const value = (i, row) => {
        const code = raw[i][row], end = /(low|high)$/.test(numbers[i]);
        if (code === page.missing) return null;
        return ((end ? mean[row] : 0) + code) * scale;
      };
      return [name, { rows, words: keys, names: Object.keys(keys), codes, numbers, value }];
    }));
  }

  function state() {
    return Object.fromEntries(new FormData(form));
  }

  function chosen(table, where) {
    const now = state(), tests = [];
    for (const [key, asked] of Object.entries(where)) {
      if (asked === "@layer") {
        const last = now.layer === "last", name = last ? "above" : "layer";
        tests.push([name, new Set([last ? 0 : Number(now.layer)])]);
      } else if (asked === "@contrast") {
        if (now.contrast) tests.push([key, new Set([now.contrast, page.question])]);
      } else if (typeof asked === "string") {
        if (now[asked.slice(1)]) tests.push([key, new Set([now[asked.slice(1)]])]);
      } else tests.push([key, new Set(asked)]);
    }
    const coded = tests.map(([key, some]) => {
      const i = table.names.indexOf(key);
      return [table.codes[i], new Set(table.words[key].flatMap((word, code) => some.has(word) ? [code] : []))];
    });
    const found = [];
    for (let row = 0; row < table.rows; row++) {
      if (!coded.every(([codes, some]) => some.has(codes[row]))) continue;
      const one = {};
      table.names.forEach((name, i) => { one[name] = table.words[name][table.codes[i][row]]; });
      table.numbers.forEach((name, i) => { one[name] = table.value(i, row); });
      found.push(one);
    }
    return found;
  }

  function fitted(spec, rows, width, labels) {
    const field = spec.facet.field;
    if (field === "panel") rows = rows.map((row) => ({ ...row, panel: `${row.dataset}, states of ${row.of}` }));
    const sort = [...new Set(rows.map((row) => row[field]))];
    const longest = labels ? Math.max(0, ...rows.map((row) => String(row[labels]).length)) : 0;
    const limit = Math.round(Math.min(180, width * 0.3));
    const left = labels ? Math.min(limit, Math.round(6.2 * longest)) + 14 : 52;
    const beside = Math.max(1, Math.min(spec.columns, sort.length, Math.floor(width / 230)));
    const inner = Math.max(60, Math.floor((width - left - 20 - (beside - 1) * 24) / beside));
    const direction = width > 640 ? "horizontal" : "vertical";
    const legend = { columns: Math.max(1, Math.floor(width / 190)), direction };
    return {
      ...spec,
      data: { values: rows, name: "rows" },
      columns: beside,
      facet: { ...spec.facet, sort },
      spec: { ...spec.spec, width: inner },
      config: {
        ...spec.config,
        axisY: { ...spec.config.axisY, labelLimit: limit },
        legend: { ...spec.config.legend, columns: legend.columns, layout: { top: legend } },
      },
    };
  }

  async function draw(figure) {
    stale.delete(figure);
    const one = page.figures[figure.dataset.figure];
    const rows = chosen(tables[one.table], one.where);
    const still = figure.querySelector(".still"), live = figure.querySelector(".live");
    figure.querySelector(".nothing").hidden = rows.length > 0;
    figure.querySelector(".values").hidden = rows.length === 0;
    still.hidden = true;
    live.hidden = rows.length === 0;
    if (!rows.length) return;
    const now = state(), first = Object.keys(now).every((name) => now[name] === page.first[name]);
    figure.querySelector("figcaption b").hidden = !first;
    const chosenNow = Object.values(now).filter(Boolean).join(", ");
    const label = first ? still.querySelector("svg").getAttribute("aria-label") : `${one.title}, for ${chosenNow}`;
    figure.shown = [tables[one.table], rows];
    if (figure.querySelector(".values").open) list(figure);
    const spec = fitted(one.spec, rows, figure.clientWidth, one.labels);
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    await vegaEmbed(live, spec, {
      mode: "vega-lite", actions: false, renderer: "svg", tooltip: { theme: dark ? "dark" : "light" },
      logLevel: 1, // errors alone: one draw has no intervals, and that they have no extent is no fault
    });
    const svg = live.querySelector("svg");
    for (const mark of svg.querySelectorAll("[role]")) mark.removeAttribute("role"); // one picture, with one text
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
  }

  function list(figure) {
    const [table, rows] = figure.shown;
    const varies = (name) => new Set(rows.map((row) => row[name])).size > 1;
    const keys = table.names.filter((name) => !["above", "place"].includes(name) && varies(name));
    const numbers = table.numbers.filter((name) => rows.some((row) => row[name] !== null));
    const line = (cells, tag) => {
      const row = document.createElement("tr");
      for (const text of cells) row.appendChild(document.createElement(tag)).textContent = text;
      return row;
    };
    const grid = document.createElement("table"), head = grid.createTHead(), body = grid.createTBody();
    head.append(line([...keys, ...numbers].map((name) => page.words[name] ?? name), "th"));
    for (const row of rows) {
      const told = numbers.map((name) => row[name] === null ? "\u2013" : row[name].toFixed(3).replace("-", "\u2212"));
      body.append(line([...keys.map((name) => page.words[row[name]] ?? row[name]), ...told], "td"));
    }
    figure.querySelector(".values .scroll").replaceChildren(grid);
  }

  for (const figure of figures) {
    figure.querySelector(".values").addEventListener("toggle", (event) => {
      if (event.target.open && figure.shown) list(figure);
    });
  }

  const near = new IntersectionObserver((seen) => {
    for (const one of seen) if (one.isIntersecting && stale.has(one.target)) draw(one.target);
  }, { rootMargin: "400px" });

  function refresh() {
    for (const figure of figures) {
      stale.add(figure);
      near.unobserve(figure);
      near.observe(figure);
    }
  }

  function told() {
    const now = state(), words = new URLSearchParams();
    for (const [name, value] of Object.entries(now)) if (value !== page.first[name]) words.set(name, value);
    if (at) words.set("at", at);
    history.replaceState(null, "", `#${words}`);
  }

  let at = "";
  function fromAddress() {
    const hash = decodeURIComponent(location.hash.slice(1));
    const words = new URLSearchParams(hash.includes("=") ? location.hash.slice(1) : "");
    for (const select of form.elements) {
      const value = words.get(select.name) ?? page.first[select.name];
      if ([...select.options].some((option) => option.value === value)) select.value = value;
    }
    at = hash.includes("=") ? words.get("at") ?? "" : hash;
    refresh();
    if (at) document.getElementById(at)?.scrollIntoView();
  }

  form.hidden = false;
  form.addEventListener("change", () => { refresh(); told(); });
  form.addEventListener("submit", (event) => event.preventDefault());
  addEventListener("hashchange", fromAddress);
  for (const link of document.querySelectorAll("nav a")) {
    link.addEventListener("click", (event) => {
      event.preventDefault();
      at = link.hash.slice(1);
      told();
      document.getElementById(at).scrollIntoView();
    });
  }
  let width = innerWidth;
  addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; refresh(); } });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((one) => { one.open = true; }));
  fromAddress();
  document.documentElement.dataset.ready = "yes";
})();
"""
