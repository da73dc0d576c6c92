// Runs side by side: in what their settings differ, what they reached, their curves, and their samples

function swatch(place) {
  const mark = make("span", { class: "swatch", "aria-hidden": "true" });
  mark.style.background = COLORS[place];
  return mark;
}

/** Return the dotted keys in which settings differ, with the value of each run. */
function differences(chosen) {
  const settings = chosen.map(settingsOf);
  const known = settings.filter((one) => Object.keys(one).length);
  const keys = [...new Set(known.flatMap((one) => Object.keys(one)))];
  return keys.map((key) => [key, ...settings.map((one) => one[key] ?? ABSENT)])
    .filter(([, ...values]) => new Set(values).size > 1);
}

function reached(chosen) {
  const keys = [...data.rules.map(([place]) => columns[place].key), "auroc", "memorised", "corrected", "rate_realised",
    "seconds", "images_per_second"];
  return keys.filter((key) => chosen.some((run) => valueOf(run, key) !== null)).map((key) => {
    const column = columns[columnOf.get(key)];
    return [column.name, ...chosen.map((run) => shownText(column, valueOf(run, key)))];
  });
}

/** Return charts of one curve each, of all runs that have it. */
function overlaid(chosen, keys, ofLoss = null) {
  return keys.map((key) => {
    const panel = PANELS.find((one) => one.keys.test(key));
    const curves = chosen.flatMap((run, place) => {
      const isHere = run.curves?.[key] && (ofLoss === null || valueOf(run, "loss") === ofLoss);
      return isHere ? [{ name: nameOf(run), epochs: run.curves.epoch, values: run.curves[key], color: COLORS[place],
        dash: DASHES[place] }] : [];
    });
    return chart(curveName(key), panel.axis, panel.scale, curves);
  }).filter(Boolean);
}

/** Return all charts; losses of different functions stand apart, for they share no scale. */
function curvesCompared(chosen) {
  const keys = Object.keys(data.curves);
  const functions = [...new Set(chosen.map((run) => valueOf(run, "loss")))];
  const grid = (charts) => (charts.length ? [make("div", { class: "charts" }, ...charts)] : []);
  if (functions.length < 2) return grid(overlaid(chosen, keys));
  const losses = functions.flatMap((name) => {
    const charts = overlaid(chosen, keys.filter(isLoss), name);
    return charts.length ? [make("h4", {}, `Loss ${name}`), ...grid(charts)] : [];
  });
  const why = make("p", { class: "quiet apart" }, "Losses are drawn apart: different functions measure different things, "
    + "so that a lower value of one says nothing about another.");
  return [...grid(overlaid(chosen, keys.filter((key) => !isLoss(key)))), ...(losses.length ? [why, ...losses] : [])];
}

function showCompared() {
  const section = byId("compared");
  const chosen = state.chosen.map((id) => runOf.get(id));
  const heading = make("h2", { tabindex: "-1" }, "Compare");
  if (chosen.length < 2) {
    section.replaceChildren(heading, make("p", {}, "Choose two or more runs in the table of runs: the boxes at the left."));
    return;
  }
  const names = chosen.map((run, place) => {
    const link = make("a", { href: addressOf("run", run.id) }, nameOf(run));
    return make("span", {}, swatch(place), link);
  });
  const head = () => ["", ...names.map((name) => name.cloneNode(true))];
  const texts = [0, ...chosen.map((_, place) => place + 1)];
  const differing = differences(chosen);
  const isKnown = chosen.every((run) => run.hasSettings);
  const charts = curvesCompared(chosen);
  section.replaceChildren(heading,
    make("h3", {}, "Settings that differ"),
    differing.length ? makeTable("", head(), differing, texts)
      : make("p", { class: "quiet" }, isKnown ? "None." : "Their settings are not in the ledger."),
    make("h3", {}, "Results"), makeTable("", head(), reached(chosen)),
    ...(charts.length ? [make("h3", {}, "Curves"), ...charts] : []),
    ...chosen.slice(1).flatMap((run) => comparedSamples(chosen[0], run)));
}
