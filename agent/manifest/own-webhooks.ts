import { groupKindOf, type KubeObject, listAt, textAt } from '../object/kube-object.ts';

const webhookKinds: ReadonlySet<string> = new Set([
  'admissionregistration.k8s.io/ValidatingWebhookConfiguration',
  'admissionregistration.k8s.io/MutatingWebhookConfiguration',
]);

/**
 * Returns a test for messages of the API server: whether it could not call a webhook that these objects configure or serve, so that
 * applying them may mend it. A webhook that was called and refuses an object is none of these.
 */
export function uncallableOwnWebhook(objects: readonly KubeObject[]): (message: string) => boolean {
  const names = new Set(
    objects
      .filter((object) => webhookKinds.has(groupKindOf(object)))
      .flatMap((object) => listAt(object, 'webhooks').flatMap((webhook) => textAt(webhook, 'name') ?? [])),
  );
  const services = new Set(
    objects
      .filter((object) => groupKindOf(object) === '/Service')
      .map(({ metadata }) => `${metadata.name}.${metadata.namespace}`),
  );
  return (message) => {
    const name = /failed calling webhook "([^"]+)"/.exec(message)?.[1];
    if (name === undefined && !/conversion webhook for .* failed/.test(message)) return false;
    const service = /Post "?https:\/\/([a-z0-9-]+\.[a-z0-9-]+)\.svc[.:/]/.exec(message)?.[1];
    return (name !== undefined && names.has(name)) || (service !== undefined && services.has(service));
  };
}
