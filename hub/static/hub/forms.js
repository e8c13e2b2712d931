// What forms do by themselves. Listens on the document: parts of a page are replaced while it is open.
document.addEventListener("change", (event) => {
  const box = event.target.closest("[data-tick-all]");
  if (box) {
    document.querySelectorAll(`input[form=${box.dataset.tickAll}][type=checkbox]`).forEach((one) => { one.checked = box.checked; });
  }
  if (event.target.matches("[data-submits]")) event.target.form.requestSubmit();
});
