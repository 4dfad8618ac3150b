// The page: the list of videos, the list of jobs, and the screens of the tasks.

import {AlignView} from "/pictures/view.js";
import {showCheck} from "/pictures/check.js";
import {Finder} from "./find.js";
import {Labeller} from "./label.js";
import {Trainer} from "./train.js";
import {drawExports} from "./exports.js";
import {jobRows} from "./jobs.js";
import {ask, finished, isOver, playable, Refused} from "./api.js";
import {element} from "/pictures/dom.js";

const part = id => document.getElementById(id);
// What is chosen: to align, both videos; to check, the one that is checked and then the references;
// to find, the one with the bookmark and then the others, all of them where none is chosen; to label,
// those that are marked. `task` is the mode that they are chosen for: training has all of them.
const state = {mode: "align", task: "align", videos: [], chosen: [null, null], jobs: [], view: null, shown: null, busy: null};

const MODES = {
  align: {go: "Align", labels: ["A", "B"], badges: ["A", "B"], asked: ["choose a video on the left", "then another"]},
  check: {go: "Check", labels: ["Query", "References"], badges: ["Q", "R"], asked: ["choose the video to check", "then one or more of how it is done"]},
  find: {go: "Find", labels: ["Video", "In"], badges: ["V", "•"], asked: ["choose the video to bookmark", "all others, or those you choose"]},
  label: {go: "Label the others", labels: ["Marked", "And"], badges: ["M", "M"], asked: ["choose a video to mark", "others to mark, if you like"]},
};

const prepared = id => playable(id, job => waiting(job));
const finder = new Finder(part("find"), prepared);
const labeller = new Labeller(part("label"), prepared);
const trainer = new Trainer(part("train"), guarded);

// What goes wrong is said on the page, where it went wrong on request of the user.
function guarded(action) {
  return async (...given) => {
    say("");
    try {
      await action(...given);
    } catch (error) {
      if (error.name !== "AbortError") say(error instanceof Refused ? error.message : `This failed: ${error}`);
    }
  };
}

function say(problem) {
  part("problem").textContent = problem;
  part("problem").hidden = !problem;
}

function seconds(time) {
  return time < 120 ? `${time.toFixed(1)} s` : `${Math.floor(time / 60)}:${String(Math.floor(time % 60)).padStart(2, "0")} min`;
}

// Videos

async function loadVideos() {
  const {folder, videos, upload_limit: limit} = await ask("/api/videos");
  part("folder").textContent = folder;
  part("add").hidden = !limit;
  state.videos = videos;
  drawVideos();
  setTimeout(() => loadVideos().catch(() => setTimeout(loadVideos, 5000)),
    videos.every(video => video.facts || video.problem) ? 5000 : 400);
}

function drawVideos() {
  const wanted = part("filter").value.toLowerCase();
  const shown = state.videos.filter(video => video.name.toLowerCase().includes(wanted));
  const rows = shown.map(video => {
    const at = state.chosen.indexOf(video.id), {facts} = video;
    const about = video.problem ? element("span", {class: "about wrong", title: video.problem}, video.problem)
      : element("span", {class: "about", title: facts ? `${facts.frames} frames, ${facts.codec}` : ""}, facts ? `${seconds(facts.seconds)}, ${facts.width} × ${facts.height}` : "…");
    return element("li", {}, element("button", {
      type: "button", class: "video", "aria-pressed": String(at >= 0), title: video.name, "data-id": video.id,
      disabled: Boolean(video.problem) || state.mode === "train", onclick: () => choose(video.id),
    }, element("span", {class: "name"}, video.name), about, element("span", {class: "badge"}, MODES[state.task].badges[Math.min(Math.max(at, 0), 1)])));
  });
  if (!rows.length) rows.push(element("li", {class: "quiet"}, state.videos.length ? "No video of that name." : "There is no video in this folder yet."));
  replaceRows(part("videos"), rows);
  const mode = MODES[state.task], [first, ...others] = state.chosen;
  [[first], others].forEach((ids, side) => {
    const names = ids.map(id => state.videos.find(one => one.id === id)?.name).filter(Boolean);
    const letter = "ab"[side], slot = part(`name-${letter}`);
    part(`label-${letter}`).textContent = mode.labels[side];
    slot.textContent = names.length > 1 ? `${names[0]} and ${names.length - 1} more` : names[0] ?? mode.asked[side];
    slot.title = names.join("\n");
    slot.parentElement.classList.toggle("full", names.length > 0);
  });
  for (const name of [...Object.keys(MODES), "train"]) part(`mode-${name}`).setAttribute("aria-pressed", String(name === state.mode));
  part("ask").hidden = state.mode === "train";
  part("swap").hidden = state.mode !== "align";
  part("go").textContent = mode.go;
  drawScreens();
}

// Finding and labelling begin with a player.
function drawScreens() {
  const [first, ...others] = state.chosen;
  const [finding, labelling] = ["find", "label"].map(mode => state.mode === mode && Boolean(first));
  const chosen = state.chosen.map(id => state.videos.find(one => one.id === id));
  part("train").hidden = state.mode !== "train";
  if (state.mode !== "train") trainer.close();
  part("find").hidden = !finding;
  part("label").hidden = !labelling;
  if (!finding) finder.close();
  else if (finder.video !== first) guarded(() => finder.load(first, chosen[0]?.name ?? ""))();
  if (!labelling) labeller.close();
  else if (chosen.every(video => video?.facts)) labeller.choose(chosen);
  drawReady();
}

function drawReady() {
  const ready = {find: () => finder.begin !== null, label: () => labeller.ready}[state.mode] ?? (() => state.chosen.length > 1);
  part("go").disabled = !ready() || state.chosen.includes(null) || state.busy !== null;
}

// Lists are drawn anew only where they changed, so that the focus and the pointer stay.
function replaceRows(list, rows) {
  const [before, after] = [list, element("ul", {}, ...rows)].map(one => one.innerHTML);
  if (before === after) return;
  const focused = list.contains(document.activeElement) ? document.activeElement.dataset.id : null;
  list.replaceChildren(...rows);
  if (focused) list.querySelector(`[data-id="${focused}"]`)?.focus();
}

function choose(id) {
  const at = state.chosen.indexOf(id), many = state.mode !== "align";
  if (at > 0 && many) state.chosen.splice(at, 1);
  else if (at >= 0) state.chosen[at] = null;
  else if (many && state.chosen[0] !== null) state.chosen.push(id);
  else state.chosen[state.chosen[0] === null ? 0 : 1] = id;
  drawVideos();
}

// Another task with the same videos: B is what is checked, against A.
function setMode(mode) {
  if (mode === state.mode) return;
  const own = ["find", "label", "train"];  // what has a screen before anything is asked for
  if (own.includes(mode) || own.includes(state.mode)) close();
  part("welcome").hidden = part("welcome").hidden || own.includes(mode);
  state.mode = mode;
  if (mode !== "train") {
    const [first, second = null] = state.chosen;
    const [a, b] = state.task === "check" ? [second, first] : [first, second];
    const [alone, other] = mode === "check" ? [b, a] : [a, b];
    state.chosen = mode === "align" ? [a, b] : [alone, ...other === null ? [] : [other]];
    state.task = mode;
  }
  drawVideos();
}

// The screen of training has an address, and the others forget it.
function press(mode) {
  if (mode === "train") location.hash = "train";
  else if (state.mode === "train") history.replaceState(null, "", "/");
  setMode(mode);
}

// Jobs

async function loadJobs() {
  clearTimeout(loadJobs.timer);
  try {
    state.jobs = await ask("/api/jobs");
    drawJobs();
  } finally {
    loadJobs.timer = setTimeout(() => loadJobs().catch(() => {}), state.jobs.every(isOver) ? 3000 : 500);
  }
}

function drawJobs() {
  replaceRows(part("jobs"), jobRows(state.jobs, Object.keys(MODES), guarded, loadJobs));
}

// Alignments

function waiting(job) {
  part("wait").hidden = job === null || isOver(job);
  if (job === null) return;
  part("wait").querySelector("p").textContent = `${job.title}: ${job.state === "queued" ? "waiting for other jobs" : job.words || "starting"}`;
  const bar = part("wait").querySelector("progress");
  if (job.share === null) bar.removeAttribute("value"); else bar.value = job.share;
  part("wait").querySelector("button").onclick = guarded(() => ask(`/api/jobs/${job.id}`, {method: "DELETE"}));
}

async function submit() {
  const every = part("every").value ? Number(part("every").value) : null;
  const [first, ...others] = state.chosen;
  const videos = {
    align: () => ({a: first, b: others[0]}), check: () => ({query: first, references: others}),
    find: () => ({video: first, others, begin: finder.begin, end: finder.end}),
    label: () => labeller.request,
  }[state.mode]();
  const job = await ask(`/api/${state.mode}`, {method: "POST", body: {...videos, encoder: part("encoder").value, every}});
  if (location.hash === `#${job.id}`) await open(job.id); else location.hash = job.id;
}

// Show the alignment or the check that a job makes or has made.
async function open(id) {
  state.busy?.abort();
  const busy = state.busy = new AbortController();
  close();
  drawVideos();
  try {
    let job = await ask(`/api/jobs/${id}`, {signal: busy.signal});
    const {a, b, query, references, video, others} = job.request;
    state.mode = state.task = job.kind;
    state.chosen = {
      align: () => [a, b], check: () => [query, ...references], find: () => [video, ...others], label: () => references.map(one => one.video),
    }[job.kind]();
    if (job.kind === "label") labeller.restore(job.request);
    drawVideos();
    await loadJobs();
    const file = name => `/api/jobs/${id}/files/${name}`;
    if (job.kind === "label") {
      await finished(job, waiting, busy.signal);
      const carried = await ask(file("carried.json"), {signal: busy.signal});
      busy.signal.throwIfAborted();
      document.title = `${job.title} – lac`;
      part("welcome").hidden = true;
      labeller.show(carried, id);
      return;
    }
    if (job.kind === "find") {
      await finished(job, waiting, busy.signal);
      const found = await ask(file("found.json"), {signal: busy.signal});
      busy.signal.throwIfAborted();
      document.title = `${job.title} – lac`;
      part("welcome").hidden = true;
      finder.show(found, file);
      return;
    }
    // Players are made ready while the work is done.
    const prepare = videos => Promise.all(videos.map(video => playable(video, told => isOver(job) && waiting(told), busy.signal)));
    let sources = prepare(job.kind === "check" ? [query] : [a, b]);
    sources.catch(() => {});
    job = await finished(job, told => { job = told; waiting(told); }, busy.signal);
    const view = await ask(`/api/jobs/${id}/files/view.json`, {signal: busy.signal});
    const found = job.kind === "check" ? await ask(`/api/jobs/${id}/files/check.json`, {signal: busy.signal}) : null;
    if (found) sources = prepare([references[found.nearest], query]);
    const addresses = await sources;
    waiting(null);
    busy.signal.throwIfAborted();
    const heading = (found ?? view).heading;
    part("heading").textContent = heading;
    part("trust").textContent = view.trust;
    part("welcome").hidden = true;
    part("result").hidden = false;
    state.view = new AlignView(part("view"), view, {
      sources: addresses, layers: {similarity: file("similarity.png"), posterior: file("posterior.png")}});
    part("check").hidden = !found;
    if (found) showCheck(part("check"), found, view, state.view);
    drawExports(part("exports"), id, file, job.kind, guarded, loadJobs);
    document.title = `${heading} – lac`;
  } finally {
    if (state.busy === busy) {
      state.busy = null;
      waiting(null);
      drawVideos();
      await loadJobs();
    }
  }
}

function close() {
  state.view?.close();
  state.view = null;
  part("result").hidden = true;
  waiting(null);
}

const route = guarded(async () => {
  const id = location.hash.slice(1), [, training] = id.match(/^train(?:-(.*))?$/) ?? [];
  if (id.startsWith("train")) {
    state.busy?.abort();
    setMode("train");
    await trainer.show(training);
  } else if (id) {
    part("welcome").hidden = true;
    await open(id);
  } else {
    state.busy?.abort();
    close();
    part("welcome").hidden = false;
  }
});

const add = guarded(async () => {
  const [file] = part("file").files;
  if (!file) return;
  part("add").disabled = true;
  part("add").textContent = "Adding…";
  try {
    const video = await ask(`/api/uploads?name=${encodeURIComponent(file.name)}`, {method: "POST", body: file});
    state.videos = (await ask("/api/videos")).videos;
    choose(video.id);
  } finally {
    part("file").value = "";
    part("add").disabled = false;
    part("add").textContent = "Add…";
  }
});

for (const screen of ["find", "label"]) part(screen).addEventListener("marked", drawReady);
part("label").addEventListener("failed", event => guarded(() => { throw event.detail; })());
part("save").addEventListener("click", guarded(() => labeller.write(
  () => confirm("There is a labels.json in this folder. Keep it under another name, and write a new one with these phases?"))));
part("filter").addEventListener("input", drawVideos);
part("ask").addEventListener("submit", event => { event.preventDefault(); guarded(submit)(); });
for (const mode of [...Object.keys(MODES), "train"]) part(`mode-${mode}`).addEventListener("click", () => press(mode));
part("train").addEventListener("trained", guarded(loadEncoders));
part("swap").addEventListener("click", () => { state.chosen.reverse(); drawVideos(); });
part("add").addEventListener("click", () => part("file").click());
part("file").addEventListener("change", add);
window.addEventListener("hashchange", route);

async function loadEncoders() {
  const encoders = await ask("/api/encoders"), {value} = part("encoder");
  part("encoder").replaceChildren(...encoders.map(({name, about, usable}) =>
    element("option", {value: name, disabled: !usable, title: about}, usable ? `${name}, ${about}` : `${name}, not installed`)));
  if (encoders.some(({name}) => name === value)) part("encoder").value = value;
}

await guarded(async () => {
  await loadEncoders();
  await loadVideos();
  await loadJobs();
  await route();
})();
