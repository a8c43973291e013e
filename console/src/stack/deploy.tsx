import { type ChangeEvent, useRef, useState } from 'react';
import type { SubmitDeploymentResponse } from '../../../gen/brokkr/v1/deployment_pb.ts';
import { ConfirmDialog } from '../components/dialog.tsx';
import { Head } from '../components/head.tsx';
import { Problem } from '../components/problem.tsx';
import { count } from '../enum-labels.ts';
import { tell } from '../errors.ts';
import { useLoad } from '../load.ts';
import { newRequestId } from '../request-id.ts';
import { go, Link, stackPath } from '../router.tsx';
import { useSession } from '../session/session.ts';
import { Diff } from './diff.tsx';
import { objectsIn, objectsOf, type Shown, shown, toYaml } from './manifest.ts';
import { Preview } from './preview.tsx';

interface Previewed {
  readonly yaml: string;
  readonly answer: SubmitDeploymentResponse;
  readonly after: readonly Shown[];
}

const example = `apiVersion: v1
kind: ConfigMap
metadata:
  name: hello
data:
  greeting: Hello`;

/** Writes a revision, shows what it would do, and submits it. */
export function Deploy({ name }: { name: string }) {
  const { broker } = useSession();
  const [yaml, setYaml] = useState('');
  const [message, setMessage] = useState('');
  const [previewed, setPreviewed] = useState<Previewed>();
  const [failure, setFailure] = useState<unknown>();
  const [busy, setBusy] = useState(false);
  const [asking, setAsking] = useState(false);
  const requestId = useRef('');
  const { data: current } = useLoad(
    `current ${name}`,
    async (signal) => {
      const { stack } = await broker.getStack({ stack: name }, { signal });
      if (!stack || stack.revision === 0) return { revision: 0, objects: [], before: [] };
      const { manifest } = await broker.getDeployment({ stack: name }, { signal });
      const objects = objectsOf(manifest);
      return { revision: stack.revision, objects, before: objects.map(shown) };
    },
    { once: true },
  );
  const change = (text: string) => {
    setYaml(text);
    setPreviewed(undefined);
  };
  const preview = async () => {
    setBusy(true);
    setFailure(undefined);
    try {
      const after = objectsIn(yaml).map(shown);
      const answer = await broker.submitDeployment({
        stack: name,
        manifest: new TextEncoder().encode(yaml),
        dryRun: true,
      });
      requestId.current = newRequestId();
      setPreviewed({ yaml, answer, after });
    } catch (error) {
      setPreviewed(undefined);
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };
  const readFile = async (event: ChangeEvent<HTMLInputElement>) => {
    const texts = await Promise.all([...(event.target.files ?? [])].map((file) => file.text()));
    if (texts.length > 0) change(texts.join('\n---\n'));
  };
  const fresh = previewed?.yaml === yaml ? previewed : undefined;
  return (
    <>
      <Head
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
            onClick={() => current && change(toYaml(current.objects))}
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
            onChange={(event) => change(event.target.value)}
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
          <span>Why (for people)</span>
          <input
            value={message}
            maxLength={1024}
            onChange={(event) => setMessage(event.target.value)}
            autoComplete="off"
          />
        </label>
        {failure !== undefined && <Problem told={tell(failure)} />}
        <div className="buttons">
          <button type="button" disabled={busy || yaml.trim() === ''} onClick={preview}>
            Preview
          </button>
          <button
            type="button"
            className="primary"
            disabled={!fresh || fresh.answer.unchanged}
            onClick={() => setAsking(true)}
          >
            Deploy…
          </button>
        </div>
      </div>
      {fresh && (
        <>
          <Preview answer={fresh.answer} />
          {!fresh.answer.unchanged && (
            <Diff
              before={current?.before ?? []}
              after={fresh.after}
              names={[current?.revision ? `revision ${current.revision}` : 'nothing', 'new']}
            />
          )}
        </>
      )}
      {asking && fresh && (
        <ConfirmDialog
          title={`Deploy ${name}`}
          action="Deploy"
          onClose={() => setAsking(false)}
          onDo={async () => {
            await broker.submitDeployment({
              requestId: requestId.current,
              stack: name,
              manifest: new TextEncoder().encode(fresh.yaml),
              message,
            });
            go(stackPath(name));
          }}
        >
          <p>
            {count(fresh.answer.changes.length, 'change')} on {count(fresh.answer.agentCount, 'agent')}, at once.
          </p>
        </ConfirmDialog>
      )}
    </>
  );
}
