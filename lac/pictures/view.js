// The screen of an alignment: two players in step, the matrix between them, and what matches.
// The server's page and reports that are one file show the same; neither loads anything else.

const AHEAD = 0.002;  // seconds after a frame's time: what is stamped with the very time may round down
const DRIFT = 0.12;  // seconds that the second video may be off while both play
const RATES = [0.1, 8];  // at which browsers play a video
const INK = "#1f2933", PATH = "#123c69", HERE = "#d55e00", BEST = "#009e73", QUIET = "#5b6670";

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function nearest(values, wanted) {  // values increase
  let low = 0, high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] + values[middle + 1]) / 2 < wanted) low = middle + 1; else high = middle;
  }
  return low;
}

export function clock(time, minutes) {
  if (!minutes) return `${time.toFixed(2)} s`;
  const tenths = Math.round(time * 10), rest = (tenths % 600 / 10).toFixed(1).padStart(4, "0");
  const least = Math.floor(tenths / 600), hours = Math.floor(least / 60);
  return `${hours ? `${hours}:${String(least % 60).padStart(2, "0")}` : least}:${rest}`;
}

function roundTimes(last, most) {
  for (let power = -2; power < 6; power += 1)
    for (const step of [1, 2, 5].map(digit => digit * 10 ** power))
      if (last / step <= most)
        return Array.from({length: Math.floor(last / step + 1e-9) + 1}, (_, at) => at * step);
  return [0];
}

export class AlignView {
  // `sources` are the addresses of both videos, `layers` those of the two pictures of the matrix.
  constructor(root, view, {sources, layers}) {
    this.view = view;
    this.root = root;
    this.row = [0, 0];  // the frames that are shown
    this.shownLayers = {similarity: true, posterior: true, path: true, best: false};
    this.speed = 1;
    this.playing = false;
    this.pending = [null, null];
    this._build(sources);
    this._drawRails();
    this.images = {};
    for (const [name, address] of Object.entries(layers)) {
      const image = new Image();
      image.onload = () => { this.images[name] = image; this._draw(); };
      image.src = address;
    }
    this.stop = new AbortController();
    document.addEventListener("keydown", event => this._key(event), {signal: this.stop.signal});
    this.resized = new ResizeObserver(() => this._draw());
    this.resized.observe(this.canvas);
    const first = view.parts.length ? view.parts[0].map(side => side[0]) : [0, 0];
    this.show(...first);
    const follow = () => {
      if (this.stop.signal.aborted) return;
      if (this.playing) this._follow();
      requestAnimationFrame(follow);
    };
    requestAnimationFrame(follow);
  }

  // Let go of players and keys; the root is empty afterwards.
  close() {
    this.stop.abort();
    this.resized.disconnect();
    this.videos.forEach(video => { video.pause(); video.removeAttribute("src"); video.load(); });
    this.root.replaceChildren();
  }

  // Go to frame `row` of the first video and `column` of the second.
  show(row, column) {
    this.pause();
    this._stand([row, column]);
    [row, column].forEach((frame, side) => this._seek(side, this.view.times[side][frame] + AHEAD));
  }

  // Go to a frame of one video, and to its partner in the other.
  showFrame(side, frame) {
    const bounded = Math.min(Math.max(frame, 0), this.view.times[side].length - 1);
    const partner = nearest(this.view.times[1 - side], this.view.partner[side][bounded]);
    this.show(...(side ? [partner, bounded] : [bounded, partner]));
  }

  play() {
    if (this.row[0] >= this.view.times[0].length - 1) this.showFrame(0, 0);
    this.playing = true;
    this.videos[0].playbackRate = this.speed;
    this.videos[0].play().catch(() => this.pause());
    this._buttons();
  }

  pause() {
    this.playing = false;
    this.videos.forEach(video => video.pause());
    this._buttons();
  }

  _build(sources) {
    const {view} = this;
    this.videos = sources.map((source, side) =>
      make("video", {muted: "", playsinline: "", preload: "auto", "aria-label": view.names[side]}));
    this.videos.forEach((video, side) => {
      video.muted = true;
      video.addEventListener("seeked", () => this._seekPending(side));
      video.addEventListener("loadedmetadata", () => this._seekPending(side));
      video.addEventListener("ended", () => { if (!side) this._ended(); });
      video.src = sources[side];
    });
    this.clocks = view.names.map(() => make("time"));
    const figures = this.videos.map((video, side) => {
      const figure = make("figure", {class: "av-player"},
        make("figcaption", {}, make("b", {title: view.names[side]}, view.names[side]), this.clocks[side]),
        make("div", {class: "av-screen"}, video));
      figure.style.setProperty("--aspect", view.aspects[side]);
      return figure;
    });
    this.canvas = make("canvas", {tabindex: "0", role: "slider", "aria-label": "Place along the alignment"});
    const matrix = make("div", {class: "av-matrix"}, this.canvas);
    this.stage = make("div", {class: "av-stage"}, figures[0], matrix, figures[1]);

    this.button = make("button", {type: "button", class: "av-play"}, "Play");
    this.button.addEventListener("click", () => this._toggle());
    const speed = make("select", {"aria-label": "Speed"},
      ...[["1", "1×"], ["0.5", "½×"], ["0.25", "¼×"], ["2", "2×"]].map(([value, text]) => make("option", {value}, text)));
    speed.addEventListener("change", () => {
      this.speed = Number(speed.value);
      this.videos[0].playbackRate = this.speed;
    });
    this.mark = make("span", {class: "av-mark", role: "status"});
    const boxes = [["similarity", "similarity"], ["posterior", "probability"], ["path", "path"], ["best", "best-scoring path"]];
    const layers = make("fieldset", {class: "av-layers"}, make("legend", {}, "Show"), ...boxes.map(([name, text]) => {
      const box = make("input", {type: "checkbox", name});
      box.checked = this.shownLayers[name];
      box.addEventListener("change", () => { this.shownLayers[name] = box.checked; this._draw(); });
      return make("label", {}, box, make("i", {class: `av-key ${name}`}), text);
    }));
    const controls = make("div", {class: "av-controls"}, this.button, speed, this.mark, layers,
      make("span", {class: "av-hint"}, "Space plays, arrows step a frame, Shift ten"));

    this.bars = view.names.map(name => make("div", {class: "av-bar", title: name}, make("i", {class: "av-here"})));
    const rails = make("div", {class: "av-rails"},
      make("span", {class: "av-name"}, view.names[0]), this.bars[0],
      make("span"), make("div", {class: "av-links"}),
      make("span", {class: "av-name"}, view.names[1]), this.bars[1]);
    this.links = rails.querySelector(".av-links");
    this.root.replaceChildren(this.stage, controls, rails, this._tables());

    this.canvas.addEventListener("pointerdown", event => {
      this.canvas.setPointerCapture(event.pointerId);
      this._scrub(event);
    });
    this.canvas.addEventListener("pointermove", event => { if (event.buttons & 1) this._scrub(event); });
    this.bars.forEach((bar, side) => {
      const go = event => {
        const box = bar.getBoundingClientRect(), times = view.times[side];
        this.showFrame(side, nearest(times, (event.clientX - box.left) / box.width * times.at(-1)));
      };
      bar.addEventListener("pointerdown", event => { bar.setPointerCapture(event.pointerId); go(event); });
      bar.addEventListener("pointermove", event => { if (event.buttons & 1) go(event); });
    });
  }

  _tables() {
    const {view} = this;
    const time = (side, frame) => clock(view.times[side][frame], view.minutes[side]);
    const span = (side, first, last) => `${time(side, first)} – ${time(side, last)}`;
    const jump = (side, frame, text) => {
      const link = make("button", {type: "button", class: "av-jump"}, text);
      link.addEventListener("click", () => this.showFrame(side, frame));
      return link;
    };
    const rows = view.parts.map(([rows, columns], at) => make("tr", {},
      make("td", {}, jump(0, rows[0], span(0, rows[0], rows.at(-1)))),
      make("td", {}, span(1, columns[0], columns.at(-1))),
      make("td", {}, String(rows.length)),
      make("td", {}, view.probability[at].toFixed(2))));
    const head = [...view.names, "frames paired", "probability"].map(text => make("th", {}, text));
    const matched = make("section", {}, make("h2", {}, "What matches"), rows.length
      ? make("div", {class: "av-scroll"}, make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows)))
      : make("p", {}, "No part of one matches any part of the other."));
    const lists = view.unmatched.map((spans, side) => make("div", {},
      make("h3", {}, view.names[side]), spans.length
        ? make("ul", {}, ...spans.map(([first, last]) => make("li", {}, jump(side, first, span(side, first, last)))))
        : make("p", {}, "All of it matches.")));
    const rest = make("section", {}, make("h2", {}, "What matches nothing"), make("div", {class: "av-pair"}, ...lists));
    return make("div", {class: "av-tables"}, matched, rest);
  }

  _drawRails() {
    const {view} = this;
    const share = (side, frame) => view.times[side][frame] / (view.times[side].at(-1) || 1) * 100;
    view.spans.forEach((spans, side) => spans.forEach(([first, last]) => {
      const piece = make("span");
      piece.style.left = `${share(side, first)}%`;
      piece.style.width = `max(2px, ${share(side, last) - share(side, first)}%)`;
      this.bars[side].prepend(piece);
    }));
    const shapes = view.parts.map(([rows, columns]) => {
      const [a, b] = [rows[0], rows.at(-1)].map(frame => share(0, frame));
      const [c, d] = [columns[0], columns.at(-1)].map(frame => share(1, frame));
      return `<polygon points="${a},0 ${b},0 ${d},1 ${c},1"/>`;  // numbers and no names
    });
    this.links.innerHTML =
      `<svg viewBox="0 0 100 1" preserveAspectRatio="none" aria-hidden="true">${shapes.join("")}</svg>`;
  }

  // Where the matrix lies in the canvas, in CSS pixels.
  _box() {
    const {width, height} = this.canvas.getBoundingClientRect();
    const left = 46, top = 40, right = 8, bottom = 8;
    const [tall, wide] = this.view.times.map(times => times.at(-1) || 1);
    const roomX = Math.max(width - left - right, 20), roomY = Math.max(height - top - bottom, 20);
    const scale = Math.min(roomX / wide, roomY / tall);
    const w = Math.max(scale * wide, roomX / 4), h = Math.max(scale * tall, roomY / 4);
    return {x: left + (roomX - w) / 2, y: top, w, h, width, height};
  }

  _point(box, row, column) {
    const [rows, columns] = this.view.times.map(times => times.length);
    return [box.x + (column + 0.5) / columns * box.w, box.y + (row + 0.5) / rows * box.h];
  }

  _draw() {
    const box = this._box(), ratio = window.devicePixelRatio || 1;
    const [width, height] = [box.width, box.height].map(side => Math.round(side * ratio));
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height)
      Object.assign(this.canvas, {width, height});
    const pen = this.canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, box.width, box.height);
    pen.fillStyle = "#fff";
    pen.fillRect(box.x, box.y, box.w, box.h);
    pen.imageSmoothingEnabled = false;
    for (const name of ["similarity", "posterior"])
      if (this.shownLayers[name] && this.images[name])
        pen.drawImage(this.images[name], box.x, box.y, box.w, box.h);
    this._shade(pen, box);
    if (this.shownLayers.best) this._line(pen, box, this.view.best, BEST, [5, 4]);
    if (this.shownLayers.path) this.view.parts.forEach(part => this._line(pen, box, part, PATH, []));
    pen.strokeStyle = "#8a949e";
    pen.lineWidth = 1;
    pen.strokeRect(box.x - 0.5, box.y - 0.5, box.w + 1, box.h + 1);
    this._axes(pen, box);
    this._cross(pen, box);
  }

  _shade(pen, box) {  // what matches nothing
    const [rows, columns] = this.view.times.map(times => times.length);
    pen.fillStyle = "rgba(138, 148, 158, 0.22)";
    for (const [first, last] of this.view.unmatched[0])
      pen.fillRect(box.x, box.y + first / rows * box.h, box.w, (last - first + 1) / rows * box.h);
    for (const [first, last] of this.view.unmatched[1])
      pen.fillRect(box.x + first / columns * box.w, box.y, (last - first + 1) / columns * box.w, box.h);
  }

  _line(pen, box, [rows, columns], colour, dash) {
    for (const [width, style] of [[4.5, "#fff"], [2.25, colour]]) {
      pen.beginPath();
      rows.forEach((row, at) => {
        const [x, y] = this._point(box, row, columns[at]);
        if (at) pen.lineTo(x, y); else pen.moveTo(x, y);
      });
      pen.setLineDash(style === colour ? dash : []);
      Object.assign(pen, {lineWidth: width, strokeStyle: style, lineJoin: "round", lineCap: "round"});
      pen.stroke();
    }
    pen.setLineDash([]);
  }

  _axes(pen, box) {
    const {times, names, minutes} = this.view;
    Object.assign(pen, {fillStyle: QUIET, strokeStyle: "#8a949e", font: "11px system-ui, sans-serif", lineWidth: 1});
    const words = (time, side) => minutes[side] ? clock(time, true).replace(/\.0$/, "") : String(+time.toFixed(2));
    for (const side of [0, 1]) {
      const last = times[side].at(-1) || 1, length = side ? box.w : box.h;
      for (const time of roundTimes(last, Math.max(2, length / 55))) {
        const at = this._point(box, nearest(times[0], side ? 0 : time), nearest(times[1], side ? time : 0))[side ? 0 : 1];
        pen.beginPath();
        if (side) {
          pen.moveTo(at, box.y - 5); pen.lineTo(at, box.y);
          Object.assign(pen, {textAlign: "center", textBaseline: "bottom"});
          pen.fillText(words(time, side), at, box.y - 6);
        } else {
          pen.moveTo(box.x - 5, at); pen.lineTo(box.x, at);
          Object.assign(pen, {textAlign: "right", textBaseline: "middle"});
          pen.fillText(words(time, side), box.x - 7, at);
        }
        pen.stroke();
      }
    }
    Object.assign(pen, {fillStyle: INK, textBaseline: "bottom", textAlign: "center", font: "12px system-ui, sans-serif"});
    const title = side => (minutes[side] ? "time in " : "seconds of ") + names[side].split("/").pop();
    pen.fillText(this._fitting(pen, title(1), box.w), box.x + box.w / 2, box.y - 22);
    pen.save();
    pen.translate(box.x - 32, box.y + box.h / 2);
    pen.rotate(-Math.PI / 2);
    pen.fillText(this._fitting(pen, title(0), box.h), 0, 0);
    pen.restore();
  }

  _fitting(pen, text, room) {
    let shown = text;
    for (let kept = text.length; kept > 3 && pen.measureText(shown).width > room; kept -= 1)
      shown = `${text.slice(0, kept - 1)}…`;
    return shown;
  }

  _cross(pen, box) {
    const [x, y] = this._point(box, ...this.row);
    pen.strokeStyle = HERE;
    pen.lineWidth = 1;
    pen.beginPath();
    pen.moveTo(box.x, y); pen.lineTo(box.x + box.w, y);
    pen.moveTo(x, box.y); pen.lineTo(x, box.y + box.h);
    pen.stroke();
    pen.beginPath();
    pen.arc(x, y, 5.5, 0, 2 * Math.PI);
    Object.assign(pen, {fillStyle: HERE, strokeStyle: "#fff", lineWidth: 2});
    pen.fill();
    pen.stroke();
  }

  // Go to the place on the path nearest to the pointer; where nothing matches, to the row's partner.
  _scrub(event) {
    const box = this._box(), bounds = this.canvas.getBoundingClientRect();
    const [px, py] = [event.clientX - bounds.left, event.clientY - bounds.top];
    let best = null, least = Infinity;
    for (const [rows, columns] of this.view.parts)
      rows.forEach((row, at) => {
        const [x, y] = this._point(box, row, columns[at]);
        const away = (x - px) ** 2 + (y - py) ** 2;
        if (away < least) [least, best] = [away, [row, columns[at]]];
      });
    if (best) this.show(...best);
    else this.showFrame(0, Math.floor((py - box.y) / box.h * this.view.times[0].length));
    this.canvas.focus({preventScroll: true});
  }

  _key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.matches("input, select, textarea, [contenteditable]")) return;
    if (event.target.closest("dialog") || !this.root.offsetParent) return;
    const step = event.shiftKey ? 10 : 1, last = this.view.times[0].length - 1;
    const frame = {ArrowLeft: this.row[0] - step, ArrowRight: this.row[0] + step, Home: 0, End: last}[event.key];
    if (event.key === " " && !event.target.matches("button, a, summary")) this._toggle();
    else if (frame !== undefined) this.showFrame(0, frame);
    else return;
    event.preventDefault();
  }

  _toggle() {
    if (this.playing) this.showFrame(0, this.row[0]); else this.play();
  }

  _ended() {
    this.showFrame(0, this.view.times[0].length - 1);
  }

  // While both play: the second goes at the pace of the path, and is set right where it is off.
  _follow() {
    const {times, partner} = this.view, [first, second] = this.videos;
    const row = nearest(times[0], first.currentTime - AHEAD);
    const next = Math.min(row + 1, times[0].length - 1), before = Math.max(row - 1, 0);
    const span = times[0][next] - times[0][before];
    const slope = span > 0 ? (partner[0][next] - partner[0][before]) / span : 0;
    const off = first.currentTime - times[0][row];
    const wanted = partner[0][row] + Math.max(-span, Math.min(span, off)) * Math.max(slope, 0);
    const drift = second.currentTime - wanted - AHEAD;
    if (slope < RATES[0] / 2) {
      second.pause();
      if (Math.abs(drift) > DRIFT / 4) this._seek(1, wanted + AHEAD);
    } else {
      if (Math.abs(drift) > DRIFT * Math.max(1, this.speed)) this._seek(1, wanted + AHEAD);
      const rate = this.speed * slope * (1 - Math.max(-0.5, Math.min(0.5, 3 * drift)));
      second.playbackRate = Math.max(RATES[0], Math.min(RATES[1], rate));
      if (second.paused && !second.ended) second.play().catch(() => {});
    }
    this._stand([row, nearest(times[1], partner[0][row])]);
  }

  // Remember which frames are shown, and show where that is.
  _stand(row) {
    this.row = row;
    const {times, minutes, matched} = this.view;
    row.forEach((frame, side) => {
      const time = times[side][frame];
      this.clocks[side].textContent = clock(time, minutes[side]);
      this.bars[side].querySelector(".av-here").style.left = `${time / (times[side].at(-1) || 1) * 100}%`;
    });
    const paired = matched[0][row[0]] && matched[1][row[1]];
    this.root.classList.toggle("paired", paired);
    this.mark.textContent = paired ? "paired" : "not paired";
    Object.assign(this.root.dataset, {row: row[0], column: row[1]});
    this.root.dispatchEvent(new CustomEvent("stand", {detail: row}));
    this.canvas.setAttribute("aria-valuenow", row[0]);
    this.canvas.setAttribute("aria-valuemax", times[0].length - 1);
    this.canvas.setAttribute("aria-valuetext", this.clocks.map(shown => shown.textContent).join(" with "));
    this._draw();
  }

  // Go to a time as soon as the player has come to where it was sent before.
  _seek(side, time) {
    this.pending[side] = time;
    this._seekPending(side);
  }

  _seekPending(side) {
    const video = this.videos[side], time = this.pending[side];
    if (time === null || video.seeking || video.readyState < 1) return;
    this.pending[side] = null;
    video.currentTime = time;
  }

  _buttons() {
    if (this.button) this.button.textContent = this.playing ? "Pause" : "Play";
  }
}
