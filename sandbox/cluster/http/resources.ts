import { parse } from 'yaml';
import type { Core } from '../core/core.ts';
import { isObject, type Json, type JsonObject, type KubeObject } from '../core/object.ts';
import { type ObjectFilter, parseFieldSelector, parseLabelSelector } from '../core/selector.ts';
import type { Shape } from '../core/shape.ts';
import { badRequest, notFound, StatusError, unknownResource } from '../core/status.ts';
import { applyObject } from '../write/apply.ts';
import { jsonPatch, mergePatch, strategicPatch } from '../write/patch.ts';
import { toVersion, type WriteOptions } from '../write/persist.ts';
import { removeObject } from '../write/remove.ts';
import { hasScale, readScale, writeScale } from '../write/scale.ts';
import { createObject, patchObject, updateObject } from '../write/write.ts';
import { serializeItem, serializeObject } from './json.ts';
import type { Target } from './target.ts';

export interface ResourceRequest {
  readonly target: Target;
  readonly method: string;
  readonly query: URLSearchParams;
  readonly contentType: string;
  readonly userAgent: string;
  readonly body: string;
}

export interface Answer {
  readonly status: number;
  readonly text: string;
}

/** Answers one request for objects, except watches. */
export function answerResource(core: Core, request: ResourceRequest): Answer {
  const { target, method } = request;
  const { kind, namespace, name, subresource } = target;
  if (subresource === 'scale' && name && hasScale(kind)) return answerScale(core, request, name);
  if (subresource && !(subresource === 'status' && kind.hasStatus) && !(subresource === 'finalize' && method === 'PUT'))
    throw unknownResource();
  if (!name) {
    if (method === 'POST')
      return answer(201, createObject(core, kind, parseDocument(request), namespace, writeOptions(request)));
    if (method === 'DELETE') return deleteCollection(core, request);
    if (method === 'GET') return listObjects(core, request);
    throw new StatusError(405, 'the server does not allow this method on the requested resource');
  }
  switch (method) {
    case 'GET': {
      const found = core.store.get(kind.resource, namespace, name);
      if (!found) throw notFound(kind, name);
      return answer(200, toVersion(kind, found));
    }
    case 'PUT':
      return answer(200, updateObject(core, kind, parseDocument(request), namespace, name, writeOptions(request)));
    case 'PATCH':
      return patchResource(core, request, name);
    case 'DELETE': {
      const { object, gone } = removeObject(core, kind, namespace, name, removeOptions(request));
      if (!gone) return answer(200, toVersion(kind, object));
      const details = { name, group: kind.group || undefined, kind: kind.plural, uid: object.metadata.uid };
      return {
        status: 200,
        text: JSON.stringify({ kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details }),
      };
    }
    default:
      throw new StatusError(405, 'the server does not allow this method on the requested resource');
  }
}

export function querySelector(query: URLSearchParams): ObjectFilter {
  const labels = parseLabelSelector(query.get('labelSelector') ?? '');
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '');
  return (object) => labels(object) && fields(object);
}

function patchResource(core: Core, request: ResourceRequest, name: string): Answer {
  const { kind, namespace } = request.target;
  const options = writeOptions(request);
  const type = request.contentType.split(';')[0]?.trim();
  if (type === 'application/apply-patch+yaml') {
    const { object, created } = applyObject(core, kind, parseDocument(request), namespace, name, options);
    return answer(created ? 201 : 200, object);
  }
  return answer(200, patchObject(core, kind, namespace, name, patchFunction(request), options));
}

function answerScale(core: Core, request: ResourceRequest, name: string): Answer {
  const { kind, namespace } = request.target;
  if (request.method === 'GET') return answer(200, readScale(core, kind, namespace, name));
  const change = request.method === 'PUT' ? () => parseDocument(request) : patchFunction(request);
  return answer(200, writeScale(core, kind, namespace, name, change, writeOptions(request)));
}

function patchFunction({ body, contentType, target }: ResourceRequest): (liveObject: KubeObject) => JsonObject {
  const type = contentType.split(';')[0]?.trim() ?? '';
  if (!patchTypes.includes(type) || (target.kind.custom && type.includes('strategic')))
    throw new StatusError(415, 'the body of the request was in an unknown format');
  const patch = parseJsonBody(body);
  return (liveObject) => {
    const next = applyPatch(type, liveObject, patch, target.kind.shape);
    if (!isObject(next)) throw badRequest('error decoding patch: the result is no object');
    return next;
  };
}

function applyPatch(type: string, liveObject: KubeObject, patch: Json, shape: Shape): Json {
  if (type.includes('json-patch')) return jsonPatch(liveObject, patch);
  return type.includes('strategic') ? strategicPatch(liveObject, patch, shape) : mergePatch(liveObject, patch);
}

const patchTypes = [
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/json-patch+json',
];

function listObjects(core: Core, { target, query }: ResourceRequest): Answer {
  const { kind, namespace } = target;
  const matches = querySelector(query);
  const found = core.store.list(kind.resource, namespace).filter(matches);
  const after = query.get('continue');
  const from = after ? found.findIndex((object) => listPosition(object) > decodeContinue(after)) : 0;
  const rest = from < 0 ? [] : found.slice(from);
  const limit = Number(query.get('limit') ?? 0);
  const page = limit > 0 ? rest.slice(0, limit) : rest;
  const left = rest.length - page.length;
  const last = page.at(-1);
  const metadata: JsonObject = {
    resourceVersion: String(core.store.revision),
    continue: left > 0 && last ? Buffer.from(listPosition(last)).toString('base64url') : undefined,
    remainingItemCount: left > 0 ? left : undefined,
  };
  const items = page.map((object) => serializeItem(kind, object)).join(',');
  const head = JSON.stringify({ kind: `${kind.kind}List`, apiVersion: kind.apiVersion, metadata });
  return { status: 200, text: `${head.slice(0, -1)},"items":[${items}]}` };
}

function deleteCollection(core: Core, request: ResourceRequest): Answer {
  const { kind, namespace } = request.target;
  const found = core.store.list(kind.resource, namespace).filter(querySelector(request.query));
  const options = removeOptions(request);
  for (const { metadata } of found) {
    const present = core.store.get(kind.resource, metadata.namespace, metadata.name);
    if (present) removeObject(core, kind, metadata.namespace, metadata.name, options);
  }
  const items = found.map((object) => serializeItem(kind, object)).join(',');
  const head = JSON.stringify({
    kind: `${kind.kind}List`,
    apiVersion: kind.apiVersion,
    metadata: { resourceVersion: String(core.store.revision) },
  });
  return { status: 200, text: `${head.slice(0, -1)},"items":[${items}]}` };
}

function writeOptions({ query, userAgent, target, contentType }: ResourceRequest): WriteOptions {
  const applies = contentType.startsWith('application/apply-patch');
  return {
    manager: query.get('fieldManager') || (applies ? '' : userAgent.split(/[/\s]/)[0] || 'unknown'),
    dryRun: isDryRun(query),
    subresource: target.subresource === 'status' ? 'status' : undefined,
    force: query.get('force') === 'true',
  };
}

function removeOptions({ query, body }: ResourceRequest) {
  const given = body.trim() ? parseJsonBody(body) : {};
  const options: JsonObject = isObject(given) ? given : {};
  const policy = query.get('propagationPolicy');
  const dryRun = isDryRun(query) || (Array.isArray(options.dryRun) && options.dryRun.includes('All'));
  return { dryRun, body: policy ? { ...options, propagationPolicy: policy } : options };
}

function isDryRun(query: URLSearchParams): boolean {
  const values = query.getAll('dryRun');
  for (const value of values)
    if (value !== 'All')
      throw new StatusError(
        422,
        `PatchOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ${JSON.stringify(values)}: supported values: "All"`,
      );
  return values.length > 0;
}

function parseDocument({ body, contentType }: ResourceRequest): JsonObject {
  const json = /json/.test(contentType) || body.trimStart().startsWith('{');
  if (!json && !/yaml/.test(contentType))
    throw new StatusError(415, 'the body of the request was in an unknown format');
  const document = json ? parseJsonBody(body) : parseYamlBody(body);
  if (!isObject(document)) throw badRequest('the body is no object');
  return document;
}

function parseJsonBody(body: string): Json {
  try {
    return JSON.parse(body) as Json;
  } catch (error) {
    throw badRequest(`invalid JSON in the body: ${(error as Error).message}`);
  }
}

function parseYamlBody(body: string): Json {
  try {
    return parse(body) as Json;
  } catch (error) {
    throw badRequest(`error decoding YAML: ${(error as Error).message}`);
  }
}

function answer(status: number, object: KubeObject): Answer {
  return { status, text: serializeObject(object) };
}

function listPosition({ metadata }: KubeObject): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

function decodeContinue(token: string): string {
  return Buffer.from(token, 'base64url').toString();
}
