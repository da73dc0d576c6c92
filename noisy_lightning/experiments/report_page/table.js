// The table of runs: sorted, filtered, with small curves that are drawn when they come into view

const rowOf = new Map(); // the table's row of each run, by its id
let matching = runs;
let ranges = null; // of small curves, where all share one

const drawable = Object.keys(data.curves).filter((key) => runs.some((run) => run.curves?.[key]));
const curveKey = () => (drawable.includes(state.curve) ? state.curve : drawable[0] ?? "val/acc");
const compared = (one, two) => (typeof one === "number" && typeof two === "number"
  ? one - two
  : String(one).localeCompare(String(two), "en", { numeric: true }));

/** Return runs in the order asked for: equal ones keep theirs, and what is missing comes last either way. */
function sorted(chosen) {
  if (!state.sort) return chosen;
  const place = columnOf.get(state.sort);
  const isMissing = (run) => run.values[place] === null;
  const there = chosen.filter((run) => !isMissing(run));
  there.sort((one, two) => compared(one.values[place], two.values[place]) * (state.descending ? -1 : 1));
  return [...there, ...chosen.filter(isMissing)];
}

/** Ascending, descending, and then as the report has them. */
function sortBy(key) {
  if (state.sort !== key) [state.sort, state.descending] = [key, false];
  else if (!state.descending) state.descending = true;
  else [state.sort, state.descending] = ["", false];
  keepState();
  showHead();
  showRows();
  byId("table").querySelector(`button[data-key="${CSS.escape(key)}"]`).focus();
}

function showHead() {
  const heads = state.columns.map((key) => {
    const column = columns[columnOf.get(key)];
    const isSorted = state.sort === key;
    const order = state.descending ? "descending" : "ascending";
    const button = make("button", { type: "button", "data-key": key },
      column.name, make("span", { "aria-hidden": "true" }, isSorted ? (state.descending ? " ▼" : " ▲") : ""));
    button.addEventListener("click", () => sortBy(key));
    return make("th", { scope: "col", class: column.kind === "text" ? "text" : "",
      "aria-sort": isSorted ? order : "none" }, button);
  });
  const [low, high] = ranges ?? [];
  const range = ranges === null ? "each on its own scale" : `${rangeText(low)} to ${rangeText(high)}`;
  byId("table").tHead.replaceChildren(make("tr", {},
    make("th", { scope: "col" }, make("span", { class: "hidden" }, "Compare")), ...heads.slice(0, 1),
    make("th", { scope: "col", class: "text" }, `${curveName(curveKey())}, `, make("span", { class: "quiet" }, range)),
    ...heads.slice(1)));
}

const isLoss = (key) => key.includes("loss");
const rangeText = (value) => (isLoss(curveKey()) || curveKey() === "lr" ? numberText(value) : `${percent(value)} %`);

function curveName(key) {
  const panel = PANELS.find(({ keys }) => keys.test(key));
  return `${panel.name}: ${data.curves[key]}`;
}

/** Losses of different functions share no scale, nor do their small curves. */
function findRanges() {
  const values = runs.flatMap((run) => run.curves?.[curveKey()] ?? []).filter((value) => value !== null);
  const functions = new Set(runs.map((run) => valueOf(run, "loss")));
  const comparable = values.length && !(isLoss(curveKey()) && functions.size > 1);
  ranges = comparable ? values.reduce(([low, high], value) => [Math.min(low, value), Math.max(high, value)],
    [Infinity, -Infinity]) : null;
}

function makeRow(run) {
  const box = make("input", { type: "checkbox", "aria-label": `Compare ${nameOf(run)}` });
  box.addEventListener("change", () => choose(run, box.checked));
  const cells = state.columns.map((key, place) => {
    const column = columns[columnOf.get(key)];
    const text = shownText(column, valueOf(run, key));
    if (key !== "run") {
      return place === 0 ? make("th", { scope: "row", class: "text" }, text)
        : make("td", column.kind === "text" ? { class: column.isLong ? "text long" : "text" } : {}, text);
    }
    const link = make("a", { href: `#/run/${run.id}`, title: text }, nameOf(run));
    link.addEventListener("click", () => { link.href = addressOf("run", run.id); });
    return make("th", { scope: "row", class: "text run" }, link);
  });
  const row = make("tr", {}, make("td", {}, box), cells[0], make("td", { class: "small" }), ...cells.slice(1));
  row.run = run;
  rowOf.set(run.id, row);
  inView.observe(row);
  return row;
}

function drawSmall(row) {
  const values = row.run.curves?.[curveKey()];
  const cell = row.cells[2];
  if (cell.firstChild) return;
  const known = (values ?? []).filter((value) => value !== null);
  if (!known.length) return cell.replaceChildren(ABSENT);
  const [low, high] = ranges ?? [Math.min(...known), Math.max(...known)];
  return cell.replaceChildren(spark(values, low, high),
    make("span", { class: "hidden" }, `from ${rangeText(known[0])} to ${rangeText(known.at(-1))}`));
}

const inView = new IntersectionObserver((entries) => entries.forEach(({ isIntersecting, target }) => {
  if (!isIntersecting) return;
  drawSmall(target);
  inView.unobserve(target);
}), { rootMargin: "300px" });

/** Make the rows anew, as for other columns. */
function makeRows() {
  inView.disconnect();
  rowOf.clear();
  findRanges();
  runs.forEach(makeRow);
  showHead();
}

function showRows() {
  matching = sorted(runs.filter(isMatch));
  const body = byId("table").tBodies[0];
  body.replaceChildren(...matching.map((run) => rowOf.get(run.id)));
  byId("state").textContent = `${whole(matching.length)} of ${whole(runs.length)} runs`;
  byId("empty").hidden = matching.length > 0;
  byId("export").disabled = !matching.length;
  showChosen();
}

// What is compared

function choose(run, isChosen) {
  if (isChosen && state.chosen.length >= MOST_COMPARED) say(`At most ${MOST_COMPARED} runs are compared at once.`);
  else {
    say("");
    state.chosen = isChosen ? [...state.chosen, run.id] : state.chosen.filter((id) => id !== run.id);
  }
  keepState();
  showChosen();
}

function showChosen() {
  rowOf.forEach((row, id) => {
    const isChosen = state.chosen.includes(id);
    row.classList.toggle("chosen", isChosen);
    row.querySelector("input").checked = isChosen;
  });
  const count = state.chosen.length;
  byId("compare").textContent = count ? `Compare ${count} runs` : "Compare";
  byId("compare").disabled = count < 2;
  byId("compare").classList.toggle("main", count > 1);
  byId("unchoose").disabled = !count;
}

/** The rows as they are shown, by the names and units of ledger.csv: shares in [0, 1], epochs from 0. */
function exportTable() {
  const rows = matching.map((run) => state.columns.map((key) => valueOf(run, key)));
  download("runs.csv", asCsv([state.columns, ...rows]));
}
