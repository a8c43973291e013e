import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { file_buf_validate_validate } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';
import type { ConnectRouter, MethodImpl, ServiceImpl } from '@connectrpc/connect';
import { AdminService, file_brokkr_v1_admin } from '../../gen/brokkr/v1/admin_pb.ts';
import { AgentService, file_brokkr_v1_agent } from '../../gen/brokkr/v1/agent_pb.ts';
import { BrokerService, file_brokkr_v1_broker } from '../../gen/brokkr/v1/broker_pb.ts';
import { file_google_rpc_error_details } from '../../gen/google/rpc/error_details_pb.ts';
import { file_grpc_health_v1_health, Health } from '../../gen/grpc/health/v1/health_pb.ts';
import { file_grpc_reflection_v1_reflection, ServerReflection } from '../../gen/grpc/reflection/v1/reflection_pb.ts';
import {
  file_grpc_reflection_v1alpha_reflection,
  ServerReflection as ServerReflectionAlpha,
} from '../../gen/grpc/reflection/v1alpha/reflection_pb.ts';
import { healthMethods } from './standard/health.ts';
import { reflectionMethods } from './standard/reflection.ts';

const services = [BrokerService, AgentService, AdminService] as const;
const maxRequestBytes = 1 << 20;
/** Callers of these services need no key; their longest request is the name of a symbol. */
const maxStandardRequestBytes = 4 << 10;
/** The text of a submission and the fields around it. */
const maxSubmissionBytes = (32 << 20) + (64 << 10);
/** Maximum size of a response message, except where a method has its own. */
const maxResponseBytes = 4 << 20;
/** A response may hold a manifest of 8 MiB with the names of its objects, or the changes of as many objects. */
const maxManifestResponseBytes = 16 << 20;
const manifestMethods = new Set(['SubmitDeployment', 'GetDeployment']);

/** Time within which a client must have taken a response of one message. */
export const responseTimeoutMs = 120_000;
/** Longest time from a unary call's first byte to the last one of its response: request, long poll, work and response. */
export const maxUnaryCallMs = 600_000;
/** Time within which a request must have arrived; less for callers without a key. */
const requestTimeoutMs = 120_000;
const requestTimeoutWithoutKeyMs = 10_000;

const clientStreamingPaths: ReadonlySet<string> = new Set(
  [...services, Health, ServerReflection, ServerReflectionAlpha].flatMap(({ methods }) =>
    methods
      .filter(({ methodKind }) => methodKind === 'client_streaming' || methodKind === 'bidi_streaming')
      .map(pathOf),
  ),
);
const healthPaths: ReadonlySet<string> = new Set(Health.methods.map(pathOf));

/** Returns the time within which a request of a path must have arrived completely; undefined for requests that are streams. */
export function requestTimeoutOf(path: string): number | undefined {
  if (clientStreamingPaths.has(path)) return undefined;
  return healthPaths.has(path) ? requestTimeoutWithoutKeyMs : requestTimeoutMs;
}

/** Returns the path of a method's calls. */
export function pathOf({ parent, name }: DescMethod): string {
  return `/${parent.typeName}/${name}`;
}

/** A method of a service, with its implementation and its limits. */
export interface Method {
  readonly descriptor: DescMethod;
  readonly implementation: MethodImpl<DescMethod>;
  /** Maximum size of a request message, in bytes. */
  readonly readMaxBytes: number;
  /** Maximum size of a response message, in bytes. */
  readonly writeMaxBytes: number;
}

/** Returns a service's methods, each with its size limits. */
export function methodsOf<S extends DescService>(service: S, implementation: ServiceImpl<S>): Method[] {
  return service.methods.map((descriptor) => ({
    descriptor,
    implementation: implementation[descriptor.localName as keyof ServiceImpl<S>] as MethodImpl<DescMethod>,
    readMaxBytes: descriptor.name === 'SubmitDeployment' ? maxSubmissionBytes : maxRequestBytes,
    writeMaxBytes: manifestMethods.has(descriptor.name) ? maxManifestResponseBytes : maxResponseBytes,
  }));
}

/** Returns the methods of the standard gRPC services: health and reflection. */
export function standardMethods(ready: () => boolean, closing: AbortSignal): Method[] {
  const all = [...services, Health, ServerReflection, ServerReflectionAlpha];
  const files = [
    file_brokkr_v1_broker,
    file_brokkr_v1_agent,
    file_brokkr_v1_admin,
    file_google_rpc_error_details,
    file_grpc_health_v1_health,
    file_grpc_reflection_v1_reflection,
    file_grpc_reflection_v1alpha_reflection,
    file_buf_validate_validate,
  ];
  const names = services.map(({ typeName }) => typeName);
  const reflection = reflectionMethods(files, all);
  const methods = [
    ...methodsOf(Health, healthMethods(names, ready, closing)),
    ...methodsOf(ServerReflection, reflection),
    // Both versions have the same messages, but for the package in their names.
    ...methodsOf(ServerReflectionAlpha, reflection as never),
  ];
  return methods.map((method) => ({ ...method, readMaxBytes: maxStandardRequestBytes }));
}

/** Registers methods with connect-node. */
export function addMethods(router: ConnectRouter, methods: readonly Method[]): void {
  for (const { descriptor, implementation, readMaxBytes, writeMaxBytes } of methods)
    router.rpc(descriptor, implementation, { readMaxBytes, writeMaxBytes });
}
