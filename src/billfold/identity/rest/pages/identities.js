// Accounts elsewhere that one logs in with, on the page of one's account.

import { ask, call } from "./api.js";
import { $, button, instant, line, say } from "./dom.js";

const IDENTITIES = "/users/me/identities";

/** Show them, where there are providers to log in with. */
export async function loadIdentities() {
  const [{ items: providers }, { items: linked }] = await Promise.all([ask("GET", "/auth/oidc"), call("GET", IDENTITIES)]);
  $("#identities-card").hidden = !providers.length && !linked.length;
  $("#no-identity").hidden = linked.length > 0;
  const titles = new Map(providers.map(({ name, title }) => [name, title]));
  $("#identities").replaceChildren(...linked.map((one) => identityLine(one, titles.get(one.provider) ?? one.provider)));
  const others = providers.filter(({ name }) => !linked.some(({ provider }) => provider === name));
  $("#linkable").replaceChildren(...others.map(linkButton));
}

function identityLine({ id, name, created_at }, title) {
  const unlink = async () => {
    await call("POST", `${IDENTITIES}/${id}/unlink`, again());
    $("#identities-form").reset();
    await loadIdentities();
    say(`${title} is unlinked.`);
  };
  return line(title, `${name} · linked ${instant(created_at)}`, button("Unlink", unlink, { about: title }));
}

function linkButton({ name, title }) {
  return button(`Link ${title}`, async () => {
    const { url } = await call("POST", `${IDENTITIES}/${name}/start`, { return_to: "/account", ...again() });
    // The cookie of this login stays at this name: a provider that leads back to another one would find none.
    const back = new URL(new URL(url).searchParams.get("redirect_uri"));
    if (back.hostname !== location.hostname) throw new Error(`Log in at ${back.origin}/account to link ${title}.`);
    location.assign(url);
  });
}

// The password, of those who have no factor.
function again() {
  const { value } = $("#identities-form input");
  return value ? { password: value } : {};
}

$("#identities-form").addEventListener("submit", (event) => event.preventDefault());
