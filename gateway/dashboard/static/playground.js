/* The playground: calls the public API as any client does, and shows what comes as text. */
(() => {
  "use strict";
  const $ = (id) => document.getElementById(id);
  const form = $("playground");
  if (!form) return;
  const replay = form.dataset.replay ? JSON.parse(form.dataset.replay) : null;
  const models = JSON.parse(form.dataset.models);
  const csrf = form.dataset.csrf;

  // What each API is asked, and what its answers say. `got` collects that.
  const say = (got, kind, text) => { if (typeof text === "string" && text) got[kind] += text; };
  const list = (value) => (Array.isArray(value) ? value : []);
  const fail = (got, error) => { if (error) got.error = (typeof error === "object" && error.message) || JSON.stringify(error); };
  const call = (got, key, name, text) => {
    const known = got.calls.get(key) || { name: "", text: "" };
    if (name) known.name = name;
    if (text) known.text += typeof text === "string" ? text : JSON.stringify(text);
    got.calls.set(key, known);
  };
  const used = (got, usage, names) => {
    if (!usage) return;
    if (Number.isFinite(usage[names[0]])) got.input = usage[names[0]];
    if (Number.isFinite(usage[names[1]])) got.output = usage[names[1]];
  };
  const chatPart = (got, part) => {
    if (!part) return;
    say(got, "text", typeof part.content === "string" ? part.content : "");
    say(got, "thought", part.reasoning_content || part.reasoning);
    for (const each of list(part.tool_calls)) call(got, each.index ?? each.id, each.function && each.function.name, each.function && each.function.arguments);
  };
  const messagesPart = (got, index, part) => {
    if (!part) return;
    say(got, "text", part.text);
    say(got, "thought", part.thinking);
    if (part.type === "tool_use") call(got, index, part.name, Object.keys(part.input || {}).length ? part.input : "");
    if (part.partial_json) call(got, index, "", part.partial_json);
  };
  const responsesItems = (got, items) => {
    list(items).forEach((item, at) => {
      for (const part of list(item.content)) say(got, "text", part.text);
      for (const part of list(item.summary)) say(got, "thought", part.text);
      if (item.type === "function_call") call(got, at, item.name, item.arguments);
    });
  };
  const IN_OUT = ["input_tokens", "output_tokens"], CHAT_IN_OUT = ["prompt_tokens", "completion_tokens"];
  const apis = {
    chat: {
      body: (v) => ({
        model: v.model, messages: [...(v.system ? [{ role: "system", content: v.system }] : []), { role: "user", content: v.text }],
        ...v.temperature, ...(v.most && { max_tokens: v.most }), stream: v.stream, ...(v.stream && { stream_options: { include_usage: true } }),
      }),
      event: (got, name, data) => {
        if (data === "[DONE]") { got.whole = true; return; }
        for (const choice of list(data.choices)) chatPart(got, choice.delta);
        used(got, data.usage, CHAT_IN_OUT);
        fail(got, data.error);
      },
      answer: (got, data) => { for (const choice of list(data.choices)) chatPart(got, choice.message); used(got, data.usage, CHAT_IN_OUT); },
    },
    messages: {
      body: (v) => ({ model: v.model, max_tokens: v.most || 1024, ...(v.system && { system: v.system }), messages: [{ role: "user", content: v.text }], ...v.temperature, stream: v.stream }),
      event: (got, name, data) => {
        if (data.type === "message_start") used(got, data.message && data.message.usage, IN_OUT);
        if (data.type === "content_block_start") messagesPart(got, data.index, data.content_block);
        if (data.type === "content_block_delta") messagesPart(got, data.index, data.delta);
        if (data.type === "message_delta") used(got, data.usage, IN_OUT);
        if (data.type === "message_stop") got.whole = true;
        if (data.type === "error") fail(got, data.error);
      },
      answer: (got, data) => { list(data.content).forEach((part, at) => messagesPart(got, at, part)); used(got, data.usage, IN_OUT); },
    },
    responses: {
      body: (v) => ({ model: v.model, input: v.text, ...(v.system && { instructions: v.system }), ...v.temperature, ...(v.most && { max_output_tokens: v.most }), stream: v.stream, store: false }),
      event: (got, name, data) => {
        if (data.type === "response.output_text.delta") say(got, "text", data.delta);
        if (data.type === "response.reasoning_summary_text.delta" || data.type === "response.reasoning_text.delta") say(got, "thought", data.delta);
        if (data.type === "response.output_item.added" && data.item && data.item.type === "function_call") call(got, data.output_index, data.item.name, "");
        if (data.type === "response.function_call_arguments.delta") call(got, data.output_index, "", data.delta);
        if (/^response\.(completed|incomplete|failed)$/.test(data.type)) {
          got.whole = true;
          used(got, data.response && data.response.usage, IN_OUT);
          fail(got, data.response && data.response.error);
        }
        if (data.type === "error") fail(got, data.error || data);
      },
      answer: (got, data) => { responsesItems(got, data.output); used(got, data.usage, IN_OUT); fail(got, data.error); },
    },
  };
  const apiOf = (path) => Object.keys(apis).find((name) => path.endsWith({ chat: "/chat/completions", messages: "/messages", responses: "/responses" }[name]));

  // Server-sent events, cut anywhere; a line ends with CR LF, LF or CR (WHATWG HTML, 9.2).
  const eventReader = (take) => {
    let rest = "", name = "", data = [];
    const line = (text) => {
      if (!text) { if (data.length) take(name, data.join("\n")); name = ""; data = []; return; }
      const at = text.indexOf(":");
      const field = at < 0 ? text : text.slice(0, at);
      const value = at < 0 ? "" : text.slice(at + 1).replace(/^ /, "");
      if (field === "data") data.push(value);
      else if (field === "event") name = value;
    };
    return (piece) => {
      rest += piece;
      for (let found; (found = /\r\n|\n|\r(?!$)/.exec(rest)); rest = rest.slice(found.index + found[0].length)) line(rest.slice(0, found.index));
    };
  };

  // What is shown...
  const number = (value) => value.toLocaleString(undefined, { maximumFractionDigits: value < 10 ? 1 : 0 });
  const time = (ms) => (ms === null ? "–" : ms >= 1000 ? `${(ms / 1000).toFixed(ms >= 10000 ? 1 : 2)} s` : `${Math.round(ms)} ms`);
  const state = (kind, text) => {
    const place = $("state"), shape = document.createElement("i"), words = document.createElement("span");
    shape.className = `dot ${kind}`;
    words.textContent = text;
    place.dataset.state = kind;
    place.replaceChildren(shape, words);
  };
  const problem = (text) => { $("problem").lastElementChild.textContent = text; $("problem").hidden = !text; };
  let run = null, drawing = 0;
  const draw = () => {
    drawing = 0;
    if (!run) return;
    const { got, shown } = run, output = $("output");
    const sticks = output.scrollTop + output.clientHeight > output.scrollHeight - 24;
    // Text nodes only: nothing of an answer is ever read as markup.
    if (got.text.length > shown.text) { run.node.appendData(got.text.slice(shown.text)); shown.text = got.text.length; }
    if (got.thought.length > shown.thought) { run.thoughtNode.appendData(got.thought.slice(shown.thought)); shown.thought = got.thought.length; $("thought").hidden = false; }
    if (sticks) output.scrollTop = output.scrollHeight;
    const places = [...got.calls.values()];
    $("calls").replaceChildren(...places.map((each) => {
      const block = document.createElement("div"), head = document.createElement("div"), text = document.createElement("div");
      block.className = "block"; head.className = "name"; text.className = "text mono";
      head.textContent = `Calls ${each.name}`;
      text.textContent = each.text;
      block.append(head, text);
      return block;
    }));
    const end = run.ended ?? performance.now();
    $("f-first").textContent = time(run.first);
    $("f-time").textContent = time(end - run.began);
    $("f-events").textContent = run.streams ? number(run.events) : "–";
    const small = (text) => { const made = document.createElement("small"); made.textContent = text; return made; };
    const sizes = [[got.input, " in "], [got.output, " out"]].filter(([size]) => size !== null);
    $("f-tokens").replaceChildren(...(sizes.length ? sizes.flatMap(([size, words]) => [number(size), small(words)]) : [run.ended ? "–" : small("not said yet")]));
    const spent = (end - run.began - (run.first ?? 0)) / 1000;
    $("f-speed").textContent = run.streams && got.output && run.ended && spent > 0.02 ? `${number(got.output / spent)} tokens/s` : "–";
    if (!run.ended) ask();
  };
  const ask = () => { drawing = drawing || requestAnimationFrame(draw); };
  const showHeaders = (headers) => {
    const facts = $("heads").querySelector("dl");
    const wanted = [...headers].filter(([name]) => /^(x-|request-id|retry-after|age$|content-type|anthropic-|openai-)/.test(name) && name !== "x-content-type-options");
    facts.replaceChildren(...wanted.sort().flatMap(([name, value]) => {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = value;
      return [dt, dd];
    }));
    $("heads").hidden = !wanted.length;
  };
  const showTrail = async (id, mine) => {
    // Records are written within a second of the end.
    for (const wait of [150, 300, 600, 1000, 2000, 4000]) {
      await new Promise((done) => setTimeout(done, wait));
      if (run !== mine) return;
      const answer = await fetch(form.dataset.trail + encodeURIComponent(id), { headers: { "hx-request": "true" } }).catch(() => null);
      if (run !== mine || !answer || answer.status === 401 || answer.status === 403) return;
      if (answer.ok) {
        // Made by the server's templates, which escape whatever they show.
        $("trail").innerHTML = await answer.text();
        $("trail").hidden = false;
        return;
      }
    }
  };

  // What is sent...
  const grants = new Map();
  const granted = async (name) => {
    const known = grants.get(name);
    if (known && known.until > Date.now()) return known.secret;
    const answer = await fetch(`${form.dataset.grants}${encodeURIComponent(name)}/grant`, { method: "POST", headers: { "x-csrf-token": csrf } });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.error.message);
    // A little before its end, so that no request begins with one that is over.
    grants.set(name, { secret: found.secret, until: found.expires / 1000 - 15000 });
    if (found.usable_in_ms) await new Promise((done) => setTimeout(done, found.usable_in_ms));
    return found.secret;
  };
  const checked = (name) => { const found = form.querySelector(`input[name=${name}]:checked`); return found && found.value; };
  const key = async () => {
    if (!$("key")) return "";
    return checked("whose") === "grant" ? granted($("grant").value) : $("key").value.trim();
  };
  const what = () => {
    if (replay) {
      // Those that a browser sets by itself are not for scripts to set.
      return { api: apiOf(replay.target), path: replay.target, headers: [...replay.headers, ["x-gateway-replay-of", replay.id]], body: $("body").value };
    }
    const chosen = form.querySelector("input[name=api]:checked");
    const temperature = $("temperature").value === "" ? {} : { temperature: Number($("temperature").value) };
    const values = { model: $("model").value.trim(), system: $("system").value, text: $("text").value, temperature, most: Number($("most").value) || 0, stream: $("stream").checked };
    return { api: chosen.value, path: chosen.dataset.path, headers: [], body: JSON.stringify(apis[chosen.value].body(values)) };
  };
  const begin = () => {
    const abort = new AbortController();
    const mine = run = {
      abort, began: performance.now(), first: null, ended: null, events: 0, streams: false,
      got: { text: "", thought: "", calls: new Map(), input: null, output: null, error: "", whole: false },
      shown: { text: 0, thought: 0 }, node: document.createTextNode(""), thoughtNode: document.createTextNode(""),
    };
    $("output").replaceChildren(run.node);
    $("output").hidden = false;
    $("nothing").hidden = true;
    $("thought").lastElementChild.replaceChildren(run.thoughtNode);
    for (const id of ["thought", "trail", "heads", "foot"]) $(id).hidden = true;
    if ($("compare")) $("compare").hidden = true;
    problem("");
    state("wait", "Sending");
    $("send").disabled = true;
    $("stop").disabled = false;
    $("output").setAttribute("aria-busy", "true");
    return mine;
  };
  const end = (mine, kind, text) => {
    if (run !== mine) return;
    mine.ended = performance.now();
    state(kind, text);
    $("send").disabled = false;
    $("stop").disabled = true;
    $("output").removeAttribute("aria-busy");
    // A place for text that did not come.
    $("output").hidden = !mine.got.text;
    $("nothing").hidden = Boolean(mine.got.text || mine.got.calls.size || mine.got.error);
    $("nothing").textContent = "The answer has no text.";
    $("foot").hidden = !mine.got.text && !($("compare") && mine.id);
    ask();
  };
  const read = async (mine, api, answer) => {
    const got = mine.got;
    const kind = answer.headers.get("content-type") || "";
    mine.streams = kind.startsWith("text/event-stream");
    if (!mine.streams) {
      const text = await answer.text();
      mine.first = performance.now() - mine.began;
      let found = null;
      // A grant ends when its owner signs out, in whichever browser: the next request gets a new one.
      if (answer.status === 401) grants.clear();
      try { found = JSON.parse(text); } catch { /* shown as it came */ }
      if (answer.ok && found && typeof found === "object") { api.answer(got, found); got.whole = true; }
      else got.error = (found && found.error && found.error.message) || text.slice(0, 2000) || `status ${answer.status}`;
      return;
    }
    const take = eventReader((name, data) => {
      mine.first ??= performance.now() - mine.began;
      mine.events += 1;
      let found = data;
      if (data !== "[DONE]") { try { found = JSON.parse(data); } catch { return; } }
      if (found && (typeof found === "object" || found === "[DONE]")) api.event(got, name, found);
    });
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let piece; !(piece = await reader.read()).done; ask()) take(piece.value);
  };
  const send = async () => {
    const mine = begin();
    try {
      const secret = await key();
      const wanted = what();
      if (replay) {
        const noted = await fetch(`${form.dataset.requests}${encodeURIComponent(replay.id)}/replay`, { method: "POST", headers: { "x-csrf-token": csrf } });
        if (!noted.ok) throw new Error("It cannot be put into the audit log that this is sent again, so it is not.");
      }
      const headers = new Headers({ "content-type": "application/json" });
      for (const [name, value] of wanted.headers) headers.set(name, value);
      if (secret) headers.set("authorization", `Bearer ${secret}`);
      mine.began = performance.now();
      const answer = await fetch(wanted.path, { method: "POST", headers, body: wanted.body, signal: mine.abort.signal, credentials: "omit", cache: "no-store" });
      mine.id = answer.headers.get("x-request-id");
      showHeaders(answer.headers);
      state("live", answer.ok ? "Answering" : `Refused with ${answer.status}`);
      ask();
      await read(mine, apis[wanted.api], answer);
      // The API says which header a key goes into; here it goes into a field.
      if (answer.status === 401 && !secret) mine.got.error = `A key is needed: put one into “Key”${$("grant") ? ", or choose “As a key of the gateway”" : ""}.`;
      if (mine.got.error) { problem(mine.got.error); end(mine, "bad", answer.ok ? "Failed" : `Refused with ${answer.status}`); }
      else if (!mine.got.whole) { problem("The answer broke off without its end."); end(mine, "bad", "Broke off"); }
      else end(mine, "ok", `${answer.status}, whole answer`);
    } catch (error) {
      if (mine.abort.signal.aborted) end(mine, "off", "Stopped");
      else { problem(error instanceof TypeError ? "The gateway does not answer at this address, or the answer broke off." : error.message); end(mine, "bad", "Failed"); }
    }
    if (run === mine && mine.id) {
      if ($("compare") && !mine.got.error) { const to = new URL($("compare").href); to.searchParams.set("with", mine.id); $("compare").href = to; $("compare").hidden = false; $("foot").hidden = false; }
      showTrail(mine.id, mine);
    }
  };

  form.addEventListener("submit", (event) => { event.preventDefault(); if (!$("send").disabled) send(); });
  form.addEventListener("keydown", (event) => { if ((event.ctrlKey || event.metaKey) && event.key === "Enter") { event.preventDefault(); form.requestSubmit(); } });
  $("stop").addEventListener("click", () => run && run.abort.abort());
  addEventListener("pagehide", () => run && run.abort.abort());
  $("copy").addEventListener("click", () => run && navigator.clipboard.writeText(run.got.text));
  const choose = () => {
    const grant = checked("whose") === "grant";
    if ($("own-key")) $("own-key").hidden = grant;
    if ($("granted-key")) $("granted-key").hidden = !grant;
    if ($("key-hint")) $("key-hint").textContent = $("key-hint").dataset[grant ? "grant" : "own"];
    if (!$("model")) return;
    const known = models.find((each) => each.name === $("model").value.trim());
    for (const each of form.querySelectorAll("input[name=api]")) {
      each.disabled = Boolean(known) && !known.apis.includes(each.value);
      if (each.disabled && each.checked) { const other = form.querySelector(`input[name=api][value="${known.apis[0]}"]`); if (other) other.checked = true; }
    }
  };
  form.addEventListener("change", choose);
  form.addEventListener("input", choose);
  choose();
  $("send").disabled = false;
})();
