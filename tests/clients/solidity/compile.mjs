// Compiles the sources named as arguments and writes {"Name": "0x…"}, the code that makes each contract, to standard output.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import solc from "solc";

const sources = Object.fromEntries(process.argv.slice(2).map((path) => [basename(path), { content: readFileSync(path, "utf8") }]));
const settings = {
  // The code ends with no hash of its source, so that a comment changes nothing.
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  evmVersion: "cancun",
  optimizer: { enabled: true, runs: 1000 },
  outputSelection: { "*": { "*": ["evm.bytecode.object"] } },
};
const said = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings })));
const errors = (said.errors ?? []).filter((each) => each.severity === "error");
if (errors.length) {
  console.error(errors.map((each) => each.formattedMessage).join("\n"));
  process.exit(1);
}
const made = Object.values(said.contracts).flatMap((file) => Object.entries(file));
const codes = Object.fromEntries(made.map(([name, contract]) => [name, "0x" + contract.evm.bytecode.object]).sort());
console.log(JSON.stringify(codes, null, 1));
