// Requests to the server.

export class Refused extends Error {}

export async function ask(path, {method = "GET", body, signal} = {}) {
  const sent = {method, signal, headers: {}};
  if (body instanceof Blob) sent.body = body;
  else if (body !== undefined) {
    sent.body = JSON.stringify(body);
    sent.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, sent);
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Refused("The server does not answer. Is it still running?");
  }
  const content = answer.status === 204 ? null : await answer.json();
  if (!answer.ok) {
    const detail = content?.detail;
    throw new Refused(Array.isArray(detail) ? detail.map(one => one.msg).join("; ") : detail ?? answer.statusText);
  }
  return content;
}

export const isOver = job => ["done", "failed", "stopped"].includes(job.state);

// Wait until a job is over; `tell` is called with how it stands. A failed one is refused.
export async function finished(job, tell = () => {}, signal) {
  let now = job;
  while (!isOver(now)) {
    tell(now);
    await new Promise(resolve => setTimeout(resolve, 300));
    signal?.throwIfAborted();
    now = await ask(`/api/jobs/${job.id}`, {signal});
  }
  tell(now);
  if (now.state !== "done") throw new Refused(now.words || `The job was ${now.state}.`);
  return now;
}

// The address of a video that this browser plays; it is prepared first where it has to be.
export async function playable(id, tell, signal) {
  let video = await ask(`/api/videos/${id}`, {signal});
  while (!video.facts && !video.problem) {
    await new Promise(resolve => setTimeout(resolve, 200));
    video = await ask(`/api/videos/${id}`, {signal});
  }
  if (video.problem) throw new Refused(video.problem);
  if (!video.prepared && !(video.facts.playable && await plays(`/api/videos/${id}/file`)))
    await finished(await ask(`/api/videos/${id}/prepare`, {method: "POST", signal}), tell, signal);
  return `/api/videos/${id}/file`;
}

function plays(address) {  // browsers differ in the codecs that they have
  return new Promise(resolve => {
    const probe = document.createElement("video");
    const answer = can => { probe.removeAttribute("src"); probe.load(); resolve(can); };
    probe.muted = true;
    probe.preload = "metadata";
    probe.addEventListener("loadedmetadata", () => answer(probe.videoWidth > 0), {once: true});
    probe.addEventListener("error", () => answer(false), {once: true});
    probe.src = address;
  });
}
