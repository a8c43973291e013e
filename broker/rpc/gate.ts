import { type DescMethod, getOption } from '@bufbuild/protobuf';
import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import type { Logger } from 'pino';
import { Role, roles } from '../../gen/brokkr/v1/options_pb.ts';
import type { Keys } from '../access/keys.ts';
import { toConnectError } from './errors.ts';
import { principalKey } from './principal.ts';

/** Services of the protocol itself: they tell nothing that is not public, and need no key. */
const open = new Set([
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
]);

/**
 * Decides, before anything of a request's body is read, whether the caller may make this call: a valid key, and a role that the
 * method's `roles` option names. A method without the option is refused for everybody.
 */
export function createGate(keys: Keys, log: Logger): (context: HandlerContext) => Promise<void> {
  return async (context) => {
    if (open.has(context.service.typeName)) return;
    try {
      const principal = await keys.authenticate(bearer(context.requestHeader.get('authorization')));
      if (!rolesOf(context.method).includes(principal.role)) {
        throw new ConnectError(
          `a key of role ${roleName(principal.role)} may not call ${context.method.name}`,
          Code.PermissionDenied,
        );
      }
      context.values.set(principalKey, principal);
    } catch (error) {
      throw toConnectError(error, log, context.method.name);
    }
  };
}

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
