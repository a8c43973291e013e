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
import type { Output } from '../../output/output.ts';
import { printJson } from '../../output/view.ts';
import type { Session } from '../../session/session.ts';
import { type ConnectionSettings, parseServer } from '../../session/settings.ts';
import { type VerbDefinitions, withSession } from '../command.ts';

const defaultTtlMs = 60 * 60_000;
const defaultImage = `brokkr:${manifest.version}`;

export const verbs: VerbDefinitions = {
  install: (command) =>
    command
      .command('agent')
      .description('print a command that registers a cluster; it contains a single-use token')
      .argument('<name>', 'name of the new agent')
      .option('--description <text>', 'free text')
      .option('--label <label>', 'stacks with one of its labels are placed on it; repeatable', collect)
      .option('--annotation <key=value>', 'annotation of the agent; repeatable', collect)
      .option('--generator <name>', 'register it with this generator; repeatable', collect)
      .option('--ttl <duration>', 'how long the token is valid (default: 1h)', parseDuration)
      .option('--namespace <name>', 'namespace of the agent', 'brokkr')
      .option('--image <image>', 'image of the agent; there is no public one', defaultImage)
      .option('--broker-url <url>', 'address of the broker for the agent (default: the server in use)')
      .option('--broker-ca <file>', 'CA certificates (PEM) that the agent trusts for the broker (default: --ca-file)')
      .option(
        '--ca-fingerprint <sha256>',
        "fingerprint of the broker's certificate or of a CA (default: those of --broker-ca)",
      )
      .option(
        '--cluster-role <name>',
        'additional ClusterRole of the agent, such as cluster-admin; repeatable',
        collect,
      )
      .addHelpText(
        'after',
        '\n-o yaml and -o json print only the objects. To wait until the agent is ready: brokkr agent status NAME --wait',
      )
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

async function install({ admin, output, settings }: Session, name: string, options: InstallOptions): Promise<void> {
  // Invalid options must fail before a token is created.
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
    throw new Failure('the connection broke before the token arrived', {
      hint: 'run the command again: it replaces the lost token',
    });
  const tokenName = info?.shortToken ?? '';
  printManifest(
    output,
    buildAgentManifest({ ...broker, namespace, image, token: pak, tokenName, clusterRoles: clusterRole }),
  );
  output.note(
    `Agent ${name} can enroll once, until ${timestampText(info?.expireTime)}; to prevent it: brokkr revoke ${tokenName}`,
  );
  if (image === defaultImage)
    output.note(`warning: ${image} is not published: build it, and set --image to where clusters can pull it`);
  if (isLoopback(broker.brokerUrl))
    output.note(`warning: pods cannot reach ${broker.brokerUrl}: set --broker-url to an address that they can reach`);
  output.note(`To wait until the agent is ready: brokkr agent status ${name} --wait`);
}

function brokerConnection(options: InstallOptions, settings: ConnectionSettings) {
  const brokerUrl = parseServer(options.brokerUrl ?? settings.server);
  const allowCleartext = isCleartext(brokerUrl);
  if (allowCleartext && !settings.insecureCleartext)
    throw usageError(
      `${brokerUrl} is not encrypted: others could read the agent's key`,
      'use an https address for --broker-url, or add --insecure-cleartext',
    );
  const isHttps = brokerUrl.startsWith('https:');
  // The CA of this command applies to another broker address only if --broker-ca names it.
  const file = options.brokerCa ?? (brokerUrl === settings.server ? settings.caFile : undefined);
  const ca = isHttps && file !== undefined ? readFileSync(file, 'utf8') : undefined;
  if (options.caFingerprint !== undefined && !isHttps) throw usageError('--ca-fingerprint requires an https address');
  return { brokerUrl, allowCleartext, ca, caFingerprints: fingerprintsFor(options.caFingerprint, ca, file) };
}

/** Returns the fingerprints to pin: those of the option, else those of the CA; none if the image's CAs are trusted. */
function fingerprintsFor(option: string | undefined, ca: string | undefined, file: string | undefined): string[] {
  try {
    if (option !== undefined) return parseFingerprints(option);
    return ca === undefined ? [] : fingerprintsOf(ca);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw usageError(option === undefined ? `${file} cannot be used: ${reason}` : reason);
  }
}

function printManifest(output: Output, objects: readonly ManifestObject[]): void {
  const text = objects.map((object) => kubernetesYaml(object)).join('---\n');
  if (output.format === 'json')
    printJson(output, JSON.parse(JSON.stringify({ apiVersion: 'v1', kind: 'List', items: objects })));
  else if (output.format === 'yaml') output.line(text.trimEnd());
  else if (output.format === 'name')
    for (const { kind, metadata } of objects) output.line(`${kind.toLowerCase()}/${metadata.name}`);
  else output.line(`kubectl apply -f - <<'EOF'\n${text}EOF`);
}
