import { clusterRules, namespaceRules } from './agent-rbac.ts';

/** Options for the objects that run an agent. */
export interface AgentManifestOptions {
  readonly namespace: string;
  readonly image: string;
  readonly brokerUrl: string;
  /** Allows the agent to send its key over plain http. */
  readonly allowCleartext: boolean;
  /** CA certificates (PEM) that the agent trusts for the broker; undefined for those of the image. */
  readonly ca: string | undefined;
  /** SHA-256 fingerprints; the broker's certificate chain must contain one of them. */
  readonly caFingerprints: readonly string[];
  /** Secret enrollment token. */
  readonly token: string;
  /** Public part of the token. */
  readonly tokenName: string;
  /** Additional ClusterRoles of the agent. */
  readonly clusterRoles: readonly string[];
}

/** A Kubernetes object of the installation. */
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

/** Builds the objects that register a cluster, in the order of creation. One of them contains the enrollment token. */
export function buildAgentManifest(options: AgentManifestOptions): ManifestObject[] {
  const { namespace } = options;
  // Cluster-scoped names contain the namespace, because another namespace may have an agent too.
  const clusterName = `${namespace}-${name}`;
  const namespacedMetadata = (objectName: string) => ({ name: objectName, namespace, labels });
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
    ...options.clusterRoles.map((role) => binding(`${clusterName}-${role.replaceAll(':', '-')}`, 'ClusterRole', role)),
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: namespacedMetadata(tokenSecret),
      type: 'Opaque',
      stringData: { token: options.token },
    },
    // Created empty: the agent stores its key there and may not write other Secrets.
    { apiVersion: 'v1', kind: 'Secret', metadata: namespacedMetadata(pakSecret), type: 'Opaque' },
    ...(options.ca === undefined
      ? []
      : [
          {
            apiVersion: 'v1',
            kind: 'ConfigMap',
            metadata: namespacedMetadata(caConfigMap),
            data: { 'ca.crt': options.ca },
          },
        ]),
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: namespacedMetadata(name), spec: deploymentSpec(options) },
  ];
}

function deploymentSpec(options: AgentManifestOptions): object {
  const selector = { 'app.kubernetes.io/name': name };
  const hasCa = options.ca !== undefined;
  return {
    replicas: 1,
    selector: { matchLabels: selector },
    template: {
      // A changed annotation restarts the pods, which read the token only at their start.
      metadata: { labels, annotations: { 'k8s.brokkr.io/enrollment': options.tokenName } },
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
            image: options.image,
            args: ['--max-semi-space-size=2', 'brokkr-agent.js'],
            env: agentEnvironment(options),
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

function agentEnvironment(options: AgentManifestOptions): object[] {
  const token = { secretKeyRef: { name: tokenSecret, key: 'token', optional: true } };
  const values: Readonly<Record<string, string | false>> = {
    BROKKR_BROKER_URL: options.brokerUrl,
    BROKKR_ALLOW_CLEARTEXT: options.allowCleartext && 'true',
    BROKKR_TLS_CA: options.ca !== undefined && caFile,
    BROKKR_CA_FINGERPRINT: options.caFingerprints.length > 0 && options.caFingerprints.join(','),
    BROKKR_PAK_SECRET: pakSecret,
    BROKKR_NAMESPACE: options.namespace,
    // Needed even with one replica, because a rolling update briefly runs two.
    BROKKR_LEADER_ELECTION: 'true',
    BROKKR_STATE_DIR: `${cacheFolder}/manifests`,
  };
  return [
    ...Object.entries(values).flatMap(([variable, value]) => (value === false ? [] : [{ name: variable, value }])),
    { name: 'BROKKR_ENROLLMENT_TOKEN', valueFrom: token },
  ];
}
