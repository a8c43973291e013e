import { create } from '@bufbuild/protobuf';
import { InvalidArgumentError } from 'commander';
import { fieldPathPattern } from '../../contract/field-path.ts';
import { type IgnoredFields, IgnoredFieldsSchema } from '../../gen/brokkr/v1/stack_pb.ts';

/** Help text of `--ignore-field`. */
export const ignoredFieldHelp =
  '[KIND[/NAME]:]PATH of a field that others may change, such as apps/Deployment/web:.spec.replicas';

const ignoredFieldPattern = new RegExp(
  `^(?:((?:[a-z0-9][-a-z0-9.]*/)?[A-Z][A-Za-z0-9]*)(?:/([^/]+))?:)?(${fieldPathPattern})$`,
);

/** Groups of common kinds that may be written without one; in the contract a bare kind is of the core group. */
const defaultGroups: Readonly<Record<string, string>> = {
  MutatingWebhookConfiguration: 'admissionregistration.k8s.io',
  ValidatingWebhookConfiguration: 'admissionregistration.k8s.io',
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

/** Collects the paths of repeated `--ignore-field` options by kind and name; for commander. */
export function collectIgnoredField(text: string, previous: readonly IgnoredFields[] | false | undefined) {
  const [, bareKind = '', name = '', path] = ignoredFieldPattern.exec(text) ?? [];
  if (path === undefined)
    throw new InvalidArgumentError(
      'use a path such as .spec.replicas, apps/Deployment:.spec.replicas, ConfigMap/web:.data or .webhooks[*].clientConfig.',
    );
  const kind = defaultGroups[bareKind] === undefined ? bareKind : `${defaultGroups[bareKind]}/${bareKind}`;
  const collected = previous || [];
  const existing = collected.find((fields) => fields.kind === kind && fields.name === name);
  const paths = [...new Set([...(existing?.paths ?? []), path])];
  return [...collected.filter((fields) => fields !== existing), create(IgnoredFieldsSchema, { kind, name, paths })];
}

/** Formats ignored fields in the syntax of `--ignore-field`. */
export function ignoredFieldsText(ignoredFields: readonly IgnoredFields[]): string {
  return ignoredFields
    .flatMap(({ kind, name, paths }) => {
      const subject = [kind, name].filter((part) => part !== '').join('/');
      return paths.map((path) => (subject === '' ? path : `${subject}:${path}`));
    })
    .join(', ');
}
