// Training on the folder: settings, the list of trainings, and how one of them goes.

import {ask} from "./api.js";
import {chart, colourOf} from "./chart.js";
import {element} from "/pictures/dom.js";

const OFTEN = 1500;  // milliseconds between looks at a training that runs
const LOSSES = ["train/loss", "val/loss"];
const WORDS = {running: "running", stopping: "stopping", finished: "finished", stopped: "stopped", failed: "failed"};
const runs = training => ["running", "stopping"].includes(training.state);

export class Trainer {
  // `guarded` says on the page what goes wrong.
  constructor(root, guarded) {
    this.root = root;
    this.guarded = guarded;
    this.name = element("input", {type: "text", id: "train-name", maxlength: 40, placeholder: "run-1", pattern: "[A-Za-z0-9][A-Za-z0-9._\\-]*", title: "Letters, numbers, dots, dashes"});
    this.backbone = element("select", {id: "train-backbone"},
      element("option", {value: "lite0"}, "lite0, frozen, and a head"), element("option", {value: "small"}, "small, all of it"));
    this.loss = element("select", {id: "train-loss"});
    this.epochs = element("input", {type: "number", id: "train-epochs", min: 1, max: 10000, placeholder: "auto", title: "How often all clips are seen; empty: by their number"});
    const label = (words, input) => element("label", {}, words, input);
    this.go = element("button", {type: "submit", class: "main", id: "train-go"}, "Start training");
    const form = element("form", {class: "ask", onsubmit: event => { event.preventDefault(); guarded(() => this._start())(); }},
      label("Name", this.name), label("Network", this.backbone), label("Loss", this.loss), label("Epochs", this.epochs), this.go);
    this.list = element("ul", {class: "trainings", "aria-label": "Trainings"});
    this.detail = element("div", {class: "training"});
    root.replaceChildren(form, element("p", {class: "quiet"},
      "Trains on all videos of this folder, without labels; one in five is held out to measure by. It goes on when this page is closed."),
      this.list, this.detail);
    this.open = this.chosen = null;
  }

  // Show the screen, and a training; the newest if none is named.
  async show(id = null) {
    if (!this.loss.options.length) {
      const losses = await ask("/api/losses");
      this.loss.replaceChildren(...losses.map(name => element("option", {value: name}, name)));
    }
    this.chosen = id ?? this.chosen;
    if (this.open) return this._look();
    this.open = new AbortController();
    await this._look();
  }

  close() {
    clearTimeout(this.timer);
    this.open?.abort();
    this.open = null;
  }

  async _start() {
    this.go.disabled = true;
    try {
      const body = {name: this.name.value || null, backbone: this.backbone.value, loss: this.loss.value, epochs: this.epochs.value ? Number(this.epochs.value) : null};
      const training = await ask("/api/trainings", {method: "POST", body});
      this.name.value = "";
      location.hash = `train-${training.id}`;
    } finally {
      this.go.disabled = false;
    }
  }

  // Draw what is known now, and look again.
  async _look() {
    clearTimeout(this.timer);
    const signal = this.open?.signal;
    try {
      const all = await ask("/api/trainings", {signal});
      this.chosen = all.some(one => one.id === this.chosen) ? this.chosen : all[0]?.id ?? null;
      const training = this.chosen && await ask(`/api/trainings/${this.chosen}`, {signal});
      if (signal?.aborted) return;
      const known = JSON.stringify([all, training]);
      if (known !== this.known) this._draw(all, training);  // else what is selected stays so
      this.known = known;
      const usable = all.map(one => one.encoder).join();
      if (usable !== this.usable) this.root.dispatchEvent(new CustomEvent("trained"));
      this.usable = usable;
    } finally {
      if (this.open && !signal?.aborted) this.timer = setTimeout(() => this._look().catch(() => {}), OFTEN);
    }
  }

  _draw(all, training) {
    this.name.placeholder = `run-${all.length + 1}`;
    this.list.replaceChildren(...all.map(one => element("li", {}, element("a", {
      href: `#train-${one.id}`, class: one.state, "aria-current": one.id === this.chosen ? "true" : null}, one.name, element("span", {class: "quiet"}, WORDS[one.state])))));
    if (!training) return this.detail.replaceChildren(element("p", {class: "quiet"}, "Nothing has been trained yet."));
    const act = (words, title, action, kind = "") => element("button", {type: "button", class: kind, title, "data-act": words, onclick: this.guarded(async () => {
      await action();
      await this._look();
    })}, words);
    const post = what => () => ask(`/api/trainings/${training.id}/${what}`, {method: "POST"});
    const buttons = {
      running: () => [act("Stop", "It can go on later, from the end of its last epoch", post("stop"))],
      stopping: () => [act("Stop at once", "Without waiting for it", post("stop"))],
      stopped: () => [act("Go on", "From the end of its last epoch", post("resume"), "main")],
      failed: () => [act("Go on", "From the end of its last epoch", post("resume"), "main")],
      finished: () => [],
    }[training.state]();
    if (!runs(training)) buttons.push(act("Forget", "Take it off this list; the run stays in the folder", () => ask(`/api/trainings/${training.id}`, {method: "DELETE"})));
    const focused = this.detail.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    const shown = LOSSES.filter(name => training.curves[name]?.length > 1);
    this.detail.replaceChildren(
      element("div", {class: "line"}, element("h1", {}, `${training.name}, ${WORDS[training.state]}`), element("span", {class: "exports"}, ...buttons)),
      training.verdict.length ? "" : element("p", {class: training.state === "failed" ? "wrong" : "quiet", id: "train-words"}, training.words),
      ...training.verdict.map(sentence => element("p", {class: "verdict"}, sentence)),
      training.encoder ? element("p", {class: "quiet"}, `Choose ${training.encoder} as the encoder of the other screens to use it${runs(training) ? ", as it is so far" : ""}.`) : "",
      element("div", {class: "watched"}, this._losses(training, shown), this._figure(training)),
      this._metrics(training.metrics), this._log(training));
    if (focused) this.detail.querySelector(`[data-act="${focused}"]`)?.focus();
  }

  _losses({curves}, shown) {
    if (!shown.length) return element("p", {class: "quiet"}, "The loss is drawn here, once there is some.");
    const keys = shown.map((name, place) => {
      const key = element("i", {class: "key"});
      key.style.background = colourOf(place);
      return element("span", {}, key, `${name} ${curves[name].at(-1)[1].toPrecision(4)}`);
    });
    return element("figure", {}, element("figcaption", {class: "keys"}, ...keys, element("span", {class: "quiet"}, "by step")),
      chart(Object.fromEntries(shown.map(name => [name, curves[name]]))));
  }

  _figure({id, figures}) {
    if (!figures.embedding) return element("p", {class: "quiet"}, "The embedding is drawn here after some epochs.");
    const address = `/api/trainings/${id}/figures/embedding?drawn=${figures.embedding}`;
    if (this.picture?.getAttribute("src") !== address) this.picture = element("img", {src: address, alt: "Frames of some clips along the two main axes of their embeddings"});
    return element("figure", {}, element("figcaption", {class: "quiet"}, "Frames of some clips along the two main axes of their embeddings"), this.picture);
  }

  _metrics(metrics) {
    const rows = Object.entries(metrics);
    if (!rows.length) return "";
    const names = Object.keys(rows[0][1]);
    const head = ["", ...names.map(name => name.replaceAll("_", " "))].map(text => element("th", {}, text));
    return element("div", {class: "wide"}, element("table", {}, element("thead", {}, element("tr", {}, ...head)),
      element("tbody", {}, ...rows.map(([label, row]) => element("tr", {}, element("th", {}, label),
        ...names.map(name => element("td", {}, row[name] === undefined ? "" : row[name].toFixed(3))))))));
  }

  _log({log, state}) {
    const summary = element("summary", {onclick: () => { this.told = !told.open; }}, "What it has said last");
    const told = element("details", {class: "log", open: this.told ?? state === "failed"}, summary, element("pre", {}, log.join("\n")));
    return told;
  }
}
