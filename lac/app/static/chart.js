// Lines over steps, with the values at their ends.

import {drawn} from "/pictures/dom.js";

const [WIDE, HIGH, LEFT, BOTTOM] = [640, 240, 46, 22];
const COLOURS = ["#123c69", "#d55e00", "#009e73", "#cc79a7"];

const short = value => Math.abs(value) >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toPrecision(3);

// `curves` has lists of steps and values, by name.
export function chart(curves) {
  const names = Object.keys(curves), points = names.flatMap(name => curves[name]);
  const picture = drawn("svg", {viewBox: `0 0 ${WIDE} ${HIGH}`, class: "chart", role: "img", "aria-label": names.join(", ")});
  const [steps, values] = [0, 1].map(axis => points.map(point => point[axis]));
  const [last, low, high] = [Math.max(1, ...steps), Math.min(...values), Math.max(...values)];
  const x = step => LEFT + step / last * (WIDE - LEFT - 8);
  const y = value => 8 + (high - value) / (high - low || 1) * (HIGH - BOTTOM - 12);
  const text = (words, attributes) => {
    const made = drawn("text", attributes);
    made.textContent = words;
    picture.append(made);
  };
  for (const share of [0, 0.5, 1]) {
    const value = low + share * (high - low);
    picture.append(drawn("line", {class: "grid", x1: LEFT, x2: WIDE - 8, y1: y(value), y2: y(value)}));
    text(short(value), {x: LEFT - 6, y: y(value) + 4, "text-anchor": "end"});
    text(String(Math.round(share * last)), {x: x(share * last), y: HIGH - 5, "text-anchor": share === 1 ? "end" : share ? "middle" : "start"});
  }
  names.forEach((name, place) => {
    const line = curves[name].map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
    picture.append(drawn("polyline", {points: line, stroke: COLOURS[place % COLOURS.length], class: "curve", "data-name": name}));
  });
  return picture;
}

export const colourOf = place => COLOURS[place % COLOURS.length];
