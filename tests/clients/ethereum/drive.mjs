// Drives the local Ethereum by ethers, unchanged. It is told {"url", "code"} on standard input, `code` being what makes
// the plain token, and says what it saw as JSON.
import { readFileSync } from "node:fs";
import { ContractFactory, JsonRpcProvider, Transaction, Wallet, parseEther, parseUnits } from "ethers";

const told = JSON.parse(readFileSync(0, "utf8"));
const provider = new JsonRpcProvider(told.url, undefined, { polling: true, pollingInterval: 50 });
const said = {};

async function control(what, body) {
  const answer = await fetch(`${told.url}devnet/${what}`, { method: "POST", body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}
const mine = () => control("mine", { blocks: 1 });
const refusal = (promise) => promise.then(() => "taken", (error) => error.code);

const wallet = Wallet.createRandom().connect(provider);
const other = Wallet.createRandom().connect(provider);
await control("faucet", { address: wallet.address, amount: "10" });
await mine();
said.chain = Number((await provider.getNetwork()).chainId);
said.funded = (await provider.getBalance(wallet.address)).toString();
said.accounts = await provider.send("eth_accounts", []);

// A payment, from the offer to its receipt.
const fees = await provider.getFeeData();
said.fees = fees.maxFeePerGas > 0n && fees.maxPriorityFeePerGas > 0n;
const sent = await wallet.sendTransaction({ to: other.address, value: parseEther("1.5") });
said.pending = (await provider.getTransaction(sent.hash)).blockNumber;
await mine();
const receipt = await sent.wait(1);
said.paid = { status: receipt.status, gas: Number(receipt.gasUsed), balance: (await provider.getBalance(other.address)).toString() };
const block = await provider.getBlock(receipt.blockNumber, true);
const raw = await provider.send("eth_getRawTransactionByHash", [sent.hash]);
const parsed = Transaction.from(raw);
said.readBack = {
  inBlock: block.prefetchedTransactions.some((each) => each.hash === sent.hash),
  sameHash: parsed.hash === sent.hash,
  signer: parsed.from === wallet.address,
  type: parsed.type,
};

// A replacement that offers more takes the place of the first.
const nonce = await provider.getTransactionCount(wallet.address);
const offer = (gwei) => ({ to: other.address, value: 1n, nonce, gasLimit: 21000n, maxFeePerGas: parseUnits(gwei, "gwei"), maxPriorityFeePerGas: parseUnits("1", "gwei") });
const first = await wallet.sendTransaction(offer("10"));
said.stingy = await refusal(wallet.sendTransaction(offer("9")));
const second = await wallet.sendTransaction({ ...offer("20"), maxPriorityFeePerGas: parseUnits("2", "gwei") });
await mine();
said.replaced = { second: (await provider.getTransactionReceipt(second.hash))?.status, first: await provider.getTransactionReceipt(first.hash) };
said.used = await refusal(wallet.sendTransaction(offer("30")));
said.poor = await refusal(other.sendTransaction({ to: wallet.address, value: parseEther("100"), gasLimit: 21000n }));

// A token: made, minted, moved, refused, and found by its events.
const form = [
  "constructor(string, string, uint8)",
  "function mint(address, uint256)",
  "function transfer(address, uint256) returns (bool)",
  "function balanceOf(address) view returns (uint256)",
  "function decimals() view returns (uint8)",
  "event Transfer(address indexed from, address indexed to, uint256 value)",
];
const making = new ContractFactory(form, told.code, wallet).deploy("Plain", "PLAIN", 6);
const token = await making;
await mine();
await token.waitForDeployment();
await token.mint(wallet.address, 1000n);
await mine();
const moved = await token.transfer(other.address, 400n);
await mine();
await moved.wait(1);
const events = await token.queryFilter(token.filters.Transfer(null, other.address));
said.token = {
  decimals: Number(await token.decimals()),
  balances: [Number(await token.balanceOf(wallet.address)), Number(await token.balanceOf(other.address))],
  events: events.map((each) => [each.args.from === wallet.address, Number(each.args.value)]),
  tooMuch: await refusal(token.transfer(other.address, 1001n)),
  notMaker: await refusal(token.connect(other).mint(other.address, 1n)),
};

// What only a toy has is not there; many questions at once are answered one by one.
said.cheat = await provider.send("anvil_setBalance", [wallet.address, "0x1"]).catch((error) => error.error?.code ?? error.code);
const both = await Promise.all([provider.getBlockNumber(), provider.send("evm_mine", []).catch((error) => error.error?.code ?? error.code)]);
said.together = [typeof both[0], both[1]];

console.log(JSON.stringify(said));
provider.destroy();
