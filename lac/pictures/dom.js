// Making parts of a page. Text is always text: no name of a file can become markup.

export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value);
  }
  made.append(...children.filter(child => child !== null && child !== undefined && child !== ""));
  return made;
}

function namespace() {  // as the parser of pages has it
  const holder = document.createElement("div");
  holder.innerHTML = "<svg></svg>";
  return holder.firstChild.namespaceURI;
}

export function drawn(name, attributes) {
  const made = document.createElementNS(namespace(), name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}
