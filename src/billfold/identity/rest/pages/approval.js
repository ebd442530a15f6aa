// What waits for the approval of the person in front of the screen.

import { call } from "./api.js";
import { $, facts, fail } from "./dom.js";
import { offer } from "./proofs.js";

const OPERATIONS = {
  withdrawal: "Send money out of your wallet",
  withdrawals: "Send money out of your wallets, several times",
  reversal: "Send a deposit back",
  "hold settlement": "Pay out money that was held",
  "withdrawal to a chain": "Send money out of your wallet, to an address of a chain",
  "keys.export": "Give out the seed of a chain's keys",
  chain_key: "Take over the public key that a chain's addresses follow from",
  chain_addresses: "Take over addresses of a chain whose keys are elsewhere",
  unsigned_discard: "Give up a transaction that was handed out to be signed",
  "api_key.create": "Create an API key, with which a program acts as you",
  "address.change": "Change the address that your account is reached at",
  "factor.add": "Add something to log in with",
  "factor.remove": "Remove something to log in with",
  "identity.link": "Link an account elsewhere, which logs you in here from then on",
  "identity.unlink": "Unlink an account elsewhere",
  "recovery_codes.renew": "Make new recovery codes; the old ones are no good any more",
};
// For programs: what is shown stands for it.
const UNSHOWN = ["request", "kind"];

/** Show an operation and take the approval; it fails if the person does not want it. */
export async function approve(id) {
  const waiting = await call("GET", `/auth/step-up/${encodeURIComponent(id)}`);
  if (waiting.approved_at) return;
  const dialog = $("#approval");
  $("#approval-operation").textContent = OPERATIONS[waiting.operation] ?? waiting.operation;
  const shown = Object.entries(waiting.content).filter(([name]) => !UNSHOWN.includes(name));
  facts($("#approval-content"), shown.map(([name, value]) => [name.replaceAll("_", " "), value]));
  dialog.returnValue = "no";
  offer($("[data-proof]", dialog), { methods: waiting.methods, options: waiting.passkey_options }, async (proof) => {
    await call("POST", `/auth/step-up/${encodeURIComponent(id)}`, proof);
    dialog.close("yes");
  });
  dialog.showModal();
  fail("");
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  if (dialog.returnValue !== "yes") throw new Error("Nothing was done: you have not approved it.");
}
