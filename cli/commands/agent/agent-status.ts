import { setTimeout as delay } from 'node:timers/promises';
import { Code, ConnectError } from '@connectrpc/connect';
import { type Agent, AgentSchema } from '../../../gen/brokkr/v1/cluster_agent_pb.ts';
import { Role } from '../../../gen/brokkr/v1/options_pb.ts';
import type { Pak } from '../../../gen/brokkr/v1/pak_pb.ts';
import { type Field, printFields } from '../../format/describe.ts';
import { shortDuration } from '../../format/duration.ts';
import { placementCountsText, timestampText } from '../../format/enum-labels.ts';
import { clusterText } from '../../format/fleet.ts';
import { parseDuration } from '../../options/duration.ts';
import { Failure } from '../../output/failure.ts';
import type { Output, Tone } from '../../output/output.ts';
import { printOne } from '../../output/view.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const defaultTimeoutMs = 300_000;
const pollIntervalMs = 500;

export const verbs: VerbDefinitions = {
  agent: (command) =>
    command
      .command('status')
      .description('show whether an agent is enrolled, online and connected to its cluster; exits with 1 if it is not')
      .argument('<name>')
      .option('--wait', 'wait until the agent is ready')
      .option('--timeout <duration>', 'maximum time for --wait (default: 5m)', parseDuration)
      .action(
        withSession(async (session, name: string, options: { wait?: boolean; timeout?: number }) => {
          const { wait, timeout = defaultTimeoutMs } = options;
          const readiness = wait ? await waitFor(session, name, timeout) : await readReadiness(session, name);
          printReadiness(session.output, name, readiness);
          if (!readiness.ready)
            throw new Failure(`agent ${name} is not ready: ${readiness.text}`, { hint: readiness.hint });
        }),
      ),
};

/** The progress of an agent from its enrollment to being ready. */
interface Readiness {
  readonly ready: boolean;
  readonly text: string;
  readonly hint?: string;
  readonly agent?: Agent;
}

const logHint = 'see its log: kubectl -n brokkr logs deployment/brokkr-agent';

async function waitFor(session: Session, name: string, timeoutMs: number): Promise<Readiness> {
  const deadline = Date.now() + timeoutMs;
  let reported = '';
  for (;;) {
    const readiness = await readReadiness(session, name);
    if (readiness.ready || Date.now() >= deadline) return readiness;
    if (readiness.text !== reported)
      session.output.note(`waiting up to ${shortDuration(timeoutMs)}: ${readiness.text}`);
    reported = readiness.text;
    await delay(pollIntervalMs);
  }
}

async function readReadiness({ admin }: Session, name: string): Promise<Readiness> {
  try {
    return agentReadiness((await admin.getAgent({ agent: name })).agent!);
  } catch (error) {
    if (ConnectError.from(error).code !== Code.NotFound) throw error;
  }
  const paks = await allPages(
    (page) => admin.listPaks({ owner: name, showEnded: true, ...page }),
    (page) => page.paks,
  );
  const enrollment = paks.filter(({ role }) => role === Role.ENROLLMENT).at(-1);
  if (!enrollment)
    throw new Failure(`agent "${name}" not found`, { hint: `create it with: brokkr install agent ${name}` });
  return enrollmentReadiness(enrollment, name);
}

function enrollmentReadiness({ shortToken, revokeTime, expireTime }: Pak, name: string): Readiness {
  const ended = { ready: false, hint: `create another token with: brokkr install agent ${name}` };
  if (revokeTime) return { ...ended, text: `its token ${shortToken} was revoked` };
  const endsAt = timestampText(expireTime);
  if (expireTime && Number(expireTime.seconds) * 1_000 <= Date.now())
    return { ...ended, text: `it has not enrolled, and its token expired ${endsAt}` };
  return { ready: false, text: `it has not enrolled yet; its token is valid until ${endsAt}`, hint: logHint };
}

function agentReadiness(agent: Agent): Readiness {
  const notReady = (text: string): Readiness => ({ ready: false, text, hint: logHint, agent });
  if (agent.incarnation === 0n) return notReady('it has never started');
  if (!agent.online) return notReady(`offline, last seen ${timestampText(agent.lastHeartbeatTime)}`);
  if (!agent.clusterReachable) return notReady('online, but it cannot reach its cluster');
  return { ready: true, text: agent.paused ? 'online, paused' : 'online', agent };
}

function printReadiness(output: Output, name: string, { ready, text, agent }: Readiness): void {
  const tone: Tone = ready ? 'good' : 'bad';
  const printDetails = (): void => {
    const fields: Field[] = agent
      ? [
          ['Cluster', agent.online ? clusterText(agent) : ''],
          ['Kubernetes', agent.kubernetesVersion],
          ['Version', agent.version],
          ['Stacks', placementCountsText(agent.placements)],
        ]
      : [];
    output.line(`${output.paint(tone, ready ? '✔' : '✘')} agent ${name}: ${text}`);
    printFields(output, fields);
  };
  if (agent) printOne(output, { schema: AgentSchema, name: () => name }, agent, printDetails);
  else if (output.format === 'table') printDetails();
}
