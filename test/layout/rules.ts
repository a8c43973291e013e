import { findSuites } from '../runner/test-file.ts';
import { parse } from './measures.ts';
import { services } from './rooms.ts';
import type { Import, Source } from './sources.ts';

/** A rule that every source has to follow, and the reason for it. */
export interface Rule {
  readonly name: string;
  readonly reason: string;
  /** Lists the violations in a source, one text each. */
  readonly find: (source: Source) => readonly string[];
  /** A source that violates the rule, which proves that the rule still finds something. */
  readonly example: { readonly path: string; readonly text: string };
}

const isTest = (path: string) => /\.test\.ts$/.test(path) || /^(test|bench|examples)\//.test(path);
const inFolders = (...folders: string[]) => new RegExp(`^(${folders.join('|')})/`);

/** Places that may build or read messages of the wire. */
const wirePlaces = [
  services,
  /^broker\/(rpc\/.+|methods|handler)\.ts$/,
  inFolders('client', 'contract', 'cli', 'console'),
];
const stores = /^broker\/(store\/.+|\w+\/(\w+-)?store)\.ts$/;
/** Files of the agent that communicate with the broker. */
const agentWire =
  /^agent\/broker\/(client|defects|diagnostic|enroll|error|events|health|session|target|telemetry)\.ts$/;

/** Forbids imports to every source but those in the listed places. */
function allowOnlyIn(places: readonly RegExp[], forbidden: RegExp, typesToo = true) {
  return (source: Source) =>
    isTest(source.path) || places.some((place) => place.test(source.path))
      ? []
      : forbiddenImports(source, forbidden, typesToo);
}

/** Forbids imports to the sources in some places. */
function forbidIn(place: RegExp, forbidden: RegExp, typesToo = true) {
  return (source: Source) =>
    place.test(source.path) && !isTest(source.path) ? forbiddenImports(source, forbidden, typesToo) : [];
}

function forbiddenImports({ imports }: Source, forbidden: RegExp, typesToo: boolean): string[] {
  const counts = ({ typeOnly, target }: Import) => (typesToo || !typeOnly) && forbidden.test(target);
  return imports.filter(counts).map(({ line, target }) => `line ${line} imports ${target}`);
}

function matchingLines({ text }: Source, pattern: RegExp): string[] {
  return text.split('\n').flatMap((line, index) => (pattern.test(line) ? [`line ${index + 1}: ${line.trim()}`] : []));
}

export const importRules: readonly Rule[] = [
  {
    name: 'a handler translates: only the list of methods and other services reach a service',
    reason: 'proto -> gen -> service -> rules -> store: an import the other way makes a circle of the layers',
    find: allowOnlyIn([/^broker\/methods\.ts$/, services], services),
    example: { path: 'broker/stack/rules.ts', text: "import { stackMethods } from './service.ts';" },
  },
  {
    name: 'rules decide on plain values',
    reason: 'rules.ts knows no SQL and no RPC, so that every decision is tested without either; the clock is passed in',
    find: forbidIn(
      /^broker\/\w+\/rules\.ts$/,
      /store\.ts$|^broker\/(store|rpc)\/|^gen\/|^@connectrpc|^@mikro-orm|^pg$/,
      false,
    ),
    example: { path: 'broker/stack/rules.ts', text: "import { findStack } from './store.ts';" },
  },
  {
    name: 'a store knows no service and no wire',
    reason: 'stores give plain values out; what is shown of them is the service’s matter',
    find: forbidIn(stores, /service\.ts$|^gen\/|^@connectrpc/),
    example: { path: 'broker/stack/store.ts', text: "import type { Stack } from '../../gen/brokkr/v1/stack_pb.ts';" },
  },
  {
    name: 'the ORM and the driver stay in stores',
    reason: 'SQL in one place a noun; elsewhere a row is a plain value',
    find: (source) =>
      /^(broker|agent|cli|client|console)\//.test(source.path)
        ? allowOnlyIn([stores], /^(@mikro-orm\/|pg$|kysely$)/)(source)
        : [],
    example: { path: 'broker/stack/create.ts', text: "import { defineEntity } from '@mikro-orm/postgresql';" },
  },
  {
    name: 'SQL stays in stores and migrations',
    reason: 'a rule or a job that wants data asks its noun’s store, which names the query',
    // A forwarded call, `sql(...call)`, writes no SQL.
    find: (source) =>
      /^broker\//.test(source.path) && !isTest(source.path) && !stores.test(source.path)
        ? matchingLines(source, /\.sql\((?!\.\.\.)/)
        : [],
    example: { path: 'broker/jobs/jobs.ts', text: "await db.sql('select 1');" },
  },
  {
    name: 'generated code stays at the wire',
    reason: 'a changed message must not change a rule',
    find: allowOnlyIn(
      [...wirePlaces, agentWire, /^broker\/access\/roles\.ts$/, inFolders('sandbox', 'proto')],
      /^gen\//,
    ),
    example: { path: 'broker/stack/rules.ts', text: "import { StackSchema } from '../../gen/brokkr/v1/stack_pb.ts';" },
  },
  {
    name: 'the RPC library stays at the wire',
    reason: 'one domain error with a closed kind; one table turns it into a status',
    find: allowOnlyIn([...wirePlaces, agentWire, inFolders('sandbox')], /^@connectrpc\//),
    example: { path: 'broker/stack/rules.ts', text: "import { ConnectError } from '@connectrpc/connect';" },
  },
  {
    name: 'one file reaches OpenTelemetry',
    reason: 'it is loaded only when traces are asked for: an agent keeps its memory, and the CLI its start',
    find: allowOnlyIn([/^client\/otlp\.ts$/], /^@opentelemetry\//),
    example: { path: 'broker/rpc/interceptors/traces.ts', text: "import { trace } from '@opentelemetry/api';" },
  },
  {
    name: 'one file reaches the Kubernetes client',
    reason: 'it costs half a second and 74 MB to import, and its callbacks are wrapped once',
    find: allowOnlyIn([/^agent\/kube\/kubeconfig\.ts$/], /^@kubernetes\/client-node/),
    example: { path: 'agent/sync/plan.ts', text: "import { KubeConfig } from '@kubernetes/client-node';" },
  },
  {
    name: 'agent, CLI, console and client never import the broker',
    reason: 'they run elsewhere and speak the contract, nothing else',
    find: forbidIn(inFolders('agent', 'cli', 'console', 'client'), /^broker\//),
    example: { path: 'cli/main.ts', text: "import type { Config } from '../broker/config.ts';" },
  },
  {
    name: 'broker and CLI never import the agent, and the broker not the CLI',
    reason: 'the broker never reaches into a cluster; the CLI only speaks with the broker',
    find: forbidIn(inFolders('broker', 'cli', 'client'), /^(agent|sandbox|test)\//),
    example: { path: 'broker/server.ts', text: "import { plan } from '../agent/sync/plan.ts';" },
  },
  {
    name: 'the contract folder imports only generated code',
    reason: 'it is what both ends compute alike: broker, agent, CLI and console, which runs in browsers, all load it',
    find: forbidIn(inFolders('contract'), /^(?!(contract|gen|@bufbuild\/protobuf)(\/|$))/),
    example: { path: 'contract/target-digest.ts', text: "import { createHash } from 'node:crypto';" },
  },
  {
    name: 'programs never import tests',
    reason: 'what tests need is not shipped',
    find: (source) => (isTest(source.path) ? [] : forbiddenImports(source, /^test\/|\.test\.ts$|^uvu/, true)),
    example: { path: 'sandbox/start/start.ts', text: "import { eventually } from '../../test/broker.ts';" },
  },
];

const environmentReaders = /^(broker|agent)\/(main|config)\.ts$|^(cli|sandbox|proto)\//;
const MAX_FILE_LINES = 300;

export const sourceRules: readonly Rule[] = [
  {
    name: 'the environment is read once, at the edge',
    reason: 'a setting that is read in the middle is a setting that nobody finds',
    find: (source) =>
      environmentReaders.test(source.path) || isTest(source.path) ? [] : matchingLines(source, /\bprocess\.env\b/),
    example: { path: 'broker/stack/store.ts', text: 'const size = process.env.SIZE;' },
  },
  {
    name: 'no index.ts, no utils',
    reason: 'the name says the effect and the path says the noun',
    find: ({ path }) => (/(^|\/)(index|utils?|helpers?|common|misc)(\.ts|\/)/.test(path) ? ['its path'] : []),
    example: { path: 'broker/utils/time.ts', text: '' },
  },
  {
    name: `no file is longer than ${MAX_FILE_LINES} lines without a reason`,
    reason: `the router, the converter and the config parser grow for ever; a first line "// Over ${MAX_FILE_LINES} lines: why" allows one`,
    find: ({ text }) => {
      const count = text.trimEnd().split('\n').length;
      return count > MAX_FILE_LINES && !/^(\/\/.*\n){0,2}\/\/ Over 300 lines: \S/.test(text) ? [`${count} lines`] : [];
    },
    example: { path: 'broker/server.ts', text: '\n'.repeat(400).concat('x') },
  },
  {
    name: 'nothing is left to do',
    reason: 'a TODO is work that nobody sees',
    find: (source) =>
      source.path === 'test/layout/rules.ts' ? [] : matchingLines(source, /\b(TODO|FIXME|XXX|HACK)\b/),
    example: { path: 'broker/server.ts', text: '// TODO later' },
  },
  {
    name: 'nothing is exported as default',
    reason: 'a thing is looked for by its name, and has one',
    find: (source) => (/\.config\.ts$/.test(source.path) ? [] : matchingLines(source, /^export default\b/)),
    example: { path: 'broker/server.ts', text: 'export default function main() {}' },
  },
];

/** Words of a private language that this code once spoke; Kubernetes, gRPC and client-go have plain ones for all of them. */
const retiredWords: ReadonlySet<string> = new Set(
  (
    'told tell tells retell shop sighting sightings census fight fights doomed spared crowd leaver leavers meddler ' +
    'mishap doings obey anew shorts mint minted awareness'
  ).split(' '),
);

/** Returns the names of a source, and its file's, that hold a retired word: `tellDrift` does, `intelligent` does not. */
function retiredNames(source: Source): string[] {
  const isRetired = (name: string) =>
    name
      .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
      .toLowerCase()
      .split(/[^a-z]+/)
      .some((word) => retiredWords.has(word));
  return [...new Set([...parse(source).names, source.path])].filter(isRetired);
}

export const wordRules: readonly Rule[] = [
  {
    name: 'names are words of the field',
    reason: 'a newcomer knows what is emitted, desired or cached; nobody knows what is told, doomed or sighted',
    find: retiredNames,
    example: { path: 'agent/sync/drift.ts', text: 'export function tellDrift(sightings: string[]): void {}' },
  },
];

export const testRules: readonly Rule[] = [
  {
    name: 'every suite is run, once',
    reason:
      'uvu exits with 0 when .run() is forgotten; made and run at the top level, so that it also ends where needs() skips its tests',
    find: ({ path, text }) => {
      if (!path.endsWith('.test.ts') || path === 'test/runner/run.test.ts') return [];
      const suites = findSuites(text);
      const calls = [...text.matchAll(/\bsuite(<[^>]*>)?\(/g)].length;
      const unnamed =
        calls === suites.length ? [] : [`${calls} suites are made, ${suites.length} by "const name = suite("`];
      const wrong = suites
        .filter(({ runs }) => runs !== 1)
        .map(({ name, runs }) => `${name} is run ${runs} times at the top level`);
      return suites.length === 0 ? ['makes no suite'] : [...unnamed, ...wrong];
    },
    example: { path: 'broker/a.test.ts', text: "const a = suite('a');\na('does', () => {});" },
  },
  {
    name: 'no test is skipped or run alone',
    reason: 'a test that does not run is green; what a machine lacks is said by needs()',
    find: (source) =>
      source.path.endsWith('.test.ts') && source.path !== 'test/runner/run.test.ts'
        ? matchingLines(source, /^\s*\w+\.(only|skip)\(/)
        : [],
    example: { path: 'broker/a.test.ts', text: "a.only('does', () => {});" },
  },
  {
    name: 'no resource is opened in before',
    reason: 'uvu exits with 0 when a before hook throws: open by top-level await, close in after',
    find: (source) =>
      source.path.endsWith('.test.ts') && source.path !== 'test/runner/run.test.ts'
        ? matchingLines(source, /^\s*\w+\.before\(/)
        : [],
    example: { path: 'broker/a.test.ts', text: 'a.before(async () => {});' },
  },
  {
    name: 'tests use real parts',
    reason: 'a mocked database or cluster proves the mock',
    find: (source) =>
      isTest(source.path) ? forbiddenImports(source, /mock|sinon|nock|testdouble|proxyquire|^node:test$/i, true) : [],
    example: { path: 'broker/a.test.ts', text: "import { mock } from 'node:test';" },
  },
  {
    name: 'tests use one runner',
    reason: 'the guard reads what uvu says of suites',
    find: ({ path, text }) =>
      path.endsWith('.test.ts') && !/^import \{ suite \} from 'uvu';$/m.test(text)
        ? ['does not import suite from uvu']
        : [],
    example: { path: 'broker/a.test.ts', text: "import { test } from 'uvu';" },
  },
];

const knownFolders = [
  /^(\.ci|bench|client|contract|gen|proto|release)$/,
  /^proto\/(brokkr\/v1|brokkr|buf(\/validate)?|google(\/rpc)?|grpc(\/(health|reflection)(\/v1(alpha)?)?)?)$/,
  /^agent(\/(broker|cache|concurrency|diagnostic|health|inventory|kube|manifest|object|observability|reconcile|sync|sync\/(losses|ownership|stages)|target|telemetry))?$/,
  /^broker(\/(access|agent|audit|deployment|diagnostic|event|fleet|generator|health|jobs|placement|problem|stack|target|telemetry|template|webhook|work))?$/,
  /^broker\/(rpc(\/(admission|grpc|http|interceptors|standard))?|store(\/migrations)?)$/,
  /^cli(\/(completion|deploy|format|install|manifest|options|output|session|stream))?$/,
  /^cli\/commands(\/(access|agent|settings|stack|status))?$/,
  /^sandbox(\/(apiserver|kube|postgres|start))?$/,
  /^sandbox\/cluster(\/(controllers|core|http|write))?$/,
  /^test(\/(agent|compatibility|layout|runner|stories|tools(\/kubectl-yaml)?))?$/,
  /^(console|docs|charts|examples)(\/.+)?$/,
];

/** Reports whether a folder belongs to the layout. */
export function isKnownFolder(path: string): boolean {
  return path === '' || knownFolders.some((known) => known.test(path));
}
