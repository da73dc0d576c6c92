// Which view shows, and what fields and buttons do

const SECTIONS = { "": "results", runs: "runs", run: "run", compare: "compared" };
let hasTable = false; // it is made when it is first looked at

function showView() {
  readState();
  const run = runOf.get(state.run);
  if (state.view === "run" && !run) state.view = "runs";
  if (state.view === "run") showRun(run);
  if (state.view === "compare") showCompared();
  if (state.view === "runs") showTable();
  Object.entries(SECTIONS).forEach(([view, id]) => { byId(id).hidden = view !== state.view; });
  const name = { "": "", runs: "Runs", run: run ? nameOf(run) : "", compare: "Compare" }[state.view];
  document.title = name ? `${name} – ${title}` : title;
  markViews();
}

function showTable() {
  if (!hasTable) fillFilters();
  hasTable = true;
  showFilters();
  makeRows();
  showRows();
}

function goTo(view) {
  location.hash = addressOf(view);
}

addEventListener("hashchange", () => {
  say("");
  showView();
  scrollTo(0, 0);
  byId(SECTIONS[state.view]).querySelector("h2")?.focus({ preventScroll: true });
});
addEventListener("beforeprint", () => {
  document.querySelectorAll("#results details").forEach((details) => { details.open = true; });
  document.querySelectorAll("img").forEach((image) => { image.loading = "eager"; });
  if (state.view === "runs") rowOf.forEach(drawSmall);
});
byId("search").addEventListener("input", () => {
  state.search = byId("search").value;
  keepState();
  showRows();
});
byId("curve").addEventListener("change", () => {
  state.curve = byId("curve").value;
  keepState();
  makeRows();
  showRows();
});
byId("filters").addEventListener("reset", (event) => {
  event.preventDefault();
  clearFilters();
});
byId("filters").addEventListener("submit", (event) => event.preventDefault());
byId("export").addEventListener("click", exportTable);
byId("compare").addEventListener("click", () => goTo("compare"));
byId("unchoose").addEventListener("click", () => {
  state.chosen = [];
  say("");
  keepState();
  showChosen();
});
byId("notes").replaceChildren(...data.notes.map((note) => make("li", {}, note)));
showView();
