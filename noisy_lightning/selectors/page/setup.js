// Keys

const ACTIONS = {
  ArrowLeft: () => focusPlace(view.focus - 1),
  ArrowRight: () => focusPlace(view.focus + 1),
  ArrowUp: () => moveRow(-1),
  ArrowDown: () => moveRow(1),
  Home: () => focusPlace(startOf(pageOf(view.focus))),
  End: () => focusPlace(endOf(pageOf(view.focus)) - 1),
  PageUp: () => turnPage(-1),
  PageDown: () => turnPage(1),
  p: () => turnPage(-1),
  n: () => turnPage(1),
  k: () => judge(view.focus, data.given[view.matches[view.focus]]),
  s: () => judge(view.focus, data.suggested[view.matches[view.focus]]),
  c: () => { if (view.matches[view.focus] >= 0) openChooser(view.focus); },
  x: () => judge(view.focus, EXCLUDED),
  q: () => judge(view.focus, UNSURE),
  d: excludeOthers,
  u: undo,
  z: () => (byId("zoom").open ? byId("zoom").close() : openZoom(view.focus)),
};
// What would open something over the close look at a sample, or change what it is a look at.
const OUTSIDE_ACTIONS = {
  b: openBulk,
  "[": () => openTab(view.tab - 1),
  "]": () => openTab(view.tab + 1),
  "/": openSearch,
  "?": () => byId("keys").showModal(),
};

function openSearch() {
  toggleFilters(true);
  byId("search").focus();
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]:not(#zoom)")) return;
  if (event.target.matches("select, input:not([type=checkbox])")) {
    if (event.key === "Escape" || (event.key === "Enter" && event.target.matches("input"))) {
      event.preventDefault(); // a browser would empty the field
      focusPlace(view.focus);
    }
    return;
  }
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const actions = byId("zoom").open ? ACTIONS : { ...ACTIONS, ...OUTSIDE_ACTIONS };
  let action = Object.hasOwn(actions, key) ? actions[key] : undefined;
  if (key === "Enter" && event.target.matches(".card")) action = actions.z;
  // With more classes, a digit would be the start of a longer number.
  if (/^\d$/.test(key) && data.classes.length <= 10) action = () => judge(view.focus, Number(key));
  if (!action) return;
  event.preventDefault();
  action();
}

// Setting up

function toggleFilters(open) {
  byId("filters").classList.toggle("open", open);
  byId("show-filters").setAttribute("aria-expanded", open);
}

function fillClasses() {
  for (const id of ["given", "suggested", "bulk-classes"]) {
    byId(id).append(...data.classes.map((name, label) => new Option(name, label)));
  }
  if (data.classes.length > 10) {
    byId("digits").nextElementSibling.remove();
    byId("digits").remove();
    return;
  }
  byId("classes").append(...data.classes.map((name, label) => {
    const button = document.createElement("button");
    const key = document.createElement("kbd");
    key.textContent = label;
    button.type = "button";
    button.append(key, ` ${name}`);
    button.addEventListener("click", () => judge(view.focus, label));
    return button;
  }));
}

function wireFilters() {
  const form = byId("filters");
  for (const field of form.querySelectorAll("select")) field.addEventListener("change", applyFilters);
  for (const field of form.querySelectorAll("input")) field.addEventListener("input", applyFilters);
  byId("clear").addEventListener("click", () => {
    form.reset();
    applyFilters();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  byId("show-filters").addEventListener("click", () => toggleFilters(!form.classList.contains("open")));
  const scores = data.order.slice(0, data.pictured).map((index) => data.score[index]);
  if (scores.length) {
    byId("high").placeholder = scoreText(scores[0]);
    byId("low").placeholder = scoreText(scores[scores.length - 1]);
  }
}

function wireBar() {
  byId("truth-switch").hidden = data.true === null;
  byId("smooth-switch").hidden = !data.sheets.some(({ size }) => isSmall(...size));
  byId("truth").addEventListener("change", (event) => document.body.classList.toggle("truth", event.target.checked));
  byId("smooth").addEventListener("change", (event) => document.body.classList.toggle("crisp", !event.target.checked));
  byId("page-size").addEventListener("change", (event) => {
    view.pageSize = Number(event.target.value);
    showPage(true);
  });
  byId("previous").addEventListener("click", () => turnPage(-1));
  byId("next").addEventListener("click", () => turnPage(1));
}

function wireHeader() {
  byId("undo").addEventListener("click", undo);
  byId("export").addEventListener("click", () => download("verdicts.csv", verdictsText()));
  byId("export-labels").addEventListener("click", exportLabels);
  byId("help").addEventListener("click", OUTSIDE_ACTIONS["?"]);
  byId("import").addEventListener("click", () => byId("file").click());
  byId("file").addEventListener("change", async ({ target }) => {
    if (target.files.length) await importVerdicts(target.files[0]);
    target.value = ""; // the same file may be chosen again
  });
}

function wireDialogs() {
  byId("chooser-search").addEventListener("input", showChoices);
  byId("chooser-search").addEventListener("keydown", onChooserKey);
  byId("zoom").addEventListener("close", closeZoom);
  byId("zoom-picture").addEventListener("click", ({ currentTarget }) => currentTarget.classList.toggle("actual"));
  byId("zoom-previous").addEventListener("click", () => focusPlace(view.focus - 1));
  byId("zoom-next").addEventListener("click", () => focusPlace(view.focus + 1));
  byId("zoom-close").addEventListener("click", () => byId("zoom").close());
  for (const id of ["bulk-which", "bulk-verdict", "bulk-open"]) byId(id).addEventListener("change", showBulk);
  byId("bulk").addEventListener("click", openBulk);
  byId("bulk-apply").addEventListener("click", applyBulk);
  byId("bulk-cancel").addEventListener("click", () => byId("bulk-dialog").close());
}

function start() {
  byId("storage").textContent = "This browser keeps the verdicts for this page; export takes them elsewhere.";
  fillClasses();
  fillTabs();
  for (const key of document.querySelectorAll(".of-groups")) key.hidden = !data.findings.length;
  wireHeader();
  wireDialogs();
  wireFilters();
  wireBar();
  document.addEventListener("keydown", onKey);
  restore();
  save(); // says at once where it cannot be
  showProgress();
  applyFilters();
  focusPlace(0, { preventScroll: true });
}

start();
