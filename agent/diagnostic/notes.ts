import { errorMessage } from '../kube/api-error.ts';

/** Collects what a diagnosis could not read or had to leave out; everything else that was collected still counts. */
export interface Notes {
  /** The notes so far, each once. */
  readonly texts: readonly string[];
  add(text: string): void;
  /** Does some work. When that fails, adds a note about its subject and resolves to undefined. */
  attempt<Result>(subject: string, work: () => Promise<Result>): Promise<Result | undefined>;
}

/** Creates an empty collection; once the signal aborts, `attempt` does no more work. */
export function createNotes(signal: AbortSignal): Notes {
  const texts: string[] = [];
  const add = (text: string) => {
    if (!texts.includes(text)) texts.push(text);
  };
  return {
    texts,
    add,
    async attempt(subject, work) {
      try {
        signal.throwIfAborted();
        return await work();
      } catch (error) {
        add(signal.aborted ? `${subject}: not looked at in time` : `${subject}: ${errorMessage(error)}`);
        return undefined;
      }
    },
  };
}
