import type { GeneratorLimits } from '../../contract/generator-limits.ts';
import { type IssuedPak, issuePak } from '../access/issue.ts';
import { checkName } from '../resource.ts';
import type { Tx } from '../store/orm.ts';
import type { GeneratorRow, Policy, Quota } from './rules.ts';
import { generatorById, insertGenerator, writeLimits, writeQuota } from './store.ts';

export interface NewGenerator {
  readonly name: string;
  readonly description: string;
  readonly registration: Policy;
  readonly limits: GeneratorLimits;
  readonly quota: Quota;
}

/** Creates a generator and its key. ALREADY_EXISTS when the name is taken. */
export async function createGenerator(
  tx: Tx,
  { limits, quota, ...generator }: NewGenerator,
): Promise<Pick<IssuedPak, 'pak'> & { readonly row: GeneratorRow }> {
  checkName(generator.name);
  const generatorId = await insertGenerator(tx, generator);
  const { pak } = await issuePak(tx, { role: 'ge', generatorId });
  await writeLimits(tx, generatorId, limits);
  await writeQuota(tx, generatorId, quota);
  return { pak, row: await generatorById(tx, generatorId) };
}
