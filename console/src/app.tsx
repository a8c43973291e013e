import { timestampMs } from '@bufbuild/protobuf/wkt';
import { useCallback, useEffect, useState } from 'react';
import { Frame } from './frame.tsx';
import { type Session, SessionContext } from './session/session.ts';
import { SignIn } from './sign-in.tsx';
import { Views } from './views.tsx';

const expiredReason = 'Your key has expired. Sign in with another one.';
const revokedReason = 'Your key is no longer accepted: it was revoked or has expired.';
/** The longest delay that `setTimeout` supports. */
const maxTimeoutMs = 2 ** 31 - 1;

/** The console: the sign-in form, or the views of the signed-in caller. */
export function App() {
  const [session, setSession] = useState<Session>();
  const [reason, setReason] = useState('');
  const leave = useCallback((why: string) => {
    setReason(why);
    setSession(undefined);
  }, []);
  useEffect(() => {
    const end = session?.caller.expireTime;
    if (!end) return;
    const waitMs = timestampMs(end) - Date.now();
    if (waitMs > maxTimeoutMs) return;
    const timer = setTimeout(() => leave(expiredReason), Math.max(0, waitMs));
    return () => clearTimeout(timer);
  }, [session, leave]);
  if (!session) return <SignIn reason={reason} onSignedIn={setSession} onEnded={() => leave(revokedReason)} />;
  return (
    <SessionContext value={session}>
      <Frame onLeave={() => leave('You are signed out.')}>
        <Views />
      </Frame>
    </SessionContext>
  );
}
