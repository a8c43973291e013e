import type { StackView } from '../inventory/object-owners.ts';
import type { Header } from '../inventory/shards.ts';
import type { Seen } from '../target/admission.ts';
import type { Entry } from '../target/target-state.ts';

/** Everything that the agent remembers of one stack between passes. */
export interface Stack {
  readonly stackId: string;
  /** What the broker asks for now; undefined while it does not list the stack. */
  entry?: Entry | undefined;
  /** The broker's entry while the cluster holds something newer, which stays as it is; `entry` is undefined then. */
  ahead?: Entry | undefined;
  /** The last entry that was accepted, by this process or the one before. */
  seen?: Seen | undefined;
  /** Header of the inventory that was found at the start. */
  readonly header: Header | undefined;
  /** Name and generator, as of the last entry. */
  label?: Pick<StackView, 'stack' | 'generator'>;
  /** An earlier process removed the stack, and its inventory may still be there to say so. */
  mayHaveRemnant: boolean;
  /** Whether this process has begun a pass over it. */
  isTouched: boolean;
  progress: Progress;
  phase: Phase;
  reported: Reported;
}

/** How far the stack's present deployment has come. */
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
  /** Passes have failed since then, in milliseconds since 1970; the queue's backoff delays the next one. */
  | { readonly kind: 'backoff'; readonly since: number }
  /** Waits for other objects to become healthy, and has checked them so often. */
  | { readonly kind: 'waiting'; readonly checks: number }
  /** Is as desired. */
  | { readonly kind: 'synced' }
  /** Another process has begun something newer: nothing is done until the broker lists as much here. */
  | { readonly kind: 'superseded'; readonly by: Header };

/** What was reported last, so that nothing is reported twice. */
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

/** Returns the newest that is known of a stack, whichever process accepted it. */
export function latestSeen(stack: Stack): Seen | undefined {
  const phase = restingPhase(stack);
  return phase.kind === 'superseded' ? phase.by : stack.seen;
}

/** Tells whether the broker asks for the stack and the last pass did not leave it as desired. */
export function isUnsettled(stack: Stack): boolean {
  return stack.entry !== undefined && restingPhase(stack).kind !== 'synced';
}
