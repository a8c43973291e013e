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
import type { EndingCall } from '../lifetime.ts';
import { type Origin, originOf, sourceOf } from '../origin.ts';
import { principalKey } from '../principal.ts';
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

/** The part of a call that the check reads. */
export type AuthenticatedCall = EndingCall & Pick<HandlerContext, 'method' | 'service' | 'values'>;

/**
 * Admits a call or throws, or rejects, with a ConnectError. It returns nothing when the call may start at once, which is so for keys
 * that the connection has presented before.
 */
export type Authenticate = (call: AuthenticatedCall) => Promise<void> | void;

/** A connection of a proxy carries the keys of many callers; those beyond this number are looked up by their digest again. */
const maxRememberedPrincipals = 64;

/**
 * Creates the check that runs before any of a request's body is read: the caller needs a valid key whose role is listed in the
 * method's `roles` option. A method without the option is refused for everybody. The check records denied calls in the audit log and
 * cancels calls whose key is revoked.
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
}): Authenticate {
  const admit = (call: AuthenticatedCall, principal: Principal) => {
    call.values.set(principalKey, principal);
    if (!rolesOf(call.method).includes(roleOf[principal.role])) {
      metrics.authFailed('role');
      throw new ConnectError(
        `a key of role ${roleName(roleOf[principal.role])} may not call ${call.method.name}`,
        Code.PermissionDenied,
      );
    }
    cancelOnRevocation(principal.signal, call);
    return limiter.admit(principal.ownerId, call);
  };
  const verify = async (call: AuthenticatedCall, { authorization, source, connection }: Origin) => {
    const principal = await keys.authenticate(bearerToken(authorization), source);
    if (connection.principals.size >= maxRememberedPrincipals) connection.principals.clear();
    if (connection.principals.size === 0) connection.widen();
    connection.principals.set(authorization ?? '', principal);
    await admit(call, principal);
  };
  const refuse = (error: unknown, { method, values }: AuthenticatedCall): never => {
    const refusal = toConnectError(error, log, method.name);
    metrics.ended(method, Code[refusal.code]);
    if (refusal.code === Code.Unauthenticated || refusal.code === Code.PermissionDenied || isThrottled(error)) {
      const principal = values.get(principalKey);
      const actor = principal ? actorOf(principal) : nobody;
      denials.note({ actor, method: method.name, source: sourceOf({ values }), code: Code[refusal.code] });
    }
    throw refusal;
  };
  return (call) => {
    const origin = originOf(call);
    try {
      if (servicesWithoutKey.has(call.service.typeName)) return limiter.admitWithoutKey(origin.source, call);
      const remembered = origin.connection.principals.get(origin.authorization ?? '');
      const admitted = remembered && keys.isCurrent(remembered) ? admit(call, remembered) : verify(call, origin);
      return admitted?.catch((error) => refuse(error, call));
    } catch (error) {
      return refuse(error, call);
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

const rolesByMethod = new WeakMap<DescMethod, readonly Role[]>();

/** Returns the roles that may call a method. */
export function rolesOf(method: DescMethod): readonly Role[] {
  const known = rolesByMethod.get(method);
  if (known) return known;
  const allowed = getOption(method, roles);
  rolesByMethod.set(method, allowed);
  return allowed;
}

function bearerToken(header: string | undefined): string | undefined {
  return /^bearer +(\S+) *$/i.exec(header ?? '')?.[1];
}

function roleName(role: Role): string {
  const name = Object.entries(Role).find(([, value]) => value === role)?.[0] ?? 'unknown';
  return name.toLowerCase();
}
