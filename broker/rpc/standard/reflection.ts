import { createRegistry, type DescFile, type DescService, type Registry, toBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { Code, type ServiceImpl } from '@connectrpc/connect';
import type { ServerReflection } from '../../../gen/grpc/reflection/v1/reflection_pb.ts';

type Request =
  Parameters<ServiceImpl<typeof ServerReflection>['serverReflectionInfo']>[0] extends AsyncIterable<infer R>
    ? R
    : never;

/**
 * Implements grpc.reflection v1 (github.com/grpc/grpc/blob/master/doc/server-reflection.md); v1alpha has the same messages. Answers
 * each file together with all of its imports, so that a client needs one request per service. `roots` are the files that are served,
 * with their imports.
 */
export function reflectionMethods(
  roots: readonly DescFile[],
  services: readonly DescService[],
): Pick<ServiceImpl<typeof ServerReflection>, 'serverReflectionInfo'> {
  const files = new Map<string, DescFile>();
  for (const root of roots) addFile(files, root);
  const registry = createRegistry(...files.values());
  const answer = ({ messageRequest: { case: kind, value } }: Request) => {
    switch (kind) {
      case 'listServices':
        return success('listServicesResponse', { service: services.map(({ typeName }) => ({ name: typeName })) });
      case 'fileByFilename':
        return withImports(files.get(value.replace(/\.proto$/, '')), value);
      case 'fileContainingSymbol':
        return withImports(fileOf(registry, value), value);
      case 'fileContainingExtension': {
        const extendee = registry.getMessage(value.containingType);
        const extension = extendee && registry.getExtensionFor(extendee, value.extensionNumber);
        return withImports(extension?.file, `extension ${value.extensionNumber} of ${value.containingType}`);
      }
      case 'allExtensionNumbersOfType': {
        if (!registry.getMessage(value)) return failure(Code.NotFound, `${value} is not known`);
        const numbers = [...registry].flatMap((type) =>
          type.kind === 'extension' && type.extendee.typeName === value ? [type.number] : [],
        );
        return success('allExtensionNumbersResponse', { baseTypeName: value, extensionNumber: numbers });
      }
      case undefined:
        return failure(Code.InvalidArgument, 'the request asks for nothing');
    }
  };
  return {
    async *serverReflectionInfo(requests) {
      for await (const request of requests) {
        yield { validHost: request.host, originalRequest: request, messageResponse: answer(request) };
      }
    },
  };
}

function success<const Case extends string, Value>(kind: Case, value: Value): { case: Case; value: Value } {
  return { case: kind, value };
}

function failure(code: Code, message: string) {
  return success('errorResponse', { errorCode: code, errorMessage: message });
}

function withImports(file: DescFile | undefined, asked: string) {
  if (!file) return failure(Code.NotFound, `${asked} is not known`);
  const needed = new Map<string, DescFile>();
  addFile(needed, file);
  return success('fileDescriptorResponse', {
    fileDescriptorProto: [...needed.values()].map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto)),
  });
}

/** Adds a file and its imports, under their names without ".proto". */
function addFile(files: Map<string, DescFile>, file: DescFile): void {
  if (files.has(file.name)) return;
  files.set(file.name, file);
  for (const dependency of file.dependencies) addFile(files, dependency);
}

/** Finds the file of a service, message, enum or extension, or of the parent of a method, field or enum value. */
function fileOf(registry: Registry, symbol: string): DescFile | undefined {
  const type = registry.get(symbol) ?? registry.get(symbol.slice(0, symbol.lastIndexOf('.')));
  return type?.file;
}
