// The page of one run: what it was, what it reached, and how to run it again

const TEST_NAMES = { last: "last epoch", best: "chosen epoch" };

const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

function facts(pairs) {
  return make("dl", { class: "facts" },
    ...pairs.filter(([, text]) => text !== null && text !== ABSENT).flatMap(([name, text]) => [
      make("dt", {}, name), make("dd", {}, text)]));
}

const fact = (run, key, name) => {
  const place = columnOf.get(key);
  return [name ?? columns[place]?.name, place === undefined ? null : shownText(columns[place], run.values[place])];
};

function noiseFacts(run) {
  const share = (key) => (valueOf(run, key) === null ? "unknown" : `${percent(valueOf(run, key))} %`);
  return [
    fact(run, "dataset", "data set"), fact(run, "noise", "noise"),
    ["noise rate", `${share("rate_nominal")} nominal, ${share("rate_realised")} realized`],
    fact(run, "noise_hash", "SHA-256 of the labels"),
  ];
}

function machineFacts(run) {
  const versions = columns.filter(({ key }) => key.startsWith("version_") && valueOf(run, key) !== null)
    .map(({ key }) => `${key.slice(8)} ${valueOf(run, key)}`).join(", ");
  const threads = valueOf(run, "threads");
  const device = valueOf(run, "device") === null ? null
    : `${valueOf(run, "devices")} × ${valueOf(run, "device")}${threads === null ? "" : `, ${threads} threads`}`;
  return [
    ["machine", device], fact(run, "precision"), ["versions", versions || null],
    fact(run, "git_commit", "commit (+: with changes)"), fact(run, "seconds", "time in s"),
    fact(run, "images_per_second", "images/s"), fact(run, "peak_memory_mib", "memory in MiB"),
    fact(run, "parameters", "parameters of the network"),
  ];
}

function results(run) {
  const rows = data.rules.filter(([place]) => run.values[place] !== null).map(([place, name]) => {
    const key = columns[place].key;
    const epoch = { acc_last: "epochs", acc_chosen: "epoch_chosen", acc_best_oracle: "epoch_best_oracle" }[key];
    const at = epoch ? shownText(columns[columnOf.get(epoch)] ?? {}, valueOf(run, epoch)) : ABSENT;
    const further = run.tests?.[{ acc_last: "last", acc_chosen: "best" }[key]] ?? {};
    return [name, percent(run.values[place]), at,
      further["test/loss"] === undefined ? ABSENT : numberText(further["test/loss"]), percent(further["test/ece"])];
  });
  const head = ["epoch rule", "accuracy in %", "epoch", "mean loss", "calibration error in %"];
  return rows.length ? makeTable("On the test set", head, rows) : make("p", { class: "quiet" }, "It was not tested.");
}

function perClass(run) {
  const tests = Object.entries(run.classes ?? {});
  if (!tests.length) return "";
  const bar = (value) => {
    const filled = make("span", { "aria-hidden": "true" });
    filled.style.width = `${100 * (value ?? 0)}%`;
    return filled;
  };
  const [lastName, last] = tests.find(([name]) => name === "last") ?? tests[0];
  const rows = last.map((_, label) => [run.classNames?.[label] ?? `class ${label}`,
    ...tests.map(([, values]) => percent(values[label])), bar(last[label])]);
  const head = ["class", ...tests.map(([name]) => `${TEST_NAMES[name] ?? name}, %`), `${TEST_NAMES[lastName] ?? lastName}, 0 to 100 %`];
  const table = makeTable("Accuracy on the test images of each class", head, rows, [], "numbers bars");
  table.querySelectorAll("tbody td:last-child").forEach((cell) => { cell.className = "bar-cell"; });
  return table;
}

/** Return what is drawn of some runs: a panel for each kind of curve. */
function curvesOf(run) {
  return PANELS.map(({ name, axis, scale, keys }) => chart(name, axis, scale,
    Object.keys(data.curves).filter((key) => keys.test(key) && run.curves?.[key]).map((key, place) => ({
      name: data.curves[key], epochs: run.curves.epoch, values: run.curves[key],
      color: COLORS[place], dash: DASHES[place],
    })))).filter(Boolean);
}

/** Return the command lines that run it again: the resolved configuration is in the folder. */
function commands(run) {
  const folder = String(valueOf(run, "run")).replace(/\/$/, "");
  const settings = settingsOf(run);
  const parts = folder.split("/").slice(0, -1);
  const experiment = parts.pop();
  // By name: a configuration may leave it to its own file's name, which in the folder is config.yaml.
  const place = experiment === undefined ? "" : ` --run.root ${quoted(parts.join("/") || (folder.startsWith("/") ? "/" : "."))}`
    + ` --run.experiment ${quoted(experiment)}`;
  const lines = [`noisy-lightning fit --config ${quoted(`${folder}/config.yaml`)}${place} --run.version again`];
  const commit = valueOf(run, "git_commit");
  if (commit !== null) lines.unshift(`git checkout ${quoted(String(commit).replace(/\+$/, ""))}  # of noisy_lightning`);
  lines.push(`noisy-lightning test ${quoted(`${folder.split("/").slice(0, -1).join("/") || "."}/again`)}`);
  return { lines, settings };
}

function showRun(run) {
  const section = byId("run");
  const heading = make("h2", { tabindex: "-1" }, nameOf(run));
  const parts = [heading, make("p", { class: "quiet" }, String(valueOf(run, "run")))];
  if (isFailed(run)) {
    section.replaceChildren(...parts, make("h3", {}, "It failed"), make("pre", {}, String(valueOf(run, "error"))));
    return;
  }
  const box = make("button", { type: "button" });
  const label = () => { box.textContent = state.chosen.includes(run.id) ? "Do not compare" : "Add to compare"; };
  box.addEventListener("click", () => { choose(run, !state.chosen.includes(run.id)); label(); });
  label();
  const charts = curvesOf(run);
  const { lines, settings } = commands(run);
  const diverged = valueOf(run, "diverged");
  section.replaceChildren(...parts, box,
    ...(diverged ? [make("p", {}, `Diverged, and went on: ${diverged}`)] : []),
    ...(valueOf(run, "oracle") ? [make("p", {}, "Oracle: it knew what only an experiment knows of the true labels.")] : []),
    make("h3", {}, "Data and noise"), facts(noiseFacts(run)),
    make("h3", {}, "What was run"),
    facts(["method", "loss", "backbone", "optimizer", "epochs", "batch_size", "validation", "seed", "data_seed"]
      .map((key) => fact(run, key))),
    make("h3", {}, "Results"), results(run), perClass(run),
    ...(charts.length ? [make("h3", {}, "Curves"), make("div", { class: "charts" }, ...charts)]
      : [make("p", { class: "quiet" }, "Its folder was not there when this page was written, so there are no curves.")]),
    make("h3", {}, "Made with"), facts(machineFacts(run)),
    make("h3", {}, "Run it again"), make("pre", {}, lines.join("\n")),
    ...(Object.keys(settings).length ? [make("details", {}, make("summary", {}, "All settings"),
      makeTable("", ["key", "value"], Object.entries(settings), [0, 1]))] : []));
}
