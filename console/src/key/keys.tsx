import { timestampFromDate, timestampMs } from '@bufbuild/protobuf/wkt';
import { useRef, useState } from 'react';
import type { Pak } from '../../../gen/brokkr/v1/pak_pb.ts';
import { ConfirmDialog, NewKey } from '../components/dialog.tsx';
import { Field, namePattern, textIn } from '../components/fields.tsx';
import { Facts, Head } from '../components/head.tsx';
import { Icon } from '../components/icon.tsx';
import { LoadProblem } from '../components/problem.tsx';
import { Status } from '../components/status.tsx';
import { type Column, Table } from '../components/table.tsx';
import { Ago } from '../components/time.tsx';
import { roles, type Word } from '../enum-labels.ts';
import { useAll } from '../pages.ts';
import { newRequestId } from '../request-id.ts';
import { setQuery, usePlace } from '../router.tsx';
import { useSession } from '../session/session.ts';

type Doing = { readonly what: 'add' | 'rotate' } | { readonly what: 'revoke'; readonly pak: Pak };

/** The keys, without their secrets; for a generator, its own. */
export function Keys() {
  const { sees, rules, who } = useSession();
  const [doing, setDoing] = useState<Doing>();
  const [made, setMade] = useState<{ what: string; pak: string }>();
  const [turn, setTurn] = useState(0);
  return (
    <>
      <Head title="Keys">
        <button type="button" onClick={() => setDoing({ what: 'rotate' })}>
          Replace my key
        </button>
        {rules && (
          <button type="button" className="primary" onClick={() => setDoing({ what: 'add' })}>
            <Icon name="plus" />
            New admin key
          </button>
        )}
      </Head>
      <Facts
        facts={[
          ['You are', `${who.name}, ${roles[who.role]}`],
          ['Your key', <code key="key">{who.shortToken}</code>],
          ['It ends', <Ago key="end" time={who.expireTime} none="never" />],
          ['Broker', who.brokerVersion],
        ]}
      />
      {sees && <List key={turn} onRevoke={(pak) => setDoing({ what: 'revoke', pak })} />}
      {doing && (
        <Dialogue
          doing={doing}
          onKey={(what, pak) => setMade({ what, pak })}
          onClose={() => {
            setDoing(undefined);
            setTurn(turn + 1);
          }}
        />
      )}
      {made && <NewKey {...made} onClose={() => setMade(undefined)} />}
    </>
  );
}

function List({ onRevoke }: { onRevoke: (pak: Pak) => void }) {
  const { admin, rules } = useSession();
  const { query } = usePlace();
  const owner = query.get('owner') ?? '';
  const showEnded = query.has('ended');
  const { data, error } = useAll(`paks ${owner} ${showEnded}`, async (page, options) => {
    const { paks: items, nextPageToken } = await admin.listPaks({ owner, showEnded, ...page }, options);
    return { items, nextPageToken };
  });
  const doings: Column<Pak> = {
    head: 'More',
    width: '7rem',
    cell: (pak) =>
      stateOf(pak).tone === 'good' && (
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
          Also ended ones
        </label>
      </search>
      <LoadProblem error={error} />
      <Table label="Keys" columns={rules ? [...columns, doings] : columns} rows={data ?? []} keyOf={({ id }) => id} />
    </>
  );
}

function stateOf({ revokeTime, expireTime }: Pak): Word {
  if (revokeTime && timestampMs(revokeTime) <= Date.now()) return { word: 'revoked', tone: 'bad', icon: 'cross' };
  if (expireTime && timestampMs(expireTime) <= Date.now()) return { word: 'expired', tone: 'idle', icon: 'clock' };
  return { word: 'live', tone: 'good', icon: 'check' };
}

const columns: readonly Column<Pak>[] = [
  { head: 'Key', width: '1.5fr', cell: ({ shortToken }) => <code>{shortToken}…</code> },
  { head: 'Owner', width: '1.5fr', cell: ({ owner }) => owner },
  { head: 'Role', width: '1fr', cell: ({ role }) => roles[role] },
  { head: 'State', width: '7rem', cell: (pak) => <Status word={stateOf(pak)} /> },
  { head: 'Last used', width: '8rem', wide: true, cell: ({ lastUseTime }) => <Ago time={lastUseTime} none="never" /> },
  { head: 'Ends', width: '8rem', wide: true, cell: ({ expireTime }) => <Ago time={expireTime} none="never" /> },
  { head: 'Created', width: '8rem', wide: true, cell: ({ createTime }) => <Ago time={createTime} /> },
];

interface DialogueProps {
  readonly doing: Doing;
  readonly onKey: (what: string, pak: string) => void;
  readonly onClose: () => void;
}

function Dialogue({ doing, onKey, onClose }: DialogueProps) {
  const { admin, broker, who } = useSession();
  const requestId = useRef(newRequestId());
  switch (doing.what) {
    case 'add':
      return (
        <ConfirmDialog
          title="New admin key"
          action="Create"
          onClose={onClose}
          onDo={async (form) => {
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
          <Field label="Name" name="name" hint="Whose it is: small letters, digits and hyphens." {...namePattern} />
          <Field label="Ends after days" name="days" type="number" min={1} max={3650} hint="Empty: never." />
          <label className="check">
            <input type="checkbox" name="readOnly" value="yes" />
            May only look
          </label>
        </ConfirmDialog>
      );
    case 'rotate':
      return (
        <ConfirmDialog
          title="Replace my key"
          action="Make a key"
          onClose={onClose}
          onDo={async () =>
            onKey(
              who.name,
              (await broker.rotatePak({ requestId: requestId.current, overlap: { seconds: 86_400n } })).pak,
            )
          }
        >
          <p>The one that you are signed in with goes on working for 24 hours.</p>
        </ConfirmDialog>
      );
    case 'revoke':
      return (
        <ConfirmDialog
          title={`Revoke ${doing.pak.shortToken}`}
          action="Revoke"
          danger
          name={doing.pak.owner}
          onClose={onClose}
          onDo={() => admin.revokePak({ pak: doing.pak.shortToken })}
        >
          <p>
            The key of {doing.pak.owner} ends at once.{' '}
            {doing.pak.shortToken === who.shortToken && <strong>It is the one that you are signed in with.</strong>}
          </p>
        </ConfirmDialog>
      );
  }
}
