// @solana/web3.js and @solana/spl-token, as their users have them, against a Solana node: told where it is, the program
// says what it has seen to work, and fails at the first thing that does not.
import { readFileSync } from "node:fs";
import assert from "node:assert/strict";
import {
  ComputeBudgetProgram, Connection, Keypair, LAMPORTS_PER_SOL, NONCE_ACCOUNT_LENGTH, NonceAccount, PublicKey,
  SendTransactionError, SystemProgram, Transaction, TransactionInstruction, TransactionMessage, VersionedTransaction,
  sendAndConfirmTransaction,
} from "@solana/web3.js";
import {
  createAssociatedTokenAccountIdempotentInstruction, createTransferCheckedInstruction, getAccount,
  getAssociatedTokenAddressSync, getMint, getOrCreateAssociatedTokenAccount,
} from "@solana/spl-token";

const { url, mint: mintText } = JSON.parse(readFileSync(0, "utf8"));
const connection = new Connection(url, { commitment: "confirmed", wsEndpoint: url.replace("http", "ws") });
const mint = new PublicKey(mintText);
const alice = Keypair.generate();
const bob = Keypair.generate();
const MEMO = new PublicKey("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr");

const worked = [];
const seen = async (what, act) => {
  await act();
  worked.push(what);
};
const pay = (from, to, lamports) =>
  SystemProgram.transfer({ fromPubkey: from.publicKey, toPubkey: to.publicKey, lamports });
const confirmed = async (signature) => {
  const latest = await connection.getLatestBlockhash();
  const { value } = await connection.confirmTransaction({ signature, ...latest });
  assert.equal(value.err, null);
};
// A connection keeps a blockhash for half a minute, in which blocks made by hand may have used it up.
const send = async (...instructions) => {
  const transaction = new Transaction({ feePayer: alice.publicKey, ...(await connection.getLatestBlockhash()) });
  transaction.add(...instructions).sign(alice);
  return connection.sendRawTransaction(transaction.serialize());
};
const faucet = async (body) => {
  const answer = await fetch(`${url}/devnet/faucet`, { method: "POST", body: JSON.stringify(body) });
  assert.equal(answer.status, 200);
  await confirmed((await answer.json()).chain_tx);
};

await seen("an airdrop arrives, told over the WebSocket", async () => {
  await confirmed(await connection.requestAirdrop(alice.publicKey, 5 * LAMPORTS_PER_SOL));
  assert.equal(await connection.getBalance(alice.publicKey), 5 * LAMPORTS_PER_SOL);
  assert.equal(await connection.getBalance(alice.publicKey, "finalized"), 0);
});

await seen("a legacy transaction with a priority fee and a memo is sent, confirmed and read back", async () => {
  const transaction = new Transaction().add(
    ComputeBudgetProgram.setComputeUnitLimit({ units: 50_000 }),
    ComputeBudgetProgram.setComputeUnitPrice({ microLamports: 1_000_000 }),
    pay(alice, bob, LAMPORTS_PER_SOL),
    new TransactionInstruction({ programId: MEMO, keys: [], data: Buffer.from("thanks") }),
  );
  const signature = await sendAndConfirmTransaction(connection, transaction, [alice]);
  const read = await connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 });
  assert.equal(read.meta.err, null);
  assert.equal(read.meta.fee, 55_000);
  assert.equal(read.version, "legacy");
  assert.deepEqual(read.transaction.message.accountKeys.slice(0, 2).map(String).includes(bob.publicKey.toBase58()), true);
  const parsed = await connection.getParsedTransaction(signature);
  assert.equal(parsed.transaction.message.instructions[2].parsed.info.lamports, LAMPORTS_PER_SOL);
  assert.equal(parsed.transaction.message.instructions[3].parsed, "thanks");
  const [listed] = await connection.getSignaturesForAddress(bob.publicKey);
  assert.equal(listed.signature, signature);
  const block = await connection.getBlock(read.slot, { maxSupportedTransactionVersion: 0 });
  assert.deepEqual(block.transactions.map((each) => each.transaction.signatures[0]).includes(signature), true);
  const parent = await connection.getBlock(block.parentSlot, { maxSupportedTransactionVersion: 0 });
  assert.equal(parent.blockhash, block.previousBlockhash);
});

await seen("a version 0 transaction costs what getFeeForMessage says", async () => {
  const latest = await connection.getLatestBlockhash();
  const message = new TransactionMessage({
    payerKey: alice.publicKey, recentBlockhash: latest.blockhash, instructions: [pay(alice, bob, 7)],
  }).compileToV0Message();
  const { value: fee } = await connection.getFeeForMessage(message);
  const transaction = new VersionedTransaction(message);
  transaction.sign([alice]);
  const { value: tried } = await connection.simulateTransaction(transaction);
  assert.equal(tried.err, null);
  const before = await connection.getBalance(alice.publicKey);
  const signature = await connection.sendTransaction(transaction);
  await connection.confirmTransaction({ signature, ...latest });
  assert.equal(before - (await connection.getBalance(alice.publicKey)), 7 + fee);
  assert.equal((await connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 })).version, 0);
  await assert.rejects(connection.getTransaction(signature), /maxSupportedTransactionVersion/);
});

await seen("tokens are received, and sent on to an account that is opened for it", async () => {
  await faucet({ address: alice.publicKey.toBase58(), amount: "12.5", token: mintText });
  assert.equal((await getMint(connection, mint)).decimals, 6);
  const source = getAssociatedTokenAddressSync(mint, alice.publicKey);
  const target = getAssociatedTokenAddressSync(mint, bob.publicKey);
  assert.equal((await getAccount(connection, source)).amount, 12_500_000n);
  const transaction = new Transaction().add(
    createAssociatedTokenAccountIdempotentInstruction(alice.publicKey, target, bob.publicKey, mint),
    createTransferCheckedInstruction(source, mint, target, alice.publicKey, 2_500_000n, 6),
  );
  const signature = await sendAndConfirmTransaction(connection, transaction, [alice]);
  const { meta } = await connection.getTransaction(signature, { maxSupportedTransactionVersion: 0 });
  const held = (balances) => balances.find((each) => each.owner === bob.publicKey.toBase58())?.uiTokenAmount.amount;
  assert.equal(held(meta.preTokenBalances), undefined);
  assert.equal(held(meta.postTokenBalances), "2500000");
  assert.equal((await connection.getTokenAccountBalance(target)).value.uiAmount, 2.5);
  const { value } = await connection.getParsedTokenAccountsByOwner(bob.publicKey, { mint });
  assert.equal(value[0].account.data.parsed.info.tokenAmount.uiAmountString, "2.5");
  const again = await getOrCreateAssociatedTokenAccount(connection, alice, mint, bob.publicKey);
  assert.equal(again.address.toBase58(), target.toBase58());
});

await seen("a transaction with a durable nonce outlives its blockhash", async () => {
  const nonce = Keypair.generate();
  const lamports = await connection.getMinimumBalanceForRentExemption(NONCE_ACCOUNT_LENGTH);
  const made = SystemProgram.createNonceAccount({
    fromPubkey: alice.publicKey, noncePubkey: nonce.publicKey, authorizedPubkey: alice.publicKey, lamports,
  });
  await sendAndConfirmTransaction(connection, made, [alice, nonce]);
  const account = NonceAccount.fromAccountData((await connection.getAccountInfo(nonce.publicKey)).data);
  const transaction = new Transaction({
    feePayer: alice.publicKey,
    nonceInfo: {
      nonce: account.nonce,
      nonceInstruction: SystemProgram.nonceAdvance({ noncePubkey: nonce.publicKey, authorizedPubkey: alice.publicKey }),
    },
  }).add(pay(alice, bob, 3));
  transaction.sign(alice);
  await fetch(`${url}/devnet/mine`, { method: "POST", body: JSON.stringify({ blocks: 200 }) });
  await confirmed(await connection.sendRawTransaction(transaction.serialize()));
  await assert.rejects(connection.sendRawTransaction(transaction.serialize()), /already been processed/);
});

await seen("what can't be is refused with the words that programs look for", async () => {
  const late = new Transaction({ feePayer: alice.publicKey, blockhash: PublicKey.unique().toBase58(), lastValidBlockHeight: 1 });
  late.add(pay(alice, bob, 1));
  late.sign(alice);
  await assert.rejects(connection.sendRawTransaction(late.serialize()), /Blockhash not found/);
  await assert.rejects(send(pay(alice, bob, 1_000 * LAMPORTS_PER_SOL)), (error) => {
    assert(error instanceof SendTransactionError);
    assert.match(error.message, /custom program error: 0x1/);
    assert(error.logs.some((line) => line.includes("insufficient lamports")));
    return true;
  });
  await assert.rejects(send(pay(alice, Keypair.generate(), 10)), /insufficient funds for rent/);
  const forged = new Transaction({ feePayer: alice.publicKey, ...(await connection.getLatestBlockhash()) });
  forged.add(pay(alice, bob, 1));
  forged.addSignature(alice.publicKey, Buffer.alloc(64, 1));
  const raw = forged.serialize({ verifySignatures: false });
  await assert.rejects(connection.sendRawTransaction(raw), /signature verification failure/);
});

await seen("slots, epochs and the node itself are told of", async () => {
  const slot = await new Promise((resolve) => {
    const id = connection.onSlotChange((info) => connection.removeSlotChangeListener(id).then(() => resolve(info.slot)));
  });
  assert(slot > 0);
  assert((await connection.getEpochInfo()).absoluteSlot >= slot);
  assert((await connection.getVersion())["solana-core"]);
  assert((await connection.getRecentPrioritizationFees()).length > 0);
  assert((await connection.getBlocks(0)).length > 10);
  assert.equal((await connection.getMultipleAccountsInfo([alice.publicKey, Keypair.generate().publicKey]))[1], null);
});
console.log(JSON.stringify(worked));
process.exit(0);
