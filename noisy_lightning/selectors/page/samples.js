"use strict";

const PER_SHEET = 100, COLUMNS = 10, BLOCK = 16; // as in the program that wrote this page
const PICTURE_SIDE = 144; // about how large a thumbnail is shown, in CSS pixels
const LARGE_SIDE = 512; // the same where one is looked at closely
const NEIGHBOR_SIDE = 64;
const SMALL = 64; // pixels; what is smaller is shown pixel by pixel, unless smooth pictures are asked for
const INFINITE = 1e300; // what stands for it, since JSON has no infinity
const SHEETS_IN_MEMORY = 200; // as many as the largest page can need
const UNKNOWN = -1, FOREIGN = -2;
const EXCLUDED = -3, UNSURE = -4; // verdicts that choose no label

const byId = (id) => document.getElementById(id);
const data = JSON.parse(byId("data").textContent);
const count = data.given.length;
const rank = new Int32Array(count); // of each sample, the most suspicious first
data.order.forEach((index, place) => { rank[index] = place; });

const verdicts = new Map(); // the label that was chosen, EXCLUDED or UNSURE, by index

// Text

const number = (value) => value.toLocaleString("en-GB");
const counted = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

function className(label) {
  if (label === FOREIGN) return "none of the classes";
  return label === UNKNOWN ? "unknown" : data.classes[label];
}

function scoreText(score) {
  if (score === null) return "none";
  if (Math.abs(score) >= INFINITE) return score > 0 ? "∞" : "−∞";
  return Math.abs(score) < 1000 ? score.toFixed(3) : score.toPrecision(4);
}

function verdictOf(index) {
  if (!verdicts.has(index)) return "";
  const chosen = verdicts.get(index);
  if (chosen === EXCLUDED) return "excluded";
  if (chosen === UNSURE) return "unsure";
  return chosen === data.given[index] ? "kept" : "changed";
}

/** Return what an image is called: that of a test image, which is no sample, stands as -1 - t. */
function nameOf(index) {
  return index < 0 ? data.tests.paths[-1 - index] ?? `test image ${-1 - index}` : `#${index}`;
}

function say(text, isError = false) {
  const message = byId("message");
  message.textContent = text;
  message.hidden = !text;
  message.className = isError ? "error" : "";
}

// Neighbors

// By the rank of the sample; as an array of arrays they would take ten times the memory.
const neighbors = data.neighbors === null ? null : Int32Array.from(data.neighbors.rows);

/** Return the samples whose images are most like that of a sample, the nearest first. */
function neighborsOf(index) {
  if (neighbors === null || index < 0 || rank[index] >= data.pictured) return [];
  const width = data.neighbors.width;
  return [...neighbors.subarray(rank[index] * width, (rank[index] + 1) * width)].filter((other) => other >= 0);
}

/** Return how many neighbors have which label, such as "4 × dog, 1 × cat". */
function neighborText(index) {
  const counts = new Map();
  for (const other of neighborsOf(index)) counts.set(data.given[other], (counts.get(data.given[other]) ?? 0) + 1);
  const parts = [...counts].sort((one, two) => two[1] - one[1]);
  return parts.map(([label, times]) => `${times}\u00a0× ${className(label)}`).join(", ") || "none";
}

// Pictures: a sheet is decoded when one of its thumbnails is first shown

const decoded = new Map(); // promises of images, by the number of the sheet

function sheet(which) {
  const image = decoded.get(which) ?? decode(which);
  decoded.delete(which); // and back at the end, so that the first is the one not used for longest
  decoded.set(which, image);
  if (decoded.size > SHEETS_IN_MEMORY) decoded.delete(decoded.keys().next().value);
  return image;
}

async function decode(which) {
  const image = new Image();
  const { file } = data.sheets[which];
  image.src = file === null
    ? `data:image/webp;base64,${byId(`sheet-${which}`).textContent}`
    : `${encodeURIComponent(data.folder)}/${encodeURIComponent(file)}`;
  await image.decode();
  return image;
}

/** Draw the thumbnail of an image into a frame, or say why there is none. */
async function drawPicture(frame, index, side = PICTURE_SIDE) {
  if (index < 0 || rank[index] >= data.pictured) {
    return showOriginal(frame, index, () => replacePicture(frame, "no picture"));
  }
  const which = Math.floor(rank[index] / PER_SHEET);
  const [width, height] = data.sheets[which].size;
  const canvas = document.createElement("canvas");
  const whole = Math.floor(side / Math.max(width, height));
  const scale = whole >= 1 ? whole : side / Math.max(width, height);
  Object.assign(canvas, { width, height });
  canvas.classList.toggle("small", isSmall(width, height));
  Object.assign(canvas.style, { width: `${width * scale}px`, height: `${height * scale}px` });
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", `Picture of sample ${index}`);
  frame.replaceChildren(canvas);
  const cell = rank[index] % PER_SHEET;
  const x = (cell % COLUMNS) * Math.ceil(width / BLOCK) * BLOCK;
  const y = Math.floor(cell / COLUMNS) * Math.ceil(height / BLOCK) * BLOCK;
  try {
    const image = await sheet(which);
    canvas.getContext("2d").drawImage(image, x, y, width, height, 0, 0, width, height);
  } catch {
    replacePicture(frame, `its picture should lie in the folder ${data.folder}`);
  }
}

const isSmall = (width, height) => Math.max(width, height) < SMALL;

function replacePicture(frame, text) {
  const note = document.createElement("p");
  note.textContent = text;
  frame.replaceChildren(note);
}

/** Return the address of an image's own file, null where there is none. */
function addressOf(index) {
  const [root, path] = index < 0
    ? [data.tests.root, data.tests.paths[-1 - index] ?? null]
    : [data.root, data.paths === null ? null : data.paths[index]];
  return root === null || path === null ? null : root + path.split("/").map(encodedName).join("/");
}

/** Return a name as a part of an address; a byte that is no text stands in it as half of a surrogate pair. */
function encodedName(name) {
  const parts = name.split(/([\ud800-\udfff])/u);
  return parts.map((part, place) => {
    if (place % 2 === 0) return encodeURIComponent(part);
    return `%${(part.charCodeAt(0) & 0xff).toString(16).padStart(2, "0")}`;
  }).join("");
}

/** Show an image's own file in a frame, and do something else where it cannot be shown. */
function showOriginal(frame, index, otherwise) {
  const address = addressOf(index);
  if (address === null) return otherwise();
  const image = document.createElement("img");
  image.alt = `Picture of ${index < 0 ? nameOf(index) : `sample ${index}`}`;
  image.addEventListener("error", () => { if (image.isConnected) otherwise(); });
  image.src = address;
  frame.replaceChildren(image);
}
