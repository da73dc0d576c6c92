// Tabs: the labels, and each kind of what an audit found

/** What is shown: the tab's number among the findings, -1 for the labels; what matches, as indices; the place among
 * them that is in focus; at which places pages start; and which of them belong together. */
const view = { tab: -1, matches: data.order, focus: 0, pageSize: 48, pages: [0], groups: null };

const finding = () => data.findings[view.tab];
/** Whether images of this tab belong together by twos or more. */
const isGrouped = () => view.tab >= 0 && finding().members.some((group) => group.length > 1);

function fillTabs() {
  if (!data.findings.length) return;
  const kinds = [["labels", count], ...data.findings.map(({ kind, members }) => [kind, members.length])];
  byId("tabs").replaceChildren(...kinds.map(([kind, size], place) => {
    const button = document.createElement("button");
    const badge = document.createElement("span");
    button.type = "button";
    badge.className = "badge";
    badge.textContent = number(size);
    button.append(kind, " ", badge);
    button.addEventListener("click", () => openTab(place - 1));
    return button;
  }));
  byId("tabs").hidden = false;
}

function openTab(tab) {
  if (tab < -1 || tab >= data.findings.length) return;
  view.tab = tab;
  applyFilters();
  scrollTo(0, 0);
  focusPlace(0, { preventScroll: true });
}

function markTab() {
  [...byId("tabs").children].forEach((button, place) => {
    if (place - 1 === view.tab) button.setAttribute("aria-current", "page");
    else button.removeAttribute("aria-current");
  });
  const rule = view.tab >= 0 ? finding().rule : data.scoreMeaning && `Score: ${data.scoreMeaning}`;
  byId("rule").textContent = rule;
  byId("rule").hidden = !rule;
}

// Filters

/** Return what each set filter asks of a sample. */
function filterTests() {
  const tests = [];
  const [given, suggested, verdict] = ["given", "suggested", "verdict"].map((id) => byId(id).value);
  if (given) tests.push((index) => data.given[index] === Number(given));
  if (suggested === "other") {
    tests.push((index) => data.suggested[index] >= 0 && data.suggested[index] !== data.given[index]);
  } else if (suggested) {
    tests.push((index) => data.suggested[index] === Number(suggested));
  }
  const [low, high] = ["low", "high"].map((id) => byId(id).valueAsNumber); // NaN where empty
  if (!Number.isNaN(low)) tests.push((index) => data.score[index] !== null && data.score[index] >= low);
  if (!Number.isNaN(high)) tests.push((index) => data.score[index] !== null && data.score[index] <= high);
  if (verdict === "open") tests.push((index) => !verdicts.has(index));
  else if (verdict === "judged") tests.push((index) => verdicts.has(index));
  else if (verdict) tests.push((index) => verdictOf(index) === verdict);
  const searched = byId("search").value.trim().toLowerCase();
  if (searched) tests.push((index) => String(index) === searched || pathHas(index, searched));
  return tests;
}

function pathHas(index, text) {
  return data.paths !== null && data.paths[index].toLowerCase().includes(text);
}

/** Find what matches the filters; a verdict alone does not, lest a card vanish under its judge. */
function applyFilters() {
  const tests = filterTests();
  const matches = (index) => index >= 0 && tests.every((test) => test(index));
  view.groups = null;
  if (view.tab < 0) view.matches = data.order.filter(matches);
  else {
    // Images that belong together stay together, where one of them matches.
    const { members } = finding();
    const found = [...members.keys()].filter((which) => !tests.length || members[which].some(matches));
    let start = 0;
    view.groups = found.map((which) => {
      const group = { which, start, size: members[which].length };
      start += group.size;
      return group;
    });
    view.matches = found.flatMap((which) => members[which]);
  }
  view.focus = 0;
  showPage(true);
}

// Pages

/** Decide at which places pages start; what belongs together is on one page. */
function paginate() {
  const { matches, groups, pageSize } = view;
  if (groups === null) {
    const pages = Math.max(1, Math.ceil(matches.length / pageSize));
    view.pages = Array.from({ length: pages }, (_, page) => page * pageSize);
    return;
  }
  view.pages = [0];
  for (const { start, size } of groups) {
    const first = view.pages[view.pages.length - 1];
    if (start > first && start + size - first > pageSize) view.pages.push(start);
  }
}

/** Return the last of ascending numbers that is not above a place. */
function lastUpTo(numbers, place) {
  let [low, high] = [0, numbers.length - 1];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (numbers[middle] <= place) low = middle;
    else high = middle - 1;
  }
  return low;
}

const pageOf = (place) => lastUpTo(view.pages, place);
const lastPage = () => view.pages.length - 1;
const startOf = (page) => view.pages[page];
const endOf = (page) => view.pages[page + 1] ?? view.matches.length;
const groupAt = (place) => view.groups?.[lastUpTo(view.groups.map(({ start }) => start), place)];
const groupsOn = (page) => view.groups.filter(({ start }) => start >= startOf(page) && start < endOf(page));
const cardAt = (place) => byId("cards").querySelectorAll(".card")[place - startOf(pageOf(view.focus))];

function showPage(anew = false) {
  if (anew) paginate();
  const page = pageOf(view.focus);
  const start = startOf(page);
  const shown = view.matches.slice(start, endOf(page));
  const cards = shown.map((index, offset) => newCard(index, start + offset));
  byId("cards").classList.toggle("grouped", isGrouped());
  byId("cards").replaceChildren(
    ...(isGrouped() ? groupsOn(page).map((group) => newGroup(group, cards, start)) : cards),
  );
  byId("empty").hidden = shown.length > 0;
  byId("page").textContent = `page ${number(page + 1)} of ${number(lastPage() + 1)}`;
  byId("previous").disabled = page === 0;
  byId("next").disabled = page === lastPage();
  byId("bulk").disabled = shown.length === 0;
  byId("state").textContent = stateText(page);
  markTab();
  markFocus();
}

/** Return how many samples, or groups of them, match and which of them are shown. */
function stateText(page) {
  const groups = isGrouped() ? groupsOn(page) : null;
  const [found, all] = groups === null
    ? [view.matches.length, view.tab < 0 ? count : finding().members.length]
    : [view.groups.length, finding().members.length];
  const matching = `${number(found)} of ${number(all)} ${groups === null ? "" : "groups "}match`;
  if (!found) return matching;
  const first = groups === null ? startOf(page) : view.groups.indexOf(groups[0]);
  const last = groups === null ? endOf(page) : first + groups.length;
  return `${matching}, ${number(first + 1)}–${number(last)} shown`;
}

function turnPage(step) {
  const page = pageOf(view.focus) + step;
  if (page < 0 || page > lastPage()) return;
  focusPlace(startOf(page));
  scrollTo(0, 0);
}

const columns = () => getComputedStyle(byId("cards")).gridTemplateColumns.split(" ").length;

/** Go to the row below or above: of cards, or of what belongs together. */
function moveRow(step) {
  if (!isGrouped()) {
    if (step > 0 || view.focus >= columns()) focusPlace(view.focus + step * columns());
    return;
  }
  const group = view.groups[view.groups.indexOf(groupAt(view.focus)) + step];
  if (group) focusPlace(group.start);
}
