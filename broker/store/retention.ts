import type { Database } from './database.ts';

/** Deletes changes that every broker has read long ago. Returns how many. */
export async function deleteOldChanges(db: Database): Promise<number> {
  return (await db.sql(`delete from change where at < now() - interval '1 hour' returning 1`)).length;
}

/** Deletes answers remembered under a request_id for longer than the 24 h in which a call may be repeated. Returns how many. */
export async function deleteOldRequests(db: Database): Promise<number> {
  return (await db.sql(`delete from request where created_at < now() - interval '24 hours' returning 1`)).length;
}
