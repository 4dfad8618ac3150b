// Bookmarking a moment or a span of a video, and what others show that is like it.

import {element} from "/pictures/dom.js";

const AHEAD = 0.002;  // seconds after a frame's time, as the player may round down
const words = time => `${time.toFixed(2)} s`;

export class Finder {
  // `address` gives the address of a video that the browser plays, by its id.
  constructor(root, address) {
    this.root = root;
    this.address = address;
    this.player = element("video", {controls: true, playsinline: true, "aria-label": "Video to bookmark"});
    this.other = element("video", {controls: true, playsinline: true, "aria-label": "Video that was found"});
    [this.player, this.other].forEach(player => { player.muted = true; });
    this.name = element("b");
    this.otherName = element("b");
    this.marked = element("span", {class: "quiet", id: "marked"});
    const button = (text, title, action) => element("button", {type: "button", class: "plain", title, onclick: () => { action(); this._tell(); }}, text);
    const marks = element("div", {class: "marks"},
      button("Moment", "Bookmark the frame that is shown", () => { this.begin = this.end = this.player.currentTime; }),
      button("Begins here", "The span begins with the frame that is shown", () => {
        this.begin = this.player.currentTime;
        this.end = Math.max(this.end ?? 0, this.begin);
      }),
      button("Ends here", "The span ends with the frame that is shown", () => {
        this.end = this.player.currentTime;
        this.begin = Math.min(this.begin ?? this.end, this.end);
      }), this.marked);
    this.strip = element("ul", {class: "strip", "aria-label": "What was found"});
    root.replaceChildren(element("div", {class: "finder"},
      element("figure", {}, element("figcaption", {}, this.name), this.player, marks),
      element("figure", {}, element("figcaption", {}, this.otherName), this.other)), this.strip);
    this.video = null;
    this.forget();
  }

  forget() {
    this.begin = this.end = null;
    this.strip.replaceChildren();
    this.other.hidden = true;
    this.otherName.textContent = "";
    this._tell();
  }

  // Show a video to bookmark; another one forgets what was bookmarked.
  async load(id, name) {
    if (id === this.video) return;
    this.video = id;
    this.forget();
    this.name.textContent = name;
    const address = await this.address(id);
    if (this.video === id) this.player.src = address;
  }

  // Show what a job has found, `file` being the address of its files.
  show(found, file) {
    [this.begin, this.end] = [found.begin, found.end];
    this._tell();
    this.strip.replaceChildren(...found.found.map(one => element("li", {}, element("button", {
      type: "button", title: `Go to ${words(one.time)} of ${one.name}`, onclick: () => this.jump(one)},
      element("img", {src: file(one.picture), alt: ""}), element("span", {class: "name"}, one.name),
      element("span", {class: "quiet"}, `${one.begin < one.end ? `${words(one.begin)} – ${words(one.end)}` : words(one.time)}, score ${one.score.toFixed(2)}`)))));
    this._go(this.player, found.begin);
  }

  async jump(one) {
    this.otherName.textContent = one.name;
    this.other.hidden = false;
    const address = await this.address(one.video);
    if (this.other.getAttribute("src") !== address) this.other.src = address;
    this._go(this.other, one.time);
  }

  close() {
    if (this.video === null) return;
    [this.player, this.other].forEach(player => { player.pause(); player.removeAttribute("src"); player.load(); });
    this.video = null;  // before anyone is told
    this.forget();
  }

  _go(player, time) {
    const go = () => { player.currentTime = time + AHEAD; };
    if (player.readyState >= 1) go(); else player.addEventListener("loadedmetadata", go, {once: true});
  }

  _tell() {
    this.marked.textContent = this.begin === null ? "Nothing is bookmarked: go to a frame."
      : this.begin < this.end ? `Span ${words(this.begin)} – ${words(this.end)}` : `Moment at ${words(this.begin)}`;
    this.root.dispatchEvent(new CustomEvent("marked"));
  }
}
