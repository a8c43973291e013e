import type { StackView } from '../inventory/object-owners.ts';
import type { Header } from '../inventory/shards.ts';
import type { Seen } from '../target/admission.ts';
import type { Entry } from '../target/target-state.ts';

/** Everything that the agent remembers of one stack between passes. */
export interface Stack {
  readonly stackId: string;
  /** The broker's present entry; undefined while it does not list the stack. */
  entry?: Entry | undefined;
  /** The broker's entry while the cluster holds something newer, which stays as it is; `entry` is undefined then. */
  ahead?: Entry | undefined;
  /** The last entry that was accepted, by this process or the one before. */
  seen?: Seen | undefined;
  /** Header of the inventory that was found at the start. */
  readonly header: Header | undefined;
  /** Name and generator, as of the last entry. */
  label?: Pick<StackView, 'stack' | 'generator'>;
  /** True while the inventory of a stack may be left that an earlier process removed. */
  mayHaveRemnant: boolean;
  /** True once this process has begun a pass over the stack. */
  isTouched: boolean;
  progress: Progress;
  phase: Phase;
  reported: Reported;
}

/** Progress of the stack's present deployment. */
export type Progress =
  | { readonly kind: 'new' }
  /** An earlier process began it. */
  | { readonly kind: 'begun' }
  /** This process applied it in full, as of this entry. */
  | { readonly kind: 'applied'; readonly entry: Entry };

export type Phase = RestingPhase | { readonly kind: 'running'; readonly before: RestingPhase };

/** The phase of a stack between two passes. */
export type RestingPhase =
  /** No pass has ended since its entry changed. */
  | { readonly kind: 'pending' }
  /** Passes have failed `since` a time in milliseconds since 1970; the queue's backoff delays the next one. */
  | { readonly kind: 'backoff'; readonly since: number }
  /** Waits for other objects to become healthy; `checks` counts the passes since it last changed something. */
  | { readonly kind: 'waiting'; readonly checks: number }
  /** Is as desired. */
  | { readonly kind: 'synced' }
  /** Another process has begun something newer: nothing is done until the broker lists as much here. */
  | { readonly kind: 'superseded'; readonly by: Header };

/** The last reports about a stack, so that nothing is reported twice. */
export interface Reported {
  /** Signature of the last event; undefined when the next one is to be reported in any case. */
  event?: string | undefined;
  /** Signature of the last event about drift that is left as it is. */
  drift?: string | undefined;
  readonly message: string;
}

/** Returns the record of a stack, with what an inventory from the start says. */
export function createStack(stackId: string, header?: Header): Stack {
  return {
    stackId,
    header,
    seen: header,
    mayHaveRemnant: header?.removed ?? false,
    isTouched: false,
    progress: header?.removed === false ? { kind: 'begun' } : { kind: 'new' },
    phase: { kind: 'pending' },
    reported: { message: '' },
  };
}

/** Returns the phase that the last completed pass left, also while another one runs. */
export function restingPhase({ phase }: Pick<Stack, 'phase'>): RestingPhase {
  return phase.kind === 'running' ? phase.before : phase;
}

/** Makes a stack pending; one that is running stays so, and is pending once its pass is given up. */
export function resetPhase(stack: Stack): void {
  const pending = { kind: 'pending' } as const;
  stack.phase = stack.phase.kind === 'running' ? { kind: 'running', before: pending } : pending;
}

/** Returns the newest entry that any process has accepted. */
export function latestSeen(stack: Stack): Seen | undefined {
  const phase = restingPhase(stack);
  return phase.kind === 'superseded' ? phase.by : stack.seen;
}

/** Returns whether the broker asks for the stack and the last pass did not leave it as desired. */
export function isUnsettled(stack: Stack): boolean {
  return stack.entry !== undefined && restingPhase(stack).kind !== 'synced';
}
