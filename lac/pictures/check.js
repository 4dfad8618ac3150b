// What a check found: distance and surprise along both videos, and the steps that depart.

import {clock} from "/pictures/view.js";
import {drawn, element} from "/pictures/dom.js";

const ROLES = ["reference", "query"];
const MOST = 10;  // bits of surprise, at most

// Whether a video lacks a step, which then lies between two of its frames.
const lacks = (step, side) => step.kind === ["extra", "missing"][side];

function chart(found, view, side, align) {
  const distance = found.distance[side], count = distance.length;
  const top = 1.1 * Math.max(found.limit, ...found.distance.map(values => Math.max(...values)));
  const picture = drawn("svg", {viewBox: `0 0 ${count} 1`, preserveAspectRatio: "none", "aria-hidden": "true"});
  for (const step of found.steps) {
    const [first, last] = step[ROLES[side]], thin = lacks(step, side);
    const middle = (first + last + 1) / 2, wide = Math.max(count / 250, 0.2);
    picture.append(drawn("rect", {
      class: `step ${step.kind}`, y: 0, height: 1,
      x: thin ? middle - wide / 2 : first, width: thin ? wide : last - first + 1}));
  }
  const line = (values, most, name) => picture.append(drawn("polyline", {
    class: name, points: values.map((value, frame) => `${frame + 0.5},${1 - value / most}`).join(" ")}));
  line(found.surprise[side], MOST, "surprise");
  line(distance, top, "distance");
  const high = 1 - found.limit / top;
  picture.append(drawn("line", {class: "limit", x1: 0, x2: count, y1: high, y2: high}));
  const here = element("i", {class: "here"});
  const plot = element("div", {class: "plot", "data-side": side}, picture, here);
  const told = element("span", {class: "quiet"});
  plot.addEventListener("pointermove", event => {
    const box = plot.getBoundingClientRect();
    const frame = Math.floor((event.clientX - box.left) / box.width * count);
    align.showFrame(side, Math.min(Math.max(frame, 0), count - 1));
  });
  const stand = rows => {
    here.style.left = `${(rows[side] + 0.5) / count * 100}%`;
    told.textContent = `distance ${distance[rows[side]].toFixed(2)}, surprise ${found.surprise[side][rows[side]].toFixed(1)} bits`;
  };
  const title = element("div", {class: "line"},
    element("span", {}, element("b", {}, side ? "Query " : "Reference "), view.names[side]), told);
  return {part: element("div", {}, title, plot), stand};
}

function table(found, view, align) {
  const time = (side, frame) => clock(view.times[side][frame], view.minutes[side]);
  const jump = (step, side) => {
    const [first, last] = step[ROLES[side]];
    const text = lacks(step, side) ? `at ${clock((view.times[side][first] + view.times[side][last]) / 2, view.minutes[side])}`
      : `${time(side, first)} – ${time(side, last)}`;
    return element("td", {}, element("button", {type: "button", class: "jump", onclick: () => align.showFrame(side, first)}, text));
  };
  if (!found.steps.length) return element("p", {class: "quiet"}, "Nothing departs by more than the limit.");
  return element("table", {}, element("thead", {}, element("tr", {}, ...["Step", "Reference", "Query"].map(text => element("th", {}, text)))),
    element("tbody", {}, ...found.steps.map(step => element("tr", {},
      element("td", {}, element("i", {class: `key ${step.kind}`}), step.kind), jump(step, 0), jump(step, 1)))));
}

// Show what was found beside the alignment; hovering over a chart shows the frames of both videos.
export function showCheck(root, found, view, align) {
  const charts = ROLES.map((_, side) => chart(found, view, side, align));
  const key = element("p", {class: "quiet keys"},
    element("span", {}, element("i", {class: "key distance"}), "distance"), element("span", {}, element("i", {class: "key surprise"}), "surprise"),
    element("span", {}, element("i", {class: "key limit"}), "limit"), found.limit_words);
  root.replaceChildren(...charts.map(one => one.part), key, table(found, view, align));
  const follow = rows => charts.forEach(one => one.stand(rows));
  align.root.addEventListener("stand", event => follow(event.detail), {signal: align.stop.signal});
  follow(align.row);
}
