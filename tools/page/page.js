// The page: files come in, are followed until they are segmented, and shown at any threshold.

import * as server from "./server.js";
import * as view from "./view.js";

const $ = (id) => document.getElementById(id);
const EVERY = 250; // milliseconds between questions
const CHOSEN = 50; // per cent: where a class of two is the more probable

const images = new Map(); // key: {name, status, ...} in the order of coming
let model = { classes: [], colours: [], limit: Infinity, most: 1 };
let current = null;      // the image that is shown
let shown = { key: "" };   // its page that is drawn: bitmap, and classes or prob
let uploads = 0;
let turn = Promise.resolve(); // of the next file to be sent

// ------------------------------------------------------------------ files come in

function take(files) {
  const fresh = files.map((file) => ({
    key: `upload-${++uploads}`, name: file.name, status: "queued", share: 0, file, stop: new AbortController(),
  }));
  for (const one of fresh) images.set(one.key, one);
  if (fresh.length) choose(fresh[0]);
  for (const one of fresh) turn = turn.then(() => sendInTurn(one, fresh));
}

/** Sends a file as soon as the server has room for one more that waits.  One that is refused does not
    hide the others that came with it. */
async function sendInTurn(one, together) {
  while (images.has(one.key) && unfinished() >= model.most) await later();
  if (images.has(one.key)) await send(one);
  delete one.file;
  const other = together.find((file) => images.has(file.key) && file.status !== "failed");
  if (one === current && one.status === "failed" && other) choose(other);
}

const later = () => new Promise((go) => setTimeout(go, EVERY));
const unfinished = () => [...images.values()].filter((one) => one.id && ["waiting", "running"].includes(one.status)).length;

async function send(one) {
  if (one.file.size > model.limit) {
    return fail(one, `${one.name}: is too large; expected at most ${mib(model.limit)}, found ${mib(one.file.size)}. `
      + "Start the server with a larger --max-upload, or use demitasse deploy.");
  }
  one.status = "sending";
  list();
  try {
    const told = (share) => { one.share = share; progress(); };
    Object.assign(one, await server.send(one.file, told, one.stop.signal));
    const old = one.instead && [...images.values()].find((other) => other.id === one.instead);
    if (old) fail(old, `${old.name}: has made room: the server keeps ${model.most} images. Drop it again to see it.`, "gone");
    if (one === current) choose(one);
    list();
    follow(one);
  } catch (error) {
    if (error.name !== "AbortError") fail(one, error.message);
  }
}

function fail(one, words, status = "failed") {
  if (status === "gone") delete one.id;
  one.status = status;
  one.error = words;
  if (one === current) choose(one);
  list();
}

async function follow(one) {
  let said = 0;
  while (images.has(one.key) && (one.status === "waiting" || one.status === "running")) {
    await later();
    try {
      Object.assign(one, await server.state(one.id));
    } catch (error) {
      if (images.has(one.key)) fail(one, error.message);
      return;
    }
    const quarter = one.tiles ? Math.floor(4 * one.done / one.tiles) : 0;
    if (one === current && quarter > said && one.status === "running") {
      said = quarter;
      say(`${one.name}: ${one.done} of ${one.tiles} tiles`);
    }
    list();
    progress();
  }
  if (one.status === "done") say(`${one.name} is segmented.`);
  if (one === current) choose(one);
}

function remove(one) {
  images.delete(one.key);
  one.stop?.abort();
  if (one.id) server.forget(one.id).catch(() => {});
  if (one === current) {
    current = null;
    const next = [...images.values()].pop();
    if (next) choose(next); else nothing();
  }
  list();
  $("file").focus();
}

// ------------------------------------------------------------------ what is shown

/** Makes an image the one that is shown, as far as it has come. */
async function choose(one) {
  current = one;
  const lost = ["failed", "gone"].includes(one.status);
  $("error").hidden = !lost;
  $("error").textContent = one.error ?? "";
  const done = one.status === "done";
  for (const id of ["settings", "save"]) $(id).hidden = !done;
  list();
  progress();
  facts();
  if (!one.id) {
    $("stage").hidden = $("scale").hidden = true;
    $("swipe").hidden = true;
    $("empty").hidden = !lost;
    return;
  }
  $("pages").hidden = one.pages.length < 2;
  $("page").max = one.pages.length;
  $("page").value = Math.min($("page").value, one.pages.length);
  await open(one);
}

/** Fetches and draws the page of the slider. */
async function open(one) {
  if (!one.id) return;
  const place = $("page").value - 1;
  const named = one.pages[place] === place ? "" : ` (page ${one.pages[place] + 1} of the file)`;
  $("page-said").textContent = `${place + 1} of ${one.pages.length}${named}`;
  const key = `${one.id} ${place} ${$("class").value} ${one.status}`;
  if (shown.key === key) return draw();
  const fresh = { key, one, place, bitmap: null, classes: null, prob: null };
  try {
    const same = shown.one === one && shown.place === place;
    fresh.bitmap = same ? shown.bitmap : await server.picture(one.id, place);
    if (one.status === "done") {
      const kind = Number($("class").value);
      if (kind === 0) fresh.classes = await server.bytes(one.id, place, null);
      else fresh.prob = await server.bytes(one.id, place, kind);
    }
    if (one !== current || place !== $("page").value - 1) return;
    shown = fresh;
    view.show(fresh.bitmap, one.width, one.height, one.pixel_size);
    draw();
  } catch (error) {
    if (images.has(one.key)) fail(one, error.message);
  }
}

/** Draws the segmentation at the threshold and opacity of the sliders. */
function draw() {
  const one = current, kind = Number($("class").value), every = kind === 0;
  const at = Number($("threshold").value), opacity = Number($("opacity").value);
  $("threshold").disabled = every;
  $("threshold-said").textContent = every ? "the most probable" : (at / 100).toFixed(2);
  $("opacity-said").textContent = `${opacity} %`;
  $("reset").hidden = every || at === CHOSEN;
  if (one?.status !== "done" || !(shown.classes || shown.prob)) return view.bare();
  let classes = shown.classes;
  if (!every) {
    const least = Math.ceil(256 * at / 100); // a byte q says p > k/256 by q >= k
    classes = shown.prob.map((q) => (q >= least ? kind : 0));
  }
  const count = view.paint(classes, model.colours, opacity / 100);
  share(count / classes.length, one, every ? "Objects cover" : `${capital(model.classes[kind])} covers`);
  links(one, kind, every || (at === CHOSEN && model.classes.length === 2) ? null : at / 100);
}

function share(part, one, what) {
  const pixel = one.pixel_size;
  const area = pixel ? part * one.width * one.height * pixel[0] * pixel[1] : null;
  $("share").textContent = `${what} ${(100 * part).toFixed(1)} % of the image`
    + (area === null ? "." : `, ${Number(area.toPrecision(4)).toLocaleString("en")} µm².`);
}

function links(one, kind, threshold) {
  const files = { labels: "labels.tif", objects: "objects.csv", rois: "rois.zip" };
  for (const [id, name] of Object.entries(files)) $(id).href = server.address(one.id, name, kind, threshold);
  $("ome").href = server.address(one.id, "ome.tif", kind, null);
  $("labels").textContent = threshold === null ? "Labels (TIFF)" : `Labels at ${threshold.toFixed(2)} (TIFF)`;
}

function progress() {
  const one = current, busy = ["queued", "sending", "waiting", "running"].includes(one?.status);
  $("progress").hidden = !busy;
  if (!busy) return;
  const bar = $("bar");
  if (one.status === "sending") bar.value = one.share;
  else if (one.tiles) bar.value = one.done / one.tiles;
  else bar.removeAttribute("value");
  $("doing").textContent = {
    queued: `${one.name} waits for its turn`,
    sending: `Reading ${one.name}`,
    waiting: `${one.name} waits for its turn`,
    running: one.tiles ? `Tile ${Math.min(one.done + 1, one.tiles)} of ${one.tiles}` : "Planning the tiles",
  }[one.status];
}

function facts() {
  const one = current;
  $("about").hidden = !one?.summary;
  if (!one?.summary) return;
  const took = one.status === "done" ? [`segmented in ${one.seconds.toFixed(1)} s, ${one.tiles} ${one.tiles === 1 ? "tile" : "tiles"}`] : [];
  const lines = [one.name, one.summary, ...took, ...one.notes];
  $("facts").replaceChildren(...lines.map((line) => Object.assign(document.createElement("li"), { textContent: line })));
}

/** Rows stay what they are, so that focus and a click half done survive. */
function list() {
  $("list").hidden = $("side").hidden = images.size === 0;
  for (const row of [...$("images").children]) if (!images.has(row.dataset.key)) row.remove();
  const words = {
    queued: "waits", sending: "reading", waiting: "waits", done: "done", failed: "refused", gone: "made room", cancelled: "cancelled",
  };
  for (const one of images.values()) {
    one.row ??= rowOf(one);
    const [name] = one.row.children, [, status] = name.children;
    const share = `${Math.floor(100 * one.done / (one.tiles || 1))} %`;
    status.textContent = one.status === "running" ? share : words[one.status];
    name.setAttribute("aria-current", one === current);
  }
}

function rowOf(one) {
  const row = document.createElement("li"), name = document.createElement("button"), cross = document.createElement("button");
  row.dataset.key = one.key;
  name.className = "name";
  name.append(span(one.name), span(""));
  name.onclick = () => choose(one);
  cross.className = "remove";
  cross.textContent = "×";
  cross.setAttribute("aria-label", `Remove ${one.name}`);
  cross.onclick = () => remove(one);
  row.append(name, cross);
  $("images").append(row);
  return row;
}

function nothing() {
  for (const id of ["stage", "swipe", "scale", "error", "progress", "settings", "save", "about"]) $(id).hidden = true;
  $("empty").hidden = false;
}

const span = (text) => Object.assign(document.createElement("span"), { textContent: text });
const mib = (size) => `${(size / 2 ** 20).toLocaleString("en", { maximumFractionDigits: 1 })} MiB`;
const capital = (text) => text[0].toUpperCase() + text.slice(1);
const say = (text) => { $("live").textContent = text; };

// ------------------------------------------------------------------ what a user does

$("file").addEventListener("change", () => {
  const files = [...$("file").files];
  $("file").value = ""; // so that the same file may be chosen again
  take(files);
});
const carries = (event) => event.dataTransfer?.types.includes("Files");
addEventListener("dragover", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  document.body.classList.add("dropping");
});
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) document.body.classList.remove("dropping");
});
addEventListener("drop", (event) => {
  if (!carries(event)) return;
  event.preventDefault();
  document.body.classList.remove("dropping");
  take([...event.dataTransfer.files]);
});
let waiting = false;
const soon = () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; draw(); });
};
$("threshold").addEventListener("input", soon);
$("opacity").addEventListener("input", soon);
$("reset").addEventListener("click", () => { $("threshold").value = CHOSEN; $("threshold").focus(); draw(); });
$("page").addEventListener("input", () => open(current));
$("class").addEventListener("change", () => open(current));
$("zoom").addEventListener("change", () => { view.enlarge($("zoom").value); soon(); });
$("cancel").addEventListener("click", () => remove(current));
$("stage").addEventListener("pointermove", (event) => {
  const at = view.under(event), one = current;
  if (!at || one?.status !== "done" || !shown.prob) { $("under").textContent = ""; return; }
  const width = $("mask").width, step = Math.ceil(one.width / width);
  const q = shown.prob[Math.floor(at[1] / step) * width + Math.floor(at[0] / step)];
  $("under").textContent = `y ${at[1]}, x ${at[0]}: ${((q + 0.5) / 256).toFixed(2)}`;
});
$("stage").addEventListener("pointerleave", () => { $("under").textContent = ""; });

// ------------------------------------------------------------------ the beginning

async function begin() {
  try {
    model = await server.model();
  } catch (error) {
    $("error").hidden = false;
    $("error").textContent = error.message;
    return;
  }
  const classes = model.classes.slice(1);
  $("model").textContent = `${model.weights}: ${model.classes.join(", ")}`;
  const options = classes.map((name, i) => new Option(name, i + 1));
  if (classes.length > 1) options.unshift(new Option("All, the most probable", 0));
  $("class").replaceChildren(...options);
  $("classes").hidden = classes.length < 2;
  $("rois").parentElement.hidden = !model.rois;
  for (const one of model.images) {
    images.set(one.id, { ...one, key: one.id });
    follow(images.get(one.id));
  }
  const last = [...images.values()].pop();
  if (last) choose(last);
}

begin();
