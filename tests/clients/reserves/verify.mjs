// A checker of proofs of reserves, written from docs/how-to/prove-reserves.md alone: Node.js and nothing else.
// It is told a published file and proofs of holders, and says what of them holds. It reads no signature but Stellar's
// and Solana's, whose curve Node.js has, and can't tell whether an address of Ethereum has its checksum.

import { createHash, createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'

const { published, proofs } = JSON.parse(readFileSync(0, 'utf8'))

const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest()
const tag = (name) => Buffer.from(`billfold.reserves.${name}.1\0`)
const hex = (text) => Buffer.from(text, 'hex')
const uuid = (text) => hex(text.replaceAll('-', ''))

function number(value, bytes) {
  const big = BigInt(value)
  if (big < 0n) throw new Error('below zero')
  const text = big.toString(16).padStart(2 * bytes, '0')
  if (text.length > 2 * bytes) throw new Error('too large')
  return hex(text)
}

const amount = (value) => number(value, 40)
const pair = (left, right) => ({
  hash: sha256(tag('pair'), amount(left.sum), left.hash, amount(right.sum), right.hash),
  sum: left.sum + right.sum,
})

function assetHash(one) {
  const parts = [
    Buffer.from(one.asset),
    number(one.scale, 1),
    Buffer.from(one.chain),
    Buffer.from(one.token ?? ''),
    number(one.depth, 1),
    amount(one.owed),
    hex(one.top),
    amount(one.below_zero),
  ]
  return sha256(tag('asset'), ...parts.flatMap((part) => [number(part.length, 2), part]))
}

/** Microseconds since 1970, of which Date keeps a thousandth. */
function microseconds(text) {
  const [, seconds, fraction = ''] = /^([^.]+?)(?:\.(\d+))?Z$/.exec(text)
  return BigInt(Date.parse(`${seconds}Z`)) * 1000n + BigInt(fraction.padEnd(6, '0'))
}

function root() {
  const assets = [...published.assets].sort((one, other) => (one.asset < other.asset ? -1 : 1))
  const head = [uuid(published.snapshot), number(microseconds(published.at), 8), number(assets.length, 2)]
  return sha256(tag('root'), ...head, ...assets.map(assetHash)).toString('hex')
}

function holds(proof) {
  for (const step of proof.assets) {
    const told = published.assets.find((one) => one.asset === step.asset)
    const holder = sha256(tag('holder'), hex(step.salt), uuid(proof.holder))
    let node = { hash: sha256(tag('leaf'), holder, amount(step.amount)), sum: BigInt(step.amount) }
    let index = BigInt(step.index)
    if (step.path.length !== told.depth) return false
    for (const one of step.path) {
      const beside = { hash: hex(one.hash), sum: BigInt(one.sum) }
      node = index & 1n ? pair(beside, node) : pair(node, beside)
      index >>= 1n
    }
    if (index !== 0n || node.hash.toString('hex') !== told.top || node.sum !== BigInt(told.owed)) return false
  }
  return proof.root === published.root && proof.snapshot === published.snapshot
}

/** Bytes of digits of a base, the highest first. */
function read(text, alphabet) {
  let value = 0n
  for (const letter of text) {
    if (!alphabet.includes(letter)) throw new Error('no letter of this base')
    value = value * BigInt(alphabet.length) + BigInt(alphabet.indexOf(letter))
  }
  return value
}

const BASE58 = '123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz'
const BASE32 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'
const ed25519 = (key, message, signature) =>
  verify(null, message, createPublicKey({ key: Buffer.concat([hex('302a300506032b6570032100'), key]), format: 'der', type: 'spki' }), signature)

const SIGNED = {
  stellar(address, text, signature) {
    const key = number(read(address, BASE32), 35).subarray(1, 33)
    return ed25519(key, sha256(Buffer.from(`Stellar Signed Message:\n${text}`)), Buffer.from(signature, 'base64'))
  },
  solana(address, text, signature) {
    const key = number(read(address, BASE58), 32)
    const length = Buffer.from([text.length & 255, text.length >> 8])
    const head = [Buffer.from('\xffsolana offchain', 'latin1'), hex('00'), sha256(Buffer.from('billfold.reserves')), hex('0001')]
    return ed25519(key, Buffer.concat([...head, key, length, Buffer.from(text)]), number(read(signature, BASE58), 64))
  },
}

function signatures() {
  const found = {}
  for (const part of published.chains) {
    for (const one of part.addresses) {
      const text =
        `Billfold proof of reserves 1: snapshot ${published.snapshot}, root ${published.root}, chain ${part.chain}, ` +
        `network ${part.network}, address ${one.address}`
      if (part.chain in SIGNED) found[one.address] = SIGNED[part.chain](one.address, text, one.signature)
    }
  }
  return found
}

/** What an address is, however it is written: two with the same are one. */
const WHO = {
  bitcoin: (address) => address.toLowerCase(),
  ethereum: (address) => address.toLowerCase(),
  solana: (address) => number(read(address, BASE58), 32).toString('hex'),
  stellar: (address) => number(read(address, BASE32), 35).toString('hex'),
}

/** Whether each asset's amounts add up, told once for each address, and where the asset is. */
function adds() {
  if (new Set(published.chains.map((part) => part.network)).size > 1) return false
  if (new Set(published.chains.map((part) => part.chain)).size < published.chains.length) return false
  const held = Object.fromEntries(published.assets.map((one) => [one.asset, 0n]))
  for (const part of published.chains) {
    const who = part.addresses.map((one) => WHO[part.chain](one.address))
    if (new Set(who).size < who.length) return false
    if (part.chain === 'bitcoin' && part.addresses.some((one, place) => one.address !== who[place])) return false
    for (const one of part.addresses) {
      for (const [asset, units] of Object.entries(one.amounts)) {
        const told = published.assets.find((other) => other.asset === asset)
        if (told?.chain !== part.chain || !/^\d+$/.test(units)) return false
        held[asset] += BigInt(units)
      }
    }
  }
  return published.assets.every((one) => held[one.asset] === BigInt(one.held))
}

console.log(
  JSON.stringify({ root: root() === published.root, adds: adds(), proofs: proofs.map(holds), signatures: signatures() }),
)
