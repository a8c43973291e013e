import { useRef } from 'react';
import { newRequestId } from '../request-id.ts';
import { ConfirmDialog } from './dialog.tsx';
import { textIn } from './fields.tsx';

const overlapSeconds = 86_400n;

interface RotateProps {
  readonly name: string;
  readonly rotate: (request: { requestId: string; overlap: { seconds: bigint } }) => Promise<{ pak: string }>;
  readonly onKey: (pak: string) => void;
  readonly onClose: () => void;
}

/** Rotates the key of an agent or a generator. The old key keeps working for 24 hours unless it is revoked immediately. */
export function Rotate({ name, rotate, onKey, onClose }: RotateProps) {
  const requestId = useRef(newRequestId());
  return (
    <ConfirmDialog
      title={`New key for ${name}`}
      action="Create key"
      onClose={onClose}
      onConfirm={async (form) => {
        const overlap = { seconds: textIn(form, 'now') === '' ? overlapSeconds : 0n };
        onKey((await rotate({ requestId: requestId.current, overlap })).pak);
      }}
    >
      <p>The old key keeps working for 24 hours, which leaves time to deploy the new one.</p>
      <label className="check">
        <input type="checkbox" name="now" value="yes" />
        Revoke the old key now, because it has leaked
      </label>
    </ConfirmDialog>
  );
}
