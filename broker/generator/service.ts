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
import { issuePak } from '../access/issue.ts';
import { recordPak } from '../access/rules.ts';
import { overlapOf } from '../access/service.ts';
import { toColumns } from '../audit/rules.ts';
import type { Deps } from '../deps.ts';
import { checkMask } from '../resource.ts';
import { mutate } from '../rpc/mutate.ts';
import { principalOf } from '../rpc/principal.ts';
import { cutPage, readPage } from '../store/page.ts';
import { createGenerator } from './create.ts';
import { deleteGenerator } from './delete.ts';
import { type GeneratorRow, limitsOf, type Policy, type Quota } from './rules.ts';
import * as store from './store.ts';
import { lockGenerator, updateGenerator } from './update.ts';

type Methods =
  | 'createGenerator'
  | 'getGenerator'
  | 'listGenerators'
  | 'updateGenerator'
  | 'deleteGenerator'
  | 'rotateGeneratorPak';

/** Implements the RPCs with which admins manage generators. */
export function generatorMethods({ db }: Deps): Pick<ServiceImpl<typeof AdminService>, Methods> {
  return {
    createGenerator: (request, context) =>
      mutate(db, context, request, CreateGeneratorResponseSchema, async (tx, _principal, note) => {
        const { pak, row } = await createGenerator(tx, {
          name: request.name,
          description: request.description,
          registration: toPolicy(request.registration),
          limits: toLimits(request.rules),
          quota: toQuota(request.quota),
        });
        note.about('generator', row.id, row.name);
        note.after(toRecord(row));
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
        const row = await lockGenerator(tx, request.generator, request.etag);
        const after = await updateGenerator(tx, row, {
          ...(mask.includes('description') && { description: request.description }),
          ...(mask.includes('registration') && { registration: toPolicy(request.registration) }),
          ...(mask.includes('rules') && { limits: toLimits(request.rules) }),
          ...(mask.includes('quota') && { quota: toQuota(request.quota) }),
        });
        note.about('generator', row.id, row.name);
        note.before(toRecord(row));
        note.after(toRecord(after));
        return create(UpdateGeneratorResponseSchema, { generator: toMessage(after) });
      }),

    deleteGenerator: (request, context) =>
      mutate(db, context, request, DeleteGeneratorResponseSchema, async (tx, _principal, note) => {
        const row = await deleteGenerator(tx, request);
        note.about('generator', row.id, row.name);
        note.before(toRecord(row));
        return create(DeleteGeneratorResponseSchema, { generator: toMessage(row) });
      }),

    rotateGeneratorPak: (request, context) =>
      mutate(db, context, request, RotateGeneratorPakResponseSchema, async (tx, _principal, note) => {
        // Under the lock: no key must be issued after a deletion has revoked all of them.
        const { id: generatorId } = await lockGenerator(tx, request.generator);
        const { pak, row } = await issuePak(tx, { role: 'ge', generatorId }, { overlapMs: overlapOf(request.overlap) });
        recordPak(note, row);
        return create(RotateGeneratorPakResponseSchema, { pak });
      }),
  };
}

/** Leaves out the counts that other changes touch. */
function toRecord({ stackCount: _, agentCount: __, ...row }: GeneratorRow): object {
  return toColumns(row);
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

/** Converts the limits on what a generator may deploy to a message. */
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
    stackCount: row.stackCount,
    agentCount: row.agentCount,
    createTime: timestampFromDate(row.createdAt),
    deleteTime: row.deletedAt ? timestampFromDate(row.deletedAt) : undefined,
    etag: row.version,
    rules: toRules(limitsOf(row)),
    quota: {
      stacks: row.quotaStacks,
      deploymentsPerStack: row.quotaDeployments,
      manifestBytes: BigInt(row.quotaBytes),
    },
  });
}
