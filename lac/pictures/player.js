"use strict";
const {times, partner, matched, spans, matrix, minutes} = JSON.parse(document.getElementById("matching").textContent);
const all = selector => [...document.querySelectorAll(selector)];
const player = document.querySelector(".player"), button = document.querySelector("button");
const videos = all("video"), clocks = all("time"), bars = all(".bar"), picture = document.querySelector(".picture");
const cross = [0, 1].map(() => picture.appendChild(document.createElement("div")));

videos.forEach((video, side) => {
  const bytes = Uint8Array.from(atob(document.getElementById("video-" + side).textContent), c => c.charCodeAt(0));
  video.src = URL.createObjectURL(new Blob([bytes], {type: "video/mp4"}));
  video.currentTime = 0.002;  // Chromium may show no picture before it has gone to one
});
const nearest = (values, wanted) => {  // values increase
  let low = 0, high = values.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((values[middle] + values[middle + 1]) / 2 < wanted) low = middle + 1; else high = middle;
  }
  return low;
};
const share = (time, side) => {
  const last = times[side][times[side].length - 1];
  return last ? Math.min(Math.max(time / last, 0), 1) : 0;
};
const clock = (time, side) => {
  if (!minutes[side]) return time.toFixed(2) + " s";
  const whole = Math.round(time * 10), rest = (whole % 600 / 10).toFixed(1).padStart(4, "0");
  const least = Math.floor(whole / 600), hours = Math.floor(least / 60);
  return (hours ? hours + ":" + String(least % 60).padStart(2, "0") : least) + ":" + rest;
};
spans.forEach((list, side) => list.forEach(([first, last]) => {
  const span = bars[side].insertBefore(document.createElement("span"), bars[side].firstChild);
  span.style.left = 100 * share(first, side) + "%";
  span.style.width = `max(2px, ${100 * (share(last, side) - share(first, side))}%)`;
}));

const show = () => {
  const row = nearest(times[0], videos[0].currentTime), wanted = partner[row];
  // A little later than the frame begins: what is stamped with the very time may round down.
  if (!videos[1].seeking && Math.abs(videos[1].currentTime - wanted - 0.002) > 0.004)
    videos[1].currentTime = wanted + 0.002;
  player.classList.toggle("matched", matched[row]);
  document.getElementById("mark").textContent = matched[row] ? "paired" : "not paired";
  [times[0][row], wanted].forEach((time, side) => {
    clocks[side].textContent = clock(time, side);
    bars[side].querySelector("i").style.left = 100 * share(time, side) + "%";
  });
  const column = nearest(times[1], wanted), [left, top, right, bottom] = matrix;
  const x = left + (right - left) * (column + 0.5) / times[1].length;
  const y = top + (bottom - top) * (row + 0.5) / times[0].length;
  Object.assign(cross[0].style, {left: 100 * left + "%", width: 100 * (right - left) + "%", top: 100 * y + "%", height: "1px"});
  Object.assign(cross[1].style, {top: 100 * top + "%", height: 100 * (bottom - top) + "%", left: 100 * x + "%", width: "1px"});
  button.textContent = videos[0].paused ? "Play" : "Pause";
};
const go = row => { videos[0].pause(); videos[0].currentTime = times[0][Math.min(Math.max(row, 0), times[0].length - 1)] + 0.002; };
const closest = time => partner.reduce((best, at, row) => Math.abs(at - time) < Math.abs(partner[best] - time) ? row : best, 0);
const toggle = () => videos[0].paused ? videos[0].play() : videos[0].pause();

button.addEventListener("click", toggle);
document.querySelector("select").addEventListener("change", event => { videos[0].playbackRate = event.target.value; });
bars.forEach((bar, side) => bar.addEventListener("click", event => {
  const box = bar.getBoundingClientRect();
  const time = (event.clientX - box.left) / box.width * times[side][times[side].length - 1];
  go(side ? closest(time) : nearest(times[0], time));
}));
picture.addEventListener("click", event => {
  const box = picture.getBoundingClientRect(), [, top, , bottom] = matrix;
  const down = ((event.clientY - box.top) / box.height - top) / (bottom - top);
  if (down >= 0 && down < 1) go(Math.floor(down * times[0].length));
});
document.addEventListener("keydown", event => {
  if (event.target.matches("button, select")) return;
  const step = {ArrowLeft: -1, ArrowRight: 1}[event.key];
  if (event.key === " ") toggle();
  else if (step) go(nearest(times[0], videos[0].currentTime) + step);
  else return;
  event.preventDefault();
});
const follow = () => { show(); requestAnimationFrame(follow); };
requestAnimationFrame(follow);
