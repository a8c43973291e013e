import { setTimeout as pause } from 'node:timers/promises';
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
import { type Output, printOne, type Tone } from '../../output/output.ts';
import { allPages } from '../../session/pages.ts';
import type { Session } from '../../session/session.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const defaultTimeoutMs = 300_000;
const pollIntervalMs = 500;

export const verbs: VerbDefinitions = {
  agent: (command) =>
    command
      .command('status')
      .description('whether an agent has enrolled, is online, and reaches its cluster; ends with 1 when it is not so')
      .argument('<name>')
      .option('--wait', 'until it is so')
      .option('--timeout <duration>', 'how long to wait (default: 5m)', parseDuration)
      .action(
        withSession(async (session, name: string, options: { wait?: boolean; timeout?: number }) => {
          const { wait, timeout = defaultTimeoutMs } = options;
          const standing = wait ? await waitFor(session, name, timeout) : await readReadiness(session, name);
          printReadiness(session.out, name, standing);
          if (!standing.ready)
            throw new Failure(`agent ${name} is not ready: ${standing.text}`, { hint: standing.hint });
        }),
      ),
};

/** How far an agent is on its way from an enrollment to work. */
interface Readiness {
  readonly ready: boolean;
  readonly text: string;
  readonly hint?: string;
  readonly agent?: Agent;
}

const logHint = 'its own words: kubectl -n brokkr logs deployment/brokkr-agent';

async function waitFor(session: Session, name: string, timeoutMs: number): Promise<Readiness> {
  const deadline = Date.now() + timeoutMs;
  let told = '';
  for (;;) {
    const standing = await readReadiness(session, name);
    if (standing.ready || Date.now() >= deadline) return standing;
    if (standing.text !== told) session.out.note(`waiting, at most ${shortDuration(timeoutMs)}: ${standing.text}`);
    told = standing.text;
    await pause(pollIntervalMs);
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
  const invitation = paks.filter(({ role }) => role === Role.ENROLLMENT).at(-1);
  if (!invitation) throw new Failure(`agent "${name}" not found`, { hint: `brokkr install agent ${name} makes it` });
  return enrollmentReadiness(invitation, name);
}

function enrollmentReadiness({ shortToken, revokeTime, expireTime }: Pak, name: string): Readiness {
  const again = { ready: false, hint: `brokkr install agent ${name} makes another token` };
  if (revokeTime) return { ...again, text: `its token ${shortToken} was revoked` };
  const endsAt = timestampText(expireTime);
  if (expireTime && Number(expireTime.seconds) * 1_000 <= Date.now())
    return { ...again, text: `it has not enrolled, and its token ended ${endsAt}` };
  return { ready: false, text: `it has not enrolled yet; its token is good until ${endsAt}`, hint: logHint };
}

function agentReadiness(agent: Agent): Readiness {
  const not = (text: string): Readiness => ({ ready: false, text, hint: logHint, agent });
  if (agent.incarnation === 0n) return not('it has never started');
  if (!agent.online) return not(`offline, last seen ${timestampText(agent.lastHeartbeatTime)}`);
  if (!agent.clusterReachable) return not('online, but it does not reach its cluster');
  return { ready: true, text: agent.paused ? 'online, paused' : 'online', agent };
}

function printReadiness(out: Output, name: string, { ready, text, agent }: Readiness): void {
  const tone: Tone = ready ? 'good' : 'bad';
  const told = (): void => {
    const facts: Field[] = agent
      ? [
          ['Cluster', agent.online ? clusterText(agent) : ''],
          ['Kubernetes', agent.kubernetesVersion],
          ['Version', agent.version],
          ['Stacks', placementCountsText(agent.placements)],
        ]
      : [];
    out.line(`${out.paint(tone, ready ? '✔' : '✘')} agent ${name}: ${text}`);
    printFields(out, facts);
  };
  if (agent) printOne(out, { schema: AgentSchema, name: () => name }, agent, told);
  else if (out.format === 'table') told();
}
