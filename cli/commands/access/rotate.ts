import { randomUUID } from 'node:crypto';
import type { DescMessage } from '@bufbuild/protobuf';
import type { Command } from 'commander';
import { toDuration } from '../../../contract/duration.ts';
import { RotateAgentPakResponseSchema } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { RotateGeneratorPakResponseSchema } from '../../../gen/brokkr/v1/generator_pb.ts';
import { RotatePakResponseSchema } from '../../../gen/brokkr/v1/pak_pb.ts';
import { parseDuration } from '../../options/duration.ts';
import { usageError } from '../../output/failure.ts';
import { type NewKey, printNewKey } from '../../output/new-key.ts';
import { readContexts, saveContext } from '../../session/context.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

export const verbs: VerbDefinitions = {
  rotate: (command) => {
    rotateOptions(
      command.command('self').description('the key in use; if it is saved in a context, it is replaced there'),
    ).action(withSession(rotateOwnKey));
    ownerCommand(command, 'agent', "an agent's key", RotateAgentPakResponseSchema, ({ admin }, agent, request) =>
      admin.rotateAgentPak({ agent, ...request }),
    );
    ownerCommand(
      command,
      'generator',
      "a generator's key",
      RotateGeneratorPakResponseSchema,
      ({ admin }, generator, request) => admin.rotateGeneratorPak({ generator, ...request }),
    );
  },
};

interface RotateOptions {
  readonly now?: boolean;
  /** Milliseconds. */
  readonly overlap?: number;
  readonly pakFile?: string;
}

function rotateOptions(command: Command): Command {
  return command
    .option('--now', 'revoke the old key immediately')
    .option('--overlap <duration>', 'how long the old key remains valid (default: 24h)', parseDuration)
    .option('--pak-file <file>', 'write the key to this new file (mode 0600) instead of printing it');
}

async function rotateOwnKey(session: Session, options: RotateOptions): Promise<void> {
  const response = await session.broker.rotatePak(requestOf(options));
  if (response.pak !== '') saveRotatedKey(session, response.pak);
  printNewKey(session.output, {
    schema: RotatePakResponseSchema,
    response,
    summary: summaryOf('own key', options),
    pakFile: options.pakFile,
    retryCommand: 'brokkr rotate self',
  });
}

/** Defines the command that rotates the key of an agent or a generator. */
function ownerCommand<D extends DescMessage>(
  command: Command,
  noun: 'agent' | 'generator',
  description: string,
  schema: D,
  rotate: (session: Session, name: string, request: ReturnType<typeof requestOf>) => Promise<NewKey<D>['response']>,
): void {
  rotateOptions(command.command(noun).description(description).argument('<name>')).action(
    withSession(async (session, name: string, options: RotateOptions) => {
      printNewKey(session.output, {
        schema,
        response: await rotate(session, name, requestOf(options)),
        summary: summaryOf(`key of ${noun} ${name}`, options),
        pakFile: options.pakFile,
        retryCommand: `brokkr rotate ${noun} ${name} --now`,
      });
    }),
  );
}

function requestOf({ now, overlap }: RotateOptions) {
  if (now && overlap !== undefined) throw usageError('--now and --overlap cannot be combined');
  const overlapMs = now ? 0 : overlap;
  return { requestId: randomUUID(), overlap: overlapMs === undefined ? undefined : toDuration(overlapMs) };
}

function summaryOf(subject: string, { now, overlap }: RotateOptions): string {
  return `${subject} rotated; the old key ${now || overlap === 0 ? 'is revoked' : 'remains valid for a while'}`;
}

/** Saves the new key before it is shown, so that the context does not keep a key that is about to expire. */
function saveRotatedKey({ settings, output }: Session, pak: string): void {
  const name = settings.contextName;
  const context = name === undefined ? undefined : readContexts(process.env).all[name];
  if (name === undefined || context === undefined) return;
  saveContext(process.env, name, { ...context, pak }, false);
  output.note(`saved in context ${name}`);
}
