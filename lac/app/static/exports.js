// What can be taken along of an alignment or a check.

import {ask, finished} from "./api.js";
import {element} from "/pictures/dom.js";

// `guarded` says on the page what goes wrong; `told` is called when jobs have changed.
export function drawExports(root, id, file, kind, guarded, told) {
  const link = (name, text, title) => element("a", {href: file(name), download: name, title}, text);
  const write = (what, name, text, title) => {
    const made = element("button", {type: "button", title, onclick: guarded(async () => {
      made.disabled = true;
      try {
        const asked = await ask(`/api/jobs/${id}/export`, {method: "POST", body: {what}});
        const done = await finished(asked, job => { made.textContent = job.share ? `${text} ${Math.round(100 * job.share)} %` : `${text}…`; });
        element("a", {href: `/api/jobs/${done.id}/files/${name}`, download: name}).click();
      } finally {
        made.disabled = false;
        made.textContent = text;
        await told();
      }
    })}, text);
    return made;
  };
  const report = write("report", "report.html", "HTML", "This screen as one file");
  if (kind === "check") {
    root.replaceChildren(link("steps.csv", "CSV", "Times of the steps that depart"), link("check.png", "PNG", "Picture of the check"), report);
    return;
  }
  root.replaceChildren(
    link("pairs.csv", "CSV", "Times of all matching frames"), link("alignment.png", "PNG", "Picture of the alignment"),
    write("video", "both.mp4", "MP4", "Both videos in step, beside each other"), report);
}
