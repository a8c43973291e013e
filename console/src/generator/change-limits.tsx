import type { Generator } from '../../../gen/brokkr/v1/generator_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { Field, textIn, wordsIn } from '../components/fields.tsx';
import { useSession } from '../session/session.ts';

/** Changes what a generator may deploy and keep, as it was when it was opened: refused when somebody else was faster. */
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
    <ConfirmDialog title={`Limits of ${name}`} action="Save" onClose={onClose} onDo={save}>
      {list('Allowed namespaces', 'allow-namespaces', rules?.allowNamespaces, 'Names, or prefixes with *; empty: any.')}
      {list('Denied namespaces', 'deny-namespaces', rules?.denyNamespaces, 'Whatever is allowed.')}
      {list('Allowed kinds', 'allow-kinds', rules?.allowKinds, 'ConfigMap, apps/Deployment, apps/*; empty: any.')}
      {list('Denied kinds', 'deny-kinds', rules?.denyKinds, 'Whatever is allowed.')}
      <label className="check">
        <input type="checkbox" name="cluster-scoped" value="yes" defaultChecked={rules?.clusterScoped} />
        Cluster-scoped objects too
      </label>
      {number('Stacks', 'stacks', quota?.stacks, 'At most; empty: 1,000.')}
      {number('Revisions kept of a stack', 'deployments', quota?.deploymentsPerStack, 'At most; empty: 100.')}
      {number('Bytes of manifests', 'bytes', quota?.manifestBytes, 'At most; empty: 1 GiB.')}
    </ConfirmDialog>
  );
}
