/** A column as the layout of a table sees it; widths are in characters. */
export interface ColumnWidth {
  /** Width at which no text is shortened or wrapped. */
  readonly natural: number;
  /** Width of the title. */
  readonly title: number;
  readonly prose: boolean;
  /** Place in the order in which columns are shortened, then left out; undefined for those that stay whole. */
  readonly drop: number | undefined;
}

/** The width of each column; undefined for those that are left out. */
export type ColumnWidths = readonly (number | undefined)[];

/** Width below which sentences are hard to read. */
const minProse = 28;
/** Width to which a column is shortened before it is left out. */
const minShortened = 12;

/**
 * Chooses the widths of columns with a gap between them, so that they fit `available` characters if they can: first columns with a
 * place in `drop` are shortened, then they are left out. What remains goes to the sentences, then to what was shortened.
 */
export function fitWidths(columns: readonly ColumnWidth[], available: number, gap: number): ColumnWidths {
  const widths: (number | undefined)[] = columns.map(({ natural, prose }) =>
    prose ? Math.min(natural, minProse) : natural,
  );
  const excess = () => {
    const shown = widths.filter((width) => width !== undefined);
    return shown.reduce((sum, width) => sum + width, gap * (shown.length - 1)) - available;
  };
  const byDrop = [...columns.entries()]
    .filter(([, { drop }]) => drop !== undefined)
    .sort(([, a], [, b]) => (a.drop ?? 0) - (b.drop ?? 0));
  for (const [index, { natural, title }] of byDrop) {
    const shortest = Math.min(natural, Math.max(title, minShortened));
    if (excess() > 0) widths[index] = Math.max(shortest, natural - excess());
  }
  for (const [index] of byDrop) if (excess() > 0) widths[index] = undefined;
  const widen = (index: number, natural: number) => {
    const width = widths[index];
    if (width !== undefined && excess() < 0) widths[index] = Math.min(natural, width - excess());
  };
  for (const [index, { natural, prose }] of columns.entries()) if (prose) widen(index, natural);
  for (const [index, { natural }] of byDrop.toReversed()) widen(index, natural);
  return widths;
}
