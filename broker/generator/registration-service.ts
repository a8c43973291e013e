import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import {
  AddRegistrationResponseSchema,
  DeregisterGeneratorResponseSchema,
  RegisterGeneratorResponseSchema,
  type Registration,
  RegistrationSchema,
  RegistrationState,
  RemoveRegistrationResponseSchema,
} from '../../gen/brokkr/v1/generator_pb.ts';
import type { Principal } from '../access/principal.ts';
import { requireIncarnation, requireNotDraining } from '../agent/rules.ts';
import { agentById, findAgent } from '../agent/store.ts';
import { type Note, toColumns } from '../audit/rules.ts';
import type { Deps } from '../deps.ts';
import { mutate } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import type { Tx } from '../store/orm.ts';
import { cutPage, readPage } from '../store/page.ts';
import { deregister, lockPair, register, registerWithAccount } from './registration.ts';
import { listRegistrations, type RegistrationRow } from './registration-store.ts';
import { initialState } from './rules.ts';

type AdminMethods = 'listRegistrations' | 'addRegistration' | 'removeRegistration';

/** Implements the RPCs with which admins manage registrations. */
export function registrationMethods({ db }: Deps): Pick<ServiceImpl<typeof AdminService>, AdminMethods> {
  return {
    async listRegistrations(request, context) {
      const scope = ['registrations', principalOf(context).ownerId, request.agent, request.generator];
      const page = readPage(request, scope);
      const { agent, generator } = request;
      const rows = await listRegistrations(db, { agent, generator, after: page.after, limit: page.size + 1 });
      const cut = cutPage(rows, page, scope, (row) => [row.agent, row.generator, row.agentId, row.generatorId]);
      return { registrations: cut.rows.map(toMessage), nextPageToken: cut.nextPageToken };
    },

    addRegistration: (request, context) =>
      mutate(db, context, request, AddRegistrationResponseSchema, async (tx, principal, note) => {
        const agent = await findAgent(tx, principal, request.agent);
        const generator = await lockPair(tx, { agent, generator: request.generator });
        requireNotDraining(await agentById(tx, agent.id));
        const row = await registerWithAccount(tx, agent.id, generator, request.serviceAccount);
        recordRegistration(note, generator, agent, row);
        return create(AddRegistrationResponseSchema, { registration: toMessage(row) });
      }),

    removeRegistration: (request, context) =>
      mutate(db, context, request, RemoveRegistrationResponseSchema, async (tx, principal, note) => {
        const agent = await findAgent(tx, principal, request.agent);
        const pair = { agent, generator: request.generator };
        const generator = await lockPair(tx, pair);
        recordRegistration(note, generator, agent, undefined);
        await deregister(tx, pair, generator, principal.ownerName);
        return create(RemoveRegistrationResponseSchema);
      }),
  };
}

/** Implements the RPCs with which an agent registers and deregisters itself. */
export function consentMethods({
  db,
}: Deps): Pick<ServiceImpl<typeof AgentService>, 'registerGenerator' | 'deregisterGenerator'> {
  return {
    registerGenerator: (request, context) =>
      mutate(db, context, request, RegisterGeneratorResponseSchema, async (tx, principal, note) => {
        const { agent, generator } = await ownPair(tx, principal, request);
        requireNotDraining(agent);
        const row = await register(tx, agent.id, generator, initialState(generator));
        recordRegistration(note, generator, agent, row);
        return create(RegisterGeneratorResponseSchema, { registration: toMessage(row) });
      }),

    deregisterGenerator: (request, context) =>
      mutate(db, context, request, DeregisterGeneratorResponseSchema, async (tx, principal, note) => {
        const { agent, generator } = await ownPair(tx, principal, request);
        recordRegistration(note, generator, agent, undefined);
        await deregister(tx, { agent, generator: request.generator }, generator, agent.name);
        return create(DeregisterGeneratorResponseSchema);
      }),
  };
}

/** Notes for the audit log which registration was made, or ended. */
function recordRegistration(note: Note, generator: Named, agent: Named, row: RegistrationRow | undefined): void {
  note.about('registration', generator.id, `${agent.name} with ${generator.name}`);
  if (row) note.after(toColumns(row));
  else note.before({ agentId: agent.id, generatorId: generator.id });
}

interface Named {
  readonly id: string;
  readonly name: string;
}

async function ownPair(tx: Tx, principal: Principal, request: { generator: string; incarnation: bigint }) {
  const self = { id: principal.ownerId, name: principal.ownerName };
  const generator = await lockPair(tx, { agent: self, generator: request.generator });
  const agent = await agentById(tx, self.id);
  requireIncarnation(BigInt(agent.incarnation), request.incarnation);
  return { agent, generator };
}

function toMessage(row: RegistrationRow): Registration {
  return create(RegistrationSchema, {
    agentId: row.agentId,
    agent: row.agent,
    generatorId: row.generatorId,
    generator: row.generator,
    serviceAccount: row.serviceAccount,
    state: row.state === 'registered' ? RegistrationState.REGISTERED : RegistrationState.REQUESTED,
    createTime: timestampFromDate(row.createdAt),
  });
}
