import type { Pass, PassResult, SyncContext } from './context.ts';

/** The part of a pass's state that every stage gets. */
export interface PassState {
  readonly context: SyncContext;
  readonly pass: Pass;
  /** Runs what stages have deferred when the pass ends, whether it returns or throws. */
  readonly cleanup: DisposableStack;
}

/** A stage either ends the pass with a result, or hands what it made to the stages after it. */
export type StageResult<Made> = { readonly stop: PassResult } | { readonly next: Made };

type Awaitable<Value> = Value | Promise<Value>;

/** A list of named stages under construction; `State` is what the stages so far have made. */
export interface Stages<State> {
  /** Appends a stage, which may read everything that earlier stages made. */
  add<Made extends object>(name: string, stage: (state: State) => Awaitable<StageResult<Made>>): Stages<State & Made>;
  /** Appends the last stage, which always ends the pass. */
  end(name: string, stage: (state: State) => Awaitable<PassResult>): RunStages;
}

/** Runs the stages in order until one ends the pass. Rejects with what a stage throws. */
export type RunStages = (context: SyncContext, pass: Pass) => Promise<PassResult>;

interface NamedStage {
  readonly name: string;
  readonly run: (state: PassState) => Awaitable<StageResult<object>>;
}

/** Starts an empty list of stages. */
export function stages(): Stages<PassState> {
  return after([]);
}

function after<State extends PassState>(earlier: readonly NamedStage[]): Stages<State> {
  // `add` has checked that the stages before a stage make what it needs, which a plain list cannot express.
  const named = (name: string, run: unknown) => [...earlier, { name, run } as NamedStage];
  return {
    add: (name, stage) => after(named(name, stage)),
    end: (name, stage) => {
      const stop = async (state: State) => ({ stop: await stage(state) });
      return runnerOf(named(name, stop));
    },
  };
}

function runnerOf(list: readonly NamedStage[]): RunStages {
  return async (context, pass) => {
    using cleanup = new DisposableStack();
    let state: PassState = { context, pass, cleanup };
    for (const { name, run } of list) {
      pass.enterStage(name);
      const result = await run(state);
      if ('stop' in result) return result.stop;
      state = { ...state, ...result.next };
    }
    throw new Error('the last stage of a pass did not end it');
  };
}
