import type { DescMethod } from '@bufbuild/protobuf';
import { Code } from '@connectrpc/connect';
import { authFailures } from '../../broker/access/keys.ts';
import { agentStates } from '../../broker/fleet/rules.ts';
import { healths } from '../../broker/health/rules.ts';
import { jobs } from '../../broker/jobs/jobs.ts';
import { phases } from '../../broker/placement/rules.ts';
import { AdminService } from '../../gen/brokkr/v1/admin_pb.ts';
import { AgentService } from '../../gen/brokkr/v1/agent_pb.ts';
import { BrokerService } from '../../gen/brokkr/v1/broker_pb.ts';
import manifest from '../../package.json' with { type: 'json' };

/** Allowed values of each label. */
export type AllowedLabels = Readonly<Record<string, readonly string[] | RegExp>>;
export type KnownMetrics = Readonly<Record<string, readonly [type: string, labels: AllowedLabels]>>;

const methods = [BrokerService, AgentService, AdminService].flatMap(
  (service): readonly DescMethod[] => service.methods,
);
const ofMethod = {
  grpc_service: [BrokerService, AgentService, AdminService].map(({ typeName }) => typeName),
  grpc_method: methods.map(({ name }) => name),
};
const codes = ['OK', ...Object.values(Code).filter((code) => typeof code === 'string')];
const le = /^[0-9.]+$|^\+Inf$/;
const pools = ['entities', 'statements'];
const version = [manifest.version];

/**
 * Every metric with all allowed values of its labels, so that their number grows neither with the fleet nor with what
 * callers choose.
 */
export const ofBroker: KnownMetrics = {
  grpc_server_handled_total: ['counter', { ...ofMethod, grpc_code: codes }],
  grpc_server_handling_seconds: ['histogram', { ...ofMethod, le }],
  grpc_server_streams: ['gauge', ofMethod],
  brokkr_auth_failures_total: ['counter', { kind: authFailures }],
  brokkr_calls_waiting: ['gauge', { queue: ['calls', 'answers'] }],
  brokkr_build_info: ['gauge', { version }],
  brokkr_database_up: ['gauge', {}],
  brokkr_change_feed_healthy: ['gauge', {}],
  brokkr_change_feed_age_seconds: ['gauge', {}],
  brokkr_change_feed_losses_total: ['counter', {}],
  brokkr_submissions_waiting: ['gauge', {}],
  brokkr_manifests_waiting: ['gauge', {}],
  brokkr_config_last_reload_successful: ['gauge', {}],
  brokkr_config_last_reload_success_timestamp_seconds: ['gauge', {}],
  brokkr_tls_certificate_expiry_timestamp_seconds: ['gauge', {}],
  brokkr_job_changes_total: ['counter', { job: jobs.map(({ name }) => name) }],
  brokkr_database_connections: ['gauge', { pool: pools, state: ['idle', 'busy'] }],
  brokkr_database_connections_max: ['gauge', { pool: pools }],
  brokkr_database_waiting: ['gauge', { pool: pools }],
  brokkr_agents: ['gauge', { state: agentStates }],
  brokkr_placements: ['gauge', { phase: phases }],
  brokkr_placement_health: ['gauge', { health: healths }],
  brokkr_stacks: ['gauge', {}],
  brokkr_clusters_unreachable: ['gauge', {}],
  brokkr_oldest_pending_seconds: ['gauge', {}],
  brokkr_telemetry_items_total: ['counter', { result: ['kept', 'over_quota', 'not_served', 'refused'] }],
  brokkr_audit_unsealed: ['gauge', {}],
  brokkr_audit_unsealed_seconds: ['gauge', {}],
  brokkr_diagnostics_waiting: ['gauge', {}],
};

export const ofAgent: KnownMetrics = {
  brokkr_agent_build_info: ['gauge', { version }],
  brokkr_agent_pulls_total: ['counter', { result: ['unchanged', 'paused', 'index', 'failed'] }],
  brokkr_agent_events_total: ['counter', { receipt: ['accepted', 'duplicate', 'refused', 'dropped'] }],
  brokkr_agent_pass_seconds: ['histogram', { outcome: /^[a-z_]{1,20}$/, le }],
  brokkr_agent_kubernetes_request_seconds: ['histogram', { method: /^[A-Z]{3,6}$/, status: /^[0-9]{1,3}$/, le }],
  brokkr_agent_defects_total: ['counter', { method: /^[A-Z][A-Za-z]+$/ }],
  brokkr_agent_session_up: ['gauge', {}],
  brokkr_agent_stacks: ['gauge', { state: ['settled', 'unsettled'] }],
  brokkr_agent_events_pending: ['gauge', {}],
  brokkr_agent_broker_answer_timestamp_seconds: ['gauge', {}],
  brokkr_agent_apply_seconds: ['histogram', { le }],
  brokkr_agent_drifted_objects_total: ['counter', { outcome: ['repaired', 'drifted'] }],
  brokkr_agent_stack_health: ['gauge', { health: healths }],
  brokkr_agent_health_pending: ['gauge', {}],
  brokkr_agent_telemetry_pending: ['gauge', {}],
  brokkr_agent_telemetry_dropped_total: ['counter', {}],
  brokkr_agent_log_streams: ['gauge', {}],
  brokkr_agent_objects: ['gauge', {}],
  brokkr_agent_watches: ['gauge', { state: ['up', 'down'] }],
  brokkr_agent_peer_up: ['gauge', { peer: ['broker', 'cluster'] }],
  brokkr_agent_cluster_latency_seconds: ['gauge', {}],
  brokkr_agent_leads: ['gauge', {}],
};
