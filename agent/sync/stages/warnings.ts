import { andMore, displayName } from '../../object/kube-object.ts';
import type { Change } from '../../target/stack-event.ts';

/** Adds the API server's warnings about an object to the message of its change. */
export function addWarnings(changes: readonly Change[]): Change[] {
  return changes.map((change) => {
    const texts = (change.warnings ?? []).map((warning) => `warning: ${warning}`);
    return texts.length === 0
      ? change
      : { ...change, message: [change.message, ...texts].filter((text) => text !== '').join('; ') };
  });
}

/** Returns one sentence for the API server's warnings, which quotes the first of them; empty without any. */
export function describeWarnings(changes: readonly Change[]): string {
  const warnings = changes.flatMap(({ object, warnings = [] }) => warnings.map((text) => ({ object, text })));
  const [first] = warnings;
  if (!first) return '';
  return `warning: ${displayName(first.object)}: ${first.text}${andMore(warnings)}`;
}
