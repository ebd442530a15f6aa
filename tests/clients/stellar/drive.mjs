// @stellar/stellar-sdk, as its users have it, against a Horizon: it is told where, and says what it has seen.
// Hashes, signatures and results are read and reckoned here, by the SDK; what closes ledgers is the sandbox's control.

import { readFileSync } from 'node:fs'
import * as S from '@stellar/stellar-sdk'

const { url, passphrase } = JSON.parse(readFileSync(0, 'utf8'))
const server = new S.Horizon.Server(url, { allowHttp: true })
const lumens = S.Asset.native()
const said = {}

const control = (what, told = {}) => fetch(`${url}/devnet/${what}`, { method: 'POST', body: JSON.stringify(told) })

/** What becomes of a promise while ledgers are closed. */
async function whileClosing(promise) {
  let settled = false
  const watched = promise.finally(() => {
    settled = true
  })
  watched.catch(() => {})
  while (!settled) {
    await control('mine')
    await new Promise((done) => setTimeout(done, 20))
  }
  return watched
}

async function funded() {
  const pair = S.Keypair.random()
  await server.friendbot(pair.publicKey()).call()
  return pair
}

/** Each ledger is a second later at least, and here there are many in one: the chain's clock runs ahead of ours. */
const DAY_S = 86400

async function made(pair, operations, { memo, fee = '1000', signers = [pair], build = (one) => one.setTimeout(DAY_S) } = {}) {
  const account = await server.loadAccount(pair.publicKey())
  const builder = new S.TransactionBuilder(account, { fee, networkPassphrase: passphrase, memo })
  for (const each of operations) builder.addOperation(each)
  const transaction = build(builder).build()
  for (const each of signers) transaction.sign(each)
  return transaction
}

const submit = (transaction, options) => whileClosing(server.submitTransaction(transaction, options))
const send = async (pair, operations, options) => submit(await made(pair, operations, options))

/** The codes of a refusal, as Horizon gives them. */
async function refused(promise) {
  try {
    await promise
    return 'taken'
  } catch (error) {
    const codes = error.response?.data?.extras?.result_codes
    return codes ? [codes.transaction, codes.inner_transaction, ...(codes.operations ?? [])].filter(Boolean).join(' ') : String(error)
  }
}

const pay = (to, amount, asset = lumens, source) => S.Operation.payment({ destination: to, asset, amount, source })
const trust = (asset, limit, source) => S.Operation.changeTrust({ asset, limit, source })

// --- accounts, payments, reading back ---

const [ada, bob, issuer] = [await funded(), await funded(), await funded()]
const root = await (await fetch(`${url}/`)).json()
said.passphrase = root.network_passphrase === passphrase
said.baseFee = await server.fetchBaseFee()
said.feeStats = (await server.feeStats()).fee_charged.mode

const fresh = S.Keypair.random()
const first = await made(
  ada,
  [S.Operation.createAccount({ destination: fresh.publicKey(), startingBalance: '12.5' }), pay(bob.publicKey(), '0.0000001')],
  { memo: S.Memo.text('für bob') },
)
const answer = await submit(first)
const read = await server.transactions().transaction(answer.hash).call()
const back = S.TransactionBuilder.fromXDR(read.envelope_xdr, passphrase)
const result = S.xdr.TransactionResult.fromXDR(read.result_xdr, 'base64')
said.first = {
  sameHash: answer.hash === first.hash().toString('hex') && back.hash().equals(first.hash()),
  signed: ada.verify(back.hash(), back.signatures[0].signature()),
  result: result.result().switch().name,
  results: result.result().results().length,
  feeCharged: result.feeCharged().toString() === String(read.fee_charged),
  memo: read.memo,
  successful: read.successful,
}
const balance = (account, asset) => account.balances.find((one) => (asset ? one.asset_code === asset.code : one.asset_type === 'native')).balance
said.fresh = balance(await server.loadAccount(fresh.publicKey()))

const ledger = await server.ledgers().ledger(read.ledger_attr).call()
const before = await server.ledgers().ledger(read.ledger_attr - 1).call()
said.ledger = { parent: ledger.prev_hash === before.hash, operations: ledger.operation_count, good: ledger.successful_transaction_count }

const page = await server.payments().forAccount(bob.publicKey()).order('asc').limit(1).join('transactions').call()
const next = await page.next()
said.payments = [page.records[0].type, next.records[0].type, next.records[0].amount, next.records[0].transaction_attr?.memo ?? (await next.records[0].transaction()).memo]
said.operations = (await server.operations().forLedger(read.ledger_attr).call()).records.map((one) => one.type)

const muxed = new S.MuxedAccount(new S.Account(bob.publicKey(), '0'), '77')
await send(ada, [pay(muxed.accountId(), '3')])
const last = (await server.payments().forAccount(bob.publicKey()).order('desc').limit(1).call()).records[0]
said.muxed = [last.to_muxed === muxed.accountId(), last.to_muxed_id]

// --- assets, the order book, paths ---

const usd = new S.Asset('USD', issuer.publicKey())
await send(bob, [trust(usd, '100'), pay(bob.publicKey(), '60', usd, issuer.publicKey())], { signers: [bob, issuer] })
const offer = await send(bob, [S.Operation.manageSellOffer({ selling: usd, buying: lumens, amount: '50', price: '2', offerId: 0 })])
said.offer = [offer.offerResults[0].offersClaimed.length, offer.offerResults[0].currentOffer.amount]
await send(ada, [trust(usd)])
const [path] = (await server.strictSendPaths(lumens, '20', [usd]).call()).records
said.path = [path.source_amount, path.destination_amount]
const strictSend = (destMin) =>
  S.Operation.pathPaymentStrictSend({ sendAsset: lumens, sendAmount: '20', destination: ada.publicKey(), destAsset: usd, destMin })
const strictReceive = (sendMax, destAmount = '5') =>
  S.Operation.pathPaymentStrictReceive({ sendAsset: lumens, sendMax, destination: ada.publicKey(), destAsset: usd, destAmount })
await send(ada, [strictSend('10'), strictReceive('10')])
said.bought = balance(await server.loadAccount(ada.publicKey()), usd)
const crossed = await send(ada, [S.Operation.manageSellOffer({ selling: lumens, buying: usd, amount: '4', price: '0.5', offerId: 0 })])
said.crossed = [crossed.offerResults[0].offersClaimed[0].amountSold, crossed.offerResults[0].wasImmediatelyFilled]

// --- signers and thresholds ---

const shared = await funded()
await send(shared, [
  S.Operation.setOptions({ masterWeight: 1, lowThreshold: 1, medThreshold: 2, highThreshold: 2, signer: { ed25519PublicKey: ada.publicKey(), weight: 1 } }),
])
said.shared = [
  await refused(send(shared, [pay(bob.publicKey(), '1')])),
  (await send(shared, [pay(bob.publicKey(), '1')], { signers: [shared, ada] })).successful,
  await refused(send(shared, [pay(bob.publicKey(), '1')], { signers: [shared, ada, bob] })),
]

// --- fee bumps ---

const inner = await made(bob, [pay(ada.publicKey(), '1')], { fee: '100' })
const bump = (fee) => {
  const one = S.TransactionBuilder.buildFeeBumpTransaction(ada, fee, inner, passphrase)
  one.sign(ada)
  return one
}
const bumped = bump('2000')
said.pending = (await server.submitAsyncTransaction(inner)).tx_status
said.again = (await server.submitAsyncTransaction(inner).catch((error) => error.response.data)).tx_status
said.little = await refused(server.submitTransaction(bump('900')))
await server.submitAsyncTransaction(bumped)
const outbid = await submit(bumped)
said.bumped = {
  hash: outbid.hash === bumped.hash().toString('hex'),
  inner: (await server.transactions().transaction(inner.hash().toString('hex')).call()).inner_transaction.hash === inner.hash().toString('hex'),
  payer: outbid.fee_account === ada.publicKey(),
  source: outbid.source_account === bob.publicKey(),
  code: S.xdr.TransactionResult.fromXDR(outbid.result_xdr, 'base64').result().switch().name,
}

// --- what is refused, and how ---

const nobody = S.Keypair.random().publicKey()
const poor = S.Keypair.random()
await send(ada, [S.Operation.createAccount({ destination: poor.publicKey(), startingBalance: '1' })])
const careful = await funded()
await send(careful, [S.Operation.setOptions({ setFlags: S.AuthRequiredFlag | S.AuthRevocableFlag })])
const strict = new S.Asset('STRICT', careful.publicKey())
await send(bob, [trust(strict)])
const skip = { skipMemoRequiredCheck: true }
const one = (operation, options) => made(ada, [operation], options).then((transaction) => submit(transaction, skip))
said.refused = {}
const attempts = {
  no_destination: () => one(pay(nobody, '1')),
  underfunded: () => one(pay(bob.publicKey(), '1000000')),
  no_trust: () => one(pay(poor.publicKey(), '1', usd)),
  line_full: () => send(issuer, [pay(bob.publicKey(), '90', usd)]),
  not_authorized: () => send(careful, [pay(bob.publicKey(), '1', strict)]),
  already_exists: () => one(S.Operation.createAccount({ destination: bob.publicKey(), startingBalance: '5' })),
  low_reserve: () => one(S.Operation.createAccount({ destination: nobody, startingBalance: '0.9' })),
  invalid_limit: () => send(bob, [trust(usd, '1')]),
  no_issuer: () => one(trust(new S.Asset('GHOST', nobody))),
  too_few_offers: () => one(strictReceive('9999', '1000')),
  over_source_max: () => one(strictReceive('9')),
  under_dest_min: () => one(strictSend('11')),
  sub_entries: () => one(S.Operation.accountMerge({ destination: bob.publicKey() })),
  bad_seq: async () => {
    const stale = await made(ada, [pay(bob.publicKey(), '1')])
    await one(pay(bob.publicKey(), '2'))
    return submit(stale)
  },
  insufficient_fee: () => one(pay(bob.publicKey(), '1'), { fee: '99' }),
  insufficient_balance: () => send(poor, [pay(bob.publicKey(), '1')]),
  bad_auth: () => one(pay(bob.publicKey(), '1'), { signers: [bob] }),
  too_late: () => one(pay(bob.publicKey(), '1'), { build: (builder) => builder.setTimebounds(1, 1000) }),
  too_early: () => one(pay(bob.publicKey(), '1'), { build: (builder) => builder.setTimebounds(4102444800, 0) }),
  missing_operation: () => made(ada, []).then((transaction) => submit(transaction, skip)),
  other_network: async () => {
    const account = await server.loadAccount(ada.publicKey())
    const other = new S.TransactionBuilder(account, { fee: '100', networkPassphrase: S.Networks.PUBLIC })
    const transaction = other.addOperation(pay(bob.publicKey(), '1')).setTimeout(DAY_S).build()
    transaction.sign(ada)
    return submit(transaction, skip)
  },
}
for (const [name, attempt] of Object.entries(attempts)) said.refused[name] = await refused(attempt())

await send(bob, [S.Operation.manageData({ name: 'config.memo_required', value: '1' })])
said.memoRequired = await server.submitTransaction(await made(ada, [pay(bob.publicKey(), '1')])).then(
  () => 'taken',
  (error) => error.constructor.name,
)
said.missing = await server.loadAccount(nobody).then(
  () => 'there',
  (error) => `${error.constructor.name} ${error.response?.status}`,
)

// --- an answer that never comes, and the end of an account ---

const silent = await made(ada, [pay(issuer.publicKey(), '1')])
await control('fault', { timeout_after_accept: 1 })
said.silent = await server.submitTransaction(silent).then(
  () => 'answered',
  (error) => error.response.status,
)
said.sameAgain = (await submit(silent)).hash === silent.hash().toString('hex')
await send(fresh, [S.Operation.accountMerge({ destination: issuer.publicKey() })])
said.merged = await server.loadAccount(fresh.publicKey()).then(
  () => 'there',
  (error) => error.response.status,
)

console.log(JSON.stringify(said))
