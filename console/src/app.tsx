import { timestampMs } from '@bufbuild/protobuf/wkt';
import { useCallback, useEffect, useState } from 'react';
import { Frame } from './frame.tsx';
import { type Session, SessionContext } from './session/session.ts';
import { SignIn } from './session/sign-in.tsx';
import { Views } from './views.tsx';

const expired = 'Your key has expired. Sign in with another one.';
const ended = 'Your key is not accepted any more: it was revoked or has expired.';
/** What a timer can wait for. */
const longestWaitMs = 2 ** 31 - 1;

/** The console: the sign-in form, or the views of whoever is signed in. */
export function App() {
  const [session, setSession] = useState<Session>();
  const [reason, setReason] = useState('');
  const leave = useCallback((why: string) => {
    setReason(why);
    setSession(undefined);
  }, []);
  useEffect(() => {
    const end = session?.who.expireTime;
    if (!end) return;
    const waitMs = timestampMs(end) - Date.now();
    if (waitMs > longestWaitMs) return;
    const timer = setTimeout(() => leave(expired), Math.max(0, waitMs));
    return () => clearTimeout(timer);
  }, [session, leave]);
  if (!session) return <SignIn reason={reason} onSignedIn={setSession} onEnded={() => leave(ended)} />;
  return (
    <SessionContext value={session}>
      <Frame onLeave={() => leave('You are signed out.')}>
        <Views />
      </Frame>
    </SessionContext>
  );
}
