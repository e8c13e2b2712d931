// Keeps the parts marked [data-live] of an open page up to date, for as long as somebody can see it.
// The page is asked for again and its parts are put in place; what a person is at is left alone. Of a page that has
// none but its header's, the header alone is asked for.
(() => {
  const root = document.querySelector("main [data-refresh]") ?? document.querySelector("[data-refresh]");
  if (!root) return;
  const stale = (is) => document.querySelectorAll("[data-stale]").forEach((one) => { one.hidden = !is; });
  const pause = Number(root.dataset.refresh) * 1000;
  let last = Date.now();
  let busy = false;

  const inUse = (part) => {
    const selection = getSelection();
    return (
      part.contains(document.activeElement) ||
      (selection && !selection.isCollapsed && part.contains(selection.anchorNode)) ||
      [...part.querySelectorAll("input[type=checkbox]")].some((box) => box.checked !== box.defaultChecked)
    );
  };

  // Every page carries a token of its own; that alone is no news.
  const content = (part) => part.innerHTML.replace(/name="csrfmiddlewaretoken" value="[^"]*"/g, "").replaceAll(' open=""', "");

  const put = (part, fresh) => {
    const open = [...part.querySelectorAll("details[open][data-key]")].map((one) => one.dataset.key);
    part.replaceChildren(...fresh.childNodes);
    part.querySelectorAll("details[data-key]").forEach((one) => {
      if (open.includes(one.dataset.key)) one.open = true;
    });
  };

  const redraw = (fresh) => {
    const wanted = fresh.querySelectorAll("canvas.chart");
    root.querySelectorAll("canvas.chart").forEach((canvas, index) => {
      const chart = window.Chart?.getChart(canvas);
      const value = wanted[index]?.dataset.value;
      if (!chart || !value || value === canvas.dataset.value) return;
      canvas.dataset.value = value;
      const { labels, datasets } = JSON.parse(value);
      chart.data.labels = labels;
      datasets.forEach((one, number) => { chart.data.datasets[number].data = one.data; });
      chart.update();
    });
  };

  const refresh = async () => {
    const answer = await fetch(root.dataset.from ?? location.href, { credentials: "same-origin", headers: { "X-Refresh": "1" } });
    if (!answer.ok || answer.redirected) throw new Error(`answer ${answer.status}`);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    document.querySelectorAll("[data-live]").forEach((part) => {
      const other = fresh.querySelector(`[data-live="${part.dataset.live}"]`);
      if (other && content(other) !== content(part) && !inUse(part)) put(part, other);
    });
    redraw(fresh);
  };

  const tick = async () => {
    if (busy || document.visibilityState !== "visible" || Date.now() - last < pause) return;
    busy = true;
    try {
      await refresh();
      stale(false);
    } catch {
      stale(true);
    } finally {
      last = Date.now();
      busy = false;
    }
  };

  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", tick);
})();
