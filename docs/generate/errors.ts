import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { generatedFrom, page, table } from './markdown.ts';

const root = resolve(import.meta.dirname, '../..');

interface Refused {
  readonly kind: string;
  readonly reason: string;
  readonly message: string;
}

/** What a caller does about each code, whatever the reason. */
const advice: readonly (readonly [code: string, meaning: string, doing: string])[] = [
  ['INVALID_ARGUMENT', 'the request is wrong by itself; the details name the fields', 'mend the request'],
  ['NOT_FOUND', 'there is no such thing, or it is not yours', 'look at the name, and at whose key it is'],
  ['ALREADY_EXISTS', 'the name is taken, or a `request_id` was used for another request', 'choose another'],
  ['ABORTED', 'somebody else was faster', 'read again, decide again, try again'],
  ['FAILED_PRECONDITION', 'not in this state', 'do what the message says first; trying again alone does not help'],
  ['PERMISSION_DENIED', 'the key is good and may not do this', 'use another key, or have the rules changed'],
  ['UNAUTHENTICATED', 'the key is missing, wrong, revoked or expired: which one is never said', 'get a new key'],
  ['RESOURCE_EXHAUSTED', 'a limit or a quota', 'less, or slower'],
  ['UNAVAILABLE', 'the broker or its database does not answer', 'try again, with growing pauses'],
  ['DEADLINE_EXCEEDED', 'it took longer than the call may take', 'try again'],
  ['INTERNAL', 'a defect; the cause is in the broker’s log and nowhere else', 'report it'],
];

/** The page about errors: codes, and the reasons that the sources give. */
export function errorsPage(): string {
  return page(
    '# Errors',
    generatedFrom('the refusals in `broker/`'),
    'A refused call has a gRPC code and a message for people. Many have a reason for programs as well: a `google.rpc.ErrorInfo` with ' +
      'domain `brokkr`. Reasons stay as they are; messages may change. What is wrong with single fields is in `google.rpc.BadRequest`.',
    '## Codes',
    table(
      ['code', 'meaning', 'what to do'],
      advice.map(([code, ...rest]) => [`\`${code}\``, ...rest]),
    ),
    '## Reasons',
    'The message is shown as the sources have it; `…` stands for what differs.',
    table(['reason', 'code', 'message'], reasonRows()),
  );
}

/** A row for each reason and code, with all messages that go with them. */
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

/** What stands between the parentheses of each `new Refusal(…)`. */
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
