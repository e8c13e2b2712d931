// The list of orders by keyboard, what the chosen rows come to, and filters that fetch the list alone.
(() => {
  const root = document.querySelector("[data-orders]");
  document.querySelectorAll("[data-echo]").forEach((slider) => {
    slider.addEventListener("input", () => { slider.nextElementSibling.value = slider.value; });
  });
  if (!root) return;
  const part = (name) => root.querySelector(`[data-${name}]`);
  const rows = () => [...root.querySelectorAll("[data-row]")];
  const help = () => part("help-text").showModal();

  const count = () => {
    const said = part("chosen");
    if (said) said.textContent = part("all").checked ? "" : root.querySelectorAll("input[name=order]:checked").length || "";
  };
  const current = () => root.querySelector("[data-row][aria-current]");
  const go = (step) => {
    const all = rows(), old = current();
    if (!all.length) return;
    const row = all[Math.min(Math.max(all.indexOf(old) + step, 0), all.length - 1)];
    row.querySelector("[data-open]").focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  };
  const keys = {
    j: () => go(1),
    k: () => go(-1),
    x: () => { current()?.querySelector("input[name=order]").click(); },
    "/": () => { part("search").focus(); },
    "?": help,
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog[open]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  document.addEventListener("change", count);
  root.addEventListener("focusin", (event) => {
    const row = event.target.closest("[data-row]");
    if (!row) return;
    current()?.removeAttribute("aria-current");
    row.setAttribute("aria-current", "true");
  });

  // The frame stays; whatever does not go well is left to the browser.
  let latest = 0;
  const show = async (address) => {
    const number = ++latest;
    root.setAttribute("aria-busy", "true");
    const answer = await fetch(address, { headers: { "X-Part": "orders" } }).catch(() => null);
    const list = answer?.ok && !answer.redirected ? await answer.text() : null;
    if (number !== latest) return;
    if (list === null) { location.assign(address); return; }
    const focused = document.activeElement?.id;
    root.innerHTML = list;
    root.removeAttribute("aria-busy");
    ((focused && document.getElementById(focused)) || root).focus({ preventScroll: true });
    document.querySelector("[data-said]").textContent = part("found").textContent;
  };
  const visit = (address) => {
    history.pushState(null, "", address);
    window.scrollTo(0, 0);
    show(address);
  };
  root.addEventListener("click", (event) => {
    if (event.target.closest("[data-help]")) help();
    const link = event.target.closest("a");
    const elsewhere = event.ctrlKey || event.metaKey || event.shiftKey || link?.pathname !== location.pathname;
    if (elsewhere || link.hasAttribute("download")) return;
    event.preventDefault();
    visit(link.href);
  });
  root.addEventListener("submit", (event) => {
    if (event.target.method !== "get") return;
    event.preventDefault();
    const filled = [...new FormData(event.target)].filter(([, value]) => value);
    visit(`${location.pathname}?${new URLSearchParams(filled)}`);
  });
  window.addEventListener("popstate", () => show(location.href));
})();
