import { objectText } from '../../contract/object-key.ts';
import type {
  ContainerReport,
  Diagnostic,
  DiagnosticReport,
  KubernetesEvent,
  ObjectReport,
  PodReport,
} from '../../gen/brokkr/v1/diagnostic_pb.ts';
import { type Column, type Output, renderTable, sanitize, sanitizeLine } from '../output/output.ts';
import { printSection } from './describe.ts';
import { ageText, timestampText } from './enum-labels.ts';
import { healthText, healthTone } from './health.ts';

/** Prints what an agent found, for people; with `yaml`, the live objects too. */
export function printDiagnostic(out: Output, diagnostic: Diagnostic, { yaml }: { readonly yaml: boolean }): void {
  const { stack, agent, completeTime } = diagnostic;
  const report = diagnostic.report!;
  out.line(sanitize(`stack ${stack} on agent ${agent}, ${timestampText(completeTime)}`));
  printSection(out, 'Objects', report.objects.flatMap((object) => objectLines(out, object)).join('\n'));
  printSection(out, 'Pods', report.pods.flatMap((pod) => podLines(out, pod)).join('\n'));
  printSection(out, 'Kubernetes events', eventTable(out, report));
  printSection(out, 'Notes', report.notes.map(sanitize).join('\n'));
  if (!yaml) return;
  for (const { object, yaml: text } of report.objects)
    if (text !== '') printSection(out, sanitize(objectText(object)), textLines(text).join('\n'));
}

function objectLines(out: Output, report: ObjectReport): string[] {
  const { object, message, rollout, yaml } = report;
  const health = out.paint(healthTone(report), healthText(report));
  const said = [health, sanitize(message)].filter((text) => text !== '');
  // What is there has a text, whatever is known of its health.
  const state = said.join(': ') || (yaml === '' ? out.paint('bad', 'is not there') : 'is there');
  return [`${sanitize(objectText(object))}  ${state}`, ...rollout.map((line) => `  revision ${sanitize(line)}`)];
}

function podLines(out: Output, pod: PodReport): string[] {
  const { namespace, name, phase, node, message, containers } = pod;
  const where = node === '' ? '' : ` on ${node}`;
  const about = [`${phase}${where}`, message].filter((text) => text !== '').join(': ');
  return [
    `${out.paint('strong', sanitize(`${namespace}/${name}`))}  ${sanitize(about)}`,
    ...containers.flatMap((container) => containerLines(out, container)),
  ];
}

function containerLines(out: Output, { name, state, restarts, ready, logLines }: ContainerReport): string[] {
  const again = restarts === 0 ? '' : `, ${restarts} ${restarts === 1 ? 'restart' : 'restarts'}`;
  const line = `  ${sanitize(name)}  ${sanitize(state)}${again}`;
  return [
    ready ? line : out.paint('warn', line),
    ...logLines.flatMap(textLines).map((text) => `    ${out.paint('dim', '|')} ${text}`),
  ];
}

function eventTable(out: Output, { events }: DiagnosticReport): string {
  return events.length === 0 ? '' : renderTable(out, eventColumns, events);
}

const eventColumns: readonly Column<KubernetesEvent>[] = [
  { title: 'AGE', text: ({ lastTime }) => ageText(lastTime) },
  { title: 'TYPE', text: ({ type }) => type, tone: ({ type }) => (type === 'Warning' ? 'warn' : undefined) },
  { title: 'REASON', text: ({ reason }) => reason },
  { title: 'OBJECT', text: ({ object }) => objectText(object) },
  { title: 'COUNT', text: ({ count }) => (count > 1 ? String(count) : '') },
  { title: 'MESSAGE', text: ({ message }) => message },
];

/** A text of a cluster's in lines that a terminal only shows. */
function textLines(text: string): string[] {
  return text.trimEnd().split('\n').map(sanitizeLine);
}
