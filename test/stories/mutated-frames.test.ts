import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import v8 from 'node:v8';
import vm from 'node:vm';
import { create, toBinary, toJsonString } from '@bufbuild/protobuf';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { rotateAdmin } from '../../broker/access/issue.ts';
import { openMigrated } from '../../broker/open-store.ts';
import { type BrokkrClient, connectBroker } from '../../client/client.ts';
import { startTestBroker } from '../broker.ts';
import { answerOf, type Call, makeEveryCall } from '../every-call.ts';
import { assertNoKeys } from '../no-keys.ts';
import { mutateBytes, seededNumbers } from '../tools/mutate-bytes.ts';

const frames = Number(process.env.BROKKR_TEST_FRAMES ?? 2_000);
// The same frames in each run; longer runs choose another seed.
const seed = Number(process.env.BROKKR_TEST_SEED ?? 5);
process.stdout.write(`seed ${seed} (BROKKR_TEST_SEED), ${frames} frames (BROKKR_TEST_FRAMES)\n`);
const random = seededNumbers(seed);

const test = await startTestBroker();
const db = await openMigrated(test.config);
const calls: Call[] = [];
await makeEveryCall(test, async (call) => {
  calls.push(call);
  return answerOf(call);
});
v8.setFlagsFromString('--expose-gc');
const collect = vm.runInNewContext('gc') as () => void;

const story = suite('mutated frames');
story.after(async () => {
  await db.close();
  await test.close();
});

/** These legitimately answer late or never. */
const waiting = new Set(['WatchStack', 'WatchFleet', 'GetDiagnostic', 'Session', 'PullTargetState']);
const atOnce = 8;
const deadlineMs = 30_000;

interface Answer {
  readonly status: number;
  readonly grpcStatus: string | undefined;
  readonly text: string;
}

/** Creates fresh keys: mutated calls may well revoke them. */
async function freshKeys(round: number): Promise<Record<Call['caller'], string>> {
  const name = `fuzz-${round}`;
  const admin = await rotateAdmin(db, name);
  const generator = await asking(admin, ({ admin }) => admin.createGenerator({ name }));
  const agent = await asking(admin, ({ admin }) => admin.createAgent({ name, generators: [name] }));
  await asking(generator.pak, ({ broker }) => broker.createStack({ name: 'web' }));
  await asking(agent.pak, ({ agent }) => agent.startAgent({ clusterId: 'c' }));
  const enrollment = await asking(admin, ({ admin }) => admin.createEnrollment({ name: `${name}-joined` }));
  return { admin, generator: generator.pak, agent: agent.pak, enrollment: enrollment.pak };
}

/**
 * Makes one call on a connection of its own: thousands of rounds would keep as many open. A refusal becomes an error
 * that uvu can print.
 */
async function asking<T>(pak: string, call: (client: BrokkrClient) => Promise<T>): Promise<T> {
  const client = connectBroker({ url: test.url, pak });
  try {
    return await call(client);
  } catch (error) {
    throw new Error('a call between the mutated ones was refused', { cause: error });
  } finally {
    await client.close();
  }
}

/** Returns the errors logged since the last call, and empties the log: a long run writes millions of lines. */
function readLog(): string[] {
  const lines = test.logged.splice(0);
  assertNoKeys(lines);
  return lines.filter((line) => (JSON.parse(line) as { level: number }).level >= 50);
}

const types = [
  'application/grpc+proto',
  'application/grpc',
  'application/grpc-web+proto',
  'application/proto',
  'application/json',
  'application/grpc+json',
] as const;

function bodyOf({ method, request }: Call, type: (typeof types)[number]): Buffer {
  const fields = method.methodKind === 'bidi_streaming' ? request : { ...request, requestId: undefined };
  const message = create(method.input, fields as never);
  const plain = type.endsWith('json')
    ? Buffer.from(toJsonString(method.input, message))
    : Buffer.from(toBinary(method.input, message));
  // Half of them are mutated before they are framed, so that the frame's length is right.
  const inner = random(2) === 0 ? mutateBytes(plain, random) : plain;
  if (!type.includes('grpc')) return inner === plain ? mutateBytes(plain, random) : inner;
  const head = Buffer.alloc(5);
  head.writeUInt32BE(inner.length, 1);
  const framed = Buffer.concat([head, inner]);
  return inner === plain ? mutateBytes(framed, random) : framed;
}

function send(session: ClientHttp2Session, call: Call, pak: string): Promise<Answer | 'waits'> {
  const type = types[random(types.length)] as (typeof types)[number];
  const [service, method] = call.name.split('/');
  const waits = waiting.has(method ?? '');
  return new Promise((resolve, reject) => {
    const stream = session.request({
      ':method': 'POST',
      ':path': `/brokkr.v1.${service}/${method}`,
      'content-type': type,
      te: 'trailers',
      authorization: `Bearer ${pak}`,
    });
    let status = 0;
    let grpcStatus: string | undefined;
    let text = '';
    const timer = setTimeout(
      () => {
        stream.close(8);
        if (waits) resolve('waits');
        else reject(new Error(`${call.name} (${type}) did not answer`));
      },
      waits ? 250 : deadlineMs,
    );
    stream.setEncoding('latin1');
    stream.on('response', (headers) => {
      status = headers[':status'] ?? 0;
      grpcStatus = headers['grpc-status'] as string | undefined;
      text = `${headers['grpc-message'] ?? ''}`;
    });
    stream.on('trailers', (trailers) => {
      grpcStatus = trailers['grpc-status'] as string | undefined;
      text += `${trailers['grpc-message'] ?? ''}`;
    });
    stream.on('data', (chunk: string) => {
      if (text.length < 4_000) text += chunk;
    });
    // A stream that the broker resets counts as answered.
    stream.on('error', () => {});
    stream.on('close', () => {
      clearTimeout(timer);
      resolve({ status, grpcStatus, text });
    });
    stream.end(bodyOf(call, type));
  });
}

/** Recognises INTERNAL in each protocol. */
function isDefect({ status, grpcStatus, text }: Answer): boolean {
  // Mutated text need not be UTF-8.
  const plain = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return grpcStatus === '13' || status === 500 || /grpc-status: ?13|"code":"internal"/.test(plain);
}

story('of every RPC are answered without a defect, and leave the broker serving with no more memory', async () => {
  const counts = new Map<string, number>();
  const defects: string[] = [];
  /** Printed at once: the run may take an hour. */
  const note = (defect: string) => {
    defects.push(defect);
    process.stdout.write(`  ${defect}\n`);
  };
  let heapAfterFirst = 0;
  for (let done = 0, round = 0; done < frames; round += 1) {
    const keys = await freshKeys(round);
    const session = connectHttp2(test.url);
    session.on('error', () => {});
    const part = Math.min(250, frames - done);
    let left = part;
    const worker = async () => {
      while (left > 0) {
        left -= 1;
        const call = calls[random(calls.length)] as Call;
        const answer = await send(session, call, keys[call.caller]);
        const key = answer === 'waits' ? 'waits' : `${answer.status} ${answer.grpcStatus ?? '-'}`;
        counts.set(key, (counts.get(key) ?? 0) + 1);
        if (answer !== 'waits' && isDefect(answer)) note(`${call.name}: ${key} ${answer.text.slice(0, 300)}`);
      }
    };
    await Promise.all(Array.from({ length: atOnce }, worker));
    session.destroy();
    done += part;
    readLog().forEach(note);
    collect();
    if (round === 0) heapAfterFirst = process.memoryUsage().heapUsed;
    if (done % 50_000 === 0) process.stdout.write(`  ${done} frames\n`);
  }
  assert.equal(defects, []);
  const reached = [...counts].filter(([key]) => /^200 (0|3|5|9|-)$|^400|^404/.test(key));
  assert.ok(reached.length > 0, JSON.stringify([...counts]));
  const admin = await rotateAdmin(db, 'after');
  let audit = await asking(admin, (client) => client.admin.verifyAudit({}));
  for (let token = audit.nextPageToken; audit.intact && token !== ''; token = audit.nextPageToken)
    audit = await asking(admin, (client) => client.admin.verifyAudit({ pageToken: token }));
  assert.ok(audit.intact);
  collect();
  const grown = process.memoryUsage().heapUsed - heapAfterFirst;
  process.stdout.write(`  heap ${Math.round(grown / 1024)} KiB more; ${JSON.stringify(Object.fromEntries(counts))}\n`);
  assert.ok(grown < 48 << 20, `the heap has grown by ${grown} bytes`);
});

story('of HTTP/2 itself end only their connection', async () => {
  const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
  const frame = (kind: number, flags: number, id: number, payload: Buffer) => {
    const head = Buffer.alloc(9);
    head.writeUIntBE(payload.length, 0, 3);
    head[3] = kind;
    head[4] = flags;
    head.writeUInt32BE(id, 5);
    return Buffer.concat([head, payload]);
  };
  const whole = Buffer.concat([
    preface,
    frame(4, 0, 0, Buffer.alloc(0)),
    frame(8, 0, 0, Buffer.from([0, 0, 255, 255])),
    frame(1, 4, 1, Buffer.from('838684418aa0e41d139d09b8f01e07', 'hex')),
    frame(0, 1, 1, Buffer.from('hello')),
    frame(6, 0, 0, Buffer.alloc(8)),
    frame(3, 0, 1, Buffer.alloc(4)),
  ]);
  const steady = test.client(await rotateAdmin(db, 'steady'));
  await steady.broker.whoAmI({});
  const attempts = Math.max(50, Math.min(2_000, Math.floor(frames / 20)));
  for (let at = 0; at < attempts; at += 1) {
    const bytes =
      random(3) === 0 ? mutateBytes(whole, random) : Buffer.concat([preface, mutateBytes(whole.subarray(24), random)]);
    await new Promise<void>((resolve) => {
      const socket = connect(Number(new URL(test.url).port), '127.0.0.1', () => {
        socket.end(bytes);
      });
      const timer = setTimeout(() => socket.destroy(), 100);
      socket.on('error', () => {});
      socket.resume();
      socket.on('close', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
  await steady.broker.whoAmI({});
});

story('leave no defect and no key in the log', () => {
  assert.equal(readLog(), []);
});

story.run();
