// Compiles sources, told as {"Name.sol": "source"} on standard input, and writes {"Name.sol": {"Name": "0x…"}}: the
// code that makes each contract.
import { readFileSync } from "node:fs";
import solc from "solc";

const told = JSON.parse(readFileSync(0, "utf8"));
const sources = Object.fromEntries(Object.entries(told).map(([name, content]) => [name, { content }]));
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
const codes = Object.entries(said.contracts).map(([file, made]) => [
  file,
  Object.fromEntries(Object.entries(made).map(([name, contract]) => [name, "0x" + contract.evm.bytecode.object])),
]);
console.log(JSON.stringify(Object.fromEntries(codes)));
