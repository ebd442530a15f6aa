// Passkeys, authenticator apps and recovery codes on the page of one's account.

import { call, hasPasskeys, madePasskey } from "./api.js";
import { $, button, doing, element, instant, lastUsed, line, onSubmit, say } from "./dom.js";

const FACTORS = "/users/me/factors";
let profile = null;

/** Show the factors of whoever this is. */
export async function loadFactors(whose) {
  profile = whose;
  showFactors(await call("GET", FACTORS));
}

function showFactors(factors) {
  const none = !factors.totp && !factors.passkeys.length;
  $("#no-factor").hidden = !none;
  $("#passkeys").replaceChildren(...factors.passkeys.map(passkeyLine));
  $("#totp").replaceChildren(...(factors.totp ? [totpLine(factors.totp)] : []));
  $("#passkey-form").hidden = !hasPasskeys();
  if (factors.totp) $("#totp-code-form").hidden = true;
  $("#totp-form").hidden = Boolean(factors.totp) || !$("#totp-code-form").hidden;
  // The first factor takes the password; the later ones take a factor.
  for (const label of document.querySelectorAll("[data-password]")) {
    label.hidden = !(none && profile.has_password);
    $("input", label).required = !label.hidden;
  }
  $("#recovery-left").textContent = none
    ? "They come with your first factor."
    : `You have ${factors.recovery_codes} left. Each is good once, when everything else is gone.`;
  $("#renew-codes").hidden = none;
}

function passkeyLine(passkey) {
  const kept = passkey.synced ? "on all your devices" : "on one device";
  const about = `Passkey ${kept} · ${lastUsed(passkey.last_used_at)}`;
  const remove = async () => showFactors(await call("DELETE", `${FACTORS}/passkeys/${passkey.id}`));
  return line(passkey.name, about, button("Remove", remove, { about: passkey.name }));
}

function totpLine(app) {
  const remove = async () => showFactors(await call("DELETE", `${FACTORS}/totp`));
  const about = `Since ${instant(app.created_at)} · ${lastUsed(app.last_used_at)}`;
  return line("Authenticator app", about, button("Remove", remove, { about: "Authenticator app" }));
}

function added({ factors, recovery_codes: codes }) {
  showFactors(factors);
  if (codes) showCodes(codes);
}

function showCodes(codes) {
  $("#codes-list").replaceChildren(...codes.map((code) => element("li", { textContent: code })));
  $("#codes").showModal();
}

// Codes don't stay on a page that somebody leaves open.
$("#codes").addEventListener("close", () => $("#codes-list").replaceChildren());

const again = (password) => (password ? { password } : {});

onSubmit($("#passkey-form"), async ({ name, password }, form) => {
  const { challenge_id, options } = await call("POST", `${FACTORS}/passkeys/start`, again(password));
  const credential = await madePasskey(options);
  added(await call("POST", `${FACTORS}/passkeys/finish`, { challenge_id, name, credential }));
  form.reset();
  say("Your passkey is added.");
});

onSubmit($("#totp-form"), async ({ password }, form) => {
  const app = await call("POST", `${FACTORS}/totp`, again(password));
  form.reset();
  form.hidden = true;
  $("#totp-secret").textContent = app.secret.match(/.{1,4}/g).join(" ");
  $("#totp-uri").href = app.uri;
  $("#totp-code-form").hidden = false;
  $("#totp-code-form input").focus();
});

onSubmit($("#totp-code-form"), async (fields, form) => {
  added(await call("POST", `${FACTORS}/totp/confirm`, fields));
  form.reset();
  $("#totp-secret").textContent = "";
  $("#totp-uri").removeAttribute("href");
  say("Your authenticator app is added.");
});

$("#renew-codes").addEventListener("click", (event) =>
  doing(event.currentTarget, async () => {
    const { recovery_codes: codes } = await call("POST", `${FACTORS}/recovery-codes`);
    showCodes(codes);
    showFactors(await call("GET", FACTORS));
  }),
);
