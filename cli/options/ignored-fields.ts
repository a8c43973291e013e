import { create } from '@bufbuild/protobuf';
import { InvalidArgumentError } from 'commander';
import { type IgnoredFields, IgnoredFieldsSchema } from '../../gen/brokkr/v1/stack_pb.ts';

export const ignoredFieldHelp = '[KIND[/NAME]:]PATH that others may change, as apps/Deployment/web:.spec.replicas';

const ignoredFieldPattern =
  /^(?:((?:[a-z0-9][-a-z0-9.]*\/)?[A-Z][A-Za-z0-9]*)(?:\/([^/]+))?:)?((?:\.[A-Za-z0-9_-]+)+)$/;

/** Groups of kinds that people name without one; the contract takes a bare kind for one of the core group. */
const defaultGroups: Readonly<Record<string, string>> = {
  DaemonSet: 'apps',
  Deployment: 'apps',
  ReplicaSet: 'apps',
  StatefulSet: 'apps',
  CronJob: 'batch',
  Job: 'batch',
  HorizontalPodAutoscaler: 'autoscaling',
  Ingress: 'networking.k8s.io',
  NetworkPolicy: 'networking.k8s.io',
  PodDisruptionBudget: 'policy',
};

/** For an option of commander that may be given several times: those before, and one more path. */
export function collectIgnoredField(text: string, before: readonly IgnoredFields[] | false | undefined) {
  const [, bare = '', name = '', path] = ignoredFieldPattern.exec(text) ?? [];
  if (path === undefined)
    throw new InvalidArgumentError(
      'write it as .spec.replicas, apps/Deployment:.spec.replicas or ConfigMap/web:.data.',
    );
  const kind = defaultGroups[bare] === undefined ? bare : `${defaultGroups[bare]}/${bare}`;
  const all = before || [];
  const same = all.find((fields) => fields.kind === kind && fields.name === name);
  const paths = [...new Set([...(same?.paths ?? []), path])];
  return [...all.filter((fields) => fields !== same), create(IgnoredFieldsSchema, { kind, name, paths })];
}

/** Ignored fields in the words that they can be written with. */
export function ignoredFieldsText(all: readonly IgnoredFields[]): string {
  return all
    .flatMap(({ kind, name, paths }) => {
      const of = [kind, name].filter((part) => part !== '').join('/');
      return paths.map((path) => (of === '' ? path : `${of}:${path}`));
    })
    .join(', ');
}
