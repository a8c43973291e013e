import type { Chart } from './write.ts';

/** Values that a chart can be installed with, by what they are about: together they set every value that there is. */
export type ChartOptions = Readonly<Record<string, object>>;

/** What has to be said in any case. */
const required: Readonly<Record<Chart, object>> = {
  broker: { database: { existingSecret: 'database' } },
  agent: { broker: { url: 'https://broker.example.org' }, enrollment: { token: 'brokkr_enA_B' } },
};

const peers = [{ namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'monitoring' } } }];
const receivers = { ports: [{ port: 443, protocol: 'TCP' }], to: [{ ipBlock: { cidr: '203.0.113.0/24' } }] };
const monitor = { enabled: true, interval: '15s', labels: { release: 'prometheus' } };
const arm64Term = { matchExpressions: [{ key: 'kubernetes.io/arch', operator: 'In', values: ['arm64'] }] };
const gateway = [{ name: 'gateway', namespace: 'gateways', sectionName: 'https' }];

/** What both charts have. */
const shared: ChartOptions = {
  'an image of its own': {
    image: { repository: 'registry.example.org/brokkr', tag: 'edge', pullPolicy: 'Always' },
    imagePullSecrets: [{ name: 'registry' }],
  },
  'a pinned image': { image: { digest: `sha256:${'a'.repeat(64)}` } },
  'other names and numbers': { fullnameOverride: 'other', replicas: 3, logLevel: 'debug', listenHost: '[::]' },
  'where pods run': {
    nodeSelector: { 'kubernetes.io/os': 'linux' },
    tolerations: [{ key: 'dedicated', operator: 'Exists', effect: 'NoSchedule' }],
    affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [arm64Term] } } },
    topologySpreadConstraints: [
      {
        maxSkew: 2,
        topologyKey: 'rack',
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { a: 'b' } },
      },
    ],
    priorityClassName: 'system-cluster-critical',
  },
  'how pods run': {
    resources: { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '2', memory: '2Gi' } },
    podSecurityContext: { runAsUser: 1000 },
    securityContext: { seccompProfile: { type: 'RuntimeDefault' } },
    terminationGracePeriodSeconds: 60,
    podAnnotations: { note: 'one' },
    podLabels: { team: 'platform' },
    extraEnv: [{ name: 'NODE_OPTIONS', value: '--trace-warnings' }],
    extraVolumes: [{ name: 'more', configMap: { name: 'more' } }],
    extraVolumeMounts: [{ name: 'more', mountPath: '/etc/more', readOnly: true }],
  },
  'a ServiceAccount of somebody else': { serviceAccount: { create: false, name: 'other' } },
  'a ServiceAccount with annotations': { serviceAccount: { create: true, annotations: { note: 'one' } } },
  'a budget in per cent': { podDisruptionBudget: { enabled: true, maxUnavailable: '25%' } },
  'no budget': { podDisruptionBudget: { enabled: false } },
  'the Prometheus operator': { metrics: { serviceMonitor: monitor, podMonitor: monitor } },
};

const chartSpecific: Readonly<Record<Chart, ChartOptions>> = {
  broker: {
    'other settings': {
      database: { key: 'dsn', schema: 'other' },
      workers: 2,
      corsOrigins: ['https://a.example.org', 'https://b.example.org'],
      trustedProxies: 1,
      ports: { rpc: 3001, metrics: 9091 },
    },
    'encryption at rest': { encryption: { existingSecret: 'keys', key: 'current' } },
    'TLS and mTLS by Secrets': {
      tls: { existingSecret: 'broker-tls', clientCa: { existingSecret: 'clients', key: 'authority.pem' } },
    },
    'TLS by cert-manager': {
      tls: {
        certManager: {
          enabled: true,
          issuerRef: { name: 'internal', kind: 'ClusterIssuer', group: 'cert-manager.io' },
          dnsNames: ['broker.example.org'],
          duration: '720h',
          renewBefore: '240h',
        },
      },
    },
    'a load balancer': { service: { type: 'LoadBalancer', port: 443, annotations: { note: 'one' } } },
    'an Ingress': {
      ingress: {
        enabled: true,
        className: 'nginx',
        annotations: { 'nginx.ingress.kubernetes.io/backend-protocol': 'GRPC' },
        hosts: ['broker.example.org'],
        tlsSecret: 'broker-example-org',
      },
    },
    'the Gateway API': {
      httpRoute: { enabled: true, parentRefs: gateway, hostnames: ['console.example.org'], annotations: { a: 'b' } },
      grpcRoute: { enabled: true, parentRefs: gateway, hostnames: ['broker.example.org'], annotations: { a: 'b' } },
    },
    'a NetworkPolicy for everybody': { networkPolicy: { enabled: true } },
    'a NetworkPolicy for some': {
      networkPolicy: {
        enabled: true,
        rpcFrom: peers,
        metricsFrom: peers,
        dnsTo: peers,
        databaseTo: [{ ipBlock: { cidr: '10.1.2.3/32' } }],
        databasePorts: [5432, 6432],
        extraEgress: [receivers],
      },
    },
    'alerts and dashboards': {
      metrics: {
        rules: { enabled: true, labels: { release: 'prometheus' }, runbooks: 'https://docs.example.org/' },
        dashboards: { enabled: true, labels: { grafana_dashboard: '1' } },
      },
    },
    autoscaling: { autoscaling: { enabled: true, minReplicas: 3, maxReplicas: 9, targetCPU: 60 } },
  },
  agent: {
    'other settings': {
      generators: ['shop', 'system'],
      pullInterval: '5m',
      maxDeletions: 10,
      ports: { metrics: 8081 },
      cache: { sizeLimit: '64Mi', medium: 'Memory' },
    },
    'a token in a Secret': { enrollment: { token: '', existingSecret: 'token', key: 'once' } },
    'a key in a Secret': { pak: { existingSecret: 'agent-key', key: 'current' } },
    'a pinned broker': { broker: { ca: { fingerprint: 'ab'.repeat(32) } } },
    'a broker without TLS': { broker: { url: 'http://broker:3000', allowCleartext: true } },
    'a private authority in a ConfigMap': { broker: { ca: { existingConfigMap: 'authority', key: 'ca.pem' } } },
    'a private authority in a Secret': { broker: { ca: { existingSecret: 'authority' } } },
    'a certificate of its own': { broker: { clientCertificate: { existingSecret: 'agent-tls' } } },
    'one namespace': { watchNamespace: 'team' },
    'other rights': {
      rbac: {
        rules: [{ apiGroups: [''], resources: ['configmaps'], verbs: ['*'] }],
        clusterRules: [],
        clusterRoles: ['view'],
        diagnostics: false,
        impersonate: [{ namespace: 'team', name: 'deployer' }],
      },
    },
    'no rights': { rbac: { create: false } },
    'a NetworkPolicy for everybody': { networkPolicy: { enabled: true } },
    'a NetworkPolicy for some': {
      networkPolicy: {
        enabled: true,
        metricsFrom: peers,
        dnsTo: peers,
        brokerTo: peers,
        brokerPorts: [3000],
        kubernetesTo: [{ ipBlock: { cidr: '10.96.0.1/32' } }],
        kubernetesPorts: [6443],
        extraEgress: [receivers],
      },
    },
  },
};

/** Every option of a chart, without what is required in any case. */
export function optionsOf(chart: Chart): ChartOptions {
  return { defaults: {}, ...shared, ...chartSpecific[chart] };
}

/** The values of an installation with an option. */
export function installation(chart: Chart, values: object): object {
  return mergeValues(required[chart], values);
}

function mergeValues(first: object, second: object): object {
  const isMap = (value: unknown): value is object =>
    typeof value === 'object' && value !== null && !Array.isArray(value);
  const both = Object.entries(second).map(([key, value]) => {
    const before = (first as Record<string, unknown>)[key];
    return [key, isMap(before) && isMap(value) ? mergeValues(before, value) : value];
  });
  return { ...first, ...Object.fromEntries(both) };
}
