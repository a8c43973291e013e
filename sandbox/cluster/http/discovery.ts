import type { Core } from '../core/core.ts';
import type { Kind, Kinds } from '../core/kinds.ts';
import type { JsonObject } from '../core/object.ts';
import { hasScale } from '../write/scale.ts';
import { aggregatedGroups } from './aggregated.ts';

const VERBS = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'];

export const versionInfo = {
  major: '1',
  minor: '36',
  gitVersion: 'v1.36.3',
  gitCommit: 'simulated',
  gitTreeState: 'clean',
  buildDate: '2026-01-01T00:00:00Z',
  goVersion: 'go1.26',
  compiler: 'gc',
  platform: 'linux/amd64',
};

/**
 * Returns the answer to a discovery path, or undefined when the path is no discovery path or its group is not served.
 */
export function discover(core: Core, path: string): JsonObject | undefined {
  const { kinds } = core;
  if (path === '/api') return { kind: 'APIVersions', versions: ['v1'], serverAddressByClientCIDRs: [] };
  if (path === '/apis')
    return { kind: 'APIGroupList', apiVersion: 'v1', groups: [...groupsOf(kinds), ...aggregatedGroups(core)] };
  if (path === '/api/v1') return resourceList(kinds, 'v1');
  const [, apis, group, version, more] = path.split('/');
  if (apis !== 'apis' || !group || more !== undefined) return undefined;
  if (version) return resourceList(kinds, `${group}/${version}`);
  const found = [...groupsOf(kinds), ...aggregatedGroups(core)].find(({ name }) => name === group);
  return found && { kind: 'APIGroup', apiVersion: 'v1', ...found };
}

function groupsOf(kinds: Kinds): JsonObject[] {
  const versions = new Map<string, Set<string>>([['authorization.k8s.io', new Set(['v1'])]]);
  for (const { group, version } of kinds.all())
    if (group) versions.set(group, (versions.get(group) ?? new Set()).add(version));
  return [...versions].map(([name, names]) => {
    const list = [...names].map((version) => ({ groupVersion: `${name}/${version}`, version }));
    return { name, versions: list, preferredVersion: list[0] };
  });
}

function resourceList(kinds: Kinds, apiVersion: string): JsonObject | undefined {
  const served = kinds.all().filter((kind) => kind.apiVersion === apiVersion);
  const resources = served.flatMap(resourcesOf);
  if (apiVersion === 'authorization.k8s.io/v1') resources.push(reviewResource);
  if (resources.length === 0) return undefined;
  return { kind: 'APIResourceList', apiVersion: 'v1', groupVersion: apiVersion, resources };
}

const reviewResource: JsonObject = {
  name: 'selfsubjectaccessreviews',
  singularName: 'selfsubjectaccessreview',
  namespaced: false,
  kind: 'SelfSubjectAccessReview',
  verbs: ['create'],
};

function resourcesOf(served: Kind): JsonObject[] {
  const { plural, singular, namespaced, kind, shortNames, categories, hasStatus } = served;
  const resources: JsonObject[] = [
    {
      name: plural,
      singularName: singular,
      namespaced,
      kind,
      verbs: [...VERBS],
      shortNames: shortNames.length > 0 ? [...shortNames] : undefined,
      categories: categories.length > 0 ? [...categories] : undefined,
    },
  ];
  const verbs = ['get', 'patch', 'update'];
  if (hasStatus) resources.push({ name: `${plural}/status`, singularName: '', namespaced, kind, verbs });
  if (hasScale(served))
    resources.push({
      name: `${plural}/scale`,
      singularName: '',
      namespaced,
      group: 'autoscaling',
      version: 'v1',
      kind: 'Scale',
      verbs,
    });
  if (served.resource === '/pods')
    resources.push({ name: 'pods/log', singularName: '', namespaced, kind, verbs: ['get'] });
  return resources;
}
