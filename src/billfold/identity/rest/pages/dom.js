// Small words for what the page does to itself. Everything that comes from outside is put in as text.

export const $ = (selector, within = document) => within.querySelector(selector);

/** An element with properties and children. */
export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

/** A line of a list: what it is, a smaller word about it, and what can be done. */
export function line(title, about, ...actions) {
  return element("li", {}, element("span", {}, title, element("small", { textContent: about })), ...actions);
}

/** A button that does something. `about` tells those who don't see the screen what it is done to. */
export function button(text, act, { about = "", kind = "plain" } = {}) {
  const made = element("button", { type: "button", className: kind, textContent: text });
  if (about) made.setAttribute("aria-label", `${text}: ${about}`);
  made.addEventListener("click", () => doing(made, act));
  return made;
}

/** Put pairs of a name and a value into a description list; empty ones are left out. */
export function facts(list, pairs) {
  const shown = pairs.filter(([, value]) => value);
  list.replaceChildren(
    ...shown.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]),
  );
}

/** Do what a form is for when it is sent: its fields by name. */
export function onSubmit(form, act) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    doing($("button", form), () => act(Object.fromEntries(new FormData(form)), form));
  });
}

/** Do something once, and say what went wrong. */
export async function doing(trigger, act) {
  if (trigger.disabled) return;
  trigger.disabled = true;
  busy(true);
  say("");
  fail("");
  try {
    await act();
  } catch (error) {
    // Whoever closes the browser's own window for passkeys, or says no, knows that they did.
    if (!["NotAllowedError", "AbortError"].includes(error.name)) fail(error.message);
    else fail("Nothing was done: it was stopped, or no passkey was there.");
  } finally {
    trigger.disabled = false;
    busy(false);
  }
}

/** Whether what is on the page is about to change. */
export function busy(is) {
  $("main").setAttribute("aria-busy", is);
}

/** Tell how it went. */
export function say(text) {
  $("#state").textContent = text;
}

/** Tell what went wrong. */
export function fail(text) {
  const dialog = $("dialog[open]");
  const place = (dialog && $("[role=alert]", dialog)) || $("#error");
  place.textContent = text;
  place.hidden = !text;
  if (text) place.focus();
}

/** Show one view, and let those who use a keyboard or a screen reader begin there. */
export function show(name) {
  for (const view of document.querySelectorAll(".view")) view.hidden = view.id !== name;
  say("");
  fail("");
  $(`#${name} h1`).focus();
}

/** An instant as people here write it. */
export function instant(text) {
  return new Date(text).toLocaleString();
}

/** When something was used last. */
export function lastUsed(text) {
  return text ? `last used ${instant(text)}` : "never used";
}
