/** `npm run bench [name...]`: measures, prints, asserts nothing. Names: start, rollout, calls, keys, manifests, console, agent. */
import { benchAgent } from './agent.ts';
import { benchCalls } from './calls.ts';
import { benchConsole } from './console.ts';
import { describeMachine } from './figures.ts';
import { benchKeys } from './keys.ts';
import { benchManifests } from './manifests.ts';
import { benchRollout, benchStart } from './rollout.ts';

const benches: Readonly<Record<string, () => Promise<void>>> = {
  start: benchStart,
  rollout: benchRollout,
  calls: benchCalls,
  keys: benchKeys,
  manifests: benchManifests,
  console: benchConsole,
  agent: benchAgent,
};

const names = process.argv.slice(2);
const unknown = names.filter((name) => !(name in benches));
if (unknown.length > 0) {
  process.stderr.write(`no bench "${unknown.join(', ')}"; there are ${Object.keys(benches).join(', ')}\n`);
  process.exit(2);
}
process.stdout.write(`${describeMachine()}\n\n`);
for (const [name, bench] of Object.entries(benches)) if (names.length === 0 || names.includes(name)) await bench();
