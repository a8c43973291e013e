import type { Database } from '../store/database.ts';
import type { StackRow, Term } from './rules.ts';
import { isStackVisible, type StackFilter } from './store.ts';

type Detail = 'label' | 'annotation' | 'term' | 'target' | 'dependency';

/** A stack without what other tables hold. Times are in milliseconds, which cost less to read than timestamps. */
type PageRow = Omit<StackRow, 'labels' | 'annotations' | 'terms' | 'targets' | 'dependsOn' | `${string}At`> & {
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  readonly deletedAtMs: number | null;
};

const epochMs = (column: string) => `floor(extract(epoch from s.${column}) * 1000)::float8`;

const pageColumns = `s.id, s.generator_id as "generatorId", g.name as generator, s.name, s.on_delete as "onDelete",
  s.has_selector as "hasSelector", s.match_all as "matchAll", s.current_deployment as "currentDeployment",
  (select d.revision from deployment d where d.id = s.current_deployment) as revision, s.drift, s.conflict,
  case when s.ignored_fields <> '[]' then s.ignored_fields end as "ignoredFields", s.force_replace as "forceReplace", s.version, ${epochMs('created_at')} as "createdAtMs",
  ${epochMs('updated_at')} as "updatedAtMs", ${epochMs('deleted_at')} as "deletedAtMs"`;

/** Lists stacks in order of (generator, name, id), at most `limit`. */
export async function listStacks(db: Database, filter: StackFilter): Promise<StackRow[]> {
  const { name, text } = pageStatement(filter);
  const { owner, generator, label, after, limit } = filter;
  const params = [limit, owner, generator, label, ...(after ?? [null, null, null])];
  const rows = await db.read<PageRow>(name, text, params);
  const details = await readDetails(db, rows);
  return rows.map(({ createdAtMs, updatedAtMs, deletedAtMs, ignoredFields, ...row }) => ({
    ...row,
    ignoredFields: ignoredFields ?? [],
    createdAt: new Date(createdAtMs),
    updatedAt: new Date(updatedAtMs),
    deletedAt: deletedAtMs === null ? null : new Date(deletedAtMs),
    ...(details.get(row.id) ?? noDetails),
  }));
}

/**
 * Makes the statement that reads a page. It holds only the conditions that the filter has, so that its plan fits each of them. Of each
 * generator it reads no more stacks than the page can hold, in the order of their names, and it stops when the page is full.
 */
function pageStatement(filter: StackFilter): { name: string; text: string } {
  const ofGenerators = [
    'true',
    ...(filter.owner === null ? [] : ['g.id = $2']),
    ...(filter.generator === '' ? [] : ['g.name = $3']),
    ...(filter.after ? ['g.name >= $5'] : []),
  ];
  const ofStacks = [
    's.generator_id = g.id',
    ...(filter.label === '' ? [] : ['exists (select from stack_label l where l.stack_id = s.id and l.label = $4)']),
    ...(filter.after ? ['(g.name, s.name, s.id) > ($5, $6, $7::uuid)'] : []),
    filter.showDeleted ? isStackVisible : 's.deleted_at is null',
  ];
  // The unused parameters get a type.
  const types = 'select $2::uuid, $3::text, $4::text, $5::text, $6::text, $7::uuid';
  return {
    name: `stacks-${[filter.owner !== null, filter.generator !== '', filter.label !== '', filter.after !== undefined, filter.showDeleted].map(Number).join('')}`,
    text: `
      with types as (${types})
      select ${pageColumns}
      from (select * from generator g where ${ofGenerators.join(' and ')} order by g.name) g
      cross join lateral (
        select * from stack s where ${ofStacks.join(' and ')} order by s.name, s.id limit $1) s
      order by g.name, s.name, s.id limit $1`,
  };
}

interface DetailRow {
  readonly stackId: string;
  readonly kind: Detail;
  readonly key: string;
  readonly value: string | null;
  readonly term: Term | null;
}

// Read by stack ids, so that stacks without details cost nothing.
const detailsSql = `
  select * from (
    select stack_id as "stackId", 'label' as kind, label as key, null as value, null::jsonb as term, 0 as position
    from stack_label where stack_id = any($1)
    union all select stack_id, 'annotation', key, value, null, 0 from stack_annotation where stack_id = any($1)
    union all select stack_id, 'term', '', null, jsonb_build_object('key', key, 'operator', op, 'values', vals), position
      from stack_selector_term where stack_id = any($1)
    union all select t.stack_id, 'target', a.name, null, null, 0
      from target t join agent a on a.id = t.agent_id where t.stack_id = any($1)
    union all select sd.stack_id, 'dependency', n.name, null, null, 0
      from stack_dependency sd join stack n on n.id = sd.depends_on_id where sd.stack_id = any($1)) details
  order by position, key`;

interface Details {
  readonly labels: string[];
  readonly annotations: Record<string, string>;
  readonly terms: Term[];
  readonly targets: string[];
  readonly dependsOn: string[];
}

const makeDetails = (): Details => ({ labels: [], annotations: {}, terms: [], targets: [], dependsOn: [] });
const noDetails = makeDetails();

async function readDetails(db: Database, stacks: readonly { readonly id: string }[]): Promise<Map<string, Details>> {
  const rows = await db.read<DetailRow>('details-of-stacks', detailsSql, [stacks.map(({ id }) => id)]);
  const detailsById = new Map<string, Details>();
  for (const row of rows) {
    const details = detailsById.get(row.stackId) ?? makeDetails();
    detailsById.set(row.stackId, details);
    addDetail(details, row);
  }
  return detailsById;
}

function addDetail(details: Details, { kind, key, value, term }: DetailRow): void {
  switch (kind) {
    case 'label':
      details.labels.push(key);
      return;
    case 'annotation':
      details.annotations[key] = value ?? '';
      return;
    case 'term':
      if (term) details.terms.push(term);
      return;
    case 'target':
      details.targets.push(key);
      return;
    case 'dependency':
      details.dependsOn.push(key);
      return;
  }
}
