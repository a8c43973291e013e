import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, type ReactNode, useLayoutEffect, useRef, useState } from 'react';

export interface Column<R> {
  readonly head: string;
  readonly cell: (row: R) => ReactNode;
  /** CSS grid width: a share such as "2fr", or a fixed width; default 1fr. */
  readonly width?: string;
  /** Hidden on small screens. */
  readonly wide?: boolean;
}

interface TableProps<R> {
  /** Name for screen readers. */
  readonly label: string;
  readonly columns: readonly Column<R>[];
  readonly rows: readonly R[];
  readonly keyOf: (row: R) => string;
  /** Content of a row that spans all columns as the heading of the rows below it; undefined for ordinary rows. */
  readonly heading?: (row: R) => ReactNode | undefined;
}

const rowHeight = 41;
const overscanRows = 12;

/**
 * A virtualized table: only the visible rows are in the DOM. The arrow keys, Home, End, Page Up and Page Down move the focus between
 * the first link or button of each row.
 */
export function Table<R>({ label, columns, rows, keyOf, heading }: TableProps<R>) {
  const body = useRef<HTMLDivElement>(null);
  const [scrollMargin, setScrollMargin] = useState(0);
  // The content above may have changed its height.
  useLayoutEffect(() => {
    const measured = body.current ? body.current.getBoundingClientRect().top + window.scrollY : 0;
    if (Math.abs(measured - scrollMargin) > 1) setScrollMargin(measured);
  });
  const virtualizer = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => rowHeight,
    overscan: overscanRows,
    scrollMargin,
    getItemKey: (index) => keyOf(rows[index] as R),
  });
  const template = columns.map(({ width = '1fr' }) => (width.endsWith('fr') ? `minmax(0, ${width})` : width)).join(' ');
  const focusRow = (index: number) => {
    const target = Math.min(Math.max(index, 0), rows.length - 1);
    virtualizer.scrollToIndex(target);
    // The row may be rendered only in the next frame.
    const focus = () => body.current?.querySelector<HTMLElement>(`[data-index="${target}"] :is(a, button)`)?.focus();
    requestAnimationFrame(() => requestAnimationFrame(focus));
  };
  const handleKey = (event: KeyboardEvent) => {
    const { target } = event;
    const rowIndex = target instanceof Element ? target.closest('[data-index]')?.getAttribute('data-index') : undefined;
    if (rowIndex == null || (target as Element).matches('input, select, textarea')) return;
    const index = Number(rowIndex);
    const page = Math.max(1, Math.floor(window.innerHeight / rowHeight) - 4);
    const next = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      Home: 0,
      End: rows.length - 1,
    };
    const targetIndex = next[event.key as keyof typeof next];
    if (targetIndex === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    focusRow(targetIndex);
  };
  return (
    <div className="table" role="table" aria-label={label} aria-rowcount={rows.length + 1} onKeyDown={handleKey}>
      <div className="thead" role="rowgroup">
        <div className="row" role="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
          {columns.map(({ head, wide }) => (
            <div key={head} role="columnheader" className={wide ? 'wide-only' : undefined}>
              {head}
            </div>
          ))}
        </div>
      </div>
      <div className="tbody" role="rowgroup" ref={body} style={{ height: virtualizer.getTotalSize() }}>
        {virtualizer.getVirtualItems().map(({ index, key, start }) => {
          const row = rows[index] as R;
          const title = heading?.(row);
          return (
            <div
              key={key}
              ref={virtualizer.measureElement}
              data-index={index}
              className={title === undefined ? 'row' : 'row heading'}
              role="row"
              aria-rowindex={index + 2}
              style={{ gridTemplateColumns: template, transform: `translateY(${start - scrollMargin}px)` }}
            >
              {title !== undefined ? (
                <div role="cell" aria-colspan={columns.length}>
                  {title}
                </div>
              ) : (
                columns.map(({ head, cell, wide }) => (
                  <div key={head} role="cell" data-head={head} className={wide ? 'wide-only' : undefined}>
                    {cell(row)}
                  </div>
                ))
              )}
            </div>
          );
        })}
      </div>
    </div>
  );
}
