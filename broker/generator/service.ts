import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { GeneratorLimits } from '../../contract/generator-limits.ts';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import {
  CreateGeneratorResponseSchema,
  DeleteGeneratorResponseSchema,
  type Generator,
  type GeneratorQuota,
  type GeneratorRules,
  GeneratorRulesSchema,
  GeneratorSchema,
  RegistrationPolicy,
  RotateGeneratorPakResponseSchema,
  UpdateGeneratorResponseSchema,
} from '../../gen/brokkr/v1/generator_pb.ts';
import { mintPak } from '../access/issue.ts';
import { notePak } from '../access/rules.ts';
import { overlapOf } from '../access/service.ts';
import type { Deps } from '../deps.ts';
import { Refusal } from '../refusal.ts';
import { checkEtag, checkName } from '../resource.ts';
import { mutate } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import { announce } from '../store/feed.ts';
import { cutPage, readPage } from '../store/page.ts';
import { deleteGenerator } from './delete.ts';
import { checkMask, type GeneratorRow, limitsOf, type Policy, type Quota, requireLive } from './rules.ts';
import * as store from './store.ts';

type Methods =
  | 'createGenerator'
  | 'getGenerator'
  | 'listGenerators'
  | 'updateGenerator'
  | 'deleteGenerator'
  | 'rotateGeneratorPak';

export function generatorMethods({ db }: Deps): Pick<ServiceImpl<typeof AdminService>, Methods> {
  return {
    createGenerator: (request, context) =>
      mutate(db, context, request, CreateGeneratorResponseSchema, async (tx, _principal, note) => {
        checkName(request.name);
        const generatorId = await store.insertGenerator(tx, {
          name: request.name,
          description: request.description,
          registration: toPolicy(request.registration),
        });
        const { pak } = await mintPak(tx, { role: 'ge', generatorId });
        await store.writeLimits(tx, generatorId, toLimits(request.rules));
        await store.writeQuota(tx, generatorId, toQuota(request.quota));
        const row = await store.generatorById(tx, generatorId);
        note.about('generator', row.id, row.name);
        note.after(recorded(row));
        return create(CreateGeneratorResponseSchema, {
          generator: toMessage(row),
          pak,
        });
      }),

    async getGenerator(request) {
      return { generator: toMessage(await store.findGenerator(db, request.generator)) };
    },

    async listGenerators(request, context) {
      const scope = ['generators', principalOf(context).ownerId, request.showDeleted];
      const page = readPage(request, scope);
      const { showDeleted } = request;
      const rows = await store.listGenerators(db, { showDeleted, after: page.after, limit: page.size + 1 });
      const cut = cutPage(rows, page, scope, (row) => [row.name, row.id]);
      return { generators: cut.rows.map(toMessage), nextPageToken: cut.nextPageToken };
    },

    updateGenerator: (request, context) =>
      mutate(db, context, request, UpdateGeneratorResponseSchema, async (tx, _principal, note) => {
        const mask = request.updateMask?.paths ?? [];
        checkMask(mask, ['description', 'registration', 'rules', 'quota']);
        const found = await store.findGenerator(tx, request.generator);
        await store.lockGeneratorRow(tx, found.id);
        const row = await store.generatorById(tx, found.id);
        requireLive(row);
        checkEtag(request.etag, row.version);
        await store.updateGenerator(tx, row.id, {
          description: mask.includes('description') ? request.description : undefined,
          registration: mask.includes('registration') ? toPolicy(request.registration) : undefined,
        });
        if (mask.includes('rules')) {
          if (row.system)
            throw new Refusal('failed_precondition', 'the system generator has no rules', { field: 'rules' });
          await store.writeLimits(tx, row.id, toLimits(request.rules));
          await announce(tx, 'stack', await store.stacksOf(tx, row.id));
        }
        if (mask.includes('quota')) await store.writeQuota(tx, row.id, toQuota(request.quota));
        const after = await store.generatorById(tx, row.id);
        note.about('generator', row.id, row.name);
        note.before(recorded(row));
        note.after(recorded(after));
        return create(UpdateGeneratorResponseSchema, { generator: toMessage(after) });
      }),

    deleteGenerator: (request, context) =>
      mutate(db, context, request, DeleteGeneratorResponseSchema, async (tx, _principal, note) => {
        const row = await deleteGenerator(tx, request);
        note.about('generator', row.id, row.name);
        note.before(recorded(row));
        return create(DeleteGeneratorResponseSchema, { generator: toMessage(row) });
      }),

    rotateGeneratorPak: (request, context) =>
      mutate(db, context, request, RotateGeneratorPakResponseSchema, async (tx, _principal, note) => {
        const found = await store.findGenerator(tx, request.generator);
        // Deleting it waits: a key must not be made after all of them were revoked.
        await store.lockGeneratorRow(tx, found.id);
        requireLive(await store.generatorById(tx, found.id));
        const { pak, row } = await mintPak(
          tx,
          { role: 'ge', generatorId: found.id },
          { overlapMs: overlapOf(request.overlap) },
        );
        notePak(note, row);
        return create(RotateGeneratorPakResponseSchema, { pak });
      }),
  };
}

/** A generator without the counts that others change. */
function recorded({
  stack_count: _,
  agent_count: __,
  ...row
}: GeneratorRow): Omit<GeneratorRow, 'stack_count' | 'agent_count'> {
  return row;
}

function toPolicy(policy: RegistrationPolicy): Policy {
  return policy === RegistrationPolicy.APPROVE ? 'approve' : 'open';
}

function toLimits(rules: GeneratorRules | undefined): GeneratorLimits {
  return {
    allowNamespaces: rules?.allowNamespaces ?? [],
    denyNamespaces: rules?.denyNamespaces ?? [],
    allowKinds: rules?.allowKinds ?? [],
    denyKinds: rules?.denyKinds ?? [],
    clusterScoped: rules?.clusterScoped ?? false,
  };
}

/** What a generator may deploy, as a message. */
export function toRules(limits: GeneratorLimits): GeneratorRules {
  return create(GeneratorRulesSchema, {
    allowNamespaces: [...limits.allowNamespaces],
    denyNamespaces: [...limits.denyNamespaces],
    allowKinds: [...limits.allowKinds],
    denyKinds: [...limits.denyKinds],
    clusterScoped: limits.clusterScoped,
  });
}

function toQuota(quota: GeneratorQuota | undefined): Quota {
  return {
    stacks: quota?.stacks ?? 0,
    deploymentsPerStack: quota?.deploymentsPerStack ?? 0,
    manifestBytes: quota?.manifestBytes ?? 0n,
  };
}

function toMessage(row: GeneratorRow): Generator {
  return create(GeneratorSchema, {
    id: row.id,
    name: row.name,
    description: row.description,
    registration: row.registration === 'approve' ? RegistrationPolicy.APPROVE : RegistrationPolicy.OPEN,
    system: row.system,
    stackCount: row.stack_count,
    agentCount: row.agent_count,
    createTime: timestampFromDate(row.created_at),
    deleteTime: row.deleted_at ? timestampFromDate(row.deleted_at) : undefined,
    etag: row.version,
    rules: toRules(limitsOf(row)),
    quota: {
      stacks: row.quota_stacks,
      deploymentsPerStack: row.quota_deployments,
      manifestBytes: BigInt(row.quota_bytes),
    },
  });
}
