// The page of one's own account: in and out, and what stands on it.

import { ask, approveBy, call, hasPasskeys, loggedIn, loggedOut, signed } from "./api.js";
import { approve } from "./approval.js";
import { loadAliases } from "./aliases.js";
import { loadFactors } from "./factors.js";
import { loadIdentities } from "./identities.js";
import { deviceName } from "./devices.js";
import { $, busy, button, doing, element, facts, fail, instant, lastUsed, line, onSubmit, say, show } from "./dom.js";
import { offer } from "./proofs.js";

const COOKIES = { cookies: true };
let registrationId = null;

approveBy(approve);

async function enter(tokens) {
  loggedIn(tokens);
  await open();
}

function askFactor({ token, methods, passkey_options: options }, done) {
  show("second-factor");
  offer($("#second-factor [data-proof]"), { methods, options }, async (proof) =>
    done(await ask("POST", "/auth/mfa", { token, ...proof, ...COOKIES })),
  );
}

// A login at a provider that needs a factor of ours, and then leads on: to a path of this server, whoever made the link.
async function completeLogin(path) {
  const onward = new URL(path, location.origin);
  if (onward.origin !== location.origin) return leave();
  try {
    askFactor(await ask("GET", "/auth/mfa"), (tokens) => {
      loggedIn(tokens);
      location.replace(onward);
    });
  } catch (error) {
    leave();
    throw error;
  }
}

async function open() {
  const profile = await call("GET", "/users/me");
  $("#who").textContent = profile.display_name;
  $("#who").hidden = $("#log-out").hidden = false;
  const wanted = new URLSearchParams(location.hash.slice(1)).get("step-up");
  if (wanted) return approveWaiting(wanted);
  history.replaceState(null, "", "#account");
  show("account");
  showProfile(profile);
  await Promise.all([loadFactors(profile), loadSessions(), loadAliases(), loadIdentities()]);
}

async function approveWaiting(id) {
  history.replaceState(null, "", "#account");
  show("approved");
  $("#approved").hidden = true;
  try {
    await approve(id);
    show("approved");
  } catch (error) {
    await open();
    throw error;
  }
}

function leave() {
  loggedOut();
  $("#who").hidden = $("#log-out").hidden = true;
  history.replaceState(null, "", "#login");
  show("login");
}

function showProfile(profile) {
  facts($("#profile-facts"), [
    ["E-mail", profile.email],
    ["Phone", profile.phone],
    ["Member since", instant(profile.created_at)],
  ]);
  const { display_name, locale, time_zone } = $("#profile-form").elements;
  display_name.value = profile.display_name;
  if (![...locale.options].some((option) => option.value === profile.locale)) {
    locale.append(element("option", { value: profile.locale, textContent: profile.locale }));
  }
  locale.value = profile.locale;
  time_zone.value = profile.time_zone;
}

async function loadSessions() {
  const { items } = await call("GET", "/sessions");
  $("#sessions").replaceChildren(...items.map(sessionLine));
}

function sessionLine(session) {
  const device = deviceName(session.device);
  const about = `${session.address} · ${lastUsed(session.last_used_at)}`;
  if (session.current) return line(device, about, element("span", { className: "badge", textContent: "This one" }));
  const end = async () => {
    await call("DELETE", `/sessions/${session.id}`);
    await loadSessions();
  };
  return line(device, about, button("Sign out", end, { about: device }));
}

async function loadProviders() {
  // Nobody misses what is not there.
  const { items } = await ask("GET", "/auth/oidc").catch(() => ({ items: [] }));
  $("#providers").replaceChildren(
    ...items.map((one) => element("a", { href: one.start_url, textContent: `Log in with ${one.title}` })),
  );
  $("#providers").hidden = !items.length;
  showOr();
}

/** "or" stands between two ways to log in, so it takes one above it. */
function showOr() {
  $("#login .or").hidden = $("#login-passkey").hidden && $("#providers").hidden;
}

onSubmit($("#login-form"), async (fields, form) => {
  const answer = await ask("POST", "/auth/login", { ...fields, ...COOKIES });
  form.reset();
  if (!answer.second_factor) return enter(answer);
  askFactor(answer.second_factor, enter);
});

$("#login-passkey").addEventListener("click", (event) =>
  doing(event.currentTarget, async () => {
    const { challenge_id, options } = await ask("POST", "/auth/passkeys/start");
    const credential = await signed(options);
    await enter(await ask("POST", "/auth/passkeys/finish", { challenge_id, credential, ...COOKIES }));
  }),
);

onSubmit($("#register-form"), async ({ address, ...fields }) => {
  const where = address.includes("@") ? { email: address } : { phone: address };
  const locale = navigator.language.startsWith("th") ? "th" : "en";
  const time_zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "UTC";
  ({ id: registrationId } = await ask("POST", "/auth/register", { ...fields, ...where, locale, time_zone }));
  $("#register-form").reset();
  show("verify");
});

onSubmit($("#verify-form"), async ({ code }, form) => {
  const tokens = await ask("POST", "/auth/verify", { id: registrationId, code, ...COOKIES });
  form.reset();
  await enter(tokens);
});

onSubmit($("#forgot-form"), async (fields) => {
  await ask("POST", "/auth/password/forgot", fields);
  say("If there is such an account, a code is on its way.");
});

onSubmit($("#reset-form"), async (fields, form) => {
  await ask("POST", "/auth/password/reset", fields);
  form.reset();
  leave();
  say("Your password is set. Log in with it.");
});

onSubmit($("#profile-form"), async (fields) => {
  const profile = await call("PATCH", "/users/me", fields);
  $("#who").textContent = profile.display_name;
  showProfile(profile);
  say("Saved.");
});

$("#log-out").addEventListener("click", (event) =>
  doing(event.currentTarget, async () => {
    await call("POST", "/auth/logout");
    leave();
  }),
);

$("#log-out-everywhere").addEventListener("click", (event) =>
  doing(event.currentTarget, async () => {
    await call("POST", "/auth/logout-everywhere");
    leave();
    say("You are logged out everywhere.");
  }),
);

async function go() {
  const place = location.hash.slice(1);
  const onward = new URLSearchParams(place).get("second-factor");
  if (onward) return completeLogin(onward);
  if (["login", "register", "forgot"].includes(place)) return show(place);
  try {
    await open();
  } catch (error) {
    if (error.problem?.status !== 401) throw error;
    // What waits for an approval waits for the login, too.
    if (place.startsWith("step-up=")) show("login");
    else leave();
  }
}

function goAndTell() {
  busy(true);
  go()
    .catch((error) => fail(error.message))
    .finally(() => busy(false));
}

$("#login-passkey").hidden = !hasPasskeys();
if (/^[\d.]+$|^\[/.test(location.hostname)) {
  $("#login-passkey").hidden = true;
  $("#use-localhost").hidden = false;
  $("#use-localhost a").href = location.href.replace(location.hostname, "localhost");
}
showOr();
for (const zone of Intl.supportedValuesOf?.("timeZone") ?? []) {
  $("#time-zones").append(element("option", { value: zone }));
}
window.addEventListener("hashchange", goAndTell);
loadProviders();
goAndTell();
