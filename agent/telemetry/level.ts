/** Telemetry that the broker gets: none, the Kubernetes events of stacks, or these and the logs of annotated pods. */
export const telemetryLevels = ['off', 'events', 'all'] as const;
export type TelemetryLevel = (typeof telemetryLevels)[number];
