// Drives the unmodified Snapshot client against a running platform, and computes what its own voting classes make of
// the same ballots.
//
//   node peer.mjs prepare DIRECTORY BALLOTS   writes one GovernanceProposal per voting system, each listing the
//                                             wallets that will vote, with unequal powers
//   node peer.mjs vote URL BALLOTS            casts the ballots, waits until they count, compares scores
//
// PNYX_PEER_MODULES names the directory whose node_modules hold the packages of package.json.
import { createHash } from 'node:crypto';
import { writeFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.env.PNYX_PEER_MODULES ?? '.', 'package.json'));
const { Wallet } = require('@ethersproject/wallet');
const snapshot = require('@snapshot-labs/snapshot.js');

const RELATIVE_TOLERANCE = 1e-9;
const COUNTED_WAIT_MS = 60_000;
const IN_FLIGHT = 8;
const SPACE = 'peer.eth';
const CHOICES = ['Alpha', 'Beta', 'Gamma', 'Delta', 'Epsilon'];
const SYSTEMS = {
  basic: 'Basic',
  'single-choice': 'SingleChoice',
  approval: 'Approval',
  weighted: 'Weighted',
  quadratic: 'Quadratic',
  'ranked-choice': 'RankedChoice',
  copeland: 'Copeland',
};

// Deterministic noise: the same ballots on every machine.
function drawer(seed) {
  let counter = 0;
  return (below) => {
    const hash = createHash('sha256').update(`${seed} ${counter++}`).digest();
    return hash.readUInt32BE(0) % below;
  };
}

const walletOf = (index) => new Wallet(`0x${createHash('sha256').update(`pnyx peer wallet ${index}`).digest('hex')}`);
const choicesOf = (system) => (system === 'basic' ? ['For', 'Against', 'Abstain'] : CHOICES);

// At most 12 significant digits, so that a double holds it exactly enough for the tolerance.
function powerOf(index) {
  const draw = drawer(`power ${index}`);
  return `${1 + draw(50_000)}.${String(1 + draw(9_999)).padStart(4, '0')}`;
}

function randomChoice(system, count, draw) {
  if (system === 'approval') {
    return [...Array(count).keys()].map((index) => index + 1).filter(() => draw(2) === 1);
  }
  if (system === 'weighted' || system === 'quadratic') {
    const weights = {};
    for (let choice = 1; choice <= count; choice++) if (draw(2) === 1) weights[choice] = draw(20);
    weights[1 + draw(count)] = 1 + draw(1_000) / 8;
    return weights;
  }
  if (system === 'ranked-choice' || system === 'copeland') {
    const order = [...Array(count).keys()].map((index) => index + 1);
    for (let index = count - 1; index > 0; index--) {
      const other = draw(index + 1);
      [order[index], order[other]] = [order[other], order[index]];
    }
    return order;
  }
  return 1 + draw(count);
}

function prepare(directory, ballots) {
  mkdirSync(directory, { recursive: true });
  const wallets = [...Array(ballots).keys()];
  const powers = wallets.map((index) => `            "${walletOf(index).address}": "${powerOf(index)}"`).join('\n');
  for (const [name, system] of Object.entries(SYSTEMS)) {
    const choices = choicesOf(name).map((choice) => `    - ${choice}`).join('\n');
    writeFileSync(
      join(directory, `${name}.yaml`),
      `apiVersion: pnyx.dev/v1alpha1
kind: GovernanceProposal
metadata:
  name: ${name}
spec:
  space: ${SPACE}
  title: Peer comparison, ${name}
  body: Compared with the voting classes of the Snapshot client.
  choices:
${choices}
  voting:
    system: ${system}
  window:
    opensAt: "2026-01-01T00:00:00Z"
    closesAt: "2099-01-01T00:00:00Z"
  power:
    strategies:
      - whitelistWeighted:
          addresses:
${powers}
`,
    );
  }
}

async function json(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
  return answer.json();
}

async function cast(url, proposal, system, ballots) {
  const client = new snapshot.Client712(url);
  const draw = drawer(`choices ${system}`);
  const votes = [...Array(ballots).keys()].map((index) => ({
    index,
    choice: randomChoice(system, choicesOf(system).length, draw),
  }));
  const queue = [...votes];
  const worker = async () => {
    for (let vote = queue.shift(); vote; vote = queue.shift()) {
      const wallet = walletOf(vote.index);
      // This client signs rankings only for the type `ranked-choice`; Copeland ballots are rankings too.
      const type = system === 'copeland' ? 'ranked-choice' : system;
      const message = { space: SPACE, proposal: proposal.id, type, choice: structuredClone(vote.choice), app: 'peer' };
      if (vote.index % 3 === 0) message.reason = `because of ${vote.index} – “ünïcode” ✓`;
      const answer = await client.vote(wallet, wallet.address, message).catch((error) => {
        throw new Error(`${system}: ballot ${vote.index} refused: ${JSON.stringify(error)} ${error}`);
      });
      if (!/^0x[0-9a-f]{64}$/.test(answer.id)) throw new Error(`${system}: answer without an id`);
      if (!answer.ipfs || !answer.relayer?.address || !answer.relayer?.receipt) {
        throw new Error(`${system}: answer lacks Snapshot's fields: ${JSON.stringify(answer)}`);
      }
    }
  };
  await Promise.all([...Array(IN_FLIGHT)].map(worker));
  return votes;
}

async function served(url, proposal, ballots) {
  const deadline = Date.now() + COUNTED_WAIT_MS;
  for (;;) {
    const state = await json(`${url}/v1/proposals/${proposal.id}`);
    if (state.tally.ballots === ballots) return state.tally;
    if (Date.now() > deadline) throw new Error(`only ${state.tally.ballots} of ${ballots} ballots counted`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function expected(system, votes) {
  const counted = votes.map(({ index, choice }) => ({
    choice,
    balance: Number(powerOf(index)),
    scores: [Number(powerOf(index))],
  }));
  const proposal = { choices: choicesOf(system) };
  const counting = new snapshot.utils.voting[system](proposal, counted, [{}], []);
  return counting.getScores();
}

async function vote(base, ballots) {
  const url = base.replace(/\/$/, '');
  const { proposals } = await json(`${url}/v1/proposals?limit=100`);
  let failed = 0;
  for (const system of Object.keys(SYSTEMS)) {
    const proposal = proposals.find((candidate) => candidate.name === system);
    if (!proposal) throw new Error(`the platform has no proposal named ${system}`);
    const votes = await cast(url, proposal, system, ballots);
    const tally = await served(url, proposal, ballots);
    const theirs = expected(system, votes);
    const ours = tally.scores.map(Number);
    const total = Math.max(...theirs, 1);
    const worst = Math.max(...theirs.map((score, index) => Math.abs(score - ours[index]) / Math.max(score, total * 1e-6)));
    const agrees = ours.length === theirs.length && worst <= RELATIVE_TOLERANCE;
    if (!agrees) failed += 1;
    console.log(`${agrees ? 'ok  ' : 'FAIL'} ${system.padEnd(14)} ${ballots} ballots counted, scores differ by at most ${worst.toExponential(1)}`);
    if (!agrees) console.log(`     theirs ${theirs}\n     ours   ${tally.scores}`);
  }
  console.log(`${Object.keys(SYSTEMS).length - failed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

const [command, where, ballots] = process.argv.slice(2);
if (command === 'prepare') prepare(where, Number(ballots));
else if (command === 'vote') await vote(where, Number(ballots));
else throw new Error('usage: peer.mjs prepare DIRECTORY BALLOTS | peer.mjs vote URL BALLOTS');
