// Keeps a page up to date: counts its ages up, and fetches it again when the store says that one of its requests has changed.
// The server writes all markup; this script only puts the new part in the old one's place. Without it the pages work, and stand still.
"use strict";

(() => {
  const FEED = "/internal/v1/events";
  const STORED = "result_stored";
  const AT_MOST_EVERY = 1000; // ms between two fetches, however much happens
  const SLOW = 15000; // the same for what is dear to work out
  const WITHOUT_FEED = 10000; // ms between two fetches where there is no feed

  // The server's clock counts, not the reader's.
  let skew = 0;
  const keepClock = (root) => {
    const now = Date.parse(root.dataset.now || "");
    if (!Number.isNaN(now)) skew = now - Date.now();
  };

  // The same words as result_store/page/words.py.
  const two = (large, itsUnit, small, unit) => (small ? `${large} ${itsUnit} ${small} ${unit}` : `${large} ${itsUnit}`);
  const span = (seconds) => {
    const whole = Math.max(0, Math.floor(seconds));
    if (whole < 60) return `${whole} s`;
    if (whole < 3600) return two(Math.floor(whole / 60), "min", whole % 60, "s");
    if (whole < 86400) return two(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
    return two(Math.floor(whole / 86400), "d", Math.floor((whole % 86400) / 3600), "h");
  };

  const tick = () => {
    const now = Date.now() + skew;
    for (const time of document.querySelectorAll("time[data-since]")) {
      time.textContent = span((now - Date.parse(time.dateTime)) / 1000) + (time.dataset.after || "");
    }
    for (const time of document.querySelectorAll("time[data-until]")) {
      const left = (Date.parse(time.dateTime) - now) / 1000;
      time.textContent = left > 0 ? `in ${span(left)}` : `${span(-left)} ago`;
    }
  };

  const titles = () => {
    for (const time of document.querySelectorAll("time[datetime]:not([title])")) {
      time.title = `${new Date(time.dateTime).toLocaleString()} here`;
    }
  };

  const feed = document.getElementById("feed");
  const say = (state, words) => {
    if (!feed) return;
    feed.hidden = false;
    feed.dataset.state = state;
    feed.textContent = words;
    feed.title = words;
  };

  const live = () => document.querySelector("[data-live]");

  // Put the new part in the old one's place; what was opened stays open, and what has changed lights up.
  const replace = (part) => {
    const old = live();
    const open = new Map();
    for (const details of old.querySelectorAll("details[data-key]")) open.set(details.dataset.key, details.open);
    const versions = new Map();
    for (const row of old.querySelectorAll("[data-key][data-version]")) versions.set(row.dataset.key, row.dataset.version);
    const scrolled = [...old.querySelectorAll("pre")].map((pre) => pre.scrollTop);
    const focused = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    for (const details of part.querySelectorAll("details[data-key]")) {
      if (open.has(details.dataset.key)) details.open = open.get(details.dataset.key);
    }
    for (const row of part.querySelectorAll("[data-key][data-version]")) {
      if (versions.get(row.dataset.key) !== row.dataset.version) row.classList.add("changed");
    }
    old.replaceWith(part);
    part.querySelectorAll("pre").forEach((pre, number) => { pre.scrollTop = scrolled[number] || 0; });
    if (focused !== null) part.querySelector(`[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
  };

  let fetching = false;
  let again = false;
  let timer = null;
  let last = 0;

  const selecting = () => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && live().contains(selection.anchorNode);
  };

  const refresh = async () => {
    timer = null;
    if (fetching || selecting()) { again = true; if (!fetching) later(); return; }
    fetching = true;
    again = false;
    last = Date.now();
    try {
      const answer = await fetch(location.href, { credentials: "same-origin", redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const part = page.querySelector("[data-live]");
      if (!part) { location.reload(); return; }
      keepClock(page.documentElement);
      replace(document.adoptNode(part));
      document.title = page.title;
      titles();
      tick();
    } catch {
      say("waiting", "cannot reach the store");
      again = true;
    } finally {
      fetching = false;
      if (again) later();
    }
  };

  const later = () => {
    if (timer !== null) return;
    const pause = live().hasAttribute("data-slow") ? SLOW : AT_MOST_EVERY;
    timer = setTimeout(refresh, Math.max(100, last + pause - Date.now()));
  };

  // What the page is about; the server leaves all else out.
  const address = () => {
    const { about, id } = live().dataset;
    const name = { run: "correlation_id", batch: "workflow_run_id" }[about];
    return name ? `${FEED}?${name}=${encodeURIComponent(id)}` : FEED;
  };

  let source = null;
  let polling = null;

  const listen = () => {
    if (source || polling || document.hidden) return;
    source = new EventSource(address());
    // What changed before the stream was there is in the next fetch.
    source.onopen = () => { say("live", "live"); later(); };
    source.addEventListener(STORED, later);
    source.onerror = () => {
      if (source && source.readyState === EventSource.CLOSED) {
        // There is no feed: look now and then, whether there is one again.
        source = null;
        say("polling", "every 10 s");
        polling = setTimeout(() => { polling = null; refresh(); listen(); }, WITHOUT_FEED);
      } else {
        say("waiting", "reconnecting");
      }
    };
  };

  const hush = () => {
    source?.close();
    source = null;
    clearTimeout(polling);
    polling = null;
  };

  keepClock(document.documentElement);
  titles();
  setInterval(tick, 1000);
  if (live()) {
    // A page that nobody looks at holds no connection; a browser has six for one server, over all its tabs.
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { hush(); } else { refresh(); listen(); }
    });
    window.addEventListener("pagehide", hush);
    window.addEventListener("pageshow", (event) => { if (event.persisted) { refresh(); listen(); } });
    listen();
  }
  document.querySelectorAll(".filters input[type=checkbox]").forEach((box) => {
    box.addEventListener("change", () => box.form.requestSubmit());
  });
})();
