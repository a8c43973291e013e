import { type DescMethod, getOption } from '@bufbuild/protobuf';
import { Code, ConnectError, type HandlerContext, type Interceptor } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { Role, roles } from '../../../gen/brokkr/v1/options_pb.ts';
import type { AuthFailure, Keys } from '../../access/keys.ts';
import { actorOf, type Principal } from '../../access/principal.ts';
import { roleOf } from '../../access/roles.ts';
import { isThrottled } from '../../access/throttle.ts';
import type { Denials } from '../../audit/denials.ts';
import { nobody } from '../../audit/rules.ts';
import { Refusal, type RefusalKind } from '../../refusal.ts';
import type { ConcurrencyLimiter } from '../admission/concurrency-limiter.ts';
import { principalKey } from '../principal.ts';
import { sourceOf } from '../source.ts';
import { codeOf, toConnectError } from './errors.ts';
import { cancelOnRevocation } from './key-revocation.ts';
import { longPolls } from './long-polls.ts';

/** The standard gRPC services expose only public information, so they need no key. */
const servicesWithoutKey = new Set([
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
]);

/** Counters for calls that are refused before any interceptor runs. */
export interface AuthenticationMetrics {
  authFailed(kind: AuthFailure): void;
  ended(method: DescMethod, code: string): void;
}

/**
 * Creates the check that runs before any of a request's body is read: the caller needs a valid key whose role is listed in the
 * method's `roles` option. A method without the option is refused for everybody. The check records denied calls in the audit log and
 * cancels calls whose key is revoked. It rejects with ConnectErrors only.
 */
export function createAuthenticator({
  keys,
  limiter,
  denials,
  log,
  metrics,
}: {
  readonly keys: Keys;
  readonly limiter: ConcurrencyLimiter;
  readonly denials: Denials;
  readonly log: Logger;
  readonly metrics: AuthenticationMetrics;
}): (context: HandlerContext) => Promise<void> {
  return async (context) => {
    let principal: Principal | undefined;
    try {
      if (servicesWithoutKey.has(context.service.typeName)) return limiter.admitWithoutKey(sourceOf(context), context);
      principal = await keys.authenticate(bearerToken(context.requestHeader.get('authorization')), sourceOf(context));
      if (!rolesOf(context.method).includes(roleOf[principal.role])) {
        metrics.authFailed('role');
        throw new ConnectError(
          `a key of role ${roleName(roleOf[principal.role])} may not call ${context.method.name}`,
          Code.PermissionDenied,
        );
      }
      context.values.set(principalKey, principal);
      cancelOnRevocation(principal.signal, context);
      await limiter.admit(principal.ownerId, context);
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
 * Records unary calls that handlers deny: those that a generator's rules forbid, and changes by a key that has just been revoked. A
 * long poll that ends because its key was revoked is not a denial.
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

/** Returns the roles that may call a method. */
export function rolesOf(method: DescMethod): readonly Role[] {
  return getOption(method, roles);
}

function bearerToken(header: string | null): string | undefined {
  return /^bearer +(\S+) *$/i.exec(header ?? '')?.[1];
}

function roleName(role: Role): string {
  const name = Object.entries(Role).find(([, value]) => value === role)?.[0] ?? 'unknown';
  return name.toLowerCase();
}
