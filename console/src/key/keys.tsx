import { timestampFromDate, timestampMs } from '@bufbuild/protobuf/wkt';
import { useRef, useState } from 'react';
import type { Pak } from '../../../gen/brokkr/v1/pak_pb.ts';
import { ConfirmDialog, NewKey } from '../components/dialog.tsx';
import { Field, namePattern, textIn } from '../components/fields.tsx';
import { Icon } from '../components/icon.tsx';
import { ErrorMessage } from '../components/problem.tsx';
import { RelativeTime } from '../components/relative-time.tsx';
import { Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Facts, ViewHeader } from '../components/view-header.tsx';
import { type EnumLabel, roleNames } from '../enum-labels.ts';
import { useAllPages } from '../pages.ts';
import { newRequestId } from '../request-id.ts';
import { setQuery, useLocation } from '../router.tsx';
import { useSession } from '../session/session.ts';

type Action = { readonly kind: 'add' | 'rotate' } | { readonly kind: 'revoke'; readonly pak: Pak };

/** Shows the caller's key and, for admins, all keys without their secrets. */
export function Keys() {
  const { seesAll, isAdmin, caller } = useSession();
  const [action, setAction] = useState<Action>();
  const [newKey, setNewKey] = useState<{ owner: string; pak: string }>();
  const [reloadCount, setReloadCount] = useState(0);
  return (
    <>
      <ViewHeader title="Keys">
        <button type="button" onClick={() => setAction({ kind: 'rotate' })}>
          Rotate my key
        </button>
        {isAdmin && (
          <button type="button" className="primary" onClick={() => setAction({ kind: 'add' })}>
            <Icon name="plus" />
            New admin key
          </button>
        )}
      </ViewHeader>
      <Facts
        facts={[
          ['Signed in as', `${caller.name}, ${roleNames[caller.role]}`],
          ['Your key', <code key="key">{caller.shortToken}</code>],
          ['Expires', <RelativeTime key="end" time={caller.expireTime} none="never" />],
          ['Broker', caller.brokerVersion],
        ]}
      />
      {seesAll && <KeyList key={reloadCount} onRevoke={(pak) => setAction({ kind: 'revoke', pak })} />}
      {action && (
        <ActionDialog
          action={action}
          onKey={(owner, pak) => setNewKey({ owner, pak })}
          onClose={() => {
            setAction(undefined);
            setReloadCount(reloadCount + 1);
          }}
        />
      )}
      {newKey && <NewKey {...newKey} onClose={() => setNewKey(undefined)} />}
    </>
  );
}

function KeyList({ onRevoke }: { onRevoke: (pak: Pak) => void }) {
  const { admin, isAdmin } = useSession();
  const { query } = useLocation();
  const owner = query.get('owner') ?? '';
  const showEnded = query.has('ended');
  const { data, error } = useAllPages(`paks ${owner} ${showEnded}`, async (page, options) => {
    const { paks: items, nextPageToken } = await admin.listPaks({ owner, showEnded, ...page }, options);
    return { items, nextPageToken };
  });
  const actionsColumn: Column<Pak> = {
    head: 'Actions',
    width: '7rem',
    cell: (pak) =>
      keyStateLabel(pak).tone === 'good' && (
        <button type="button" className="small" onClick={() => onRevoke(pak)}>
          Revoke<span className="hidden"> {pak.shortToken}</span>
        </button>
      ),
  };
  return (
    <>
      <search className="filters">
        <input
          aria-label="Owner"
          placeholder="Owner"
          value={owner}
          autoComplete="off"
          maxLength={63}
          onChange={(event) => setQuery({ owner: event.target.value })}
        />
        <label className="check">
          <input
            type="checkbox"
            checked={showEnded}
            onChange={(event) => setQuery({ ended: event.target.checked ? 'yes' : '' })}
          />
          Show revoked and expired
        </label>
      </search>
      <ErrorMessage error={error} />
      <Table
        label="Keys"
        columns={isAdmin ? [...columns, actionsColumn] : columns}
        rows={data ?? []}
        keyOf={({ id }) => id}
      />
    </>
  );
}

function keyStateLabel({ revokeTime, expireTime }: Pak): EnumLabel {
  if (revokeTime && timestampMs(revokeTime) <= Date.now()) return { text: 'revoked', tone: 'bad', icon: 'cross' };
  if (expireTime && timestampMs(expireTime) <= Date.now()) return { text: 'expired', tone: 'idle', icon: 'clock' };
  return { text: 'live', tone: 'good', icon: 'check' };
}

const columns: readonly Column<Pak>[] = [
  { head: 'Key', width: '1.5fr', cell: ({ shortToken }) => <code>{shortToken}…</code> },
  { head: 'Owner', width: '1.5fr', cell: ({ owner }) => owner },
  { head: 'Role', width: '1fr', cell: ({ role }) => roleNames[role] },
  { head: 'State', width: '7rem', cell: (pak) => <Status label={keyStateLabel(pak)} /> },
  {
    head: 'Last used',
    width: '8rem',
    wide: true,
    cell: ({ lastUseTime }) => <RelativeTime time={lastUseTime} none="never" />,
  },
  {
    head: 'Expires',
    width: '8rem',
    wide: true,
    cell: ({ expireTime }) => <RelativeTime time={expireTime} none="never" />,
  },
  { head: 'Created', width: '8rem', wide: true, cell: ({ createTime }) => <RelativeTime time={createTime} /> },
];

interface ActionDialogProps {
  readonly action: Action;
  readonly onKey: (owner: string, pak: string) => void;
  readonly onClose: () => void;
}

function ActionDialog({ action, onKey, onClose }: ActionDialogProps) {
  const { admin, broker, caller } = useSession();
  const requestId = useRef(newRequestId());
  switch (action.kind) {
    case 'add':
      return (
        <ConfirmDialog
          title="New admin key"
          action="Create"
          onClose={onClose}
          onConfirm={async (form) => {
            const name = textIn(form, 'name');
            const days = Number(textIn(form, 'days'));
            const { pak } = await admin.createAdminPak({
              requestId: requestId.current,
              name,
              readOnly: textIn(form, 'readOnly') !== '',
              ...(days > 0 && { expireTime: timestampFromDate(new Date(Date.now() + days * 86_400_000)) }),
            });
            onKey(`the admin ${name}`, pak);
          }}
        >
          <Field
            label="Name"
            name="name"
            hint="Name of the admin: lowercase letters, digits and hyphens."
            {...namePattern}
          />
          <Field label="Expires after (days)" name="days" type="number" min={1} max={3650} hint="Empty: never." />
          <label className="check">
            <input type="checkbox" name="readOnly" value="yes" />
            Read-only
          </label>
        </ConfirmDialog>
      );
    case 'rotate':
      return (
        <ConfirmDialog
          title="Rotate my key"
          action="Create key"
          onClose={onClose}
          onConfirm={async () =>
            onKey(
              caller.name,
              (await broker.rotatePak({ requestId: requestId.current, overlap: { seconds: 86_400n } })).pak,
            )
          }
        >
          <p>Your current key keeps working for 24 hours.</p>
        </ConfirmDialog>
      );
    case 'revoke':
      return (
        <ConfirmDialog
          title={`Revoke ${action.pak.shortToken}`}
          action="Revoke"
          danger
          confirmText={action.pak.owner}
          onClose={onClose}
          onConfirm={() => admin.revokePak({ pak: action.pak.shortToken })}
        >
          <p>
            The key of {action.pak.owner} stops working immediately.{' '}
            {action.pak.shortToken === caller.shortToken && <strong>You are signed in with this key.</strong>}
          </p>
        </ConfirmDialog>
      );
  }
}
