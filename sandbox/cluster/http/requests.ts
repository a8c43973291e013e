import { setTimeout as delay } from 'node:timers/promises';
import { StatusError } from '../core/status.ts';

const LOG_SIZE = 5_000;

export interface RequestRecord {
  readonly method: string;
  readonly path: string;
  /** Without the question mark. */
  readonly query: string;
  readonly userAgent: string;
  /** The impersonated user; empty when the client acts for itself. */
  readonly impersonated: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** 0 until answered, and for good when the connection was dropped. */
  status: number;
}

/**
 * A fault for matching requests: all given conditions must match, and a rule without conditions matches every request.
 */
export interface FaultRule {
  readonly method?: string;
  /** Part of the path with its query. */
  readonly pathIncludes?: string;
  /** Answers with this status code without processing the request. */
  readonly status?: number;
  readonly message?: string;
  /** Milliseconds to wait before anything else. */
  readonly delayMs?: number;
  /**
   * Closes the connection: `true` before the request is processed, `answer` after it, so that only the answer is lost.
   */
  readonly drop?: boolean | 'answer';
  /** Number of requests that the rule applies to; unlimited by default. */
  readonly times?: number;
}

export type RequestHandler = (request: RequestRecord) => void | Promise<void>;

export interface Requests {
  readonly records: RequestRecord[];
  clear(): void;
  addFault(rule: FaultRule): () => void;
  /** Registers a handler that is awaited before a request is processed, in the order of registration. */
  onRequest(handler: RequestHandler): () => void;
  /** Records the request, runs the rules and handlers, and returns whether to drop the connection, and when. */
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
        if (!matchesRule(rule, record)) continue;
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

function matchesRule({ method, pathIncludes }: FaultRule, record: RequestRecord): boolean {
  if (method && method.toUpperCase() !== record.method) return false;
  return !pathIncludes || `${record.path}?${record.query}`.includes(pathIncludes);
}
