// The list of jobs: how each stands, and what can be done with it.

import {ask, isOver} from "./api.js";
import {element} from "/pictures/dom.js";

// `kinds` have a screen; `guarded` says on the page what goes wrong, `told` is called after changes.
export function jobRows(jobs, kinds, guarded, told) {
  const rows = jobs.map(job => {
    const title = kinds.includes(job.kind) && job.state === "done"
      ? element("a", {class: "title", href: `#${job.id}`, "data-id": `${job.id} open`}, job.title) : element("span", {class: "title"}, job.title);
    const button = (text, label, action) => element("button", {
      type: "button", class: "plain", title: label, "aria-label": `${label}: ${job.title}`, "data-id": `${job.id} ${text}`, onclick: guarded(action)}, text);
    const repeat = ["failed", "stopped"].includes(job.state)
      ? button("↻", "Begin anew", async () => { await ask(`/api/jobs/${job.id}/again`, {method: "POST"}); await told(); }) : null;
    const remove = button("✕", isOver(job) ? "Remove" : "Stop", async () => { await ask(`/api/jobs/${job.id}`, {method: "DELETE"}); await told(); });
    const words = {queued: "waiting", failed: job.words, stopped: job.words, done: ""}[job.state] ?? job.words;
    return element("li", {class: "job"}, element("div", {class: "line"}, title, element("span", {}, repeat, remove)),
      isOver(job) || job.state === "queued" ? null : element("progress", job.share === null ? {} : {value: job.share, max: 1}),
      words ? element("div", {class: job.state === "failed" ? "words wrong" : "words"}, words) : null);
  });
  if (!rows.length) rows.push(element("li", {class: "quiet"}, "Nothing has been done yet."));
  return rows;
}
