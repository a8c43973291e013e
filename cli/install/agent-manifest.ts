import { clusterRules, namespaceRules } from './agent-rbac.ts';

/** What the objects that run an agent are made from. */
export interface AgentManifestOptions {
  readonly namespace: string;
  readonly image: string;
  readonly brokerUrl: string;
  /** Lets the key cross a network over plain http. */
  readonly allowCleartext: boolean;
  /** PEM of the authorities that the broker's certificate may come from; undefined for those that the image trusts. */
  readonly ca: string | undefined;
  /** SHA-256 fingerprints, one of which the broker's chain has to have. */
  readonly caFingerprints: readonly string[];
  /** The enrollment's token. */
  readonly token: string;
  /** Its public part. */
  readonly tokenName: string;
  /** ClusterRoles that it has besides. */
  readonly clusterRoles: readonly string[];
}

export interface ManifestObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: object };
  readonly [field: string]: unknown;
}

const name = 'brokkr-agent';
const pakSecret = 'brokkr-agent-key';
const tokenSecret = 'brokkr-agent-enrollment';
const caConfigMap = 'brokkr-agent-ca';
const caFile = '/etc/brokkr/ca/ca.crt';
const cacheFolder = '/var/cache/brokkr';
const rbac = 'rbac.authorization.k8s.io';
const labels = { 'app.kubernetes.io/name': name, 'app.kubernetes.io/managed-by': 'brokkr' };
const user = 65532;

/** The objects that register a cluster, in the order in which they have to be made. The token is in one of them. */
export function buildAgentManifest(about: AgentManifestOptions): ManifestObject[] {
  const { namespace } = about;
  // Names outside of namespaces: another namespace may have an agent too.
  const clusterName = `${namespace}-${name}`;
  const namespacedMetadata = (own: string) => ({ name: own, namespace, labels });
  const subjects = [{ kind: 'ServiceAccount', name, namespace }];
  const binding = (bound: string, kind: string, role: string, own?: string) => ({
    apiVersion: `${rbac}/v1`,
    kind: own === undefined ? 'ClusterRoleBinding' : 'RoleBinding',
    metadata: { name: bound, ...(own !== undefined && { namespace: own }), labels },
    roleRef: { apiGroup: rbac, kind, name: role },
    subjects,
  });
  return [
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } },
    { apiVersion: 'v1', kind: 'ServiceAccount', metadata: namespacedMetadata(name) },
    {
      apiVersion: `${rbac}/v1`,
      kind: 'Role',
      metadata: namespacedMetadata(name),
      rules: namespaceRules(namespace, pakSecret),
    },
    binding(name, 'Role', name, namespace),
    { apiVersion: `${rbac}/v1`, kind: 'ClusterRole', metadata: { name: clusterName, labels }, rules: clusterRules },
    binding(clusterName, 'ClusterRole', clusterName),
    ...about.clusterRoles.map((role) => binding(`${clusterName}-${role.replaceAll(':', '-')}`, 'ClusterRole', role)),
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: namespacedMetadata(tokenSecret),
      type: 'Opaque',
      stringData: { token: about.token },
    },
    // Empty: the agent keeps its key there, and may write no other Secret for itself.
    { apiVersion: 'v1', kind: 'Secret', metadata: namespacedMetadata(pakSecret), type: 'Opaque' },
    ...(about.ca === undefined
      ? []
      : [
          {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: namespacedMetadata(caConfigMap),
            data: { 'ca.crt': about.ca },
          },
        ]),
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: namespacedMetadata(name), spec: deploymentSpec(about) },
  ];
}

function deploymentSpec(about: AgentManifestOptions): object {
  const selector = { 'app.kubernetes.io/name': name };
  const hasCa = about.ca !== undefined;
  return {
    replicas: 1,
    selector: { matchLabels: selector },
    template: {
      // Pods see a new token only when they are made anew.
      metadata: { labels, annotations: { 'k8s.brokkr.io/enrollment': about.tokenName } },
      spec: {
        serviceAccountName: name,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: user,
          runAsGroup: user,
          fsGroup: user,
          seccompProfile: { type: 'RuntimeDefault' },
        },
        containers: [
          {
            name: 'agent',
            image: about.image,
            args: ['--max-semi-space-size=2', 'brokkr-agent.js'],
            env: agentEnvironment(about),
            ports: [{ name: 'metrics', containerPort: 8080 }],
            startupProbe: { httpGet: { path: '/healthz', port: 'metrics' }, periodSeconds: 2, failureThreshold: 30 },
            livenessProbe: { httpGet: { path: '/healthz', port: 'metrics' }, timeoutSeconds: 5, failureThreshold: 6 },
            readinessProbe: { httpGet: { path: '/readyz', port: 'metrics' }, periodSeconds: 5, timeoutSeconds: 5 },
            resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { memory: '512Mi' } },
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
            volumeMounts: [
              { name: 'cache', mountPath: cacheFolder },
              ...(hasCa ? [{ name: 'ca', mountPath: caFile.slice(0, caFile.lastIndexOf('/')), readOnly: true }] : []),
            ],
          },
        ],
        volumes: [
          { name: 'cache', emptyDir: { sizeLimit: '1Gi' } },
          ...(hasCa ? [{ name: 'ca', configMap: { name: caConfigMap } }] : []),
        ],
      },
    },
  };
}

function agentEnvironment(about: AgentManifestOptions): object[] {
  const token = { secretKeyRef: { name: tokenSecret, key: 'token', optional: true } };
  const values: Readonly<Record<string, string | false>> = {
    BROKKR_BROKER_URL: about.brokerUrl,
    BROKKR_ALLOW_CLEARTEXT: about.allowCleartext && 'true',
    BROKKR_TLS_CA: about.ca !== undefined && caFile,
    BROKKR_CA_FINGERPRINT: about.caFingerprints.length > 0 && about.caFingerprints.join(','),
    BROKKR_PAK_SECRET: pakSecret,
    BROKKR_NAMESPACE: about.namespace,
    // Also with one replica: for a moment there are two of them while it is replaced.
    BROKKR_LEADER_ELECTION: 'true',
    BROKKR_STATE_DIR: `${cacheFolder}/manifests`,
  };
  return [
    ...Object.entries(values).flatMap(([variable, value]) => (value === false ? [] : [{ name: variable, value }])),
    { name: 'BROKKR_ENROLLMENT_TOKEN', valueFrom: token },
  ];
}
