import type { Handler } from './port.ts';
import { sendText } from './send-text.ts';

/** Answers the paths that no RPC has: `/healthz` succeeds while the process runs, `/readyz` while it can serve calls. */
export function probeHandler(ready: () => boolean, next: Handler): Handler {
  return (request, response) => {
    const path = request.url?.split('?', 1)[0];
    if (path === '/healthz') return sendText(response, 200, 'ok');
    if (path === '/readyz')
      return ready() ? sendText(response, 200, 'ok') : sendText(response, 503, 'the database does not answer');
    return next(request, response);
  };
}
