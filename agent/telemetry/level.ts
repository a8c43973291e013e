/** Levels of telemetry: none, Kubernetes events only, or events and the logs of pods that ask for it. */
export const telemetryLevels = ['off', 'events', 'all'] as const;
export type TelemetryLevel = (typeof telemetryLevels)[number];
