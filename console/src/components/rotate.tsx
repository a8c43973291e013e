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

/** Makes a new key of somebody else, the old one going on for a while, or not. */
export function Rotate({ name, rotate, onKey, onClose }: RotateProps) {
  const requestId = useRef(newRequestId());
  return (
    <ConfirmDialog
      title={`A new key for ${name}`}
      action="Make a key"
      onClose={onClose}
      onDo={async (form) => {
        const overlap = { seconds: textIn(form, 'now') === '' ? overlapSeconds : 0n };
        onKey((await rotate({ requestId: requestId.current, overlap })).pak);
      }}
    >
      <p>The old key goes on working for 24 hours, so that the new one can be brought to where it is used.</p>
      <label className="check">
        <input type="checkbox" name="now" value="yes" />
        End the old key now: it has leaked
      </label>
    </ConfirmDialog>
  );
}
