// Calls of the API from a page: cookies, the CSRF token, new tokens when the old ones have ended, approvals, passkeys.

const PREFIX = "/api/v1";
// What the cookies' login gave us to send along. It is no secret without them, and tabs share it as they share those.
const CSRF = "billfold-csrf";

let approve = null;

/** What the API has refused: its problem details. */
export class Refused extends Error {
  constructor(problem) {
    super(problem.detail);
    this.problem = problem;
    this.code = problem.code;
  }
}

/** Whom to ask when something needs the approval of the person in front of the screen. */
export function approveBy(asker) {
  approve = asker;
}

/** Keep what a login or a refresh has answered. */
export function loggedIn(tokens) {
  localStorage.setItem(CSRF, tokens.csrf_token);
}

/** Forget the login. */
export function loggedOut() {
  localStorage.removeItem(CSRF);
}

/** Call as nobody: logging in, registering. */
export async function ask(method, path, body) {
  return content(await send(method, path, body));
}

/** Call as whoever is logged in. */
export async function call(method, path, body, stepUp) {
  const before = localStorage.getItem(CSRF);
  let answer = await send(method, path, body, stepUp);
  if ([401, 403].includes(answer.status) && (await isStale(answer)) && (await refreshed(before))) {
    answer = await send(method, path, body, stepUp);
  }
  try {
    return await content(answer);
  } catch (error) {
    if (error.code !== "step_up_required" || stepUp || !approve) throw error;
    await approve(error.problem.step_up.id);
    return call(method, path, body, error.problem.step_up.id);
  }
}

/** Let an authenticator make a passkey. */
export async function madePasskey(options) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  return (await navigator.credentials.create({ publicKey })).toJSON();
}

/** Let an authenticator sign with a passkey. */
export async function signed(options) {
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(options);
  return (await navigator.credentials.get({ publicKey })).toJSON();
}

/** Whether this browser can use passkeys on this page. */
export function hasPasskeys() {
  return Boolean(window.PublicKeyCredential?.parseRequestOptionsFromJSON);
}

function send(method, path, body, stepUp) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (stepUp) headers["Step-Up"] = stepUp;
  const token = localStorage.getItem(CSRF);
  if (token && method !== "GET") headers["X-CSRF-Token"] = token;
  return fetch(PREFIX + path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
}

async function content(answer) {
  const text = await answer.text();
  const found = text ? JSON.parse(text) : null;
  if (!answer.ok) throw new Refused(found ?? { code: "unknown", detail: `The server has answered ${answer.status}.` });
  return found;
}

// An access token that has ended, or one that another tab has replaced.
async function isStale(answer) {
  const { code } = await answer.clone().json();
  return answer.status === 401 || code === "csrf_token_wrong";
}

// A refresh token is good once, so of all tabs one refreshes at a time.
async function refreshed(before) {
  const refresh = async () => {
    const now = localStorage.getItem(CSRF);
    if (now !== before) return now !== null;
    const answer = await send("POST", "/auth/refresh", {});
    if (answer.ok) loggedIn(await answer.json());
    else if (answer.status === 401) loggedOut();
    return answer.ok;
  };
  return navigator.locks ? navigator.locks.request("billfold-refresh", refresh) : refresh();
}
