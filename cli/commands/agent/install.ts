import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isCleartext, isLoopback } from '../../../client/client.ts';
import { fingerprintsOf, parseFingerprints } from '../../../client/pin.ts';
import { toDuration } from '../../../contract/duration.ts';
import manifest from '../../../package.json' with { type: 'json' };
import { timestampText } from '../../format/enum-labels.ts';
import { buildAgentManifest, type ManifestObject } from '../../install/agent-manifest.ts';
import { kubernetesYaml } from '../../manifest/yaml.ts';
import { collect } from '../../options/collect.ts';
import { parseDuration } from '../../options/duration.ts';
import { parseAnnotations } from '../../options/edits.ts';
import { Failure, usageError } from '../../output/failure.ts';
import { type Output, printJson } from '../../output/output.ts';
import type { Session } from '../../session/session.ts';
import { type ConnectionSettings, parseServer } from '../../session/settings.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const defaultTtlMs = 60 * 60_000;
const defaultImage = `brokkr:${manifest.version}`;

export const verbs: VerbDefinitions = {
  install: (command) =>
    command
      .command('agent')
      .description('prints one command that registers a cluster; it holds a token that is good once')
      .argument('<name>', 'of the agent that there will be')
      .option('--description <text>', 'for people')
      .option('--label <label>', 'stacks with any of its labels come to it; may be repeated', collect)
      .option('--annotation <key=value>', 'may be repeated', collect)
      .option('--generator <name>', 'register it with this generator; may be repeated', collect)
      .option('--ttl <duration>', 'how long the token is good for (default: 1h)', parseDuration)
      .option('--namespace <name>', 'where it runs', 'brokkr')
      .option('--image <image>', 'what it runs; nobody publishes one', defaultImage)
      .option('--broker-url <url>', 'where it finds the broker (default: the server in use)')
      .option(
        '--broker-ca <file>',
        "authorities (PEM) that the broker's certificate may come from (default: --ca-file)",
      )
      .option('--ca-fingerprint <sha256>', "of the broker's certificate or an authority; default: those of --broker-ca")
      .option(
        '--cluster-role <name>',
        'another ClusterRole that it has, such as cluster-admin; may be repeated',
        collect,
      )
      .addHelpText('after', '\n-o yaml and -o json print the objects alone. Then: brokkr agent status NAME --wait')
      .action(withSession(install)),
};

interface InstallOptions {
  readonly description?: string;
  readonly label?: string[];
  readonly annotation?: string[];
  readonly generator?: string[];
  /** Milliseconds. */
  readonly ttl?: number;
  readonly namespace: string;
  readonly image: string;
  readonly brokerUrl?: string;
  readonly brokerCa?: string;
  readonly caFingerprint?: string;
  readonly clusterRole?: string[];
}

async function install({ admin, out, settings }: Session, name: string, options: InstallOptions): Promise<void> {
  // Before the token is made: what is wrong must not use it up.
  const broker = brokerConnection(options, settings);
  const { ttl = defaultTtlMs, description, label, generator, annotation, namespace, image, clusterRole = [] } = options;
  const { pak, info } = await admin.createEnrollment({
    requestId: randomUUID(),
    name,
    description,
    labels: label,
    annotations: parseAnnotations(annotation),
    generators: generator,
    ttl: toDuration(ttl),
  });
  if (pak === '')
    throw new Failure('the token was lost with the connection', { hint: 'run it again: the lost one ends' });
  const tokenName = info?.shortToken ?? '';
  printManifest(
    out,
    buildAgentManifest({ ...broker, namespace, image, token: pak, tokenName, clusterRoles: clusterRole }),
  );
  out.note(
    `Agent ${name} may enroll once, until ${timestampText(info?.expireTime)}; brokkr revoke ${tokenName} takes that back.`,
  );
  if (image === defaultImage)
    out.note(`warning: ${image} is published nowhere: build it, and say with --image where clusters find it`);
  if (isLoopback(broker.brokerUrl))
    out.note(`warning: pods do not reach ${broker.brokerUrl}: say with --broker-url where they find the broker`);
  out.note(`When it runs: brokkr agent status ${name} --wait`);
}

function brokerConnection(options: InstallOptions, settings: ConnectionSettings) {
  const brokerUrl = parseServer(options.brokerUrl ?? settings.server);
  const allowCleartext = isCleartext(brokerUrl);
  if (allowCleartext && !settings.insecureCleartext)
    throw usageError(
      `${brokerUrl} is not encrypted: the agent's key could be read on the way`,
      'name an https address with --broker-url, or say --insecure-cleartext',
    );
  const isHttps = brokerUrl.startsWith('https:');
  // The authority that this command trusts is the other broker address's only if somebody says so.
  const file = options.brokerCa ?? (brokerUrl === settings.server ? settings.caFile : undefined);
  const ca = isHttps && file !== undefined ? readFileSync(file, 'utf8') : undefined;
  if (options.caFingerprint !== undefined && !isHttps) throw usageError('--ca-fingerprint is for https');
  return { brokerUrl, allowCleartext, ca, caFingerprints: fingerprintsFor(options.caFingerprint, ca, file) };
}

/** Those that are named, else those of the authorities that are to be trusted; none where the image's own are. */
function fingerprintsFor(named: string | undefined, ca: string | undefined, file: string | undefined): string[] {
  try {
    if (named !== undefined) return parseFingerprints(named);
    return ca === undefined ? [] : fingerprintsOf(ca);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw usageError(named === undefined ? `${file} cannot be used: ${reason}` : reason);
  }
}

function printManifest(out: Output, objects: readonly ManifestObject[]): void {
  const text = objects.map((object) => kubernetesYaml(object)).join('---\n');
  if (out.format === 'json')
    printJson(out, JSON.parse(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })));
  else if (out.format === 'yaml') out.line(text.trimEnd());
  else if (out.format === 'name')
    for (const { kind, metadata } of objects) out.line(`${kind.toLowerCase()}/${metadata.name}`);
  else out.line(`kubectl apply -f - <<'EOF'\n${text}EOF`);
}
