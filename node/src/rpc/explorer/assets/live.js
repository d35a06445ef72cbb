// Keeps a page of the explorer live, shows times in the reader's zone, and switches the theme.
"use strict";
(() => {
  const root = document.documentElement;
  const kept = (name, value) => {
    try {
      if (value === undefined) return localStorage.getItem(name);
      localStorage.setItem(name, value);
    } catch { /* The browser keeps nothing for this page. */ }
    return null;
  };
  const theme = kept("tandem-theme");
  // Before the page is drawn, so that it does not flash.
  if (theme === "light" || theme === "dark") root.dataset.theme = theme;

  const two = (number) => String(number).padStart(2, "0");
  const localise = (within) => {
    for (const element of within.querySelectorAll("time[datetime]")) {
      const text = element.getAttribute("datetime");
      const at = new Date(text);
      if (Number.isNaN(at.getTime())) continue;
      element.textContent = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ` +
        `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
      element.title = text;
    }
  };

  // Puts the parts of a newer page in the place of the old ones. Who has the focus within one keeps it.
  const replace = (page) => {
    for (const old of document.querySelectorAll("[data-live]")) {
      const part = page.getElementById(old.id);
      if (!part) continue;
      localise(part);
      if (part.innerHTML === old.innerHTML) continue;
      const selection = getSelection();
      if (selection && !selection.isCollapsed && old.contains(selection.anchorNode)) continue;
      const focus = old.contains(document.activeElement) ? document.activeElement : null;
      const target = focus && focus.getAttribute("href");
      const label = focus && focus.getAttribute("aria-label");
      const places = [...old.querySelectorAll(".scroll")].map((element) => element.scrollLeft);
      old.replaceChildren(...part.childNodes);
      old.querySelectorAll(".scroll").forEach((element, i) => { element.scrollLeft = places[i] || 0; });
      if (!focus) continue;
      const same = [...old.querySelectorAll("a, [tabindex]")].find((element) =>
        (target && element.getAttribute("href") === target) ||
        (label && element.getAttribute("aria-label") === label));
      if (same) same.focus({ preventScroll: true });
    }
  };

  const start = () => {
    localise(document);
    const zone = document.getElementById("zone");
    if (zone) zone.textContent = Intl.DateTimeFormat().resolvedOptions().timeZone || "your zone";

    const button = document.getElementById("theme");
    if (button) {
      button.hidden = false;
      button.addEventListener("click", () => {
        const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
        const next = (root.dataset.theme || system) === "dark" ? "light" : "dark";
        root.dataset.theme = next;
        kept("tandem-theme", next);
      });
    }

    const every = Number(document.body.dataset.poll);
    const live = document.getElementById("live");
    if (!every || !live) return;
    const word = document.getElementById("live-word");
    const said = document.getElementById("said");
    let wanted = true;
    let failures = 0;
    let timer = 0;
    let asking = null;
    const show = (state, text) => {
      if (live.dataset.state === state) return;
      const before = live.dataset.state;
      live.dataset.state = state;
      word.textContent = text;
      live.setAttribute("aria-pressed", String(wanted));
      if (said && before) said.textContent = state === "lost" ? "The node does not answer" : `The page is ${text.toLowerCase()}`;
    };
    const plan = () => {
      clearTimeout(timer);
      if (!wanted || document.hidden) return;
      timer = setTimeout(ask, Math.min(every * 2 ** failures, 30000));
    };
    const ask = async () => {
      if (asking || !wanted || document.hidden) return;
      const stop = new AbortController();
      asking = stop;
      const limit = setTimeout(() => stop.abort(), 15000);
      try {
        const answer = await fetch(location.href, { signal: stop.signal, cache: "no-store", credentials: "same-origin" });
        const text = await answer.text();
        if (!answer.ok) throw new Error(String(answer.status));
        replace(new DOMParser().parseFromString(text, "text/html"));
        failures = 0;
        if (wanted) show("live", "Live");
      } catch {
        failures = Math.min(failures + 1, 6);
        if (wanted && !document.hidden) show("lost", "No answer");
      }
      clearTimeout(limit);
      asking = null;
      plan();
    };
    live.hidden = false;
    show("live", "Live");
    live.addEventListener("click", () => {
      wanted = !wanted;
      failures = 0;
      if (wanted) { show("live", "Live"); ask(); } else { show("paused", "Paused"); clearTimeout(timer); }
    });
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) { clearTimeout(timer); if (asking) asking.abort(); } else { failures = 0; ask(); }
    });
    plan();
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
