// Verdicts

const past = []; // for undo: lists of [index, label before or undefined]

const isClass = (label) => Number.isInteger(label) && label >= 0 && label < data.classes.length;
const isVerdict = (label) => label === EXCLUDED || label === UNSURE || isClass(label);

function judge(place, label) {
  const index = view.matches[place];
  if (!(index >= 0) || !isVerdict(label)) return;
  change([[index, label]]);
  focusPlace(place + 1);
}

/** Exclude the samples that belong together with the one in focus, and go on to what comes next. */
function excludeOthers() {
  if (!isGrouped() || !view.matches.length) return;
  const { start, size } = groupAt(view.focus);
  const own = view.matches[view.focus];
  const others = view.matches.slice(start, start + size).filter((index) => index >= 0 && index !== own);
  if (others.length) change(others.map((index) => [index, EXCLUDED]));
  focusPlace(start + size);
}

/** Set labels of samples, undefined for no verdict, as one step of undo. */
function change(steps, isUndo = false) {
  const before = steps.map(([index]) => [index, verdicts.get(index)]);
  for (const [index, label] of steps) {
    if (label === undefined) verdicts.delete(index);
    else verdicts.set(index, label);
  }
  if (!isUndo) past.push(before);
  save();
  say("");
  showProgress();
  const changed = new Set(steps.map(([index]) => index));
  for (const card of document.querySelectorAll(".card")) {
    const index = Number(card.dataset.index);
    if (changed.has(index)) showVerdict(card, index);
  }
}

function undo() {
  const steps = past.pop();
  if (!steps) return;
  change(steps, true);
  const place = view.matches.indexOf(steps[0][0]);
  focusPlace(place >= 0 && steps.length === 1 ? place : view.focus);
}

function showProgress() {
  const counts = { kept: 0, changed: 0, excluded: 0, unsure: 0 };
  for (const index of verdicts.keys()) counts[verdictOf(index)] += 1;
  const parts = [`${number(counts.kept)} kept`, `${number(counts.changed)} changed`];
  for (const name of ["excluded", "unsure"]) if (counts[name]) parts.push(`${number(counts[name])} ${name}`);
  byId("progress").textContent = verdicts.size
    ? `${number(verdicts.size)} judged: ${parts.join(", ")}`
    : "none judged yet";
  byId("undo").disabled = past.length === 0;
}

// One verdict for many

function openBulk() {
  if (!view.matches.length) return;
  const [all, page, others] = ["bulk-all", "bulk-page", "bulk-others"].map(byId);
  const here = pageOf(view.focus);
  const [found, shown] = isGrouped()
    ? [view.groups, groupsOn(here)].map(({ length }) => counted(length, "group"))
    : [view.matches.length, endOf(here) - startOf(here)].map(number);
  all.textContent = `all ${found} that match`;
  page.textContent = `the ${shown} of this page`;
  others.hidden = others.disabled = !isGrouped();
  byId("bulk-which").value = "all";
  byId("bulk-verdict").value = isGrouped() ? "others" : "keep";
  byId("bulk-open").checked = true;
  showBulk();
  byId("bulk-dialog").showModal();
}

/** Return the samples that the dialog names, each once. */
function bulkSamples() {
  const here = pageOf(view.focus);
  const isPage = byId("bulk-which").value === "page";
  if (byId("bulk-verdict").value !== "others") {
    return isPage ? view.matches.slice(startOf(here), endOf(here)) : view.matches;
  }
  const groups = isPage ? groupsOn(here) : view.groups;
  // The first one stays; where a test image is among them, that one does.
  return groups.flatMap(({ start, size }) => {
    const members = view.matches.slice(start, start + size);
    const stays = members.some((index) => index < 0) ? undefined : members[0];
    return members.filter((index) => index !== stays);
  });
}

function bulkSteps() {
  const verdict = byId("bulk-verdict").value;
  const fixed = { exclude: EXCLUDED, others: EXCLUDED, unsure: UNSURE, none: undefined };
  const labelFor = (index) => {
    if (verdict === "keep") return data.given[index];
    if (verdict === "take") return data.suggested[index];
    return Object.hasOwn(fixed, verdict) ? fixed[verdict] : Number(verdict);
  };
  const onlyOpen = verdict !== "none" && byId("bulk-open").checked;
  return [...new Set(bulkSamples())]
    .filter((index) => index >= 0 && !(onlyOpen && verdicts.has(index)))
    .map((index) => [index, labelFor(index)])
    .filter(([index, label]) => (label === undefined || isVerdict(label)) && label !== verdicts.get(index));
}

function showBulk() {
  const { length } = bulkSteps();
  byId("bulk-open").disabled = byId("bulk-verdict").value === "none";
  byId("bulk-apply").disabled = length === 0;
  byId("bulk-apply").textContent = `Set ${counted(length, "verdict")}`;
}

function applyBulk() {
  const steps = bulkSteps();
  byId("bulk-dialog").close();
  change(steps);
  say(`${counted(steps.length, "verdict")} set at once; Undo takes them back together.`);
  focusPlace(view.focus);
}

// Storage: a reload keeps the verdicts, where the browser lets a page keep anything

const STORE = `noisy_lightning.verdicts.${data.key}`;

function save() {
  try {
    localStorage.setItem(STORE, JSON.stringify([...verdicts]));
  } catch {
    byId("storage").textContent = "This browser forgets the verdicts when the page is closed: export them before.";
  }
}

function restore() {
  try {
    for (const [index, label] of JSON.parse(localStorage.getItem(STORE) ?? "[]")) {
      if (index in data.given && isVerdict(label)) verdicts.set(index, label);
    }
  } catch {
    // Nothing to restore, then.
  }
}
