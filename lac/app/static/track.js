// The bar of a video: its phases in their colours, with edges to drag and the confidence of each frame.

import {element} from "/pictures/dom.js";

const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a800", "#7a5195", "#8a949e", "#6b8e23"];
const DOUBTFUL = 0.5;  // as lac._labelling has it

export const colourOf = phase => COLOURS[phase % COLOURS.length];

// Where phases begin, in order; those that follow one of the same phase are dropped.
export function tidy(marks) {
  const sorted = [...marks].sort((a, b) => a.begin - b.begin);
  return sorted.filter((mark, place) => !place || mark.phase !== sorted[place - 1].phase);
}

export class Track {
  // `video` has id, name, seconds, frame (seconds of one) and marks ({phase, begin}); `confidence`
  // where they were carried. `told` is called with "go" and a time, or with "change".
  constructor(video, told) {
    Object.assign(this, video);
    this.told = told;
    this.about = element("span", {class: "quiet"});
    this.bar = element("div", {class: "bar"});
    this.here = element("i", {class: "here", hidden: true});
    this.root = element("li", {class: "track", "data-id": this.id},
      element("div", {class: "line"}, element("b", {title: this.name}, this.name), this.about), this.bar);
    this.bar.addEventListener("pointerdown", event => {
      if (event.target.classList.contains("edge")) this._drag(event);
      else this.told(this, "go", this._time(event));
    });
  }

  draw(names) {
    this.names = names;
    const ends = [...this.marks.slice(1).map(mark => mark.begin), this.seconds];
    const parts = this.marks.map((mark, place) => {
      const part = element("span", {class: "part", title: names[mark.phase], "data-phase": names[mark.phase]}, names[mark.phase]);
      part.style.background = colourOf(mark.phase);
      this._place(part, mark.begin, ends[place]);
      return part;
    });
    const edges = this.marks.slice(1).map((mark, place) => {
      const edge = element("button", {
        type: "button", class: "edge", role: "slider", "aria-label": `${names[mark.phase]} begins`, "aria-valuemin": 0, "aria-valuemax": this.seconds,
        "aria-valuenow": mark.begin.toFixed(2), title: `${names[mark.phase]} begins at ${mark.begin.toFixed(2)} s: drag, or arrows; Delete removes it`,
        "data-place": place + 1, onkeydown: event => this._key(event, place + 1)});
      this._place(edge, mark.begin);
      return edge;
    });
    const focused = this.bar.contains(document.activeElement) ? document.activeElement.dataset.place : null;
    this.bar.replaceChildren(...parts, ...this._confidence(), ...edges, this.here);
    if (focused) this.bar.querySelector(`[data-place="${focused}"]`)?.focus();
    this.about.textContent = this.confidence
      ? `${Math.round(100 * this.doubtful)} % doubtful` : this.marks.length > 1 ? "marked" : "not marked yet";
  }

  // The phase of an index begins at a time.
  begin(phase, time) {
    const begin = this.frameAt(time);
    this.marks = tidy([...this.marks.filter(mark => mark.begin !== begin), {phase, begin}]);
    this.told(this, "change");
  }

  stand(time) {  // null: another video is shown
    this.here.hidden = time === null;
    this.root.classList.toggle("active", time !== null);
    if (time !== null) this._place(this.here, Math.min(time, this.seconds));
  }

  // The time of the frame that is shown at a time.
  frameAt(time) {
    const last = Math.round(this.seconds / this.frame) - 1;
    return Number((Math.min(Math.floor(time / this.frame + 0.1), last) * this.frame).toFixed(4));
  }

  _time(event) {
    const box = this.bar.getBoundingClientRect();
    return Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * this.seconds;
  }

  _place(part, begin, end = null) {
    part.style.left = `${100 * begin / this.seconds}%`;
    if (end !== null) part.style.width = `${100 * (end - begin) / this.seconds}%`;
  }

  _move(place, time) {  // not beyond those beside it
    const [before, after] = [this.marks[place - 1].begin, this.marks[place + 1]?.begin ?? this.seconds];
    const begin = this.frameAt(Math.min(Math.max(time, before + this.frame), after - this.frame) + this.frame / 2);
    if (begin > before && begin < after) this.marks[place] = {...this.marks[place], begin};
    this.told(this, "go", this.marks[place].begin);
  }

  _drag(event) {
    const edge = event.target, place = Number(edge.dataset.place);
    edge.setPointerCapture(event.pointerId);
    edge.onpointermove = moved => {
      this._move(place, this._time(moved));
      const parts = this.bar.querySelectorAll(".part"), {begin} = this.marks[place];
      this._place(edge, begin);
      this._place(parts[place - 1], this.marks[place - 1].begin, begin);
      this._place(parts[place], begin, this.marks[place + 1]?.begin ?? this.seconds);
    };
    edge.onpointerup = edge.onpointercancel = () => { edge.onpointermove = null; this.told(this, "change"); };
  }

  _key(event, place) {
    const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (step) this._move(place, this.marks[place].begin + step * this.frame);
    else if (event.key === "Delete" || event.key === "Backspace") this.marks = tidy(this.marks.filter((_, at) => at !== place));
    else return;
    event.preventDefault();
    event.stopPropagation();
    this.told(this, "change");
  }

  _confidence() {
    if (!this.confidence) return [];
    const count = this.confidence.length, context = element("canvas", {class: "confidence", width: count, height: 40}).getContext("2d");
    this.confidence.forEach((value, frame) => {
      context.fillStyle = "rgba(255, 255, 255, .62)";
      context.fillRect(frame, 0, 1, Math.round(34 * (1 - value)));
      if (value >= DOUBTFUL) return;
      context.fillStyle = "#a3260f";
      context.fillRect(frame, 36, 1, 4);
    });
    return [context.canvas];
  }
}
