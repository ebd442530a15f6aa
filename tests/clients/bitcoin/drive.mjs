// bitcoinjs-lib, as its users have it, against a node of regtest: it is told where, and says what it has seen.
// What it does not say is the node's word: ids, signatures and sizes are reckoned here, by bitcoinjs-lib.

import { readFileSync } from 'node:fs'
import * as ecc from '@bitcoinerlab/secp256k1'
import * as bitcoin from 'bitcoinjs-lib'
import { ECPairFactory } from 'ecpair'

bitcoin.initEccLib(ecc)
const ECPair = ECPairFactory(ecc)
const network = bitcoin.networks.regtest
const { url, user, password } = JSON.parse(readFileSync(0, 'utf8'))

async function post(body) {
  const answer = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      authorization: 'Basic ' + Buffer.from(`${user}:${password}`).toString('base64'),
    },
    body: JSON.stringify(body),
  })
  return { status: answer.status, body: await answer.json() }
}

async function rpc(method, ...params) {
  const { body } = await post({ jsonrpc: '1.0', id: 'clients', method, params })
  if (body.error) throw Object.assign(new Error(body.error.message), body.error)
  return body.result
}

async function refusal(method, ...params) {
  try {
    await rpc(method, ...params)
  } catch (error) {
    return { code: error.code, message: error.message }
  }
  return null
}

const satoshi = (coins) => BigInt(Math.round(coins * 1e8))
const keys = [1, 2].map((byte) => ECPair.fromPrivateKey(Buffer.alloc(32, byte), { network }))
const [mine, other] = keys.map((key) => bitcoin.payments.p2wpkh({ pubkey: key.publicKey, network }))
const taproot = bitcoin.payments.p2tr({ internalPubkey: Buffer.from(keys[0].publicKey).subarray(1, 33), network })

function paying(coin, value, outputs, key = keys[0], sequence = 0xfffffffd) {
  const psbt = new bitcoin.Psbt({ network })
  psbt.addInput({ hash: coin.txid, index: coin.vout, sequence, witnessUtxo: { script: mine.output, value } })
  for (const output of outputs) psbt.addOutput(output)
  psbt.signInput(0, key)
  psbt.finalizeAllInputs()
  // bitcoinjs-lib has its own opinion of fees and sums; the node's is wanted.
  return psbt.extractTransaction(true, true)
}

// Coins that are ours: those of the first block can be spent in the next one, those of the second not yet.
const [first, young] = await rpc('generatetoaddress', 2, mine.address)
await rpc('generatetoaddress', 98, other.address)
const funding = bitcoin.Block.fromHex(await rpc('getblock', first, 0)).transactions[0]
const coin = { txid: funding.getId(), vout: 0 }
const value = BigInt(funding.outs[0].value)
const immature = bitcoin.Block.fromHex(await rpc('getblock', young, 0)).transactions[0]

// Refusals, each with the number and the words that Bitcoin Core has.
const refused = {
  immature: await refusal(
    'sendrawtransaction',
    paying({ txid: immature.getId(), vout: 0 }, BigInt(immature.outs[0].value), [
      { address: other.address, value: BigInt(immature.outs[0].value) - 1000n },
    ]).toHex(),
  ),
  unknown: await refusal(
    'sendrawtransaction',
    paying({ txid: 'ab'.repeat(32), vout: 0 }, 5000n, [{ address: other.address, value: 4000n }]).toHex(),
  ),
  fee: await refusal(
    'sendrawtransaction', paying(coin, value, [{ address: other.address, value: value - 1n }]).toHex(),
  ),
  dust: await refusal('sendrawtransaction', paying(coin, value, [
    { address: other.address, value: 200n }, { address: mine.address, value: value - 10_000n },
  ]).toHex()),
  absurd: await refusal(
    'sendrawtransaction', paying(coin, value, [{ address: other.address, value: value - 90_000_000n }]).toHex(),
  ),
  // Only a lie about what is spent gets it past bitcoinjs-lib.
  inflation: await refusal(
    'sendrawtransaction', paying(coin, value + 2_000n, [{ address: other.address, value: value + 1_000n }]).toHex(),
  ),
  garbage: await refusal('sendrawtransaction', '0200'),
  signature: await refusal('sendrawtransaction', brokenSignature().toHex()),
}

function brokenSignature() {
  const made = paying(coin, value, [{ address: other.address, value: value - 2000n }])
  made.ins[0].witness[0] = Uint8Array.from(made.ins[0].witness[0], (byte, at) => (at === 20 ? byte ^ 1 : byte))
  return made
}

// A payment, its replacement, and what it had been.
const rest = (fee) => value - 100_000_000n - fee
const outputs = (fee) => [
  { address: other.address, value: 60_000_000n },
  { address: taproot.address, value: 40_000_000n },
  { address: mine.address, value: rest(fee) },
]
const slow = paying(coin, value, outputs(1_000n))
const fast = paying(coin, value, outputs(5_000n))
const sent = await rpc('sendrawtransaction', slow.toHex())
const again = await rpc('sendrawtransaction', slow.toHex())
const stingy = await refusal('sendrawtransaction', paying(coin, value, outputs(1_050n)).toHex())
const replaced = await rpc('sendrawtransaction', fast.toHex())
const gone = await refusal('getmempoolentry', slow.getId())
const entry = await rpc('getmempoolentry', fast.getId())

// A child of it that waits with it, spent from taproot by its key alone.
const tweaked = keys[0].tweak(bitcoin.crypto.taggedHash('TapTweak', taproot.internalPubkey))
const child = (() => {
  const psbt = new bitcoin.Psbt({ network })
  psbt.addInput({
    hash: fast.getId(), index: 1,
    witnessUtxo: { script: taproot.output, value: 40_000_000n }, tapInternalKey: taproot.internalPubkey,
  })
  psbt.addOutput({ address: other.address, value: 39_990_000n })
  psbt.signInput(0, tweaked)
  psbt.finalizeAllInputs()
  return psbt.extractTransaction()
})()
await rpc('sendrawtransaction', child.toHex())

// A block has both; everything is read back and compared with what was made here.
const [hash] = await rpc('generatetoaddress', 1, other.address)
const block = bitcoin.Block.fromHex(await rpc('getblock', hash, 0))
const spent = await rpc('gettxout', coin.txid, coin.vout)
const paid = await rpc('gettxout', child.getId(), 0)
const detailed = await rpc('getblock', hash, 2)
const confirmed = await rpc('getrawtransaction', fast.getId(), true)
const late = await refusal('sendrawtransaction', fast.toHex())

// Many questions at once, in both of the forms that there are.
const batch = await post([
  { jsonrpc: '2.0', id: 1, method: 'getblockcount' },
  { jsonrpc: '2.0', id: 2, method: 'getblockhash', params: { height: 0 } },
  { id: 3, method: 'getblockhash', params: [99_999_999] },
  { jsonrpc: '2.0', id: 4, method: 'nonsense' },
])

console.log(JSON.stringify({
  refused,
  sameId: sent === slow.getId() && again === sent && replaced === fast.getId(),
  stingy,
  gone,
  entryVsize: entry.vsize === fast.virtualSize() && entry.weight === fast.weight(),
  entryFee: String(satoshi(entry.fees.base)),
  blockHash: block.getId() === hash,
  merkle: block.checkTxRoots(),
  inBlock: block.transactions.map((each) => each.getId()).sort().join() ===
    [block.transactions[0].getId(), fast.getId(), child.getId()].sort().join(),
  coinbase: String(block.transactions[0].outs[0].value),
  spent,
  paid: { satoshi: String(satoshi(paid.value)), address: paid.scriptPubKey.address === other.address, confirmations: paid.confirmations },
  detailed: detailed.tx.map((each) => each.txid).join() === block.transactions.map((each) => each.getId()).join(),
  confirmed: { confirmations: confirmed.confirmations, block: confirmed.blockhash === hash, same: confirmed.hex === fast.toHex() },
  late,
  batch,
}))
