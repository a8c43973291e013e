import { Code } from '@connectrpc/connect';

/** Subjects of the table's calls: names and ids of one tenant's resources, or of resources that do not exist. */
export interface Subjects {
  readonly stack: string;
  readonly agent: string;
  readonly generator: string;
  readonly deployment: string;
  /** Id of a diagnostic that no agent has claimed. */
  readonly diagnostic: string;
  /** Short token of the agent's key. */
  readonly pak: string;
  readonly checksum: Uint8Array;
  readonly generation: bigint;
}

export interface Row {
  /** Roles that may call: ad(min), ro (read-only), ge(nerator), ag(ent), en(rollment). */
  readonly who: string;
  /** Builds the request; `incarnation` is filled in for agents. */
  readonly request: (of: Subjects) => Record<string, unknown>;
  /** The request concerns no resource that has an owner. */
  readonly aboutNothing?: true;
  /** Field of a list that is filtered by the resource: it is empty, instead of NOT_FOUND. */
  readonly emptyList?: string;
  /** Status of the call about the caller's own resource, when that is not OK. */
  readonly own?: Code;
  /** Role that may access the resources of other tenants. */
  readonly openToRole?: string;
  /** The messages about another tenant's resource and a missing one may differ: this caller may know the names. */
  readonly wordsDiffer?: true;
}

const manifest = Buffer.from('{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"new"}}');
const everybody = 'ad ro ge ag';
const readers = 'ad ro ge';
const writers = 'ad ge';
const nothing = { request: () => ({}), aboutNothing: true } as const;

/** One row for each RPC: a method without a row fails the test. */
export const table: Readonly<Record<string, Row>> = {
  'BrokerService/WhoAmI': { who: everybody, ...nothing },
  'BrokerService/RotatePak': { who: everybody, ...nothing },
  'BrokerService/CreateStack': { who: writers, request: ({ generator }) => ({ name: 'new', generator }) },
  'BrokerService/GetStack': { who: readers, request: ({ stack }) => ({ stack }) },
  'BrokerService/ListStacks': { who: readers, request: ({ generator }) => ({ generator }), emptyList: 'stacks' },
  'BrokerService/UpdateStack': { who: writers, request: ({ stack }) => ({ stack, addLabels: ['new'] }) },
  'BrokerService/DeleteStack': { who: writers, request: ({ stack }) => ({ stack }) },
  'BrokerService/SubmitDeployment': { who: writers, request: ({ stack }) => ({ stack, manifest }) },
  'BrokerService/GetDeployment': { who: readers, request: ({ deployment }) => ({ id: deployment }) },
  'BrokerService/ListDeployments': { who: readers, request: ({ stack }) => ({ stack }) },
  'BrokerService/RollbackStack': { who: writers, request: ({ stack }) => ({ stack, revision: 1 }) },
  'BrokerService/AddTarget': { who: writers, request: ({ stack, agent }) => ({ stack, agent }) },
  'BrokerService/RemoveTarget': { who: writers, request: ({ stack, agent }) => ({ stack, agent }) },
  'BrokerService/ListAgents': { who: readers, ...nothing },
  'BrokerService/ListPlacements': { who: readers, request: ({ stack, agent }) => ({ stack, agent }) },
  'BrokerService/ExplainPlacement': { who: readers, request: ({ stack, agent }) => ({ stack, agent }) },
  'BrokerService/ListProblems': { who: readers, request: ({ stack }) => ({ stack }) },
  'BrokerService/WatchStack': { who: readers, request: ({ stack }) => ({ stack }) },
  'BrokerService/GetStackHealth': { who: readers, request: ({ stack, agent }) => ({ stack, agent }) },
  'BrokerService/RequestDiagnostic': { who: writers, request: ({ stack, agent }) => ({ stack, agent }) },
  'BrokerService/GetDiagnostic': { who: readers, request: ({ diagnostic }) => ({ id: diagnostic }) },
  'BrokerService/ListEvents': { who: readers, request: ({ stack, agent }) => ({ stack, agent }) },
  'BrokerService/ListKubernetesEvents': { who: readers, request: ({ stack, agent }) => ({ stack, agent }) },
  'BrokerService/ListPodLogs': { who: readers, request: ({ stack, agent }) => ({ stack, agent }) },
  'BrokerService/TailStack': { who: readers, request: ({ stack, agent }) => ({ stack, agent }) },

  'AgentService/Enroll': { who: 'en', request: () => ({ nonce: Buffer.alloc(32, 1) }), aboutNothing: true },
  'AgentService/StartAgent': { who: 'ag', request: () => ({ clusterId: 'cluster' }), aboutNothing: true },
  'AgentService/GetSelf': { who: 'ag', ...nothing },
  'AgentService/PullTargetState': { who: 'ag', ...nothing },
  'AgentService/GetManifests': { who: 'ag', request: ({ checksum }) => ({ checksums: [checksum] }) },
  'AgentService/ReportEvents': {
    who: 'ag',
    request: () => ({ events: [{ sequence: 1n, outcome: 7, message: 'lost' }] }),
    aboutNothing: true,
  },
  'AgentService/ReportHealth': {
    who: 'ag',
    request: () => ({ stacks: [{ stackId: '00000000-0000-0000-0000-000000000000', health: 1 }] }),
    aboutNothing: true,
  },
  'AgentService/ClaimDiagnostic': { who: 'ag', ...nothing },
  'AgentService/CompleteDiagnostic': {
    who: 'ag',
    request: ({ diagnostic }) => ({ id: diagnostic, message: 'failed' }),
    // No agent has claimed it.
    own: Code.FailedPrecondition,
  },
  'AgentService/Heartbeat': { who: 'ag', ...nothing },
  'AgentService/RegisterGenerator': { who: 'ag', request: ({ generator }) => ({ generator }), openToRole: 'ag' },
  'AgentService/DeregisterGenerator': { who: 'ag', request: ({ generator }) => ({ generator }), wordsDiffer: true },
  'AgentService/Session': { who: 'ag', ...nothing },

  'AdminService/CreateAgent': { who: 'ad', request: ({ generator }) => ({ name: 'new', generators: [generator] }) },
  'AdminService/CreateEnrollment': {
    who: 'ad',
    request: ({ generator }) => ({ name: 'invited', generators: [generator] }),
  },
  'AdminService/GetAgent': { who: 'ad ro', request: ({ agent }) => ({ agent }) },
  'AdminService/ListAgents': { who: 'ad ro', ...nothing },
  'AdminService/UpdateAgent': { who: 'ad', request: ({ agent }) => ({ agent, addLabels: ['new'] }) },
  'AdminService/PauseAgent': { who: 'ad', request: ({ agent }) => ({ agent }) },
  'AdminService/ResumeAgent': { who: 'ad', request: ({ agent }) => ({ agent }) },
  'AdminService/RebindAgent': { who: 'ad', request: ({ agent }) => ({ agent }) },
  'AdminService/DeleteAgent': { who: 'ad', request: ({ agent }) => ({ agent }) },
  'AdminService/RotateAgentPak': { who: 'ad', request: ({ agent }) => ({ agent }) },
  'AdminService/ConfirmRemoval': {
    who: 'ad',
    request: ({ agent, stack, generation }) => ({ agent, stack, generation }),
  },
  'AdminService/ForgetRemoval': {
    who: 'ad',
    request: ({ agent, stack, generation }) => ({ agent, stack, generation }),
    // The agent serves the stack: there is no removal.
    own: Code.FailedPrecondition,
  },
  'AdminService/CreateGenerator': { who: 'ad', request: () => ({ name: 'new' }), aboutNothing: true },
  'AdminService/GetGenerator': { who: 'ad ro', request: ({ generator }) => ({ generator }) },
  'AdminService/ListGenerators': { who: 'ad ro', ...nothing },
  'AdminService/UpdateGenerator': {
    who: 'ad',
    request: ({ generator }) => ({ generator, description: 'new', updateMask: { paths: ['description'] } }),
  },
  'AdminService/DeleteGenerator': { who: 'ad', request: ({ generator }) => ({ generator, cascade: true }) },
  'AdminService/RotateGeneratorPak': { who: 'ad', request: ({ generator }) => ({ generator }) },
  'AdminService/ListRegistrations': {
    who: 'ad ro',
    request: ({ agent, generator }) => ({ agent, generator }),
    emptyList: 'registrations',
  },
  'AdminService/AddRegistration': { who: 'ad', request: ({ agent, generator }) => ({ agent, generator }) },
  'AdminService/RemoveRegistration': { who: 'ad', request: ({ agent, generator }) => ({ agent, generator }) },
  'AdminService/CreateAdminPak': { who: 'ad', request: () => ({ name: 'new' }), aboutNothing: true },
  'AdminService/ListPaks': { who: 'ad ro', request: ({ agent }) => ({ owner: agent }), emptyList: 'paks' },
  'AdminService/ListAuditEntries': { who: 'ad ro', ...nothing },
  'AdminService/VerifyAudit': { who: 'ad ro', ...nothing },
  'AdminService/RevokePak': { who: 'ad', request: ({ pak }) => ({ pak }) },
  'AdminService/GetFleet': { who: 'ad ro', ...nothing },
  'AdminService/ListFleet': { who: 'ad ro', ...nothing },
  'AdminService/WatchFleet': { who: 'ad ro', ...nothing },
};
