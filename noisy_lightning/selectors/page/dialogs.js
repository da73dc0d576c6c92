// The chooser of a class

const chooser = { place: 0, shown: [], selected: 0 };

function openChooser(place) {
  if (!view.matches.length) return;
  chooser.place = place;
  byId("chooser-search").value = "";
  byId("chooser-picture").replaceChildren(...copyOfPicture(cardAt(place)));
  byId("chooser").showModal();
  showChoices();
}

/** Return a canvas, if the card has one: the card may lie under the chooser. */
function copyOfPicture(card) {
  const original = card.querySelector("canvas");
  if (!original) return [];
  const copy = original.cloneNode();
  copy.getContext("2d").drawImage(original, 0, 0);
  return [copy];
}

function showChoices() {
  const searched = byId("chooser-search").value.trim().toLowerCase();
  const labels = [...data.classes.keys()];
  chooser.shown = labels.filter(
    (label) => String(label) === searched || data.classes[label].toLowerCase().includes(searched),
  );
  byId("chooser-list").replaceChildren(...chooser.shown.map(newChoice));
  select(0);
}

function newChoice(label) {
  const choice = document.createElement("li");
  choice.id = `choice-${label}`;
  choice.setAttribute("role", "option");
  for (const text of [label, data.classes[label]]) {
    const span = document.createElement("span");
    span.textContent = text;
    choice.append(span);
  }
  choice.addEventListener("click", () => choose(label));
  return choice;
}

function select(place) {
  chooser.selected = Math.min(Math.max(place, 0), chooser.shown.length - 1);
  const choices = byId("chooser-list").children;
  for (const choice of choices) choice.setAttribute("aria-selected", choice === choices[chooser.selected]);
  choices[chooser.selected]?.scrollIntoView({ block: "nearest" });
  byId("chooser-search").setAttribute("aria-activedescendant", choices[chooser.selected]?.id ?? "");
}

function choose(label) {
  byId("chooser").close();
  if (label !== undefined) judge(chooser.place, label);
}

function onChooserKey(event) {
  const actions = {
    ArrowDown: () => select(chooser.selected + 1),
    ArrowUp: () => select(chooser.selected - 1),
    Enter: () => { if (chooser.shown.length) choose(chooser.shown[chooser.selected]); },
  };
  if (!(event.key in actions)) return;
  event.preventDefault();
  actions[event.key]();
}

// A close look at one sample

function openZoom(place) {
  if (!view.matches.length) return;
  view.focus = place;
  byId("zoom").showModal();
  showZoom();
}

let closest = 0; // the place that was looked at last: a browser returns the focus to where it was before

/** Show the sample in focus: its own file where there is one, what is known of it, and what is most like it. */
function showZoom() {
  const index = view.matches[view.focus];
  const card = newCard(index, view.focus);
  closest = view.focus;
  card.querySelector(".picture").remove();
  for (const element of [card, ...card.querySelectorAll("button")]) element.tabIndex = 0;
  byId("zoom-card").replaceChildren(card);
  const frame = byId("zoom-picture");
  byId("zoom-note").textContent = "";
  if (addressOf(index) === null) drawPicture(frame, index, LARGE_SIDE);
  else {
    showOriginal(frame, index, () => {
      byId("zoom-note").textContent = "The file itself cannot be shown from here; this is its thumbnail.";
      if (index >= 0 && rank[index] < data.pictured) drawPicture(frame, index, LARGE_SIDE);
      else replacePicture(frame, "no picture");
    });
  }
  const meaning = index >= 0 && data.scoreMeaning ? `Score: ${data.scoreMeaning}.` : "";
  byId("zoom-score").textContent = meaning;
  const near = neighborsOf(index);
  byId("zoom-near").hidden = near.length === 0;
  byId("zoom-neighbors").replaceChildren(...near.map((other) => newNeighbor(other, index)));
  byId("zoom-place").textContent = `${number(view.focus + 1)} of ${number(view.matches.length)}`;
  byId("zoom-previous").disabled = view.focus === 0;
  byId("zoom-next").disabled = view.focus === view.matches.length - 1;
  card.focus();
}

function newNeighbor(other, index) {
  const item = byId("neighbor").content.firstElementChild.cloneNode(true);
  drawPicture(item.querySelector(".picture"), other, NEIGHBOR_SIDE);
  fill(item.querySelector(".label"), className(data.given[other]));
  fill(item.querySelector(".which"), `#${other}`);
  item.classList.toggle("differs", data.given[other] !== data.given[index]);
  if (data.paths !== null) item.title = data.paths[other];
  return item;
}

function closeZoom() {
  byId("zoom-card").replaceChildren();
  byId("zoom-picture").replaceChildren();
  focusPlace(closest);
}
