import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import {
  type AnyDesc,
  createFileRegistry,
  type DescField,
  type DescFile,
  type DescMethod,
  type DescService,
  type FileRegistry,
  fromBinary,
  getOption,
  hasOption,
  type JsonValue,
  type Message,
  toJson,
} from '@bufbuild/protobuf';
import { FileDescriptorSetSchema, MethodOptions_IdempotencyLevel as Idempotency } from '@bufbuild/protobuf/wkt';
import { getComments } from '@bufbuild/protoplugin';

const root = resolve(import.meta.dirname, '../..');
const buf = join(root, 'node_modules/.bin/buf');

/** Reads the contract from its sources, because the generated code does not contain the comments. */
export function readContract(): FileRegistry {
  const folder = mkdtempSync(join(tmpdir(), 'brokkr-contract-'));
  try {
    const image = join(folder, 'contract.binpb');
    execFileSync(buf, ['build', '--as-file-descriptor-set', '-o', image], {
      cwd: root,
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    return createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(image)));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Returns the files of the project's own package. */
export function ownFiles(contract: FileRegistry): DescFile[] {
  return [...contract.files]
    .filter(({ proto }) => proto.package === 'brokkr.v1')
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Returns the comment of a declaration as running text. */
export function commentOf(desc: Exclude<AnyDesc, DescFile>): string {
  const { leading, trailing } = getComments(desc);
  return (leading ?? trailing ?? '').trim().replaceAll(/\s*\n\s*/g, ' ');
}

/** Returns the roles that may call a method: `admin`, `read only` and others. */
export function rolesOf(contract: FileRegistry, method: DescMethod): string[] {
  const option = contract.getExtension('brokkr.v1.roles');
  const role = contract.getEnum('brokkr.v1.Role');
  if (!option || !role) throw new Error('the contract has no option brokkr.v1.roles');
  return (getOption(method, option) as number[]).map((number) =>
    (role.value[number]?.localName ?? String(number)).toLowerCase().replaceAll('_', ' '),
  );
}

/** Returns whether a method has no side effects. */
export function isReadOnly(method: DescMethod): boolean {
  return method.idempotency === Idempotency.NO_SIDE_EFFECTS;
}

/** Returns the validation rules of a field as protovalidate names them: `min_len 1`, `max_len 63`. */
export function rulesOf(contract: FileRegistry, field: DescField): string[] {
  const option = contract.getExtension('buf.validate.field');
  if (!option?.message) throw new Error('the contract does not import buf/validate/validate.proto');
  if (!hasOption(field, option)) return [];
  const rules = toJson(option.message, getOption(field, option) as Message, {
    registry: contract,
    useProtoFieldName: true,
  });
  return leavesOf(rules);
}

/** Returns the innermost names with their values; rules on items of a list are prefixed. */
function leavesOf(value: JsonValue): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) => {
    if (name === 'cel' && Array.isArray(inner))
      return inner.map((rule) => String((rule as { message?: string }).message ?? ''));
    if (name === 'items' || name === 'keys' || name === 'values')
      return leavesOf(inner).map((text) => `${name}: ${text}`);
    if (typeof inner === 'object' && inner !== null && !Array.isArray(inner)) return leavesOf(inner);
    return inner === true ? [name] : [`${name} \`${typeof inner === 'string' ? inner : JSON.stringify(inner)}\``];
  });
}

/** Returns the project's services in the order in which readers need them. */
export function ownServices(contract: FileRegistry): DescService[] {
  return ['BrokerService', 'AgentService', 'AdminService'].map((name) => {
    const service = contract.getService(`brokkr.v1.${name}`);
    if (!service) throw new Error(`the contract has no ${name}`);
    return service;
  });
}
