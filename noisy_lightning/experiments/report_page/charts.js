// Curves over epochs, drawn from the data: axes with units, a line of its own color and dashes for each

const COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];
const DASHES = ["", "7 3", "2 3", "9 3 2 3", "4 2", "1 2"];
const SIZE = { width: 520, height: 250, right: 14, top: 12, bottom: 40 };
const LETTER = 7; // width of a digit, about

/** Panels of curves that share an axis: what it says, whether in percent, and whether it is of a loss function. */
const PANELS = [
  { name: "Accuracy", axis: "accuracy in %", scale: 100, keys: /acc/ },
  { name: "Loss", axis: "mean loss", scale: 1, keys: /loss/, ofLoss: true },
  { name: "What became of the noisy labels", axis: "share of noisy samples in %", scale: 100,
    keys: /memorised|corrected|neither/ },
  { name: "Noise detection", axis: "AUROC, precision, recall", scale: 1, keys: /auroc|label_/ },
  { name: "Learning rate", axis: "learning rate", scale: 1, keys: /^lr$/ },
];

function niceStep(span, most) {
  const raw = span / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
}

/** Return the ticks from low to high, which lie on round numbers. */
function ticksOf(low, high, most, onlyWhole = false) {
  const step = Math.max(niceStep(high - low || 1, most), onlyWhole ? 1 : 0);
  const ticks = [];
  for (let place = Math.ceil(low / step - 1e-9); place * step <= high + step * 1e-9; place += 1) ticks.push(place * step);
  return ticks;
}

const tickText = (value) => (Math.abs(value) < 1e-12 ? "0" : String(Number(value.toPrecision(3))));

function pathOf(points) {
  let isDown = false;
  return points.map(([x, y]) => {
    const part = y === null ? "" : `${isDown ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    isDown = y !== null;
    return part;
  }).join("");
}

/** Return a figure of curves `{ name, epochs, values, color, dash }`, null for one without any point. */
function chart(caption, axis, scale, curves) {
  const drawn = curves.filter(({ values }) => values.some((value) => value !== null));
  if (!drawn.length) return null;
  const all = drawn.flatMap(({ values }) => values).filter((value) => value !== null).map((value) => value * scale);
  const last = drawn.reduce((most, { epochs }) => Math.max(most, epochs.at(-1)), 1);
  let [low, high] = all.reduce(([least, most], value) => [Math.min(least, value), Math.max(most, value)],
    [Infinity, -Infinity]);
  const margin = (high - low || Math.abs(high) || 1) * 0.04;
  low = low >= 0 ? Math.max(0, low - margin) : low - margin;
  high = scale === 100 ? Math.min(100, high + margin) : high + margin;
  const { width, height, right, top, bottom } = SIZE;
  const ticks = ticksOf(low, high, 5);
  const left = 32 + LETTER * Math.max(...ticks.map((tick) => tickText(tick).length));
  const x = (epoch) => left + ((width - left - right) * (epoch - 1)) / Math.max(1, last - 1);
  const y = (value) => height - bottom - ((height - top - bottom) * (value - low)) / (high - low || 1);
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img",
    "aria-label": `${caption}: ${drawn.map((curve) => curve.name).join(", ")}` });
  ticks.forEach((tick) => svg.append(
    make("line", { class: "grid", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
    make("text", { x: left - 7, y: y(tick) + 4, "text-anchor": "end" }, tickText(tick))));
  ticksOf(1, last, 6, true).forEach((tick) => svg.append(
    make("text", { x: x(tick), y: height - bottom + 17, "text-anchor": "middle" }, tickText(tick))));
  svg.append(make("text", { x: (left + width - right) / 2, y: height - 5, "text-anchor": "middle" }, "epoch"),
    make("text", { "text-anchor": "middle", transform: `translate(13 ${(top + height - bottom) / 2}) rotate(-90)` }, axis));
  drawn.forEach(({ epochs, values, color, dash }) => {
    const points = values.map((value, place) => [x(epochs[place]), value === null ? null : y(value * scale)]);
    svg.append(make("path", { class: "line", d: pathOf(points), stroke: color, "stroke-dasharray": dash }));
    const known = points.filter(([, height]) => height !== null);
    if (known.length === 1) svg.append(make("circle", { cx: known[0][0], cy: known[0][1], r: 3.5, fill: color }));
  });
  const legend = make("ul", { class: "legend" }, ...drawn.map(({ name, color, dash }) => make("li", {},
    make("svg", { viewBox: "0 0 26 10", "aria-hidden": "true" },
      make("path", { d: "M0 5L26 5", stroke: color, "stroke-width": 2.5, "stroke-dasharray": dash })),
    make("span", {}, name))));
  return make("figure", { class: "chart" }, make("figcaption", {}, caption), svg, legend);
}

/** Return a small curve for a table, on axes from `low` to `high`. */
function spark(values, low, high) {
  const known = values.map((value, place) => [place, value]).filter(([, value]) => value !== null);
  const x = (place) => 2 + (106 * place) / Math.max(1, values.length - 1);
  const y = (value) => 23 - (20 * (value - low)) / (high - low || 1);
  const points = values.map((value, place) => [x(place), value === null ? null : y(value)]);
  const [end, final] = known.at(-1);
  return make("svg", { class: "spark", viewBox: "0 0 110 26", "aria-hidden": "true" },
    make("path", { d: pathOf(points) }), make("circle", { cx: x(end), cy: y(final), r: 2.2 }));
}
