import { createHash } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { durationMs } from '@bufbuild/protobuf/wkt';
import type { ServiceImpl } from '@connectrpc/connect';
import type { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import type { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { CreateEnrollmentResponseSchema, EnrollResponseSchema } from '../../gen/brokkr/v1/enrollment_pb.ts';
import { recordPak } from '../access/rules.ts';
import { toMessage as toPak } from '../access/service.ts';
import type { Deps } from '../deps.ts';
import { mutate } from '../rpc/mutate.ts';
import { createEnrollment, enroll } from './enroll.ts';
import { expiryOf } from './enrollment-rules.ts';
import { readMessage, recordAgent } from './service.ts';
import { agentById } from './store.ts';

/** Implements the RPC with which an admin invites an agent. */
export function enrollmentMethods({ db, now }: Deps): Pick<ServiceImpl<typeof AdminService>, 'createEnrollment'> {
  return {
    createEnrollment: (request, context) =>
      mutate(db, context, request, CreateEnrollmentResponseSchema, async (tx, _principal, note) => {
        const { pak, row } = await createEnrollment(
          tx,
          request,
          expiryOf(request.ttl && durationMs(request.ttl), now()),
        );
        recordPak(note, row);
        return create(CreateEnrollmentResponseSchema, { pak, info: toPak(row) });
      }),
  };
}

/** Implements the RPC with which an invited agent creates itself. */
export function enrollMethods({ db, now }: Deps): Pick<ServiceImpl<typeof AgentService>, 'enroll'> {
  return {
    enroll: (request, context) =>
      mutate(db, context, request, EnrollResponseSchema, async (tx, principal, note) => {
        const nonce = createHash('sha256').update(request.nonce).digest();
        const { id, pak } = await enroll(tx, principal.keyId, nonce);
        const agent = await agentById(tx, id);
        await recordAgent(tx, note, id, agent.name);
        return create(EnrollResponseSchema, { agent: await readMessage(tx, agent, now()), pak });
      }),
  };
}
