// Filters: a text anywhere in a row, and one value of each axis

const ANY = "", MISSING = "–";
const texts = new Map(runs.map((run) => [run.id,
  run.values.map((value, place) => shownText(columns[place], value)).join("\n").toLowerCase()]));

const filterText = (place, run) => shownText(columns[place], run.values[place]);

function isMatch(run) {
  const words = state.search.toLowerCase().split(/\s+/).filter(Boolean);
  return words.every((word) => texts.get(run.id).includes(word))
    && Object.entries(state.filters).every(([key, value]) => filterText(columnOf.get(key), run) === value);
}

function fillFilters() {
  byId("axes").replaceChildren(...data.filters.map((place) => {
    const values = [...new Set(runs.map((run) => filterText(place, run)))];
    values.sort((one, two) => (one === MISSING) - (two === MISSING) || compared(one, two));
    const options = values.map((value) => make("option", { value }, value));
    const select = make("select", { "data-key": columns[place].key }, make("option", { value: ANY }, "any"), ...options);
    select.addEventListener("change", () => {
      if (select.value === ANY) delete state.filters[columns[place].key];
      else state.filters[columns[place].key] = select.value;
      keepState();
      showRows();
    });
    return make("label", {}, columns[place].name, " ", select);
  }));
  byId("curve").replaceChildren(...drawable.map((key) => make("option", { value: key }, curveName(key))));
  byId("curve").parentElement.hidden = !drawable.length;
  byId("column-choice").replaceChildren(...columns.map((column) => {
    const box = make("input", { type: "checkbox", "data-key": column.key });
    box.disabled = column.key === "run";
    box.addEventListener("change", chooseColumns);
    return make("label", {}, box, column.name);
  }));
}

function chooseColumns() {
  const wanted = [...byId("column-choice").querySelectorAll("input:checked")].map((box) => box.dataset.key);
  state.columns = wanted;
  keepState();
  makeRows();
  showRows();
}

/** Let the fields say what the address says. */
function showFilters() {
  byId("search").value = state.search;
  byId("axes").querySelectorAll("select").forEach((select) => {
    select.value = state.filters[select.dataset.key] ?? ANY;
  });
  byId("curve").value = curveKey();
  byId("column-choice").querySelectorAll("input").forEach((box) => {
    box.checked = state.columns.includes(box.dataset.key);
  });
}

function clearFilters() {
  state.search = "";
  state.filters = {};
  keepState();
  showFilters();
  showRows();
}
