import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFileRegistry, type DescField, type DescFile, fromBinary, toBinary } from '@bufbuild/protobuf';
import { FieldOptionsSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { file_buf_validate_validate } from '@bufbuild/protovalidate/gen/buf/validate/validate_pb.js';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { writeDescriptorSet } from './descriptor-set.ts';

const contract = suite('the contract');
const folder = mkdtempSync(join(tmpdir(), 'brokkr-contract-'));
contract.after(() => rmSync(folder, { recursive: true, force: true }));
const image = join(folder, 'brokkr.binpb');
writeDescriptorSet(image);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(image)));
const files = [...registry.files];
const own = files.filter(({ proto }) => proto.package === 'brokkr.v1');

contract('is whole: what it imports lies beside it', () => {
  const imported = new Set(own.flatMap(({ dependencies }) => dependencies.map(({ proto }) => proto.name)));
  for (const name of imported) assert.ok(registry.getFile(name), name);
  for (const name of ['google/rpc/error_details.proto', 'grpc/health/v1/health.proto'])
    assert.ok(registry.getFile(name), `${name} is spoken too`);
});

contract('validates by the rules that the broker applies', () => {
  const vendored = registry.getFile('buf/validate/validate.proto');
  assert.ok(vendored);
  assert.equal(fieldsOf(vendored), fieldsOf(file_buf_validate_validate));
});

contract('names one Go package', () => {
  assert.equal(
    new Set(own.map(({ proto }) => proto.options?.goPackage)),
    new Set(['brokkr.io/proto/brokkr/v1;brokkrv1']),
  );
});

contract('has no field option that an older compiler does not know', () => {
  // The options that descriptor.proto of protoc 3.21, the one of Debian 12, has besides extensions.
  const known = new Set(['ctype', 'packed', 'jstype', 'lazy', 'unverified_lazy', 'deprecated', 'weak']);
  const newer = FieldOptionsSchema.fields.filter(({ name }) => !known.has(name) && name !== 'uninterpreted_option');
  const options = own
    .flatMap(({ messages }) => messages.flatMap(({ fields }) => fields))
    .flatMap(({ proto }) => (proto.options ? [proto.options] : []));
  assert.ok(options.length > 100, 'the rules are options');
  for (const option of options) {
    const text = fromBinary(FieldOptionsSchema, toBinary(FieldOptionsSchema, option));
    for (const field of newer) {
      const value = (text as unknown as Record<string, unknown>)[field.localName];
      assert.ok(isUnset(field, value, text), field.name);
    }
  }
});

function isUnset({ localName, fieldKind }: DescField, value: unknown, options: object): boolean {
  return fieldKind === 'list' ? Array.isArray(value) && value.length === 0 : !Object.hasOwn(options, localName);
}

function fieldsOf({ messages }: DescFile): string[] {
  return messages.flatMap(({ typeName, fields }) => fields.map(({ name, number }) => `${typeName}.${name}=${number}`));
}

contract('is accepted by the compiler of protobuf, where there is one', () => {
  try {
    execFileSync('protoc', ['--version']);
  } catch {
    process.stdout.write('SKIP protoc: not on PATH\n');
    return;
  }
  const names = files.map(({ proto }) => proto.name).filter((name) => !name.startsWith('google/protobuf/'));
  execFileSync('protoc', [
    `-I${import.meta.dirname}`,
    `--descriptor_set_out=${join(folder, 'protoc.binpb')}`,
    ...names,
  ]);
});

contract.run();
