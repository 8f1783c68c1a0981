"use strict";
(() => {
  const page = JSON.parse(document.getElementById("figure-data").textContent);
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const theme = () => (dark.matches ? "dark" : "light");
  const buttons = [["toImage", "zoom2d", "pan2d", "resetScale2d"]];

  // The legend takes several lines on a phone and one or two on a desk: give back what it does not need.
  function layoutFor(plot, figure, name) {
    const layout = Object.assign({}, figure.layout);
    const width = plot.clientWidth;
    const rows = (layout.meta && layout.meta.legend_rows) || 1;
    const spare = 19 * Math.max(0, rows - Math.ceil((rows * 400) / Math.max(width, 400)));
    layout.height = figure.layout.height - spare;
    layout.margin = Object.assign({}, figure.layout.margin, { b: figure.layout.margin.b - spare });
    layout.width = width;
    layout.template = page.templates[name].layout.template;
    return layout;
  }

  function draw(plot, name = theme()) {
    const figure = page.figures[plot.dataset.figure];
    const layout = JSON.parse(JSON.stringify(layoutFor(plot, figure, name)));
    const config = { responsive: false, displaylogo: false, modeBarButtons: buttons, displayModeBar: plot.clientWidth > 600 ? "hover" : false };
    return Plotly.react(plot, figure.data, layout, config);
  }

  const plots = Array.from(document.querySelectorAll(".plot"));
  const ready = (yes) => { document.documentElement.dataset.ready = yes ? "yes" : "no"; };
  const redraw = (name) => {
    ready(false);
    return Promise.all(plots.map((plot) => draw(plot, name))).then(() => ready(true));
  };
  const breathe = () => new Promise((done) => setTimeout(done, 0));
  // One figure at a time, so that the page can be read and scrolled meanwhile.
  (async () => {
    for (const plot of plots) {
      await draw(plot);
      await breathe();
    }
    ready(true);
  })();
  dark.addEventListener("change", () => redraw(theme()));
  let last = window.innerWidth;
  let waiting;
  window.addEventListener("resize", () => {
    if (window.innerWidth === last) return;
    last = window.innerWidth;
    ready(false);
    clearTimeout(waiting);
    waiting = setTimeout(() => redraw(theme()), 120);
  });
  window.addEventListener("beforeprint", () => {
    document.querySelectorAll("details").forEach((d) => { d.open = true; });
    redraw("light");
  });
  window.addEventListener("afterprint", () => redraw(theme()));

  // Attention over the text. Everything from data goes in as textContent.
  const view = JSON.parse(document.getElementById("attention-data").textContent);
  if (!view) return;
  const get = (id) => document.getElementById(id);
  const [whichExample, whichLayer, whichHead] = ["example", "layer", "head"].map((n) => get("attention-" + n));
  const bytes = view.examples.map((e) => Uint8Array.from(atob(e.weights), (c) => c.charCodeAt(0)));
  const share = (step) => (step / 254) ** 2;
  const percent = (x) => (x >= 0.095 ? Math.round(100 * x) + " %" : x >= 0.005 ? (100 * x).toFixed(1) + " %" : "< 0.5 %");
  const option = (select, value, text) => {
    const o = document.createElement("option");
    o.value = value;
    o.textContent = text;
    select.append(o);
  };
  const short = (text) => (text.length > 60 ? text.slice(0, 59) + "…" : text);
  view.examples.forEach((e, i) => option(whichExample, i, i + 1 + ": " + short(e.name)));
  [...new Set(view.heads.map(([layer]) => layer))].forEach((layer) => option(whichLayer, layer, layer));

  function offerHeads() {
    const before = whichHead.value;
    whichHead.replaceChildren();
    const heads = view.heads.filter(([layer]) => layer === Number(whichLayer.value)).map(([, head]) => head);
    heads.forEach((head) => option(whichHead, head, head));
    if (heads.includes(Number(before))) whichHead.value = before;
  }

  // Starts where there is most to see: the head with the most attention on labels in context.
  function strongest() {
    const example = view.examples[0];
    const s = Math.max(0, view.settings.findIndex((x) => x.key === "icl"));
    const n = example.tokens.length;
    let best = 0;
    let most = -1;
    view.heads.forEach((_, h) => {
      let sum = 0;
      const start = (s * view.heads.length + h) * n;
      for (let i = 0; i < n; i++) if (example.roles[i] === "label" && bytes[0][start + i] !== 255) sum += share(bytes[0][start + i]);
      if (sum > most) { most = sum; best = h; }
    });
    return view.heads[best];
  }

  // Which demonstration a token belongs to: it ends with its separator; the query belongs to none.
  function demonstrations(example) {
    let n = 0;
    let seen = false;
    return example.roles.map((role, i) => {
      if (role === "bos" || i >= example.n_context) return -1;
      if (seen && role !== "separator" && role !== "label") { n += 1; seen = false; }
      if (role === "label") seen = true;
      return n;
    });
  }

  function strip(setting, example, weights, top) {
    const belongs = demonstrations(example);
    const shares = [];
    belongs.forEach((n, i) => { if (n >= 0 && weights[i] !== 255) shares[n] = (shares[n] || 0) + share(weights[i]); });
    const row = document.createElement("div");
    row.className = "strip";
    row.setAttribute("role", "img");
    row.setAttribute("aria-label", setting.name + ": attention on " + shares.length + " demonstrations");
    shares.forEach((x, n) => {
      const box = document.createElement("b");
      box.title = "demonstration " + (n + 1) + ": " + percent(x);
      box.style.backgroundColor = "rgba(var(--mark)," + (0.85 * Math.min(1, x / top)).toFixed(3) + ")";
      row.append(box);
    });
    return row;
  }

  function pane(setting, example, weights, top) {
    const box = document.createElement("section");
    box.className = "pane";
    const title = document.createElement("h3");
    title.textContent = setting.name;
    const sums = {};
    const words = document.createElement("div");
    words.className = "words";
    words.tabIndex = 0;
    words.setAttribute("role", "group");
    words.setAttribute("aria-label", setting.name + ": prompt with attention");
    example.tokens.forEach((token, i) => {
      if (weights[i] === 255) return;
      const x = share(weights[i]);
      sums[example.roles[i]] = (sums[example.roles[i]] || 0) + x;
      const word = document.createElement("span");
      word.className = example.roles[i] + (i >= example.n_context ? " query" : "");
      word.textContent = token;
      word.title = token.trim() + " (" + example.roles[i] + "): " + percent(x);
      word.dataset.share = x.toFixed(4);
      word.style.backgroundColor = "rgba(var(--mark)," + (0.85 * (x / top)).toFixed(3) + ")";
      words.append(word);
      if (example.breaks.includes(i)) words.append(document.createElement("br"));
    });
    const line = document.createElement("p");
    line.className = "sums";
    line.textContent = Object.entries(sums).sort((a, b) => b[1] - a[1]).map(([role, x]) => role + " " + percent(x)).join(" · ");
    box.append(title, line);
    if (example.n_context > 1 && weights[1] !== 255) box.append(strip(setting, example, weights, top));
    box.append(words);
    return [box, sums];
  }

  function show() {
    const e = Number(whichExample.value);
    const example = view.examples[e];
    const h = view.heads.findIndex(([l, k]) => l === Number(whichLayer.value) && k === Number(whichHead.value));
    const n = example.tokens.length;
    const rows = view.settings.map((_, s) => bytes[e].subarray((s * view.heads.length + h) * n, (s * view.heads.length + h + 1) * n));
    const top = Math.max(0.02, ...rows.map((weights) => Math.max(...Array.from(weights, (w) => (w === 255 ? 0 : share(w))))));
    const made = view.settings.map((setting, s) => pane(setting, example, rows[s], top));
    const bar = document.createElement("i");
    get("attention-scale").replaceChildren("0 %", bar, percent(top) + (top < 1 ? " or more" : ""));
    get("attention-panes").replaceChildren(...made.map(([box]) => box));
    document.querySelectorAll("#attention-panes .words").forEach((words) => { words.scrollTop = words.scrollHeight; });
    get("attention-said").textContent = "L" + whichLayer.value + "H" + whichHead.value + ", attention on labels: " +
      made.map(([, sums], s) => view.settings[s].name + " " + percent(sums.label || 0)).join(", ") + ".";
  }

  const [layer, head] = strongest();
  whichLayer.value = layer;
  offerHeads();
  whichHead.value = head;
  whichExample.addEventListener("change", show);
  whichLayer.addEventListener("change", () => { offerHeads(); show(); });
  whichHead.addEventListener("change", show);
  show();
})();
