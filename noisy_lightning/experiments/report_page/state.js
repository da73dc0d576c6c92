// What is shown, as the address has it after its #: a link to it shows the same

const MOST_COMPARED = 6; // as many as there are colors that everybody can tell apart
const DEFAULT_COLUMNS = columns.filter((column) => column.shown).map((column) => column.key);

/** `view` is "", "runs", "run" or "compare"; `run` what the one is of; `chosen` the ids of runs to compare. */
const state = {
  view: "", run: "", sort: "", descending: false, search: "", filters: {}, columns: DEFAULT_COLUMNS, curve: "",
  chosen: [],
};

function readState() {
  const [path, query = ""] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, run = ""] = path.split("/");
  const asked = new URLSearchParams(query);
  state.view = ["runs", "run", "compare"].includes(view) ? view : "";
  state.run = run;
  state.sort = columnOf.has(asked.get("sort")) ? asked.get("sort") : "";
  state.descending = asked.get("order") === "descending";
  state.search = asked.get("search") ?? "";
  state.curve = asked.get("curve") ?? "";
  state.filters = {};
  data.filters.forEach((place) => {
    const value = asked.get(`only.${columns[place].key}`);
    if (value !== null) state.filters[columns[place].key] = value;
  });
  const wanted = (asked.get("columns") ?? "").split(",").filter((place) => /^\d+$/.test(place) && columns[place]);
  state.columns = wanted.length ? wanted.map((place) => columns[place].key) : DEFAULT_COLUMNS;
  const ids = (asked.get("chosen") ?? "").split(",").filter((id) => runOf.has(id));
  state.chosen = [...new Set(ids)].slice(0, MOST_COMPARED);
}

/** Return the address of a view, of which the table's order, filters and choice are part. */
function addressOf(view, run = "") {
  const asked = new URLSearchParams();
  if (state.sort) asked.set("sort", state.sort);
  if (state.sort && state.descending) asked.set("order", "descending");
  if (state.search) asked.set("search", state.search);
  if (state.curve) asked.set("curve", state.curve);
  Object.entries(state.filters).forEach(([key, value]) => asked.set(`only.${key}`, value));
  if (state.columns.join() !== DEFAULT_COLUMNS.join()) {
    asked.set("columns", state.columns.map((key) => columnOf.get(key)).join());
  }
  if (state.chosen.length) asked.set("chosen", state.chosen.join());
  const query = asked.toString();
  return `#/${view}${run ? `/${run}` : ""}${query ? `?${query}` : ""}`;
}

/** Write the state into the address, without a new step to go back by. */
function keepState() {
  history.replaceState(null, "", addressOf(state.view, state.run));
  markViews();
}

function markViews() {
  document.querySelectorAll("nav a").forEach((link) => {
    link.href = addressOf(link.dataset.view);
    const isHere = link.dataset.view === state.view || (link.dataset.view === "runs" && state.view === "run");
    if (isHere) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
  byId("chosen").textContent = state.chosen.length;
}
