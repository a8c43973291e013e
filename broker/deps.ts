import type { Logger } from 'pino';
import type { Keys } from './access/keys.ts';
import type { Database } from './store/database.ts';
import type { Feed } from './store/feed.ts';

/** What every noun's methods are made from. */
export interface Deps {
  readonly db: Database;
  readonly feed: Feed;
  readonly log: Logger;
  readonly keys: Keys;
  readonly now: () => Date;
}
