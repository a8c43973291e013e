import { type DescMethod, getOption } from '@bufbuild/protobuf';
import { Code, ConnectError, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { Role, roles } from '../../../gen/brokkr/v1/options_pb.ts';
import type { AuthFailure, Keys } from '../../access/keys.ts';
import { actorOf } from '../../access/roles.ts';
import { isThrottled } from '../../access/throttle.ts';
import type { Denials } from '../../audit/denials.ts';
import { nobody } from '../../audit/rules.ts';
import { Refusal, type RefusalKind } from '../../refusal.ts';
import type { Crowd } from '../admission/concurrency-limiter.ts';
import { sourceOf } from '../http/source.ts';
import { type Principal, principalKey } from '../principal.ts';
import { codeOf, toConnectError } from './errors.ts';
import { endWithKey } from './key-revocation.ts';
import { longPolls } from './long-polls.ts';

/** Services of the protocol itself: they tell nothing that is not public, and need no key. */
const open = new Set([
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
]);

/** What the gate counts: calls that end here are seen by no interceptor. */
export interface GateMetrics {
  authFailed(kind: AuthFailure): void;
  ended(method: DescMethod, code: string): void;
}

/**
 * Decides, before anything of a request's body is read, whether the caller may make this call: a valid key, and a role that the
 * method's `roles` option names. A method without the option is refused for everybody. Denied calls are recorded, and a call ends
 * with its key.
 */
export function createGate({
  keys,
  crowd,
  denials,
  log,
  metrics,
}: {
  readonly keys: Keys;
  readonly crowd: Crowd;
  readonly denials: Denials;
  readonly log: Logger;
  readonly metrics: GateMetrics;
}): (context: HandlerContext) => Promise<void> {
  return async (context) => {
    let principal: Principal | undefined;
    try {
      if (open.has(context.service.typeName)) return crowd.enterOpen(sourceOf(context), context);
      principal = await keys.authenticate(bearer(context.requestHeader.get('authorization')), sourceOf(context));
      if (!rolesOf(context.method).includes(principal.role)) {
        metrics.authFailed('role');
        throw new ConnectError(
          `a key of role ${roleName(principal.role)} may not call ${context.method.name}`,
          Code.PermissionDenied,
        );
      }
      context.values.set(principalKey, principal);
      endWithKey(principal.signal, context);
      await crowd.enter(principal.ownerId, context);
    } catch (error) {
      const refusal = toConnectError(error, log, context.method.name);
      metrics.ended(context.method, Code[refusal.code]);
      if (refusal.code === Code.Unauthenticated || refusal.code === Code.PermissionDenied || isThrottled(error)) {
        const actor = principal ? actorOf(principal) : nobody;
        denials.note({ actor, method: context.method.name, source: sourceOf(context), code: Code[refusal.code] });
      }
      throw refusal;
    }
  };
}

/**
 * Records unary calls that handlers deny: what a generator's rules forbid, and changes by a key that has just ended. A long poll
 * that ends with its key was not denied.
 */
export function denialInterceptor(denials: Denials): Interceptor {
  return (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      const principal = request.contextValues.get(principalKey);
      const isDenied = error instanceof Refusal && deniedKinds.has(error.kind);
      if (principal && isDenied && !longPolls.has(request.method.name)) {
        const source = sourceOf({ values: request.contextValues });
        const code = Code[codeOf(error.kind)];
        denials.note({ actor: actorOf(principal), method: request.method.name, source, code });
      }
      throw error;
    }
  };
}

const deniedKinds: ReadonlySet<RefusalKind> = new Set(['permission_denied', 'unauthenticated']);

/** The roles that may call a method. */
export function rolesOf(method: DescMethod): readonly Role[] {
  return getOption(method, roles);
}

function bearer(header: string | null): string | undefined {
  return /^bearer +(\S+) *$/i.exec(header ?? '')?.[1];
}

function roleName(role: Role): string {
  const name = Object.entries(Role).find(([, value]) => value === role)?.[0] ?? 'unknown';
  return name.toLowerCase();
}
