// Taquito against a simulated layer 1: originate a rollup, send messages, transfer, read receipts.
//
// Usage: client.mjs URL SECRET_KEY KERNEL_FILE. Every check fails loudly; the last line says "ok".
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { InMemorySigner } from '@taquito/signer';
import { PollingSubscribeProvider, TezosToolkit } from '@taquito/taquito';
import { b58Encode, PrefixV2 } from '@taquito/utils';

const [url, secret, kernelFile] = process.argv.slice(2);
const say = (what) => console.log(`taquito: ${what}`);

function toolkit(signer) {
  const tezos = new TezosToolkit(url);
  tezos.setProvider({ signer, config: { confirmationPollingTimeoutSecond: 60 } });
  tezos.setStreamProvider(
    tezos.getFactory(PollingSubscribeProvider)({
      shouldObservableSubscriptionRetry: true,
      pollingIntervalMilliseconds: 300,
    }),
  );
  return tezos;
}

// The operation as the block that includes it shows it.
async function included(tezos, operation) {
  const level = await operation.confirmation(1);
  const block = await tezos.rpc.getBlock({ block: String(level) });
  const found = block.operations[3].find((included) => included.hash === operation.hash);
  assert.ok(found, `${operation.hash} is not in block ${level}`);
  return found;
}

const result = (found, index = 0) => found.contents[index].metadata.operation_result;

const signer = new InMemorySigner(secret);
const tezos = toolkit(signer);
const me = await signer.publicKeyHash();

const header = await tezos.rpc.getBlockHeader();
assert.equal((await tezos.rpc.getProtocols()).protocol, header.protocol);
assert.equal(await tezos.rpc.getChainId(), header.chain_id);
assert.ok((await tezos.rpc.getLiveBlocks()).includes(header.hash));
assert.ok((await tezos.rpc.getConstants()).smart_rollup_commitment_period_in_blocks > 0);
await assert.rejects(tezos.rpc.getStorage('KT1PWx2mnDueood7fEmfbBDKx1D9BAnnXitn'), { status: 404 });
const [baker] = await tezos.rpc.getAllDelegates();
const delegate = await tezos.rpc.getDelegates(baker);
assert.equal(delegate.deactivated, false);
assert.ok(delegate.staking_denominator.isZero());
assert.equal(delegate.consensus_key.active.pkh, baker);
await tezos.rpc.getVotingInfo(baker);
say('paths');

// The head stream: one JSON object after the other, for ever.
const stream = await fetch(`${url}/monitor/heads/main`);
const heads = [];
let text = '';
for await (const part of stream.body.pipeThrough(new TextDecoderStream())) {
  text += part;
  for (let end; (end = text.indexOf('\n')) >= 0; text = text.slice(end + 1)) {
    heads.push(JSON.parse(text.slice(0, end)));
  }
  if (heads.length >= 2) break;
}
assert.equal(heads[1].level, heads[0].level + 1);
assert.equal(heads[1].predecessor, heads[0].hash);
say('the head stream');

const kernel = readFileSync(kernelFile).toString('hex');
const originate = await tezos.contract.smartRollupOriginate({
  pvmKind: 'wasm_2_0_0',
  kernel,
  parametersType: { prim: 'bytes' },
});
let found = await included(tezos, originate);
assert.equal(result(found).status, 'applied');
const rollup = result(found).address;
assert.match(rollup, /^sr1/);
assert.match(result(found).genesis_commitment_hash, /^src1/);
assert.equal(originate.contractAddress ?? rollup, rollup);
say(`originated ${rollup}`);

const messages = ['0000000031', Buffer.from('hello').toString('hex')];
const sent = await tezos.contract.smartRollupAddMessages({ message: messages });
found = await included(tezos, sent);
assert.equal(result(found).status, 'applied');
assert.deepEqual(found.contents[0].message, messages);
assert.ok(found.contents[0].metadata.balance_updates.some((u) => u.category === 'block fees'));
say('messages sent');

// A key that nobody has seen: funded, then Taquito reveals it by itself in front of a transfer. It
// leaves gas for that only in a batch, since one operation may take as much as a whole block.
const seed = b58Encode(randomBytes(32), PrefixV2.Ed25519Seed);
const child = new InMemorySigner(seed);
const address = await child.publicKeyHash();
const fund = await tezos.contract.transfer({ to: address, amount: 5 });
found = await included(tezos, fund);
assert.equal(result(found).allocated_destination_contract, true);
assert.equal((await tezos.tz.getBalance(address)).toNumber(), 5_000_000);
const other = toolkit(child);
const back = await other.contract.batch().withTransfer({ to: me, amount: 1 }).send();
found = await included(other, back);
assert.deepEqual(found.contents.map((content) => content.kind), ['reveal', 'transaction']);
assert.deepEqual([result(found, 0).status, result(found, 1).status], ['applied', 'applied']);
const fees = found.contents.reduce((sum, content) => sum + Number(content.fee), 0);
assert.equal((await tezos.tz.getBalance(address)).toNumber(), 4_000_000 - fees);
assert.equal(await tezos.rpc.getManagerKey(address), await child.publicKey());
say('a new account was funded, revealed its key and paid back');

// A batch is all or nothing: the second transfer cannot be paid, so the first is undone.
await assert.rejects(
  other.contract
    .batch()
    .withTransfer({ to: me, amount: 1 })
    .withTransfer({ to: me, amount: 1_000_000 })
    .send(),
  (error) => /balance_too_low|subtraction_underflow/.test(JSON.stringify(error.errors ?? error)),
);
const batch = await tezos.contract
  .batch()
  .withTransfer({ to: address, amount: 1 })
  .withSmartRollupAddMessages({ message: ['ff'] })
  .send();
found = await included(tezos, batch);
assert.deepEqual(found.contents.map((content) => content.kind), [
  'transaction',
  'smart_rollup_add_messages',
]);
say('batches');

// A wrong counter is refused at injection with the node's text.
const forged = await tezos.rpc.forgeOperations({
  branch: await tezos.rpc.getBlockHash(),
  contents: [
    {
      kind: 'transaction',
      source: me,
      fee: '1000',
      counter: '1',
      gas_limit: '1000',
      storage_limit: '0',
      amount: '1',
      destination: address,
    },
  ],
});
const { sbytes } = await signer.sign(forged, new Uint8Array([3]));
await assert.rejects(tezos.rpc.injectOperation(sbytes), /Counter 1 already used for contract/);
say('ok');
process.exit(0);
