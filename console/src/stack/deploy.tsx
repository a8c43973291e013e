import { type ChangeEvent, useRef, useState } from 'react';
import { inDefaultNamespace } from '../../../contract/default-namespace.ts';
import type { SubmitDeploymentResponse } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { ErrorMessage } from '../components/problem.tsx';
import { ViewHeader } from '../components/view-header.tsx';
import { countText } from '../enum-labels.ts';
import { useLoad } from '../load.ts';
import { newRequestId } from '../request-id.ts';
import { Link, navigate, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Diff } from './diff.tsx';
import { type DisplayedObject, decodeObjects, manifestToYaml, parseObjects, toDisplayed } from './manifest.ts';
import { Preview } from './preview.tsx';

interface Previewed {
  readonly yaml: string;
  readonly editedNamespace: string | undefined;
  readonly answer: SubmitDeploymentResponse;
  readonly after: readonly DisplayedObject[];
}

const example = `apiVersion: v1
kind: ConfigMap
metadata:
  name: hello
data:
  greeting: Hello`;

/** Edits a new revision, previews what it would change, and submits it. */
export function Deploy({ name }: { name: string }) {
  const { broker } = useSession();
  const [yaml, setYaml] = useState('');
  const [editedNamespace, setNamespace] = useState<string>();
  const [message, setMessage] = useState('');
  const [previewed, setPreviewed] = useState<Previewed>();
  const [failure, setFailure] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [confirming, setConfirming] = useState(false);
  const requestId = useRef('');
  const { data: current } = useLoad(
    `current ${name}`,
    async (signal) => {
      const { stack } = await broker.getStack({ stack: name }, { signal });
      if (!stack || stack.revision === 0) return { revision: 0, namespace: '', objects: [], before: [] };
      const { manifest, deployment } = await broker.getDeployment({ stack: name }, { signal });
      const objects = decodeObjects(manifest);
      const namespace = deployment?.namespace ?? '';
      return { revision: stack.revision, namespace, objects, before: objects.map(toDisplayed) };
    },
    { once: true },
  );
  const changeYaml = (text: string) => {
    setYaml(text);
    setPreviewed(undefined);
  };
  const preview = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      const objects = parseObjects(yaml);
      const answer = await broker.submitDeployment({
        stack: name,
        manifest: new TextEncoder().encode(yaml),
        namespace: editedNamespace,
        dryRun: true,
      });
      requestId.current = newRequestId();
      const after = inDefaultNamespace(objects, answer.namespace).map(toDisplayed);
      setPreviewed({ yaml, editedNamespace, answer, after });
    } catch (error) {
      setPreviewed(undefined);
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };
  const readFile = async (event: ChangeEvent<HTMLInputElement>) => {
    const texts = await Promise.all([...(event.target.files ?? [])].map((file) => file.text()));
    if (texts.length > 0) changeYaml(texts.join('\n---\n'));
  };
  const isPreviewed = previewed?.yaml === yaml && previewed.editedNamespace === editedNamespace;
  const currentPreview = isPreviewed ? previewed : undefined;
  return (
    <>
      <ViewHeader
        title={`Deploy ${name}`}
        above={
          <>
            <Link href="/stacks">Stacks</Link> / <Link href={stackPath(name)}>{name}</Link>
          </>
        }
      />
      <div className="editor">
        <div className="filters">
          <button
            type="button"
            disabled={!current || current.revision === 0}
            onClick={() => current && changeYaml(manifestToYaml(current.objects))}
          >
            Start from revision {current?.revision || '–'}
          </button>
          <label className="button">
            Open files…
            <input type="file" multiple accept=".yaml,.yml,.json" className="hidden" onChange={readFile} />
          </label>
        </div>
        <label className="field">
          <span>Kubernetes objects, as YAML or JSON</span>
          <textarea
            value={yaml}
            onChange={(event) => changeYaml(event.target.value)}
            onKeyDown={(event) => {
              if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) void preview();
            }}
            aria-keyshortcuts="Control+Enter"
            rows={18}
            spellCheck={false}
            autoComplete="off"
            placeholder={example}
          />
        </label>
        <label className="field">
          <span>Namespace of objects that name none (optional)</span>
          <input
            value={editedNamespace ?? current?.namespace ?? ''}
            maxLength={63}
            onChange={(event) => setNamespace(event.target.value.trim())}
            autoComplete="off"
            spellCheck={false}
          />
        </label>
        <label className="field">
          <span>Message (optional)</span>
          <input
            value={message}
            maxLength={1024}
            onChange={(event) => setMessage(event.target.value)}
            autoComplete="off"
          />
        </label>
        <ErrorMessage error={failure} />
        <div className="buttons">
          <button type="button" disabled={busy || yaml.trim() === ''} onClick={preview}>
            Preview
          </button>
          <button
            type="button"
            className="primary"
            disabled={!currentPreview || currentPreview.answer.unchanged}
            onClick={() => setConfirming(true)}
          >
            Deploy…
          </button>
        </div>
      </div>
      {currentPreview && (
        <>
          <Preview answer={currentPreview.answer} />
          {!currentPreview.answer.unchanged && (
            <Diff
              before={current?.before ?? []}
              after={currentPreview.after}
              names={[current?.revision ? `revision ${current.revision}` : 'nothing', 'new']}
            />
          )}
        </>
      )}
      {confirming && currentPreview && (
        <ConfirmDialog
          title={`Deploy ${name}`}
          action="Deploy"
          onClose={() => setConfirming(false)}
          onConfirm={async () => {
            await broker.submitDeployment({
              requestId: requestId.current,
              stack: name,
              manifest: new TextEncoder().encode(currentPreview.yaml),
              namespace: currentPreview.answer.namespace,
              message,
            });
            navigate(stackPath(name));
          }}
        >
          <p>
            {countText(currentPreview.answer.changes.length, 'change')} on{' '}
            {countText(currentPreview.answer.agentCount, 'agent')}, applied immediately.
          </p>
        </ConfirmDialog>
      )}
    </>
  );
}
