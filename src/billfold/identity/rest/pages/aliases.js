// The names by which one is paid, on the page of one's account.

import { call } from "./api.js";
import { $, button, element, line, onSubmit } from "./dom.js";

const STATUSES = { active: "Everybody can pay you by it", pending: "Waits for the code that was sent to it" };

/** Show them. */
export async function loadAliases() {
  const { items } = await call("GET", "/aliases");
  const kept = items.filter((alias) => alias.status !== "released");
  $("#aliases-card").hidden = false;
  $("#no-alias").hidden = kept.length > 0;
  $("#aliases").replaceChildren(...kept.map(aliasLine));
}

function aliasLine(alias) {
  const path = `/aliases/${encodeURIComponent(alias.alias)}`;
  const release = async () => {
    await call("DELETE", path);
    await loadAliases();
  };
  const about = alias.visibility === "hidden" ? "Hidden: nobody can pay you by it" : STATUSES[alias.status];
  const shown = line(alias.alias, about, button("Give up", release, { about: alias.alias }));
  if (alias.status === "pending") shown.append(codeForm(alias, path));
  return shown;
}

function codeForm(alias, path) {
  const input = element("input", { name: "code", required: true, inputMode: "numeric", maxLength: 16 });
  const label = element("label", {}, `Code for ${alias.alias}`, input);
  const form = element("form", {}, label, element("button", { textContent: "Confirm" }));
  onSubmit(form, async (fields) => {
    await call("POST", `${path}/verify`, fields);
    await loadAliases();
  });
  return form;
}

onSubmit($("#alias-form"), async (fields, form) => {
  await call("POST", "/aliases", fields);
  form.reset();
  await loadAliases();
});
