import type { Logger } from 'pino';
import type { Keys } from './access/keys.ts';
import type { Database } from './store/database.ts';
import type { Feed } from './store/feed.ts';

/** The dependencies that the methods of every noun share. */
export interface Deps {
  readonly db: Database;
  readonly feed: Feed;
  readonly log: Logger;
  readonly keys: Keys;
  readonly now: () => Date;
}
