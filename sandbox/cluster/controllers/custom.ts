import type { Core } from '../core/core.ts';
import { timestamp } from '../core/core.ts';
import { type Kind, kindNames } from '../core/kinds.ts';
import { isObject, type Json, type KubeObject, listAt, objectAt, textAt, valueAt } from '../core/object.ts';
import { schemaShape } from '../core/shape.ts';
import { DEFINITION_FINALIZER, removeFinalizer, removeObject } from '../write/remove.ts';
import { writeStatus } from '../write/write.ts';

const RESOURCE = 'apiextensions.k8s.io/customresourcedefinitions';

/** Serves custom resources some time after their definition is created, and deletes their instances with it. */
export function runCustomResources(core: Core, { establishMs }: { readonly establishMs: number }): void {
  const { store } = core;
  const kind = core.kinds.byKind('apiextensions.k8s.io/v1', 'CustomResourceDefinition')!;
  const served = new Set<string>();
  const establish = (name: string) => {
    const found = store.get(RESOURCE, undefined, name);
    if (!found || found.metadata.deletionTimestamp) return;
    serve(core, found);
    served.add(name);
    writeStatus(core, kind, found, statusOf(found));
  };
  const endInstances = (name: string) => {
    const found = store.get(RESOURCE, undefined, name);
    if (!found?.metadata.deletionTimestamp) return;
    const [instances] = kindsOf(found);
    if (instances)
      for (const { metadata } of store.list(instances.resource))
        removeObject(core, instances, metadata.namespace, metadata.name, { body: { propagationPolicy: 'Background' } });
    if (!instances || store.list(instances.resource).length === 0)
      removeFinalizer(core, kind, found, DEFINITION_FINALIZER);
  };
  store.subscribe(({ resource, object, previous, deleted }) => {
    const { name, deletionTimestamp } = object.metadata;
    if (resource !== RESOURCE) {
      const owner = deleted && [...served].find((candidate) => toResource(candidate) === resource);
      if (owner) core.schedule(2, () => endInstances(owner));
    } else if (deleted) {
      served.delete(name);
      core.kinds.setCustom(toResource(name), []);
    } else if (deletionTimestamp) core.schedule(5, () => endInstances(name));
    else if (!previous || previous.metadata.generation !== object.metadata.generation)
      core.schedule(isEstablished(object) ? 0 : establishMs, () => establish(name));
  });
  for (const found of store.list(RESOURCE)) establish(found.metadata.name);
}

function serve(core: Core, definition: KubeObject): void {
  const kinds = kindsOf(definition);
  core.kinds.setCustom(toResource(definition.metadata.name), kinds);
  for (const kind of kinds) core.schemas.set(`${kind.apiVersion}/${kind.plural}`, schemaOf(definition, kind.version));
}

function kindsOf(definition: KubeObject): Kind[] {
  const names = objectAt(definition, 'spec.names');
  return listAt(definition, 'spec.versions')
    .filter((version) => valueAt(version, 'served') === true)
    .map((version) => ({
      ...kindNames(
        textAt(definition, 'spec.group') ?? '',
        textAt(version, 'name') ?? '',
        String(names.kind),
        String(names.plural),
      ),
      singular: textAt(names, 'singular') ?? String(names.kind).toLowerCase(),
      shortNames: listAt(names, 'shortNames').map(String),
      categories: listAt(names, 'categories').map(String),
      namespaced: valueAt(definition, 'spec.scope') === 'Namespaced',
      hasStatus: isObject(valueAt(version, 'subresources.status')),
      hasGeneration: true,
      custom: true,
      shape: schemaShape(valueAt(version, 'schema.openAPIV3Schema')),
    }));
}

function schemaOf(definition: KubeObject, name: string): Json {
  const version = listAt(definition, 'spec.versions').find((candidate) => valueAt(candidate, 'name') === name);
  return valueAt(version, 'schema.openAPIV3Schema');
}

function statusOf(definition: KubeObject) {
  const names = objectAt(definition, 'spec.names');
  const stored = listAt(definition, 'spec.versions').find((version) => valueAt(version, 'storage') === true);
  const condition = (type: string, reason: string, message: string) => ({
    type,
    status: 'True',
    lastTransitionTime: timestamp(),
    reason,
    message,
  });
  return {
    conditions: [
      condition('NamesAccepted', 'NoConflicts', 'no conflicts found'),
      condition('Established', 'InitialNamesAccepted', 'the initial names have been accepted'),
    ],
    acceptedNames: {
      ...names,
      singular: names.singular ?? String(names.kind).toLowerCase(),
      listKind: names.listKind ?? `${names.kind}List`,
    },
    storedVersions: [valueAt(stored, 'name') ?? ''],
  };
}

function isEstablished(definition: KubeObject): boolean {
  return listAt(definition, 'status.conditions').some((candidate) => valueAt(candidate, 'type') === 'Established');
}

/** Converts `widgets.example.org` to the stored form `example.org/widgets`. */
function toResource(name: string): string {
  const dot = name.indexOf('.');
  return `${name.slice(dot + 1)}/${name.slice(0, dot)}`;
}
