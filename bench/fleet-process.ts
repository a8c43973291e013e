/** Runs agents until standard input ends: `node bench/fleet-process.ts COUNT FOLDER`. Prints a line once all are running. */
import pino from 'pino';
import { startFleet } from '../sandbox/fleet.ts';

const [count = '1', dataDir = ''] = process.argv.slice(2);
const fleet = await startFleet({
  brokerUrl: process.env.BROKKR_SERVER ?? '',
  adminPak: process.env.BROKKR_PAK ?? '',
  count: Number(count),
  labels: ['bench'],
  dataDir,
  log: pino({ level: 'silent' }),
});
process.stdout.write('ready\n');
process.stdin.resume().on('end', async () => {
  await fleet.close();
  process.exit(0);
});
