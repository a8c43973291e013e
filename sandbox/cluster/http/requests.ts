import { setTimeout as delay } from 'node:timers/promises';
import { StatusError } from '../core/status.ts';

const LOG_SIZE = 5_000;

export interface RequestRecord {
  readonly method: string;
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  readonly userAgent: string;
  /** The user whom the client acts as; empty when it acts for itself. */
  readonly impersonated: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** 0 until answered; stays 0 when the connection was dropped. */
  status: number;
}

/** What a rule does to the requests it fits: all that are given must fit, and no condition fits every request. */
export interface FaultRule {
  readonly method?: string;
  /** Of the path with its query. */
  readonly pathIncludes?: string;
  /** Answers with this code instead of doing anything. */
  readonly status?: number;
  readonly message?: string;
  /** Waits before anything else. */
  readonly delayMs?: number;
  /** Ends the connection: `true` before anything is done, `answer` when it is done and only the answer is lost. */
  readonly drop?: boolean | 'answer';
  /** How many requests it applies to; all by default. */
  readonly times?: number;
}

export type RequestHandler = (request: RequestRecord) => void | Promise<void>;

export interface Requests {
  readonly records: RequestRecord[];
  clear(): void;
  addFault(rule: FaultRule): () => void;
  /** Awaited before a request is carried out, in the order they were added. */
  onRequest(handler: RequestHandler): () => void;
  /** Notes the request and does what rules and handlers ask; tells whether to drop the connection, and when. */
  admit(record: RequestRecord): Promise<FaultRule['drop']>;
}

export function createRequests(): Requests {
  let records: RequestRecord[] = [];
  const faults = new Map<FaultRule, number>();
  const handlers = new Set<RequestHandler>();
  return {
    get records() {
      return records;
    },
    clear: () => {
      records = [];
    },
    addFault: (rule) => {
      const own = { ...rule };
      faults.set(own, rule.times ?? Number.POSITIVE_INFINITY);
      return () => faults.delete(own);
    },
    onRequest: (handler) => {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    admit: async (record) => {
      records.push(record);
      if (records.length > LOG_SIZE * 2) records = records.slice(-LOG_SIZE);
      for (const handler of handlers) await handler(record);
      for (const [rule, left] of faults) {
        if (!fits(rule, record)) continue;
        if (left <= 1) faults.delete(rule);
        else faults.set(rule, left - 1);
        if (rule.delayMs) await delay(rule.delayMs, undefined, { ref: false });
        if (rule.status) throw new StatusError(rule.status, rule.message ?? `simulated failure ${rule.status}`);
        if (rule.drop) return rule.drop;
      }
      return false;
    },
  };
}

function fits({ method, pathIncludes }: FaultRule, record: RequestRecord): boolean {
  if (method && method.toUpperCase() !== record.method) return false;
  return !pathIncludes || `${record.path}?${record.query}`.includes(pathIncludes);
}
