import { create } from '@bufbuild/protobuf';
import { timestampFromDate } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { type Problem, ProblemSchema } from '../../gen/brokkr/v1/problem_pb.ts';
import { ownerOf } from '../access/principal.ts';
import type { Deps } from '../deps.ts';
import { healthNumber } from '../health/service.ts';
import { phaseNumber } from '../placement/service.ts';
import { principalOf } from '../rpc/principal.ts';
import { findStack } from '../stack/store.ts';
import { groupByCause, type ProblemRow } from './rules.ts';
import { listProblemRows } from './store.ts';

const maxProblems = 100;

export function problemMethods({ db }: Deps): Pick<ServiceImpl<typeof BrokerService>, 'listProblems'> {
  return {
    async listProblems({ stack }, context) {
      const owner = ownerOf(principalOf(context));
      const stackId = stack === '' ? undefined : (await findStack(db, owner, stack)).id;
      const groups = groupByCause(await listProblemRows(db, { owner, stackId }));
      const problems = groups.slice(0, maxProblems).map(toMessage);
      return { problems, omitted: groups.length - problems.length };
    },
  };
}

function toMessage(row: ProblemRow): Problem {
  return create(ProblemSchema, {
    stackId: row.stackId,
    stack: row.stack,
    deploymentId: row.deploymentId ?? '',
    revision: row.revision ?? 0,
    deploymentMessage: row.deploymentMessage ?? '',
    createdBy: row.createdBy ?? '',
    createTime: row.createdAt ? timestampFromDate(row.createdAt) : undefined,
    phase: phaseNumber(row.phase),
    health: healthNumber(row.health),
    message: row.message,
    placements: row.placements,
    stackPlacements: row.stackPlacements,
    agents: [...row.agents],
    sinceTime: timestampFromDate(row.since),
  });
}
