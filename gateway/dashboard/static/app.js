/* What the pages do in the browser. No framework; htmx loads parts of pages, uPlot draws. */
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const root = document.documentElement;
  const typing = (at) => at.matches("input, select, textarea, [contenteditable]");

  // Times, in the viewer's zone. The text has as many characters as before: nothing moves.
  const two = (number) => String(number).padStart(2, "0");
  const clock = (at) => `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const date = (at) => `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const day = (at) => `${at.getFullYear()}-${date(at)}`;
  const showTimes = (within) => {
    for (const each of $$("time[datetime]:not([data-done])", within)) {
      const at = new Date(each.dateTime);
      each.dataset.done = "";
      if (each.dataset.show === "time") { each.textContent = clock(at); continue; }
      const year = document.createElement("span");
      year.className = "year";
      year.textContent = `${at.getFullYear()}-`;
      each.replaceChildren(year, `${date(at)} ${clock(at)}`);
    }
  };

  // Charts. What each shows stands here; the page has the columns and the places.
  const compact = (value) => {
    if (value === null || value === undefined) return "–";
    for (const [size, letter] of [[1e12, "T"], [1e9, "B"], [1e6, "M"], [1e3, "k"]]) {
      if (Math.abs(value) >= size) return three(value / size) + letter;
    }
    return three(value);
  };
  const three = (value) => {
    const size = Math.abs(value);
    if (size === 0) return "0";
    if (size >= 100) return value.toFixed(0);
    return String(Number(value.toPrecision(size >= 0.01 ? 3 : 2)));
  };
  const units = {
    count: compact,
    rate: (value) => `${compact(value)}/s`,
    money: (value) => (value === null || value === undefined ? "–" : `$${compact(value)}`),
    percent: (value) => (value === null || value === undefined ? "–" : `${three(value)} %`),
    hourly: (value) => `${units.money(value)}/h`,
    ms: (value) => {
      if (value === null || value === undefined) return "–";
      return value >= 1000 ? `${three(value / 1000)} s` : `${three(value)} ms`;
    },
  };
  const colour = (name) => {
    const probe = document.createElement("i");
    probe.className = name;
    document.body.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const plots = new Map();
  // What a live page was sent last: charts are drawn again in another theme, and of a page that comes back.
  let latest = null;
  // A line of one point is none: what has no neighbour is drawn as a dot.
  const alone = (u, at) => {
    const known = (index) => u.data[at][index] !== null && u.data[at][index] !== undefined;
    return [...u.data[at].keys()].filter((index) => known(index) && !known(index - 1) && !known(index + 1));
  };
  const days = [1, 2, 7, 14, 30].map((count) => count * 86400);
  const makeChart = (place, columns) => {
    const lines = JSON.parse(place.dataset.lines);
    const unit = units[place.dataset.unit];
    const bars = place.dataset.kind === "bars";
    const muted = colour("muted"), grid = colour("grid-line");
    const width = Math.max(80, place.clientWidth), height = place.clientHeight;
    const sums = (found) => (bars ? stack(lines.map((line) => found[line.column])) : lines.map((line) => found[line.column]));
    const stack = (rows) => {
      // Drawn from the top of each stack down, so that each bar covers what is below it.
      const total = rows[0].map(() => 0);
      return rows.map((row) => row.map((value, at) => (total[at] += value || 0)));
    };
    const tip = document.createElement("div");
    tip.className = "tip";
    tip.hidden = true;
    const series = lines.map((line) => ({
      label: line.label, stroke: colour(line.colour), width: bars ? 0 : 1.5,
      dash: line.dashed ? [2, 3] : undefined, points: bars ? { show: false } : { show: false, filter: alone, size: 4, fill: colour(line.colour) }, spanGaps: false,
      fill: bars ? colour(line.colour) : line.filled ? colour(line.colour).replace("rgb(", "rgba(").replace(")", ", .10)") : undefined,
      paths: bars ? uPlot.paths.bars({ size: [0.72, 48], radius: 0 }) : undefined,
    }));
    const order = bars ? [...series.keys()].reverse() : [...series.keys()];
    const state = { columns };
    const data = (found) => { const rows = sums(found); return [found.time, ...order.map((at) => rows[at])]; };
    const axis = { stroke: muted, font: `11px ${getComputedStyle(document.body).fontFamily}`, grid: { stroke: grid, width: 1 }, ticks: { show: false } };
    // Where nothing is known, or nothing happened, axes would make up figures.
    const bare = (u) => !u.data.slice(1).some((row) => row.some(Boolean));
    const plot = new uPlot({
      width, height, padding: [8, 18, 0, 0], legend: { show: false },
      cursor: { sync: { key: "page" }, drag: { x: false, y: false }, points: { size: 5 }, y: false },
      scales: { x: { time: true, range: bars ? (u, low, high) => { const step = Number(place.dataset.step); return [low - step * 0.6, high + step * 0.6]; } : undefined }, y: { range: (u, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
      axes: [
        { ...axis, grid: { show: false }, size: 22, space: 60, incrs: bars && Number(place.dataset.step) >= 86400 ? days : undefined, values: (u, ticks, a, space, step) => ticks.map((tick) => { const at = new Date(tick * 1000); return step >= 86400 || (at.getHours() === 0 && at.getMinutes() === 0) ? at.toLocaleDateString(undefined, { day: "numeric", month: "short" }) : `${two(at.getHours())}:${two(at.getMinutes())}`; }) },
        { ...axis, size: 52, space: 30, gap: 4, values: (u, ticks) => ticks.map((tick) => bare(u) && tick ? "" : unit(tick).replace("/s", "").replace("/h", "")) },
      ],
      series: [{}, ...order.map((at) => series[at])],
      hooks: { setCursor: [(u) => {
        const at = u.cursor.idx;
        if (at === null || at === undefined || u.cursor.left < 0 || !place.matches(":hover")) { tip.hidden = true; return; }
        tip.replaceChildren();
        const when = new Date(u.data[0][at] * 1000);
        const line = document.createElement("div");
        line.className = "muted";
        line.textContent = `${day(when)} ${clock(when).slice(0, 5)}`;
        tip.append(line);
        for (const each of lines) {
          const row = document.createElement("div"), value = document.createElement("b");
          if (bars && !state.columns[each.column][at]) continue;
          row.textContent = `${each.label} `;
          value.textContent = unit(state.columns[each.column][at]);
          row.append(value);
          tip.append(row);
        }
        tip.hidden = false;
        const left = u.cursor.left + 60;
        tip.style.top = "8px";
        tip.style.left = `${left + tip.offsetWidth > place.clientWidth ? Math.max(0, left - tip.offsetWidth - 24) : left}px`;
      }] },
    }, data(columns), place);
    const mark = () => place.classList.toggle("bare", bare(plot));
    mark();
    place.append(tip);
    plots.set(place, { plot, update: (found) => { state.columns = found; plot.setData(data(found)); mark(); } });
  };
  const drawCharts = () => {
    for (const each of plots.values()) each.plot.destroy();
    plots.clear();
    const columns = $("[data-series]");
    if (!columns || !window.uPlot) return;
    const found = latest || JSON.parse(columns.dataset.series);
    for (const place of $$(".chart")) { place.replaceChildren(); makeChart(place, found); }
  };
  let resizing;
  addEventListener("resize", () => {
    clearTimeout(resizing);
    resizing = setTimeout(() => {
      for (const [place, { plot }] of plots) plot.setSize({ width: Math.max(80, place.clientWidth), height: place.clientHeight });
    }, 80);
  });

  // Live updates: one stream a page, none while the page is hidden.
  let source = null, again = null;
  const mark = $(".live");
  const say = (state, text) => { if (mark) { mark.dataset.state = state; $("span", mark).textContent = text; } };
  const goLive = () => {
    const at = mark && mark.dataset.url;
    if (!at || source || document.hidden) return;
    source = new EventSource(at);
    source.addEventListener("open", () => say("live", "Live"));
    source.addEventListener("problem", (event) => say("problem", JSON.parse(event.data).message));
    source.addEventListener("update", (event) => {
      const found = JSON.parse(event.data);
      say("live", "Live");
      for (const [id, html] of Object.entries(found.parts || {})) {
        const place = document.getElementById(id);
        // Made by the server's templates, which escape whatever they show.
        if (place && !place.contains(document.activeElement)) { place.innerHTML = html; showTimes(place); place.removeAttribute("aria-busy"); }
      }
      if (found.series) { latest = found.series; for (const each of plots.values()) each.update(latest); }
      if (found.rows) addRows(found.rows);
    });
    source.addEventListener("error", () => {
      say("problem", "Reconnecting");
      if (!source || source.readyState !== EventSource.CLOSED) return;
      source = null;
      // Refused, and not only cut off: perhaps the session is over, which the page itself would say.
      fetch(location.href, { redirect: "manual" }).then((answer) => {
        if (answer.type === "opaqueredirect") say("problem", "Signed out");
        else again = setTimeout(goLive, 5000);
      }, () => { again = setTimeout(goLive, 5000); });
    });
  };
  const stopLive = (text) => {
    clearTimeout(again);
    if (source) { source.close(); source = null; }
    if (mark && mark.dataset.url) say("paused", text);
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stopLive("Paused") : goLive()));
  addEventListener("pagehide", () => stopLive("Paused"));
  addEventListener("pageshow", (event) => { if (event.persisted) { drawCharts(); goLive(); } });
  const addRows = (html) => {
    const body = $("tbody[data-rows]");
    if (!body) { location.reload(); return; }
    const made = document.createElement("template");
    made.innerHTML = html;
    for (const row of $$("tr", made.content)) {
      if (document.getElementById(row.id)) row.remove(); else row.classList.add("fresh");
    }
    showTimes(made.content);
    body.prepend(made.content);
    const rows = $$("tr", body);
    for (const row of rows.slice(500)) row.remove();
  };

  // The theme: a cookie, so that the server sends the page in it and nothing flashes.
  const setTheme = (name) => {
    root.dataset.theme = name;
    document.cookie = `theme=${name}; Path=${root.dataset.path}; Max-Age=31536000; SameSite=Lax`;
    for (const each of $$("[data-set-theme]")) each.setAttribute("aria-pressed", String(each.dataset.setTheme === name));
    drawCharts();
  };
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawCharts);

  const toast = (text) => {
    const made = document.createElement("div");
    made.className = "toast";
    made.setAttribute("role", "status");
    made.textContent = text;
    document.body.append(made);
    setTimeout(() => made.remove(), 1800);
  };
  // Without TLS a browser has no clipboard for pages, but on the machine itself: then as it was before.
  const copy = async (text) => {
    if (navigator.clipboard) { await navigator.clipboard.writeText(text); return; }
    const place = document.createElement("textarea");
    place.value = text;
    document.body.append(place);
    place.select();
    const done = document.execCommand("copy");
    place.remove();
    if (!done) throw new Error("refused");
  };
  // A question before something is done: the page that a link leads to, as a dialog.
  const ask = async (href) => {
    const answer = await fetch(href, { headers: { "hx-request": "true" } }).catch(() => null);
    if (!answer || !answer.ok) { location.href = href; return; }
    const place = $("#act");
    // Made by the server's templates, which escape whatever they show.
    place.innerHTML = await answer.text();
    place.showModal();
  };
  // What was just done is said once, and not again when the page is loaded again.
  if (/[?&]did=/.test(location.search)) {
    const address = new URL(location.href);
    for (const name of ["did", "of", "seal"]) address.searchParams.delete(name);
    history.replaceState(history.state, "", address);
  }
  document.addEventListener("click", (event) => {
    const at = event.target.closest("[data-set-theme], [data-copy], [data-copy-from], [data-burger], [data-help], [data-close], [data-dialog], tr[data-href]");
    if (!at) return;
    if (at.dataset.setTheme) setTheme(at.dataset.setTheme);
    else if (at.dataset.copy || at.dataset.copyFrom) {
      const text = at.dataset.copy || $(at.dataset.copyFrom).textContent;
      copy(text).then(() => toast("Copied"), () => toast("The browser does not allow that"));
    } else if (at.matches("[data-burger]")) {
      const open = $(".side").classList.toggle("open");
      at.setAttribute("aria-expanded", String(open));
    } else if (at.matches("[data-help]")) $("#keys").showModal();
    else if (at.matches("[data-close]")) { if (at.closest("dialog")) { event.preventDefault(); at.closest("dialog").close(); } }
    else if (at.matches("[data-dialog]")) { if (!event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); ask(at.href); } }
    else if (!event.target.closest("a, button, input") && !String(getSelection())) {
      if (event.ctrlKey || event.metaKey) open(at.dataset.href); else location.href = at.dataset.href;
    }
  });

  // Exports: a download goes on by itself; how far it is, its process says. Where another process
  // answers, nothing is known, and the browser's own list of downloads has to do.
  const watchExport = (link) => {
    const word = [...crypto.getRandomValues(new Uint8Array(16))].map((each) => each.toString(16).padStart(2, "0")).join("");
    const target = new URL(link.href);
    target.searchParams.set("track", word);
    const note = document.createElement("div");
    note.className = "toast progress";
    note.setAttribute("role", "status");
    const text = document.createElement("span"), bar = document.createElement("progress");
    text.textContent = "Export begins";
    bar.max = 1;
    bar.setAttribute("aria-label", "Export");
    note.append(text, bar);
    document.body.append(note);
    const end = (said) => { text.textContent = said; bar.remove(); setTimeout(() => note.remove(), 4000); };
    let unknown = 0;
    const look = async () => {
      const answer = await fetch(`${target.pathname.replace(/[^/]*$/, "progress")}?track=${word}`).catch(() => null);
      const found = answer && answer.ok ? await answer.json().catch(() => null) : null;
      if (!found) { unknown += 1; if (unknown > 8) { note.remove(); return; } }
      else if (found.ended === "done") { end(`Exported ${found.rows.toLocaleString("en")} rows`); return; }
      else if (found.ended) { end("The export broke off: the file is not whole"); return; }
      else { bar.value = found.part; text.textContent = `${Math.floor(found.part * 100)} %, ${found.rows.toLocaleString("en")} rows`; }
      setTimeout(look, 500);
    };
    setTimeout(look, 250);
    const go = document.createElement("a");
    go.href = target.href;
    go.download = "";
    document.body.append(go);
    go.click();
    go.remove();
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[download][href*='/export/']");
    if (!link || link.href.includes("track=") || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    watchExport(link);
  });

  // Keys: g and a letter goes to a page, j and k go through rows.
  let before = "";
  const step = (by) => {
    const rows = $$("tr[data-href]");
    if (!rows.length) return;
    const now = rows.findIndex((each) => each.classList.contains("at"));
    const next = rows[Math.min(rows.length - 1, Math.max(0, now + by))];
    rows.forEach((each) => each.classList.toggle("at", each === next));
    next.scrollIntoView({ block: "nearest" });
    const link = $("a", next);
    if (link) link.focus({ preventScroll: true });
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && typing(event.target)) { event.target.blur(); return; }
    if (typing(event.target) || $("dialog[open]")) return;
    const both = `${before} ${event.key}`;
    before = event.key === "g" ? "g" : "";
    const go = $$("[data-keys]").find((each) => each.dataset.keys === both);
    if (go) { event.preventDefault(); location.href = go.href; return; }
    if (event.key === "/") { const search = $("input[type=search]"); if (search) { event.preventDefault(); search.focus(); search.select(); } }
    else if (event.key === "?") $("#keys") && $("#keys").showModal();
    else if (event.key === "j") step(1);
    else if (event.key === "k") step(-1);
    else if (event.key === "l") { const toggle = $("[data-tail]"); if (toggle) location.href = toggle.href; }
    else if (event.key === "Enter") { const row = $("tr.at"); if (row && event.target === document.body) location.href = row.dataset.href; }
  });

  // The first user is made by the API, which answers in JSON.
  document.addEventListener("submit", async (event) => {
    const form = event.target.closest("form[data-setup]");
    if (!form) return;
    event.preventDefault();
    const problem = $(".problem", form);
    const answer = await fetch(form.dataset.setup, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(Object.fromEntries(new FormData(form))) }).catch(() => null);
    if (answer && answer.ok) { location.href = form.dataset.then; return; }
    const found = answer ? await answer.json().catch(() => null) : null;
    $("span", problem).textContent = (found && found.error && found.error.message) || "The gateway does not answer.";
    problem.hidden = false;
  });
  document.addEventListener("change", (event) => {
    const form = event.target.closest("form[data-auto]:not([hx-get])");
    if (form) form.requestSubmit();
  });
  // Empty fields say nothing, and stay out of the address.
  document.addEventListener("htmx:configRequest", (event) => {
    const given = event.detail.parameters;
    for (const name of Object.keys(given)) if (given[name] === "") delete given[name];
  });
  document.addEventListener("htmx:afterSettle", () => showTimes(document));
  document.addEventListener("htmx:responseError", () => toast("That did not work; load the page again"));
  document.addEventListener("htmx:sendError", () => toast("The gateway does not answer"));

  showTimes(document);
  drawCharts();
  goLive();
})();
