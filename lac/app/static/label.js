// Marking the phases of a video or two, and correcting those that were carried to the others.

import {ask, Refused} from "./api.js";
import {element} from "/pictures/dom.js";
import {colourOf, Track} from "./track.js";

const AHEAD = 0.002;  // seconds after a frame's time, as the player may round down
const FIRST = ["phase 1", "phase 2"];

export class Labeller {
  // `address` gives the address of a video that the browser plays, by its id.
  constructor(root, address) {
    this.root = root;
    this.address = address;
    this.names = [...FIRST];
    this.marks = new Map();  // of all that were shown, by the ids of videos
    this.player = element("video", {controls: true, playsinline: true, "aria-label": "Video to mark"});
    this.player.muted = true;
    this.name = element("b");
    this.phases = element("ol", {class: "phases", "aria-label": "Phases"});
    this.list = element("ul", {class: "tracks", "aria-label": "Videos with their phases"});
    this.hint = element("p", {class: "quiet"});
    this.save = element("button", {type: "button", class: "main", id: "save", hidden: true}, "Save labels.json");
    this.saved = element("span", {class: "quiet", id: "saved", role: "status"});
    root.replaceChildren(element("div", {class: "labeller"},
      element("figure", {}, element("figcaption", {}, this.name), this.player, this.phases),
      element("div", {}, element("div", {class: "line"}, this.hint, element("span", {}, this.saved, this.save)), this.list)));
    const stand = () => { if (this._loaded) this._active?.stand(this.player.currentTime); };
    ["timeupdate", "seeking", "seeked"].forEach(name => this.player.addEventListener(name, stand));
    this.player.addEventListener("loadedmetadata", () => { if (this._loaded) this._seek(); });
    document.addEventListener("keydown", event => this._key(event));
    this.tracks = [];
    this.job = this._active = this._playing = null;
  }

  // Whether all that are to be marked are.
  get ready() {
    return this.references.length > 0 && this.references.every(track => track.marks.length > 1);
  }

  get references() {
    return this.tracks.filter(track => !track.confidence);
  }

  get request() {
    return {phase_names: this.names, references: this._told(this.references)};
  }

  // Which videos are to be marked.
  choose(videos) {
    if (this.references.map(track => track.id).join() === videos.map(video => video.id).join()) return;
    this.job = null;
    this._show(videos.map(({id, name, facts}) => ({id, name, seconds: facts.seconds, frame: facts.seconds / facts.frames,
      marks: this.marks.get(id) ?? [{phase: 0, begin: 0}]})));
  }

  // What a job was asked for.
  restore({phase_names: names, references}) {
    this.names = [...names];
    this.marks.clear();
    references.forEach(one => this.marks.set(one.video, this._numbered(one.phases)));
    this.tracks = [];
  }

  // What a job has carried, with what was corrected here since.
  show(found, job) {
    this.job = job;
    const kept = JSON.parse(localStorage.getItem(`lac-label-${job}`) ?? "null");
    this.names = kept?.names ?? [...found.phase_names];
    this.marks.clear();
    this._show(found.videos.map(one => ({...one, id: one.video, marks: kept?.marks[one.video] ?? this._numbered(one.phases)})));
  }

  close() {
    if (!this.tracks.length) return;
    this.player.pause();
    this.player.removeAttribute("src");
    this.player.load();
    this.tracks = [];
    this.job = this._active = this._playing = null;
    this.list.replaceChildren();
  }

  _numbered(phases) {
    return phases.map(({phase, begin}) => ({phase: this.names.indexOf(phase), begin}));
  }

  _told(tracks) {
    return tracks.map(track => ({video: track.id, phases: track.marks.map(({phase, begin}) => ({phase: this.names[phase], begin}))}));
  }

  _show(videos) {
    this.saved.textContent = "";
    this.tracks = videos.map(video => new Track(video, (track, what, time) => {
      if (what === "go") this._go(track, time); else this._changed(track);
    }));
    this.list.replaceChildren(...this.tracks.map(track => track.root));
    this._draw();
    if (this.tracks.length) this._go(this.tracks[0], 0);
  }

  _draw() {
    this.tracks.forEach(track => { this.marks.set(track.id, track.marks); track.draw(this.names); });
    const used = new Set(this.tracks.flatMap(track => track.marks.map(mark => mark.phase)));
    this.phases.replaceChildren(...this.names.map((name, phase) => this._phase(name, phase, used)),
      element("li", {}, element("button", {type: "button", class: "plain", id: "add-phase", onclick: () => this._add()}, "Add a phase")));
    const carried = this.tracks.some(track => track.confidence);
    this.save.hidden = !carried;
    this.hint.textContent = carried ? "As high as the colour is, as sure is the label; red underneath is doubtful. Drag an edge to correct it."
      : "Go to the frame with which a phase begins and press its number, here or on the keyboard. What comes before belongs to the phase before.";
    this.root.dispatchEvent(new CustomEvent("marked"));
  }

  _phase(name, phase, used) {
    const button = element("button", {type: "button", class: "begin", "data-phase": phase,
      title: `${name} begins with the frame that is shown`, "aria-label": `${name} begins here`, onclick: () => this._begin(phase)}, String(phase + 1));
    button.style.background = colourOf(phase);
    const input = element("input", {value: name, maxlength: 60, "aria-label": `Name of phase ${phase + 1}`, onchange: () => {
      const wanted = input.value.trim();
      if (wanted && !this.names.includes(wanted)) this.names[phase] = wanted;
      this._changed();
    }});
    const remove = element("button", {type: "button", class: "plain", title: "Remove this phase", "aria-label": `Remove ${name}`,
      disabled: used.has(phase) || this.names.length < 2, onclick: () => this._remove(phase)}, "✕");
    return element("li", {}, button, input, remove);
  }

  _add() {
    let number = this.names.length + 1;
    while (this.names.includes(`phase ${number}`)) number += 1;
    this.names.push(`phase ${number}`);
    this._changed();
    this.phases.querySelector("li:nth-last-child(2) input").select();
  }

  _remove(phase) {
    this.names.splice(phase, 1);
    this.tracks.forEach(track => {
      track.marks = track.marks.map(mark => ({...mark, phase: mark.phase - (mark.phase > phase)}));
    });
    this.marks.clear();  // of videos that are not shown: they may have it
    this._changed();
  }

  _begin(phase) {
    if (this._loaded && phase < this.names.length) this._active.begin(phase, this.player.currentTime);
  }

  _changed() {
    this._draw();
    this.saved.textContent = "";
    if (this.job === null) return;
    const marks = Object.fromEntries(this.tracks.map(track => [track.id, track.marks]));
    localStorage.setItem(`lac-label-${this.job}`, JSON.stringify({names: this.names, marks}));
  }

  // Whether the player has the video that is marked, and not yet the one before.
  get _loaded() {
    return this._active !== null && this._playing === this._active && this.player.readyState >= 1;
  }

  async _go(track, time) {
    const other = this._active !== track;
    this._active = track;
    this._time = time;
    this.tracks.forEach(one => one.stand(one === track ? time : null));
    this.name.textContent = track.name;
    if (other) {
      try {
        const address = await this.address(track.id);
        if (this._active !== track) return;
        this.player.src = address;
        this._playing = track;
      } catch (error) {
        this.root.dispatchEvent(new CustomEvent("failed", {detail: error}));
        return;
      }
    }
    if (this._loaded) this._seek();
  }

  _seek() {
    this.player.currentTime = this._time + AHEAD;
  }

  _key(event) {
    if (this.root.hidden || !this._loaded || event.target.matches("input, select, .edge") || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (step) {
      this.player.pause();
      this.player.currentTime = Math.max(0, this._active.frameAt(this.player.currentTime) + step * this._active.frame + AHEAD);
    } else if (/^[1-9]$/.test(event.key)) this._begin(Number(event.key) - 1);
    else return;
    event.preventDefault();
  }

  // Write labels.json; where there is one, `keep` says whether it may be kept beside.
  async write(keep) {
    this.save.disabled = true;
    try {
      await this._write(keep);
    } finally {
      this.save.disabled = false;
    }
  }

  async _write(keep) {
    const body = {phase_names: this.names, videos: this._told(this.tracks), existing: "refuse"};
    const send = () => ask(`/api/jobs/${this.job}/labels`, {method: "POST", body});
    let answer;
    try {
      answer = await send();
    } catch (error) {
      if (!(error instanceof Refused) || !error.message.includes("`existing`")) throw error;
      if (!keep()) return;
      body.existing = "keep";
      answer = await send();
    }
    this.saved.textContent = `${answer.clips} videos are saved in ${answer.file}${answer.kept ? `; the old one is ${answer.kept}` : ""}. `;
  }
}
