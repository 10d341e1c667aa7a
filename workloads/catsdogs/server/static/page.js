
"use strict";
// The page of the server: asks /predict about pictures, /explain about one, /model about itself. Nothing else.
const at = (id) => document.getElementById(id);
const EYES = '<circle cx="46" cy="62" r="5"/><circle cx="82" cy="62" r="5"/>';
const SAMPLES = {
  cat: `<rect width="128" height="128" fill="#cfe3d4"/><path fill="#c9803f" d="M26 20l26 20h24l26-20v50a38 38 0 0 1-76 0z"/><path fill="#f0c9a0" d="M33 33l14 12-14 8zM95 33L81 45l14 8z"/><g fill="#2b211a">${EYES}<path d="M58 76h12l-6 7z"/></g><path fill="none" stroke="#2b211a" stroke-width="2.5" d="M64 83q-7 9-14 4M64 83q7 9 14 4M38 80L14 74M38 86l-24 4M90 80l24-6M90 86l24 4"/>`,
  dog: `<rect width="128" height="128" fill="#f2dfc3"/><ellipse cx="64" cy="66" rx="38" ry="42" fill="#a9764a"/><path fill="#6b4426" d="M34 34q-22 4-18 40 2 12 12 8 8-22 10-38zM94 34q22 4 18 40-2 12-12 8-8-22-10-38z"/><ellipse cx="64" cy="84" rx="20" ry="17" fill="#ecd3b4"/><g fill="#241a13">${EYES}<ellipse cx="64" cy="76" rx="9" ry="6"/></g><path fill="none" stroke="#241a13" stroke-width="2.5" d="M64 82v8"/><path fill="#d9686f" d="M57 90h14v9a7 7 0 0 1-14 0z"/>`,
  bird: `<rect width="128" height="128" fill="#cfe0f2"/><ellipse cx="62" cy="74" rx="34" ry="30" fill="#e0b93c"/><circle cx="80" cy="46" r="20" fill="#e0b93c"/><path fill="#d9772e" d="M98 44l20 6-20 7z"/><circle cx="84" cy="42" r="4" fill="#22201c"/><path fill="#c0962a" d="M34 70q26-6 34 10-16 16-38 8z"/><path stroke="#7a4a1e" stroke-width="4" fill="none" d="M54 102v16M70 102v16"/>`,
};
const MOST = 16, MOST_BYTES = 9.5e6; // of one request: the server's defaults, with room for the form around them
let items = [], current = 0, turn = 0, key = "";

const svg = (name) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 128 128" width="512" height="512">${SAMPLES[name]}</svg>`;
const sentence = (text) => text[0].toUpperCase() + text.slice(1) + ".";
const share = (value) => (100 * Number(value)).toFixed(1) + " %";
const other = (label) => (label === "cat" ? "dog" : "cat");

function say(text, kind) { at("verdict").textContent = text; at("verdict").className = "verdict " + kind; }

/** The JSON of an answer, or throws a sentence for the person. */
async function call(path, body) {
  const used = key;
  let response, json;
  try {
    response = await fetch(path, { method: body ? "POST" : "GET", body, headers: used ? { "X-API-Key": used } : {} });
    json = await response.json();
  } catch { throw new Error("The server did not answer. Is it still running?"); }
  if (response.status === 401 && used === key) at("key-form").hidden = false;
  if (!response.ok) throw new Error(sentence(json.error || "status " + response.status));
  return json;
}

function form(blobs) {
  const data = new FormData();
  for (const blob of blobs) data.append("file", blob, "picture");
  return data;
}

/** Groups that each fit into one request, in their order. */
function batches(found) {
  const groups = [];
  let bytes = 0;
  for (const item of found) {
    const last = groups[groups.length - 1];
    if (last && last.length < MOST && bytes + item.blob.size <= MOST_BYTES) { last.push(item); bytes += item.blob.size; }
    else { groups.push([item]); bytes = item.blob.size; }
  }
  return groups;
}

async function ask(blobs) {
  const mine = ++turn;
  for (const item of items) URL.revokeObjectURL(item.url);
  items = blobs.map((blob) => ({ blob, url: URL.createObjectURL(blob) }));
  current = 0;
  show();
  for (const group of batches(items)) {
    const begin = performance.now();
    try {
      const body = await call("/predict", form(group.map((item) => item.blob)));
      const answers = body.predictions || [body];
      group.forEach((item, number) => { item.answer = answers[number]; });
    } catch (error) { for (const item of group) item.answer = { error: error.message, whole: true }; }
    if (mine !== turn) return; // pictures that came later
    for (const item of group) item.took = performance.now() - begin;
    show();
  }
}

function show() {
  const item = items[current], answer = item.answer || {};
  drawStrip();
  picture(item);
  for (const name of ["cat", "dog"]) {
    const value = answer.probabilities ? answer.probabilities[name] : 0;
    at(name).value = value;
    at(name + "-share").textContent = answer.probabilities ? share(value) : "–";
  }
  at("looked").hidden = !answer.probabilities;
  at("note").textContent = "";
  heat(item);
  if (!item.answer) say("Looking…", "soft");
  else if (answer.error) say(answer.whole ? answer.error : sentence(answer.error), "error");
  else { say(verdict(answer), ""); at("note").textContent = timing(item); }
}

function verdict(answer) {
  const sure = answer.confidence > .9 ? "" : answer.confidence > .7 ? "Probably " : "Perhaps ";
  const what = answer.label === "cat" ? "a cat" : "a dog";
  return sure ? sure + what : what[0].toUpperCase() + what.slice(1);
}

function timing(item) {
  const { decode_ms: decode, forward_ms: forward } = item.answer.timing;
  const many = items.length > 1 ? `${items.length} pictures answered` : "Answered";
  return `${many} in ${Math.round(item.took)} ms; this one took ${decode.toFixed(1)} ms to decode and ${forward.toFixed(1)} ms in the network.`;
}

function picture(item) {
  const shown = at("picture");
  shown.onerror = () => { item.broken = true; picture(item); }; // no picture after all; the server says so in words
  shown.hidden = Boolean(item.broken);
  at("drop").classList.toggle("full", !item.broken);
  if (shown.src !== item.url) shown.src = item.url;
  shown.alt = items.length > 1 ? `Picture ${current + 1} of ${items.length}` : "The picture that was sent";
  at("hint").firstElementChild.textContent = "Drop, paste or choose others";
}

function drawStrip() {
  at("strip").hidden = items.length < 2;
  at("strip").replaceChildren(...items.map((item, number) => {
    const entry = document.createElement("li"), button = document.createElement("button");
    const thumb = Object.assign(new Image(), { src: item.url, alt: "" });
    const label = document.createElement("span"), answer = item.answer;
    label.textContent = !answer ? "…" : answer.error ? "?" : answer.label;
    button.type = "button";
    button.setAttribute("aria-label", `Picture ${number + 1}: ${!answer ? "waiting" : answer.error || `${answer.label}, ${share(answer.confidence)}`}`);
    if (number === current) button.setAttribute("aria-current", "true");
    button.append(thumb, label);
    button.addEventListener("click", () => { current = number; show(); at("strip").children[number].firstChild.focus(); });
    entry.append(button);
    return entry;
  }));
}

/** Shows or hides the map of the current picture. */
function heat(item) {
  const on = Boolean(item.heat && item.heatShown);
  at("heat").hidden = at("legend").hidden = !on;
  at("drop").classList.toggle("looked", on);
  at("explain").setAttribute("aria-pressed", String(on));
  at("where").textContent = on ? where(item) : item.heatError || "";
  if (on) drawHeat(item);
}

async function explain() {
  const item = items[current];
  if (!item.heat) {
    at("where").textContent = "Looking again…";
    try {
      item.heat = (await call("/explain", form([item.blob]))).heatmap.values;
      item.heatError = "";
    } catch (error) { item.heatError = error.message; }
  }
  item.heatShown = Boolean(item.heat) && !item.heatShown;
  if (items[current] === item) heat(item);
}

/** The map over the picture: each class's colour where it was spoken for, stretched as the network saw it. */
function drawHeat({ heat: rows, answer }) {
  const shown = at("picture");
  const colour = (name) => getComputedStyle(at("legend").querySelector("." + name)).backgroundColor.match(/\d+/g).map(Number);
  const most = Math.max(1e-9, ...rows.flat().map(Math.abs));
  const small = Object.assign(document.createElement("canvas"), { width: rows[0].length, height: rows.length });
  const data = new ImageData(small.width, small.height), colours = { cat: colour("cat"), dog: colour("dog") };
  rows.flat().forEach((value, place) => {
    const [red, green, blue] = colours[value > 0 ? answer.label : other(answer.label)];
    data.data.set([red, green, blue, 255 * .9 * (Math.abs(value) / most) ** .8], 4 * place);
  });
  small.getContext("2d").putImageData(data, 0, 0);
  const scale = 480 / Math.max(shown.naturalWidth, shown.naturalHeight, 1), canvas = at("heat");
  canvas.width = Math.max(1, Math.round(shown.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(shown.naturalHeight * scale));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(small, 0, 0, canvas.width, canvas.height);
}

/** In words, for who does not see the map. */
function where({ heat: rows, answer }) {
  const flat = rows.flat(), place = flat.indexOf(Math.max(...flat));
  const row = Math.floor(place / rows[0].length) / (rows.length - 1 || 1), column = place % rows[0].length / (rows[0].length - 1 || 1);
  const third = (part, names) => names[Math.min(2, Math.floor(part * 3))];
  const spot = `${third(row, ["upper", "middle", "lower"])} ${third(column, ["left", "centre", "right"])}`.replace("middle centre", "middle");
  return `What spoke most for ${answer.label} is in the ${spot}.`;
}

function describe(found) {
  const m = found.metrics || {}, l = found.lineage || {};
  const range = m.testAccuracyLow !== undefined ? ` (${share(m.testAccuracyLow)} to ${share(m.testAccuracyHigh)})` : "";
  const accuracy = m.testAccuracy !== undefined && share(m.testAccuracy) + range + (m.testCount ? `, ${m.testCount} photographs` : "");
  const rows = [
    ["Accuracy on photographs it never saw", accuracy],
    ["Version", found.version, true], ["Training run", found.trainingRun],
    ["Network", `${found.architecture}, sees ${found.imageSize} × ${found.imageSize} pixels`],
    ["Made", found.createdAt && new Date(found.createdAt).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })],
    ["Data version", l.dataVersion, true], ["Git commit", l.gitCommit, true], ["SHA-256 of the file", found.sha256, true],
  ];
  at("model").replaceChildren(...rows.filter((row) => row[1]).map(([name, value, mono]) => {
    const group = document.createElement("div"), term = document.createElement("dt"), text = document.createElement("dd");
    term.textContent = name; text.textContent = value; text.className = mono ? "mono" : "";
    group.append(term, text);
    return group;
  }));
  at("lineage").textContent = JSON.stringify(found, null, 2);
  at("state").textContent = `Model ${found.version || found.sha256.slice(0, 12)} is ready.`;
}

async function load() {
  try { describe(await call("/model")); } catch (error) {
    at("state").textContent = error.message;
    if (at("key-form").hidden) setTimeout(load, 2000); // it may still be loading
  }
}

function take(files) {
  const found = [...(files || [])];
  if (found.length) ask(found);
  return found.length > 0;
}

for (const button of document.querySelectorAll("[data-sample]")) {
  button.innerHTML = svg(button.dataset.sample);
  button.firstChild.setAttribute("aria-hidden", "true");
  button.addEventListener("click", () => {
    const drawing = new Image();
    drawing.onload = () => {
      const canvas = Object.assign(document.createElement("canvas"), { width: 512, height: 512 });
      canvas.getContext("2d").drawImage(drawing, 0, 0);
      canvas.toBlob((blob) => ask([blob]), "image/png");
    };
    drawing.src = "data:image/svg+xml," + encodeURIComponent(svg(button.dataset.sample));
  });
}
at("file").addEventListener("change", (event) => { take(event.target.files); event.target.value = ""; });
at("explain").addEventListener("click", explain);
at("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key = at("key").value; at("key").value = ""; at("key-form").hidden = true;
  load();
  if (items.length) ask(items.map((item) => item.blob));
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));
document.addEventListener("dragover", (event) => { event.preventDefault(); at("drop").classList.add("over"); });
document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) at("drop").classList.remove("over"); });
document.addEventListener("drop", (event) => {
  event.preventDefault(); at("drop").classList.remove("over");
  if (!take(event.dataTransfer.files)) say("That was no file.", "error");
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (items.length) heat(items[current]); });
load();
