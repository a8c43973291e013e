import { Migration1Foundation } from './migration-1.ts';
import { Migration2Audit } from './migration-2.ts';
import { Migration3Operators } from './migration-3.ts';
import { Migration4Telemetry } from './migration-4.ts';
import { Migration5Enrollment } from './migration-5.ts';
import { Migration6Traces } from './migration-6.ts';
import { Migration7Limits } from './migration-7.ts';
import { Migration8HeldKeys } from './migration-8.ts';
import { Migration9Sealed } from './migration-9.ts';
import { Migration10Namespace } from './migration-10.ts';
import { Migration11Indexes } from './migration-11.ts';
import { Migration12ForceReplace } from './migration-12.ts';
import { Migration13WriterTransaction } from './migration-13.ts';

/** All migrations, in the order in which they run. A released one is never changed. */
export const migrations = [
  { name: '1-foundation', class: Migration1Foundation },
  { name: '2-audit', class: Migration2Audit },
  { name: '3-operators', class: Migration3Operators },
  { name: '4-telemetry', class: Migration4Telemetry },
  { name: '5-enrollment', class: Migration5Enrollment },
  { name: '6-traces', class: Migration6Traces },
  { name: '7-limits', class: Migration7Limits },
  { name: '8-held-keys', class: Migration8HeldKeys },
  { name: '9-sealed', class: Migration9Sealed },
  { name: '10-namespace', class: Migration10Namespace },
  { name: '11-indexes', class: Migration11Indexes },
  { name: '12-force-replace', class: Migration12ForceReplace },
  { name: '13-writer-transaction', class: Migration13WriterTransaction },
] as const;
