import { once } from 'node:events';
import * as http2 from 'node:http2';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openPort } from './port.ts';

const connections = suite('connections of the port');

connections('without calls and without a key are closed, and one address may have only a share', async () => {
  const limited = await openPort({
    host: '127.0.0.1',
    port: 0,
    handler: (_request, response) => void response.end(),
    requestTimeoutMs: () => undefined,
    connectionLimits: () => ({ total: 3, perAddress: 2, idleMs: 300 }),
  });
  const connect = () => {
    const session = http2.connect(`http://127.0.0.1:${limited.port}`);
    session.on('error', () => {});
    const closed = new Promise<void>((resolve) => session.once('close', resolve));
    return { session, closed, connected: once(session, 'connect') };
  };
  const [first, second] = [connect(), connect()];
  try {
    await Promise.all([first.connected, second.connected]);
    const busy = first.session.request({ ':method': 'POST', ':path': '/busy' });
    busy.on('error', () => {});
    const third = connect();
    await third.closed;
    await second.closed;
    assert.not(first.session.closed);
  } finally {
    first.session.destroy();
    await limited.close(0);
  }
});

connections('make room for a new one by closing the one that is idle longest', async () => {
  const limited = await openPort({
    host: '127.0.0.1',
    port: 0,
    handler: (_request, response) => void response.end(),
    requestTimeoutMs: () => undefined,
    connectionLimits: () => ({ total: 2, perAddress: 10, idleMs: 600_000 }),
  });
  const sessions: http2.ClientHttp2Session[] = [];
  const connect = async () => {
    const session = http2.connect(`http://127.0.0.1:${limited.port}`);
    session.on('error', () => {});
    sessions.push(session);
    await once(session, 'remoteSettings');
    return session;
  };
  try {
    const oldest = await connect();
    const second = await connect();
    const closed = new Promise<void>((resolve) => oldest.once('close', resolve));
    const third = await connect();
    await closed;
    for (const session of [second, third]) assert.not(session.destroyed);
  } finally {
    for (const session of sessions) session.destroy();
    await limited.close(0);
  }
});

connections.run();
