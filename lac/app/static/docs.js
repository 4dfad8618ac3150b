// The documentation of the API, made of openapi.json and nothing from elsewhere.

import {element} from "/pictures/dom.js";

const schema = await (await fetch("/openapi.json")).json();

function resolve(part) {
  return part?.$ref ? part.$ref.split("/").slice(1).reduce((place, key) => place[key], schema) : part;
}

function typeOf(part) {
  if (!part) return "";
  if (part.$ref) return part.$ref.split("/").pop();
  if (part.anyOf) return part.anyOf.map(typeOf).join(" or ");
  if (part.const !== undefined) return JSON.stringify(part.const);
  if (part.enum) return part.enum.map(value => JSON.stringify(value)).join(" or ");
  if (part.type === "array") return `list of ${typeOf(part.items) || "any"}`;
  return part.format ? `${part.type} (${part.format})` : part.type || "any";
}

function table(rows) {
  return element("table", {}, element("tbody", {}, ...rows.map(cells =>
    element("tr", {}, ...cells.map((cell, at) => element(at ? "td" : "th", {}, cell))))));
}

function model(part) {
  const properties = Object.entries(resolve(part).properties ?? {});
  const required = new Set(resolve(part).required ?? []);
  return table(properties.map(([name, about]) => [
    element("code", {}, name), typeOf(about),
    [required.has(name) ? "" : "optional", about.description ?? ""].filter(Boolean).join("; "),
  ]));
}

function body(content, heading) {
  const [kind, about] = Object.entries(content ?? {})[0] ?? [];
  if (!kind) return [];
  const shown = about.schema?.items ?? about.schema;
  const title = element("h4", {}, `${heading}: `, element("code", {}, typeOf(about.schema) || kind));
  return [title, ...(resolve(shown)?.properties ? [model(shown)] : [])];
}

function operation(path, method, about) {
  const parameters = (about.parameters ?? []).map(one => [
    element("code", {}, one.name), typeOf(one.schema),
    [one.in, one.required ? "" : "optional", one.description ?? ""].filter(Boolean).join("; "),
  ]);
  const answers = Object.entries(about.responses);
  const good = answers.find(([code]) => code.startsWith("2"));
  const others = answers.filter(([code]) => !code.startsWith("2"));
  return element("article", {},
    element("h3", {}, element("span", {class: `method ${method}`}, method.toUpperCase()),
      element("code", {}, path)),
    ...(about.description ?? about.summary ?? "").split("\n\n").map(text => element("p", {}, text)),
    ...(parameters.length ? [element("h4", {}, "Parameters"), table(parameters)] : []),
    ...body(about.requestBody?.content, "Body"),
    ...(good ? body(good[1].content, `Answer ${good[0]}`) : []),
    ...(others.length ? [element("p", {class: "quiet"},
      `Also ${others.map(([code, text]) => `${code} ${text.description ?? ""}`.trim()).join(", ")}.`)] : []));
}

const groups = new Map();
for (const [path, methods] of Object.entries(schema.paths))
  for (const [method, about] of Object.entries(methods)) {
    const tag = about.tags?.[0] ?? "other";
    if (!groups.has(tag)) groups.set(tag, []);
    groups.get(tag).push(operation(path, method, about));
  }
document.getElementById("docs").replaceChildren(
  element("h1", {}, `${schema.info.title} ${schema.info.version}`),
  element("p", {}, schema.info.description.replaceAll("`", "")),
  ...[...groups].flatMap(([tag, shown]) => [element("h2", {}, tag), ...shown]));
