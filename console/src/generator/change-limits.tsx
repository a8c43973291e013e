import type { Generator } from '../../../gen/brokkr/v1/generator_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { Field, textIn, wordsIn } from '../components/fields.tsx';
import { useSession } from '../session/session.ts';

/** Edits the rules and quotas of a generator. Saving is refused when somebody else changed the generator meanwhile. */
export function ChangeLimits({ generator, onClose }: { generator: Generator; onClose: () => void }) {
  const { admin } = useSession();
  const { name, etag, rules, quota } = generator;
  const save = (form: FormData) =>
    admin.updateGenerator({
      generator: name,
      etag,
      rules: {
        allowNamespaces: wordsIn(form, 'allow-namespaces'),
        denyNamespaces: wordsIn(form, 'deny-namespaces'),
        allowKinds: wordsIn(form, 'allow-kinds'),
        denyKinds: wordsIn(form, 'deny-kinds'),
        clusterScoped: textIn(form, 'cluster-scoped') !== '',
      },
      quota: {
        stacks: Number(textIn(form, 'stacks')),
        deploymentsPerStack: Number(textIn(form, 'deployments')),
        manifestBytes: BigInt(textIn(form, 'bytes') || 0),
      },
      updateMask: { paths: ['rules', 'quota'] },
    });
  const list = (label: string, field: string, values: readonly string[] | undefined, hint: string) => (
    <Field label={label} name={field} defaultValue={values?.join(' ')} hint={hint} />
  );
  const number = (label: string, field: string, value: number | bigint | undefined, hint: string) => (
    <Field label={label} name={field} type="number" min={0} defaultValue={value ? String(value) : ''} hint={hint} />
  );
  return (
    <ConfirmDialog title={`Limits of ${name}`} action="Save" onClose={onClose} onConfirm={save}>
      {list(
        'Allowed namespaces',
        'allow-namespaces',
        rules?.allowNamespaces,
        'Names, or prefixes such as shop-*. Empty: any.',
      )}
      {list('Denied namespaces', 'deny-namespaces', rules?.denyNamespaces, 'Denied even when allowed above.')}
      {list('Allowed kinds', 'allow-kinds', rules?.allowKinds, 'ConfigMap, apps/Deployment, apps/*. Empty: any.')}
      {list('Denied kinds', 'deny-kinds', rules?.denyKinds, 'Denied even when allowed above.')}
      <label className="check">
        <input type="checkbox" name="cluster-scoped" value="yes" defaultChecked={rules?.clusterScoped} />
        Allow cluster-scoped objects
      </label>
      {number('Stacks', 'stacks', quota?.stacks, 'Maximum. Empty: 1,000.')}
      {number('Revisions kept per stack', 'deployments', quota?.deploymentsPerStack, 'Maximum. Empty: 100.')}
      {number('Manifest bytes', 'bytes', quota?.manifestBytes, 'Maximum. Empty: 1 GiB.')}
    </ConfirmDialog>
  );
}
