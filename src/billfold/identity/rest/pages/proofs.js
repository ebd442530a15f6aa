// Showing that it is you: by a passkey, an authenticator app or a recovery code.

import { hasPasskeys, signed } from "./api.js";
import { button, element, onSubmit } from "./dom.js";

const TOTP = ["Code of your authenticator app", { name: "totp", inputMode: "numeric", pattern: "[0-9]{6}", maxLength: 6 }];
const RECOVERY = ["Recovery code", { name: "recovery_code", maxLength: 64, autocapitalize: "none", spellcheck: false }];

/** Offer in `place` whatever `methods` there are; `prove` is given the proof. */
export function offer(place, { methods, options }, prove) {
  const offered = [];
  if (methods.includes("passkey") && options && hasPasskeys()) {
    offered.push(button("Use a passkey", async () => prove({ passkey: await signed(options) }), { kind: "wide" }));
  }
  if (methods.includes("totp")) offered.push(typed(TOTP, prove));
  if (methods.includes("recovery_code")) {
    offered.push(element("details", {}, element("summary", { textContent: "Use a recovery code" }), typed(RECOVERY, prove)));
  }
  place.replaceChildren(...offered);
}

function typed([label, properties], prove) {
  const input = element("input", { required: true, autocomplete: "one-time-code", ...properties });
  const form = element("form", {}, element("label", {}, label, input), element("button", { textContent: "Go on" }));
  onSubmit(form, (fields) => prove(fields));
  return form;
}
