// Which noisy samples two runs memorized, from bits over the noisy samples of the labels that they share

const OUTCOMES = ["memorized", "corrected", "neither"];
const UNSEEN = 3;
const MOST_LISTED = 200;

function bitsOf(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return (place) => ((bytes[place >> 3] >> (place & 7)) & 1) === 1;
}

/** Return what became of each noisy sample: a place in OUTCOMES, or UNSEEN. */
function outcomesOf(run) {
  const { noisy } = data.groups[run.samples.group];
  const memorized = bitsOf(run.samples.memorised);
  const corrected = bitsOf(run.samples.corrected);
  const seen = run.samples.seen ? bitsOf(run.samples.seen) : () => true;
  return Uint8Array.from({ length: noisy }, (_, place) => {
    if (!seen(place)) return UNSEEN;
    return memorized(place) ? 0 : corrected(place) ? 1 : 2;
  });
}

/** Return the indices of a group's noisy samples in the original training set. */
function indicesOf(group) {
  const isNoisy = bitsOf(group.where);
  const found = [];
  for (let index = 0; index < group.samples; index += 1) if (isNoisy(index)) found.push(index);
  return found;
}

function listOfIndices(text, indices) {
  const more = indices.length > MOST_LISTED ? `, and ${whole(indices.length - MOST_LISTED)} more` : "";
  return make("details", {}, make("summary", {}, `${text}: ${whole(indices.length)} samples`),
    make("p", { class: "indices" }, indices.slice(0, MOST_LISTED).join(", ") + more || "none"));
}

/** Return what two runs memorized, or why that cannot be said. */
function comparedSamples(one, two) {
  const heading = make("h3", {}, `Noisy samples: ${nameOf(one)} and ${nameOf(two)}`);
  if (!one.samples || !two.samples || one.samples.group !== two.samples.group) {
    const other = valueOf(one, "noise_hash") !== valueOf(two, "noise_hash");
    return [heading, make("p", { class: "quiet" }, other
      ? "They were trained on other labels (other data, noise or seed of the data), so no sample is the same in both."
      : "There are no records of both in this page, or no true labels are known.")];
  }
  const group = data.groups[one.samples.group];
  const [first, second] = [outcomesOf(one), outcomesOf(two)];
  const places = [...first.keys()].filter((place) => first[place] !== UNSEEN && second[place] !== UNSEEN);
  const counts = OUTCOMES.map(() => OUTCOMES.map(() => 0));
  places.forEach((place) => { counts[first[place]][second[place]] += 1; });
  const total = (row) => counts[row].reduce((sum, count) => sum + count, 0);
  const rows = OUTCOMES.map((name, row) => [`${name} by the first`, ...counts[row].map(whole), whole(total(row))]);
  rows.push(["all", ...OUTCOMES.map((_, place) => whole(counts.reduce((sum, row) => sum + row[place], 0))),
    whole(places.length)]);
  const indices = indicesOf(group);
  const onlyIn = (mine, others) => places.filter((place) => mine[place] === 0 && others[place] !== 0)
    .map((place) => indices[place]);
  const [onlyFirst, onlySecond] = [onlyIn(first, second), onlyIn(second, first)];
  const neither = places.length - counts[0][0] - onlyFirst.length - onlySecond.length;
  const button = make("button", { type: "button" }, "Export these samples as CSV");
  button.addEventListener("click", () => download("samples.csv", asCsv([["index", nameOf(one), nameOf(two)],
    ...places.map((place) => [indices[place], OUTCOMES[first[place]], OUTCOMES[second[place]]])])));
  const unseen = group.noisy - places.length;
  return [heading,
    make("p", {}, `Of ${whole(places.length)} noisy samples of ${group.dataset}, in the last recorded epoch: memorized `
      + `by both ${whole(counts[0][0])}, by the first only ${whole(onlyFirst.length)}, by the second only `
      + `${whole(onlySecond.length)}, by none ${whole(neither)}.`
      + (unseen ? ` ${whole(unseen)} more were held out by one of them, and do not count.` : "")),
    makeTable("", ["", ...OUTCOMES.map((name) => `${name} by the second`), "all"], rows),
    listOfIndices(`Memorized by ${nameOf(one)} only`, onlyFirst),
    listOfIndices(`Memorized by ${nameOf(two)} only`, onlySecond), button];
}
