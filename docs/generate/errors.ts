import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { generatedFrom, page, table } from './markdown.ts';

const root = resolve(import.meta.dirname, '../..');

interface Refused {
  readonly kind: string;
  readonly reason: string;
  readonly message: string;
}

/** The meaning of each code, and what a caller should do regardless of the reason. */
const advice: readonly (readonly [code: string, meaning: string, doing: string])[] = [
  ['INVALID_ARGUMENT', 'the request is invalid; the details name the fields', 'correct the request'],
  ['NOT_FOUND', 'the object does not exist, or belongs to somebody else', 'check the name, and whose key you use'],
  ['ALREADY_EXISTS', 'the name is taken, or the `request_id` was used for another request', 'choose another one'],
  ['ABORTED', 'somebody else made a change in the meantime', 'read the current state, decide again, and retry'],
  [
    'FAILED_PRECONDITION',
    'the call is not possible in the current state',
    'first do what the message says; a retry alone does not help',
  ],
  ['PERMISSION_DENIED', 'the key is valid but may not do this', 'use another key, or have the rules changed'],
  ['UNAUTHENTICATED', 'the key is missing, wrong, revoked or expired; the answer does not say which', 'get a new key'],
  ['RESOURCE_EXHAUSTED', 'a limit or a quota is exceeded', 'send less, or more slowly'],
  ['UNAVAILABLE', 'the broker or its database does not answer', 'retry with backoff'],
  ['DEADLINE_EXCEEDED', 'the call took too long', 'retry'],
  ['INTERNAL', 'a defect; only the broker’s log has the cause', 'report it'],
];

/** Returns the page about errors: the codes, and the reasons found in the sources. */
export function errorsPage(): string {
  return page(
    '# Errors',
    generatedFrom('the refusals in `broker/`'),
    'A refused call returns a gRPC code and a message for people. Many also return a reason for programs: a `google.rpc.ErrorInfo` with ' +
      'domain `brokkr`. Reasons are stable; messages may change. Violations of single fields are in `google.rpc.BadRequest`.',
    '## Codes',
    table(
      ['code', 'meaning', 'action'],
      advice.map(([code, ...rest]) => [`\`${code}\``, ...rest]),
    ),
    '## Reasons',
    'Messages are shown as in the sources; `…` stands for values.',
    table(['reason', 'code', 'message'], reasonRows()),
  );
}

/** Returns a row for each pair of reason and code, with all its messages. */
function reasonRows(): string[][] {
  const found = sourcesOf('broker').flatMap((source) => callsOf(source).flatMap(readCall));
  const byReason = Map.groupBy(found, ({ reason, kind }) => `\`${reason}\` \`${kind.toUpperCase()}\``);
  return [...byReason.entries()].sort().map(([key, refused]) => {
    const messages = new Set(refused.map(({ message }) => message).filter((message) => message !== ''));
    return [...key.split(' '), [...messages].sort().join('; or: ')];
  });
}

function sourcesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .sort()
    .map((name) => readFileSync(join(root, folder, name), 'utf8'));
}

/** Returns the arguments of each `new Refusal(…)`. */
function callsOf(source: string): string[] {
  return source
    .split('new Refusal(')
    .slice(1)
    .map((rest) => {
      let depth = 1;
      let end = 0;
      while (depth > 0 && end < rest.length) {
        if (rest[end] === '(') depth += 1;
        if (rest[end] === ')') depth -= 1;
        end += 1;
      }
      return rest.slice(0, end - 1);
    });
}

function readCall(call: string): Refused[] {
  const [, reason] = /reason: '([A-Z_]+)'/.exec(call) ?? [];
  const [, kind = ''] = /^\s*'(\w+)'/.exec(call) ?? [];
  const [, , message = ''] = /^\s*'\w+',\s*(['"`])([\s\S]*?)\1/.exec(call) ?? [];
  if (reason === undefined) return [];
  return [{ kind, reason, message: message.replaceAll(/\$\{[^}]*\}/g, '…') }];
}
