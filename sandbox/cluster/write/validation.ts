import { isRawInteger } from '../../../contract/exact-json.ts';
import type { Kind } from '../core/kinds.ts';
import {
  equalJson,
  isObject,
  type Json,
  type JsonObject,
  type KubeObject,
  listAt,
  objectAt,
  textAt,
  valueAt,
} from '../core/object.ts';
import { badRequest, type Cause, invalid, StatusError } from '../core/status.ts';

const NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const FREE_NAMES: ReadonlySet<string> = new Set(['Role', 'RoleBinding', 'ClusterRole', 'ClusterRoleBinding']);

/** Runs the few checks that a client is likely to meet; the real server has many more. */
export function validate(kind: Kind, object: KubeObject, liveObject: KubeObject | undefined): void {
  const causes = [...metadataCauses(kind, object)];
  const added = object.metadata.finalizers?.filter((name) => !liveObject?.metadata.finalizers?.includes(name)) ?? [];
  if (liveObject?.metadata.deletionTimestamp && added.length > 0)
    causes.push(denied('metadata.finalizers', 'no new finalizers can be added if the object is being deleted'));
  if (!kind.custom) {
    causes.push(...(checks[kind.kind]?.(object) ?? []));
    if (liveObject) causes.push(...immutableCauses(kind, object, liveObject));
  }
  if (causes.length > 0) throw invalid(kind, object.metadata.name, causes);
}

/** Checks the types and the required fields of a custom resource's schema. */
export function validateSchema(kind: Kind, object: KubeObject, schema: Json): void {
  const causes = [...schemaCauses(schema, { ...object, metadata: undefined }, '')];
  if (causes.length > 0) throw invalid(kind, object.metadata.name, causes);
}

/** An apply with wrong types fails before validation, as an internal server error. */
export function checkTyped(kind: Kind, object: JsonObject, schema: Json): void {
  const fail = (path: string, expected: string, value: Json) => {
    const found = typeof value === 'string' ? 'string' : `&value.valueUnstructured{Value:${JSON.stringify(value)}}`;
    const place = `${textAt(object, 'metadata.namespace') ?? ''}/${textAt(object, 'metadata.name')}`;
    const what = `(${place}; ${formatKind(kind.apiVersion, kind.kind)})`;
    const message = `failed to create typed patch object ${what}: .${path}: expected ${expected}, got ${found}`;
    throw new StatusError(500, message, { reason: '' });
  };
  if (!kind.custom && (kind.kind === 'ConfigMap' || kind.kind === 'Secret'))
    for (const field of ['data', 'stringData'])
      for (const [name, value] of Object.entries(objectAt(object, field)))
        if (typeof value !== 'string' && value !== null) fail(`${field}.${name}`, 'string', value);
  for (const { reason, field = '', message } of schemaCauses(schema, { ...object, metadata: undefined }, ''))
    if (reason === 'FieldValueTypeInvalid') {
      const [, type = ''] = /must be of type (\w+)/.exec(message) ?? [];
      fail(field, typeWords[type] ?? type, valueAt(object, field));
    }
}

const typeWords: { readonly [type: string]: string } = {
  integer: 'numeric (int or float)',
  number: 'numeric (int or float)',
  object: 'map',
  array: 'list',
};

/** Formats a kind as Go prints it: `apps/v1, Kind=Deployment`. */
export function formatKind(apiVersion: string, kind: string): string {
  return `${apiVersion.includes('/') ? apiVersion : `/${apiVersion}`}, Kind=${kind}`;
}

/** Refuses what the real server cannot decode. */
export function checkDecodable(kind: Kind, object: KubeObject): void {
  if (kind.custom || (kind.kind !== 'ConfigMap' && kind.kind !== 'Secret')) return;
  for (const field of ['data', 'stringData'])
    for (const value of Object.values(objectAt(object, field)))
      if (typeof value !== 'string' && value !== null)
        throw badRequest(
          `${kind.kind} in version "v1" cannot be handled as a ${kind.kind}: json: cannot unmarshal ${goType(value)} into Go struct field ${kind.kind}.${field} of type string`,
        );
}

function* metadataCauses(kind: Kind, { metadata }: KubeObject): Iterable<Cause> {
  const { name } = metadata;
  if (!name) yield required('metadata.name', 'name or generateName is required');
  else if (!FREE_NAMES.has(kind.kind)) {
    const strict = kind.kind === 'Namespace' || kind.kind === 'Service';
    if (name.length > (strict ? 63 : 253) || !(strict ? LABEL : NAME).test(name))
      yield bad(
        'metadata.name',
        name,
        `a lowercase RFC 1123 ${strict ? 'label' : 'subdomain'} must consist of lower case alphanumeric characters, '-'${strict ? '' : " or '.'"}, and must start and end with an alphanumeric character`,
      );
  }
  for (const value of Object.values(metadata.labels ?? {}))
    if (typeof value !== 'string' || value.length > 63 || !LABEL_VALUE.test(value))
      yield bad(
        'metadata.labels',
        value,
        'a valid label must be an empty string or consist of alphanumeric characters',
      );
}

const checks: { readonly [kind: string]: (object: KubeObject) => Iterable<Cause> } = {
  *Deployment(object) {
    yield* workload(object);
    if (textAt(object, 'spec.strategy.type') === 'Recreate' && valueAt(object, 'spec.strategy.rollingUpdate'))
      yield denied('spec.strategy.rollingUpdate', "may not be specified when strategy `type` is 'Recreate'");
  },
  StatefulSet: workload,
  DaemonSet: workload,
  ReplicaSet: workload,
  Job: (object) => containers(object, 'spec.template.spec'),
  Pod: (object) => containers(object, 'spec'),
  *Service(object) {
    if (
      listAt(object, 'spec.ports').length === 0 &&
      textAt(object, 'spec.type') !== 'ExternalName' &&
      textAt(object, 'spec.clusterIP') !== 'None'
    )
      yield required('spec.ports', '');
    for (const [n, port] of listAt(object, 'spec.ports').entries())
      if (listAt(object, 'spec.ports').length > 1 && !textAt(port, 'name')) yield required(`spec.ports[${n}].name`, '');
    yield* duplicates(object, 'spec.ports', 'name');
    const endpoints = listAt(object, 'spec.ports').map(
      (port) => `${valueAt(port, 'protocol')}/${valueAt(port, 'port')}`,
    );
    for (const [n, endpoint] of endpoints.entries())
      if (endpoints.indexOf(endpoint) < n)
        yield cause('FieldValueDuplicate', `spec.ports[${n}]`, `Duplicate value: ${JSON.stringify(endpoint)}`);
  },
  *CustomResourceDefinition(object) {
    const expected = `${textAt(object, 'spec.names.plural')}.${textAt(object, 'spec.group')}`;
    if (object.metadata.name !== expected)
      yield bad('metadata.name', object.metadata.name, 'must be spec.names.plural+"."+spec.group');
  },
};

function* workload(object: KubeObject): Iterable<Cause> {
  if (!isObject(valueAt(object, 'spec.selector'))) yield required('spec.selector', '');
  const labels = objectAt(object, 'spec.template.metadata.labels');
  const desired = objectAt(object, 'spec.selector.matchLabels');
  if (
    !isObject(valueAt(object, 'spec.selector')) ||
    Object.entries(desired).some(([key, value]) => labels[key] !== value)
  )
    yield bad('spec.template.metadata.labels', labels, '`selector` does not match template `labels`');
  yield* containers(object, 'spec.template.spec');
}

function* containers(object: KubeObject, path: string): Iterable<Cause> {
  const list = listAt(object, `${path}.containers`);
  if (list.length === 0) yield required(`${path}.containers`, '');
  const claims = listAt(object, 'spec.volumeClaimTemplates').map((claim) => textAt(claim, 'metadata.name'));
  const volumes = new Set([...listAt(object, `${path}.volumes`).map((volume) => textAt(volume, 'name')), ...claims]);
  for (const [n, volume] of listAt(object, `${path}.volumes`).entries()) {
    const sources = Object.keys(isObject(volume) ? volume : {}).filter((name) => name !== 'name');
    for (const source of sources.slice(1))
      yield denied(`${path}.volumes[${n}].${source}`, 'may not specify more than 1 volume type');
  }
  for (const [n, container] of list.entries()) {
    if (!textAt(container, 'name')) yield required(`${path}.containers[${n}].name`, '');
    if (!textAt(container, 'image')) yield required(`${path}.containers[${n}].image`, '');
    yield* duplicates(object, `${path}.containers`, 'name');
    yield* duplicates(container, 'ports', 'name', `${path}.containers[${n}].ports`);
    for (const [m, variable] of listAt(container, 'env').entries())
      if (textAt(variable, 'value') && valueAt(variable, 'valueFrom'))
        yield bad(`${path}.containers[${n}].env[${m}].valueFrom`, '', 'may not be specified when `value` is not empty');
    for (const [m, mount] of listAt(container, 'volumeMounts').entries())
      if (!volumes.has(textAt(mount, 'name')))
        yield cause(
          'FieldValueNotFound',
          `${path}.containers[${n}].volumeMounts[${m}].name`,
          `Not found: ${JSON.stringify(textAt(mount, 'name'))}`,
        );
  }
}

/** Items of a list that have the same value in a field as an earlier one. */
function* duplicates(value: Json, list: string, field: string, path = list): Iterable<Cause> {
  const values = listAt(value, list).map((item) => textAt(item, field));
  for (const [n, name] of values.entries())
    if (name && values.indexOf(name) < n)
      yield cause('FieldValueDuplicate', `${path}[${n}].${field}`, `Duplicate value: ${JSON.stringify(name)}`);
}

function* immutableCauses(kind: Kind, object: KubeObject, liveObject: KubeObject): Iterable<Cause> {
  const fixed = immutableFields[kind.kind] ?? [];
  for (const field of fixed)
    if (valueAt(liveObject, field) !== undefined && !equalJson(valueAt(object, field), valueAt(liveObject, field)))
      yield bad(field, valueAt(object, field), 'field is immutable');
  const [address, old] = [textAt(object, 'spec.clusterIP'), textAt(liveObject, 'spec.clusterIP')];
  if (kind.kind === 'Service' && old && address !== old && textAt(object, 'spec.type') !== 'ExternalName')
    yield bad('spec.clusterIPs[0]', [address], 'may not change once set');
  if (liveObject.immutable !== true) return;
  if (object.immutable !== true) yield denied('immutable', 'field is immutable when `immutable` is set');
  for (const field of ['data', 'binaryData'])
    if (!equalJson(object[field], liveObject[field])) yield denied(field, 'field is immutable when `immutable` is set');
}

const immutableFields: { readonly [kind: string]: readonly string[] } = {
  Deployment: ['spec.selector'],
  StatefulSet: ['spec.selector', 'spec.serviceName', 'spec.volumeClaimTemplates'],
  DaemonSet: ['spec.selector'],
  ReplicaSet: ['spec.selector'],
  Job: ['spec.template', 'spec.selector', 'spec.completionMode'],
  Secret: ['type'],
  RoleBinding: ['roleRef'],
  ClusterRoleBinding: ['roleRef'],
  PersistentVolumeClaim: ['spec.accessModes', 'spec.storageClassName', 'spec.volumeMode'],
};

function* schemaCauses(schema: Json, value: Json, path: string): Iterable<Cause> {
  if (!isObject(schema) || value === undefined) return;
  const { type, properties } = schema;
  if (typeof type === 'string' && !hasType(value, type) && schema['x-kubernetes-int-or-string'] !== true) {
    const found = JSON.stringify(goType(value));
    yield cause(
      'FieldValueTypeInvalid',
      path,
      `Invalid value: ${found}: ${path} in body must be of type ${type}: ${found}`,
    );
    return;
  }
  if (Array.isArray(schema.enum) && !schema.enum.some((candidate) => equalJson(candidate, value)))
    yield cause(
      'FieldValueNotSupported',
      path,
      `Unsupported value: ${JSON.stringify(value)}: supported values: ${schema.enum.map((candidate) => JSON.stringify(candidate)).join(', ')}`,
    );
  if (isObject(value)) {
    for (const name of listAt(schema, 'required'))
      if (value[String(name)] === undefined) yield required(below(path, String(name)), '');
    for (const [name, member] of Object.entries(isObject(properties) ? properties : {}))
      yield* schemaCauses(member, value[name], below(path, name));
  } else if (Array.isArray(value))
    for (const [n, item] of value.entries()) yield* schemaCauses(schema.items, item, `${path}[${n}]`);
}

function hasType(value: Json, type: string): boolean {
  if (type === 'object') return isObject(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}

function goType(value: Json): string {
  if (Array.isArray(value)) return 'array';
  if (isRawInteger(value)) return 'integer';
  if (typeof value === 'number') return Number.isInteger(value) ? 'integer' : 'number';
  return typeof value === 'boolean' ? 'boolean' : typeof value;
}

const below = (path: string, name: string) => (path ? `${path}.${name}` : name);
const cause = (reason: string, field: string, message: string): Cause => ({ reason, message, field });
const bad = (field: string, value: Json, reason: string) =>
  cause('FieldValueInvalid', field, `Invalid value: ${JSON.stringify(value)}: ${reason}`);
const denied = (field: string, reason: string) => cause('FieldValueForbidden', field, `Forbidden: ${reason}`);
const required = (field: string, reason: string) =>
  cause('FieldValueRequired', field, `Required value${reason ? `: ${reason}` : ''}`);
