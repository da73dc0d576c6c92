// Cards

/** Return what holds the cards of images that belong together. */
function newGroup({ which, start, size }, cards, first) {
  const members = finding().members[which];
  const labels = new Set(members.filter((index) => index >= 0).map((index) => data.given[index]));
  const notes = [`${number(which + 1)}`, `score ${scoreText(finding().scores[which])}`];
  if (labels.size > 1) notes.push("different labels");
  if (members.some((index) => index < 0)) notes.push("also in the test set");
  const group = document.createElement("li");
  const head = document.createElement("p");
  const list = document.createElement("ul");
  group.className = "group";
  group.classList.toggle("differs", labels.size > 1);
  head.textContent = notes.join(" · ");
  list.append(...cards.slice(start - first, start - first + size));
  group.append(head, list);
  return group;
}

function newCard(index, place) {
  const card = byId("card").content.firstElementChild.cloneNode(true);
  const part = (name) => card.querySelector(`.${name}`);
  card.dataset.index = index;
  card.addEventListener("focusin", () => { view.focus = place; markFocus(); });
  part("picture").addEventListener("click", () => openZoom(place));
  drawPicture(part("picture"), index);
  if (index < 0) return asTestImage(card, index);
  fill(part("given"), className(data.given[index]));
  const suggestion = data.suggested[index];
  fill(part("suggested"), suggestion < 0 ? "none" : className(suggestion));
  part("suggested").classList.toggle("same", suggestion < 0 || suggestion === data.given[index]);
  if (neighbors === null) for (const element of card.querySelectorAll(".near")) element.remove();
  else fill(card.querySelector("dd.near"), neighborText(index));
  if (data.true !== null) fill(part("true"), className(data.true[index]));
  const group = view.tab < 0 || isGrouped() ? null : groupAt(place);
  fill(part("score"), scoreText(group === null ? data.score[index] : finding().scores[group.which]));
  fill(part("index"), `#${index}`);
  if (data.paths === null) part("path").remove();
  else {
    part("path").firstElementChild.textContent = data.paths[index];
    part("path").title = data.paths[index];
  }
  wireButtons(card, index, place);
  showVerdict(card, index);
  return card;
}

/** Make a card that of a test image: nobody judges it. */
function asTestImage(card, index) {
  card.classList.add("test");
  for (const name of ["facts", "choices", "score", "index"]) card.querySelector(`.${name}`).remove();
  fill(card.querySelector(".outcome"), "in the test set");
  card.querySelector(".path").firstElementChild.textContent = nameOf(index);
  card.querySelector(".path").title = nameOf(index);
  card.setAttribute("aria-label", `Test image ${-1 - index}`);
  return card;
}

function fill(element, text) {
  element.textContent = text;
  element.title = text; // for what is too long to be seen whole
}

function wireButtons(card, index, place) {
  const [keep, take, other, exclude, unsure] = card.querySelectorAll("button");
  keep.setAttribute("aria-label", `Keep ${className(data.given[index])}`);
  take.disabled = data.suggested[index] < 0;
  if (!take.disabled) take.setAttribute("aria-label", `Take ${className(data.suggested[index])}`);
  other.setAttribute("aria-label", "Choose another class");
  keep.addEventListener("click", () => judge(place, data.given[index]));
  take.addEventListener("click", () => judge(place, data.suggested[index]));
  other.addEventListener("click", () => openChooser(place));
  exclude.addEventListener("click", () => judge(place, EXCLUDED));
  unsure.addEventListener("click", () => judge(place, UNSURE));
}

function showVerdict(card, index) {
  const verdict = verdictOf(index);
  const chosen = verdicts.get(index);
  const outcomes = {
    "": "score", kept: "✓ kept", changed: `→ ${className(chosen)}`, excluded: "✕ excluded", unsure: "? unsure",
  };
  fill(card.querySelector(".outcome"), outcomes[verdict]);
  for (const name of ["kept", "changed", "excluded", "unsure"]) card.classList.toggle(name, verdict === name);
  const isTaken = verdict === "changed" && chosen === data.suggested[index];
  const pressed = [
    verdict === "kept", isTaken, verdict === "changed" && !isTaken, verdict === "excluded", verdict === "unsure",
  ];
  card.querySelectorAll("button").forEach((button, place) => button.setAttribute("aria-pressed", pressed[place]));
  card.setAttribute("aria-label", spokenText(index));
}

function spokenText(index) {
  const suggestion = data.suggested[index];
  const spoken = {
    "": "not judged",
    kept: "kept",
    changed: `changed to ${className(verdicts.get(index))}`,
    excluded: "excluded",
    unsure: "unsure",
  };
  return [
    `Sample ${index}`,
    `given ${className(data.given[index])}`,
    suggestion < 0 ? "no suggestion" : `suggested ${className(suggestion)}`,
    `score ${scoreText(data.score[index])}`,
    ...(neighbors === null ? [] : [`neighbors ${neighborText(index)}`]),
    spoken[verdictOf(index)],
  ].join(", ");
}

/** Let Tab reach one card of the page only, and its buttons. */
function markFocus() {
  const current = cardAt(view.focus);
  for (const card of byId("cards").querySelectorAll(".card")) {
    const isCurrent = card === current;
    card.classList.toggle("current", isCurrent);
    for (const element of [card, ...card.querySelectorAll("button")]) element.tabIndex = isCurrent ? 0 : -1;
  }
}

/** Focus a place among the matches, on whatever page it is. */
function focusPlace(place, options) {
  if (!view.matches.length) return;
  const target = Math.min(Math.max(place, 0), view.matches.length - 1);
  const turns = pageOf(target) !== pageOf(view.focus);
  view.focus = target;
  if (turns) showPage();
  markFocus();
  if (byId("zoom").open) showZoom();
  else cardAt(target).focus(options);
}
