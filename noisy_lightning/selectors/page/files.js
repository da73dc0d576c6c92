// Export and import

const VERDICTS = ["index", "path", "label", "verdict", "new_label"];
const LABELS = ["index", "given_label", "previous_label", "verdict"];
const WORDS = { kept: "keep", changed: "change", excluded: "exclude", unsure: "unsure" };
// A spreadsheet takes a cell for a formula that begins with one of these; the last one marks what was so marked.
const FORMULA = /^[=+\-@\t\r']/;
const asCell = (text) => (FORMULA.test(text) ? `'${text}` : text);
const ofCell = (text) => (text[0] === "'" && FORMULA.test(text.slice(1)) ? text.slice(1) : text);
const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
/** Return a text as a file holds it: a byte of a name that is no text has no place there. */
const inFile = (text) => text.replace(/[\ud800-\udfff]/gu, "\ufffd");
const asLines = (rows) => rows.map((row) => `${row.join(",")}\n`).join("");

/** Return the verdicts, a row for each, by the names of the classes. */
function verdictsText() {
  const rows = [...verdicts.keys()].sort((one, two) => one - two).map((index) => {
    const verdict = verdictOf(index);
    const path = data.paths === null ? "" : data.paths[index];
    const chosen = verdict === "changed" ? data.classes[verdicts.get(index)] : "";
    return [index, quoted(asCell(path)), quoted(asCell(data.classes[data.given[index]])), WORDS[verdict],
      quoted(asCell(chosen))];
  });
  return asLines([VERDICTS, ...rows]);
}

/** Return the labels after the verdicts, a row for every sample: no sample can be left out of them. */
function labelsText() {
  const rows = [data.paths === null ? LABELS : [...LABELS, "path"]];
  data.given.forEach((given, index) => {
    const verdict = verdictOf(index);
    const row = [index, verdict === "changed" ? verdicts.get(index) : given, given, verdict];
    rows.push(data.paths === null ? row : [...row, quoted(asCell(data.paths[index]))]);
  });
  return asLines(rows);
}

function download(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // by then the browser has it
}

function exportLabels() {
  download("labels.csv", labelsText());
  const excluded = [...verdicts.values()].filter((label) => label === EXCLUDED).length;
  if (excluded) {
    say(`labels.csv has a label for every sample, and so for the ${number(excluded)} excluded, too: `
      + "verdicts.csv leaves them out, by noisy-lightning clean --apply.");
  }
}

/** Return the rows of a CSV text; a quoted cell may hold commas, quotes and line ends. */
function csvRows(text) {
  const rows = [];
  let row = [];
  for (const [, plain, inQuotes, end] of text.matchAll(/(?:([^",\r\n]*)|"((?:[^"]|"")*)")(,|\r?\n|\r|$)/g)) {
    row.push(inQuotes === undefined ? plain : inQuotes.replaceAll('""', '"'));
    if (end === ",") continue;
    rows.push(row);
    row = [];
  }
  return rows.filter((cells) => cells.length > 1 || cells[0]); // without empty lines
}

/** Return [index, label] of each verdict in a file of verdicts or of labels; throws what is wrong with it. */
function readVerdicts(text) {
  const [header = [], ...rows] = csvRows(text.replace(/^\ufeff/, ""));
  const names = header.includes("new_label") ? VERDICTS : LABELS;
  const columns = names.map((name) => header.indexOf(name));
  const missing = names.filter((_, place) => columns[place] < 0);
  if (missing.length) throw new Error(`it has no column ${missing.join(", ")}`);
  const cells = rows.map((row) => columns.map((column) => row[column] ?? ""));
  return names === VERDICTS ? ofVerdicts(cells) : ofLabels(cells);
}

function ofVerdicts(rows) {
  const seen = new Set();
  return rows.flatMap(([index, path, label, word, chosen]) => {
    const place = Number(index);
    if (!/^\d+$/.test(index) || place >= count) throw new Error(`it has index ${index}, which is no sample here`);
    if (seen.has(place)) throw new Error(`it has index ${index} twice`);
    seen.add(place);
    const here = [data.paths === null ? "" : data.paths[place], data.classes[data.given[place]]].map(inFile);
    [path, label].map(ofCell).forEach((there, which) => {
      if (there !== here[which]) {
        throw new Error(`it is about other samples: ${index} is ${there || "nothing"} there, here ${here[which]}`);
      }
    });
    const chosenLabel = data.classes.map(inFile).indexOf(ofCell(chosen));
    const found = {
      "": undefined, keep: data.given[place], change: chosenLabel, exclude: EXCLUDED, unsure: UNSURE,
    };
    const fits = word === "change" ? chosenLabel >= 0 && chosenLabel !== data.given[place] : chosen === "";
    if (!Object.hasOwn(found, word) || !fits) {
      throw new Error(`sample ${index} has the verdict "${word}" and the new_label "${chosen}", which cannot be`);
    }
    return word ? [[place, found[word]]] : [];
  });
}

function ofLabels(rows) {
  if (rows.length !== count) {
    throw new Error(`it has ${number(rows.length)} samples, this page ${number(count)}`);
  }
  return rows.flatMap(([index, label, previous, verdict], place) => {
    if (index !== String(place)) throw new Error(`it has index ${index} where ${place} belongs`);
    if (previous !== String(data.given[place])) {
      throw new Error(`it is about other labels: sample ${place} had ${previous} there, here ${data.given[place]}`);
    }
    const isChanged = verdict === "changed";
    const known = ["", "kept", "changed", "excluded", "unsure"].includes(verdict);
    if (!known || isChanged === (label === previous) || !/^\d+$/.test(label) || !(label in data.classes)) {
      throw new Error(`sample ${place} has the given_label ${label} and the verdict "${verdict}", which cannot be`);
    }
    const chosen = { excluded: EXCLUDED, unsure: UNSURE }[verdict] ?? Number(label);
    return verdict ? [[place, chosen]] : [];
  });
}

async function importVerdicts(file) {
  try {
    const steps = readVerdicts(await file.text());
    if (steps.length) change(steps);
    say(`${number(steps.length)} verdicts were read from ${file.name}.`);
  } catch (error) {
    say(`${file.name} was not imported: ${error.message}.`, true);
  }
}
