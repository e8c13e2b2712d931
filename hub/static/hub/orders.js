// The list of orders by keyboard, and what the chosen rows come to.
(() => {
  const root = document.querySelector("[data-orders]");
  document.querySelectorAll("[data-echo]").forEach((slider) => {
    slider.addEventListener("input", () => { slider.nextElementSibling.value = slider.value; });
  });
  if (!root) return;
  const rows = [...root.querySelectorAll("[data-row]")];
  const help = root.querySelector("[data-help-text]");
  const all = root.querySelector("[data-all]");
  const said = root.querySelector("[data-chosen]");
  let at = -1;

  const boxes = () => rows.map((row) => row.querySelector("input[name=order]"));
  const count = () => {
    if (said) said.textContent = all.checked ? "" : boxes().filter((box) => box.checked).length || "";
  };
  const go = (to) => {
    if (!rows.length) return;
    rows[at]?.removeAttribute("aria-current");
    at = Math.min(Math.max(to, 0), rows.length - 1);
    rows[at].setAttribute("aria-current", "true");
    rows[at].querySelector("[data-open]").focus({ preventScroll: true });
    rows[at].scrollIntoView({ block: "nearest" });
  };
  const keys = {
    j: () => go(at + 1),
    k: () => go(at - 1),
    x: () => { rows[at]?.querySelector("input[name=order]").click(); },
    "/": () => { root.querySelector("[data-search]").focus(); },
    "?": () => { help.showModal(); },
  };
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input:not([type=checkbox]), select, textarea, dialog[open]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
  });
  root.querySelector("[data-help]").addEventListener("click", () => help.showModal());
  document.addEventListener("change", count);
  rows.forEach((row, number) => row.addEventListener("focusin", () => { at = number; }));
})();
