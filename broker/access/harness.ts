import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DescService } from '@bufbuild/protobuf';
import {
  type Client,
  Code,
  ConnectError,
  createClient,
  createRouterTransport,
  type Interceptor,
} from '@connectrpc/connect';
import pino from 'pino';
import * as assert from 'uvu/assert';
import { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import { startPostgres } from '../../sandbox/postgres.ts';
import { createHeartbeats } from '../agent/heartbeats.ts';
import { type SelfDeps, selfMethods } from '../agent/self-service.ts';
import { agentMethods, placeableAgentMethods } from '../agent/service.ts';
import { agentById, entities as agentEntities } from '../agent/store.ts';
import { consentMethods, registrationMethods } from '../generator/registration-service.ts';
import { generatorMethods } from '../generator/service.ts';
import { entities as generatorEntities } from '../generator/store.ts';
import { removalMethods } from '../placement/service.ts';
import { entities as placementEntities } from '../placement/store.ts';
import { Refusal } from '../refusal.ts';
import { principalKey } from '../rpc/principal.ts';
import { stackMethods } from '../stack/service.ts';
import { entities as stackEntities } from '../stack/store.ts';
import { startFeed } from '../store/feed.ts';
import { checkInstallation } from '../store/installation.ts';
import { openDatabase } from '../store/orm.ts';
import { createKeys } from './keys.ts';
import { firstAdminPak } from './mint.ts';
import { keyMethods, ownKeyMethods } from './service.ts';
import { entities as accessEntities } from './store.ts';

/** For tests: a database server that brokers with schemas of their own share. */
export interface Harness {
  start(): Promise<TestBroker>;
  stop(): Promise<void>;
}

export interface TestBroker extends SelfDeps {
  readonly adminPak: string;
  admin(pak?: string): Client<typeof AdminService>;
  broker(pak?: string): Client<typeof BrokerService>;
  agent(pak: string): Client<typeof AgentService>;
}

const entities = [...accessEntities, ...agentEntities, ...generatorEntities, ...placementEntities, ...stackEntities];

export async function startHarness(): Promise<Harness> {
  const dataDir = mkdtempSync(join(tmpdir(), 'brokkr-test-'));
  const postgres = await startPostgres({ dataDir, fsync: false });
  const closers: (() => Promise<void>)[] = [];
  let count = 0;
  return {
    async start() {
      count += 1;
      const { broker, close } = await startBroker(postgres.url, `t${count}`);
      closers.push(close);
      return broker;
    },
    async stop() {
      for (const close of closers) await close();
      await postgres.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Asserts that a call is refused with this code, and with this text in its message. */
export async function refused(call: Promise<unknown>, code: Code, text: string | RegExp): Promise<void> {
  const error = await call.then(
    () => undefined,
    (reason: unknown) => ConnectError.from(reason),
  );
  assert.ok(error, 'the call must be refused');
  assert.equal(Code[error.code], Code[code], error.message);
  assert.match(error.rawMessage, text);
}

/** Waits until a condition holds, at most 5 s. */
export async function eventually(holds: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 5_000;
  while (!(await holds())) {
    if (Date.now() > deadline) assert.unreachable('the condition did not come true within 5 s');
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function startBroker(url: string, schema: string): Promise<{ broker: TestBroker; close: () => Promise<void> }> {
  const log = pino({ level: 'silent' });
  const db = await openDatabase({ url, schema, entities, connections: 10 });
  await db.migrate();
  await checkInstallation(db);
  const feed = await startFeed(db, log, async () => {});
  const now = () => new Date();
  const keys = createKeys(db, feed, log, now);
  const heartbeats = createHeartbeats(db, log);
  const incarnationOf = async (id: string) => BigInt((await agentById(db, id)).incarnation);
  const deps = { db, feed, log, keys, now, heartbeats, incarnationOf, version: 'test' };
  const adminPak = (await firstAdminPak(db)) ?? '';
  const transportFor = (pak: string | undefined) =>
    createRouterTransport(
      (router) => {
        router.service(AdminService, {
          ...keyMethods(deps),
          ...generatorMethods(deps),
          ...registrationMethods(deps),
          ...agentMethods(deps),
          ...removalMethods(deps),
        });
        router.service(BrokerService, {
          ...ownKeyMethods(deps),
          ...placeableAgentMethods(deps),
          ...stackMethods(deps),
        });
        router.service(AgentService, { ...selfMethods(deps), ...consentMethods(deps) });
      },
      { router: { interceptors: [refusals, authentication(deps.keys, pak)] } },
    );
  const client = <S extends DescService>(service: S, pak: string | undefined) =>
    createClient(service, transportFor(pak));
  const broker = {
    ...deps,
    adminPak,
    admin: (pak: string | undefined = adminPak) => client(AdminService, pak),
    broker: (pak: string | undefined = adminPak) => client(BrokerService, pak),
    agent: (pak: string) => client(AgentService, pak),
  };
  const close = async () => {
    await keys.close();
    await heartbeats.close();
    await feed.close();
    await db.close();
  };
  return { broker, close };
}
