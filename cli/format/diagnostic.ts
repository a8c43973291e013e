import { objectText } from '../../contract/object-key.ts';
import type {
  ContainerReport,
  Diagnostic,
  DiagnosticReport,
  KubernetesEvent,
  ObjectReport,
  PodReport,
} from '../../gen/brokkr/v1/diagnostic_pb.ts';
import type { Output } from '../output/output.ts';
import { sanitize, sanitizeLine } from '../output/sanitize.ts';
import { type Column, renderTable } from '../output/table.ts';
import { printSection } from './describe.ts';
import { ageText, timestampText } from './enum-labels.ts';
import { healthText, healthTone } from './health.ts';

/** Prints the result of a diagnostic for people; with `yaml`, also the live objects. */
export function printDiagnostic(output: Output, diagnostic: Diagnostic, { yaml }: { readonly yaml: boolean }): void {
  const { stack, agent, completeTime } = diagnostic;
  const report = diagnostic.report!;
  output.line(sanitize(`stack ${stack} on agent ${agent}, ${timestampText(completeTime)}`));
  printSection(output, 'Objects', report.objects.flatMap((object) => objectLines(output, object)).join('\n'));
  printSection(output, 'Pods', report.pods.flatMap((pod) => podLines(output, pod)).join('\n'));
  printSection(output, 'Kubernetes events', eventTable(output, report));
  printSection(output, 'Notes', report.notes.map(sanitize).join('\n'));
  if (!yaml) return;
  for (const { object, yaml: text } of report.objects)
    if (text !== '') printSection(output, sanitize(objectText(object)), textLines(text).join('\n'));
}

function objectLines(output: Output, report: ObjectReport): string[] {
  const { object, message, rollout, yaml } = report;
  const health = output.paint(healthTone(report), healthText(report));
  const parts = [health, sanitize(message)].filter((text) => text !== '');
  // An existing object has YAML, even if its health is unknown.
  const state = parts.join(': ') || (yaml === '' ? output.paint('bad', 'does not exist') : 'exists');
  return [`${sanitize(objectText(object))}  ${state}`, ...rollout.map((line) => `  revision ${sanitize(line)}`)];
}

function podLines(output: Output, pod: PodReport): string[] {
  const { namespace, name, phase, node, message, containers } = pod;
  const nodeText = node === '' ? '' : ` on ${node}`;
  const summary = [`${phase}${nodeText}`, message].filter((text) => text !== '').join(': ');
  return [
    `${output.paint('strong', sanitize(`${namespace}/${name}`))}  ${sanitize(summary)}`,
    ...containers.flatMap((container) => containerLines(output, container)),
  ];
}

function containerLines(output: Output, { name, state, restarts, ready, logLines }: ContainerReport): string[] {
  const restartText = restarts === 0 ? '' : `, ${restarts} ${restarts === 1 ? 'restart' : 'restarts'}`;
  const line = `  ${sanitize(name)}  ${sanitize(state)}${restartText}`;
  return [
    ready ? line : output.paint('warn', line),
    ...logLines.flatMap(textLines).map((text) => `    ${output.paint('dim', '|')} ${text}`),
  ];
}

function eventTable(output: Output, { events }: DiagnosticReport): string {
  return events.length === 0 ? '' : renderTable(output, eventColumns, events);
}

const eventColumns: readonly Column<KubernetesEvent>[] = [
  { title: 'AGE', text: ({ lastTime }) => ageText(lastTime) },
  { title: 'TYPE', text: ({ type }) => type, tone: ({ type }) => (type === 'Warning' ? 'warn' : undefined), drop: 2 },
  { title: 'REASON', text: ({ reason }) => reason },
  { title: 'OBJECT', text: ({ object }) => objectText(object) },
  { title: 'COUNT', text: ({ count }) => (count > 1 ? String(count) : ''), drop: 1 },
  { title: 'MESSAGE', text: ({ message }) => message, prose: true },
];

/** Splits a text from a cluster into lines that are safe to print. */
function textLines(text: string): string[] {
  return text.trimEnd().split('\n').map(sanitizeLine);
}
