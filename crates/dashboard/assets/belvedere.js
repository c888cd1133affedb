// Pages work without this file. It adds: live rows and counts, keys for lists, buttons that copy.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];

  // Copy buttons show only where they can work.
  if (navigator.clipboard) document.documentElement.classList.add("js");
  addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    button.dataset.label ||= button.textContent;
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(source);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = button.dataset.label; }, 1600);
  });

  // A form, or a button of one, that asks before it does something that cannot be undone.
  addEventListener("submit", (event) => {
    const question = event.submitter?.dataset.ask || event.target.dataset.confirm;
    if (question && !confirm(question)) event.preventDefault();
  });

  // A select or box that is its own submit button.
  for (const field of all("[data-submit]")) {
    field.addEventListener("change", () => field.form.requestSubmit());
  }

  // Issues that are picked for a change of many.
  const picks = () => all("input.pick");
  const showPicked = () => {
    const label = $("[data-picked]");
    if (!label) return;
    const picked = picks().filter((box) => box.checked).length;
    const whole = $("[data-pick-all]");
    whole.checked = picked > 0 && picked === picks().length;
    whole.indeterminate = picked > 0 && !whole.checked;
    const matching = $("[data-matching]");
    label.textContent = matching?.checked ? "All that match" : picked ? `${picked} picked` : "Pick issues";
  };
  addEventListener("change", (event) => {
    if (event.target.matches("[data-pick-all]")) for (const box of picks()) box.checked = event.target.checked;
    if (event.target.matches("input.pick, [data-pick-all], [data-matching]")) showPicked();
  });

  // Menus close on Escape and on a click elsewhere.
  addEventListener("click", (event) => {
    for (const menu of all("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  // On a phone the sections are one scrolling row.
  const section = $(".side a[aria-current]");
  if (section && matchMedia("(max-width: 760px)").matches) {
    const row = section.closest(".side");
    row.scrollLeft = section.offsetLeft - (row.clientWidth - section.offsetWidth) / 2;
  }

  // The search box offers what its last term can go on to.
  const search = $("input[data-suggest]");
  if (search) {
    const list = document.getElementById(search.getAttribute("list"));
    const start = (text) => {
      let at = 0, quoted = false;
      for (let index = 0; index < text.length; index += 1) {
        if (text[index] === '"') quoted = !quoted;
        else if (text[index] === " " && !quoted) at = index + 1;
      }
      return at;
    };
    let asked = null, timer = 0;
    const offer = async () => {
      const at = start(search.value), word = search.value.slice(at);
      if (search.value === asked) return;
      asked = search.value;
      try {
        const url = new URL(search.dataset.suggest, location.href);
        url.searchParams.set("text", word);
        const answer = await fetch(url, { credentials: "same-origin" });
        if (!answer.ok) return;
        const terms = await answer.json();
        if (search.value !== asked) return;
        const option = (term) => {
          const option = document.createElement("option");
          option.value = search.value.slice(0, at) + term;
          return option;
        };
        list.replaceChildren(...terms.map(option));
      } catch { /* without suggestions it is a text box */ }
    };
    search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(offer, 120); });
    search.addEventListener("focus", offer);
  }

  const rows = () => all("[data-rows] a.open");
  addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const menu = $("details.menu[open]");
      if (menu) { menu.open = false; $("summary", menu).focus(); }
    }
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target instanceof Element && event.target.closest("input, textarea, select")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (event.key === "/") {
      const search = $("[data-search]");
      if (search) { event.preventDefault(); search.focus(); search.select(); }
    } else if (event.key === "j" || event.key === "k") {
      const list = rows();
      if (!list.length) return;
      const at = list.indexOf(document.activeElement);
      const next = at < 0 ? (event.key === "j" ? 0 : list.length - 1) : at + (event.key === "j" ? 1 : -1);
      const link = list[Math.min(Math.max(next, 0), list.length - 1)];
      link.focus();
      link.scrollIntoView({ block: "nearest" });
    } else if (event.key === "x") {
      const box = document.activeElement?.closest("[data-id]")?.querySelector("input.pick");
      if (box) { box.checked = !box.checked; showPicked(); }
    } else if (event.key === "e") {
      const button = $("[data-resolve]");
      if (!button) return;
      const box = document.activeElement?.closest("[data-id]")?.querySelector("input.pick");
      if (box && !picks().some((other) => other.checked)) box.checked = true;
      if ($("[data-bulk]") && !picks().some((other) => other.checked)) return;
      button.form.requestSubmit(button);
    }
  });

  // "14 s ago" goes on counting.
  const units = [[86400 * 365, "y"], [86400 * 30, "mo"], [86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const skew = Number(document.documentElement.dataset.now || Date.now()) - Date.now();
  const tick = () => {
    if (document.hidden) return;
    const now = Date.now() + skew;
    for (const time of all("time[data-ago]")) {
      const seconds = Math.floor((now - Date.parse(time.dateTime)) / 1000);
      const unit = units.find(([size]) => seconds >= size);
      const text = unit ? `${Math.floor(seconds / unit[0])} ${unit[1]} ago` : "now";
      if (seconds > -60 && time.textContent !== text) time.textContent = text;
    }
  };
  setInterval(tick, 1000);

  // Live: the stream says that something changed; the page then fetches its changed parts, at most four times a second.
  const light = $("[data-live-stream]");
  if (!light || !window.EventSource) return;
  const words = { open: "Live", lost: "Reconnecting", idle: "Not live" };
  const show = (state) => { light.dataset.liveState = state; light.textContent = words[state]; };
  const INTERVAL_MS = 250;
  let last = 0, waiting = 0, busy = false, again = false;

  const swap = (target, source) => {
    const active = target.contains(document.activeElement) ? document.activeElement : null;
    const key = active && active.closest("[data-id]")?.dataset.id;
    const before = new Map(all("[data-id]", target).map((row) => [row.dataset.id, row.dataset.version]));
    // Rows move, so what is folded open is known by its row, and by its place only outside of rows.
    const folds = () => {
      const places = new Map();
      return all("details", target).map((part) => {
        const row = part.closest("[data-id]")?.dataset.id ?? "";
        places.set(row, (places.get(row) ?? 0) + 1);
        return [`${row} ${places.get(row)}`, part];
      });
    };
    const opened = new Map(folds().map(([place, part]) => [place, part.open]));
    const picked = new Set(all("input.pick:checked", target).map((box) => box.value));
    target.replaceChildren(...source.childNodes);
    for (const box of all("input.pick", target)) box.checked = picked.has(box.value);
    if (picked.size) showPicked();
    for (const [place, part] of folds()) if (opened.has(place)) part.open = opened.get(place);
    for (const row of all("[data-id]", target)) {
      if (before.size && before.get(row.dataset.id) !== row.dataset.version) row.classList.add("fresh");
    }
    if (key) {
      const row = all("[data-id]", target).find((row) => row.dataset.id === key);
      ($("a.open", row || target) || target).focus?.({ preventScroll: true });
    }
  };
  const refresh = async () => {
    if (!$("[data-part]")) return;
    if (busy) { again = true; return; }
    busy = true;
    last = performance.now();
    try {
      const url = new URL(location.href);
      url.hash = "";
      url.searchParams.set("fragment", "rows");
      const answer = await fetch(url, { credentials: "same-origin", headers: { accept: "text/html" } });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const source of all("template[data-part]", page)) {
        const target = $(`[data-part="${source.dataset.part}"]`);
        if (target) swap(target, document.importNode(source.content, true));
      }
      tick();
    } catch { /* the next message tries again */ } finally {
      busy = false;
      if (again) { again = false; soon(); }
    }
  };
  const soon = () => {
    if (waiting) return;
    const delay = Math.max(0, last + INTERVAL_MS - performance.now());
    if (delay === 0) { refresh(); return; }
    waiting = setTimeout(() => { waiting = 0; refresh(); }, delay);
  };
  let stream = null, retry = 0;
  const connect = () => {
    if (stream) return;
    stream = new EventSource(light.dataset.liveStream);
    stream.onopen = () => { if (retry) soon(); retry = 0; show("open"); };
    stream.onmessage = (event) => {
      let topics = [];
      try { topics = JSON.parse(event.data).topics || []; } catch { return; }
      // Logs, runs of jobs, events and learners' progress come often and concern their own pages only.
      const own = light.dataset.liveTopic;
      const isQuiet = (topic) => topic !== own && /^(log|monitor|event|learning)\./.test(topic);
      if (topics.length && topics.every(isQuiet)) return;
      const scope = light.dataset.liveIssue;
      if (scope) {
        let data = {};
        try { data = JSON.parse(event.data).data || {}; } catch { return; }
        const issues = data.issues || (data.issue ? [data.issue] : []);
        if (issues.length && !issues.some((issue) => (issue.id || issue) === scope)) return;
      }
      soon();
    };
    stream.onerror = () => {
      show("lost");
      // A refused stream (signed out, too many) is closed for good by the browser: try again, more and more slowly.
      if (stream && stream.readyState === EventSource.CLOSED) {
        stream = null;
        retry += 1;
        if (retry > 6) { show("idle"); return; }
        setTimeout(connect, Math.min(30000, 1000 * 2 ** retry));
      } else { retry = 1; }
    };
  };
  // A hidden page gives its connection back: browsers allow six per server.
  const follow = () => {
    if (document.hidden) { stream?.close(); stream = null; show("idle"); }
    else if (!stream) { retry = 1; connect(); }
  };
  connect();
  document.addEventListener("visibilitychange", follow);
  addEventListener("pagehide", () => { stream?.close(); stream = null; });
  addEventListener("pageshow", (event) => { if (event.persisted) follow(); });
})();
