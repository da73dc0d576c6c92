"use strict";

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const runs = data.runs;
const columns = data.columns;
const columnOf = new Map(columns.map((column, place) => [column.key, place]));
const runOf = new Map(runs.map((run) => [run.id, run]));
const title = document.title;

// Elements: texts from outside become text nodes and attributes, never markup.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "path", "line", "text", "circle", "g"]);

function make(tag, attributes = {}, ...children) {
  const element = SVG_TAGS.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  Object.entries(attributes).forEach(([name, value]) => element.setAttribute(name, value));
  element.append(...children);
  return element;
}

/** Return a table; a cell is a text or an element, and those in `texts` stand at the left. */
function makeTable(caption, head, rows, texts = [], className = "numbers") {
  const kind = (place) => (texts.includes(place) ? { class: "text" } : {});
  return make("div", { class: "wide" }, make("table", { class: className },
    ...(caption ? [make("caption", {}, make("span", {}, caption))] : []),
    make("thead", {}, make("tr", {}, ...head.map((name, place) => make("th", { scope: "col", ...kind(place) }, name)))),
    make("tbody", {}, ...rows.map((cells) => make("tr", {}, ...cells.map((cell, place) => (
      place === 0 ? make("th", { scope: "row", ...kind(place) }, cell) : make("td", kind(place), cell))))))));
}

// Values

const ABSENT = "–";
const whole = (value) => value.toLocaleString("en-US");
const percent = (value) => (value === null || value === undefined ? ABSENT : (100 * value).toFixed(2));

function numberText(value) {
  if (Number.isInteger(value)) return Math.abs(value) < 10_000 ? String(value) : whole(value);
  if (Math.abs(value) >= 1000) return whole(Math.round(value));
  return Math.abs(value) >= 100 ? value.toFixed(1) : String(Number(value.toPrecision(4)));
}

// Digits after the point, the same down a column; null: as many as each number has, such as those of an axis.
columns.forEach((column, place) => {
  const values = runs.map((run) => run.values[place]).filter((value) => typeof value === "number").map(Math.abs);
  const isWhole = values.every(Number.isInteger);
  const top = values.reduce((most, value) => Math.max(most, value), 0);
  const digits = [[1000, 0], [100, 1], [1, 2], [0, 4]].find(([least]) => top >= least)[1];
  column.digits = column.key.startsWith("axis_") || isWhole || (top > 0 && top < 0.01) ? null : digits;
  column.isLong = values.length === 0 && runs.some((run) => String(run.values[place] ?? "").length > 24);
});

function shownText(column, value) {
  if (value === null || value === undefined) return ABSENT;
  if (column.kind === "percent") return percent(value);
  if (column.kind === "epoch") return numberText(value + 1); // people count from 1
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value !== "number") return value;
  return column.digits === null ? numberText(value)
    : value.toLocaleString("en-US", { minimumFractionDigits: column.digits, maximumFractionDigits: column.digits });
}

const valueOf = (run, key) => (columnOf.has(key) ? run.values[columnOf.get(key)] : null);
const isFailed = (run) => valueOf(run, "status") === "failed";

/** Return what a run is called: the last part of its folder, which a sweep makes of what it varies. */
function nameOf(run) {
  const path = String(valueOf(run, "run"));
  const parts = path.split("/").filter(Boolean);
  if (!parts.length) return path;
  return /^\d+$/.test(parts.at(-1)) ? parts.slice(-2).join("/") : parts.at(-1);
}

/** Return all settings of a run by dotted key. */
const settingsOf = (run) => (run.hasSettings ? { ...data.shared, ...run.facts } : {});

function say(text) {
  byId("message").textContent = text;
  byId("message").hidden = !text;
}

function download(name, text) {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // by then the browser has it
}

// A spreadsheet takes a cell for a formula that begins with one of these; the last one marks what was so marked.
const FORMULA = /^[=+\-@\t\r']/;

function asCell(value) {
  if (value === null || value === undefined) return "";
  const text = typeof value === "string" && FORMULA.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

const asCsv = (rows) => rows.map((row) => `${row.map(asCell).join(",")}\n`).join("");
