import { useWindowVirtualizer } from '@tanstack/react-virtual';
import { type KeyboardEvent, type ReactNode, useLayoutEffect, useRef, useState } from 'react';

export interface Column<R> {
  readonly head: string;
  readonly cell: (row: R) => ReactNode;
  /** A share of the width, such as "2fr", or a fixed one; default 1fr. */
  readonly width?: string;
  /** Not on a small screen. */
  readonly wide?: boolean;
}

interface TableProps<R> {
  /** For those who listen. */
  readonly label: string;
  readonly columns: readonly Column<R>[];
  readonly rows: readonly R[];
  readonly keyOf: (row: R) => string;
  /** A row that is a heading of those after it, over all columns. */
  readonly heading?: (row: R) => ReactNode | undefined;
}

const rowHeight = 41;
const ahead = 12;

/**
 * A table of any length: only the rows in sight are there. The arrow keys, Home, End and the page keys go from row to row, by each
 * row's first link or button.
 */
export function Table<R>({ label, columns, rows, keyOf, heading }: TableProps<R>) {
  const body = useRef<HTMLDivElement>(null);
  const [top, setTop] = useState(0);
  // The page above may have grown.
  useLayoutEffect(() => {
    const now = body.current ? body.current.getBoundingClientRect().top + window.scrollY : 0;
    if (Math.abs(now - top) > 1) setTop(now);
  });
  const virtual = useWindowVirtualizer({
    count: rows.length,
    estimateSize: () => rowHeight,
    overscan: ahead,
    scrollMargin: top,
    getItemKey: (index) => keyOf(rows[index] as R),
  });
  const template = columns.map(({ width = '1fr' }) => (width.endsWith('fr') ? `minmax(0, ${width})` : width)).join(' ');
  const focusRow = (index: number) => {
    const target = Math.min(Math.max(index, 0), rows.length - 1);
    virtual.scrollToIndex(target);
    // It may only be there after the next drawing.
    const focus = () => body.current?.querySelector<HTMLElement>(`[data-index="${target}"] :is(a, button)`)?.focus();
    requestAnimationFrame(() => requestAnimationFrame(focus));
  };
  const move = (event: KeyboardEvent) => {
    const { target } = event;
    const at = target instanceof Element ? target.closest('[data-index]')?.getAttribute('data-index') : undefined;
    if (at == null || (target as Element).matches('input, select, textarea')) return;
    const index = Number(at);
    const page = Math.max(1, Math.floor(window.innerHeight / rowHeight) - 4);
    const next = {
      ArrowDown: index + 1,
      ArrowUp: index - 1,
      PageDown: index + page,
      PageUp: index - page,
      Home: 0,
      End: rows.length - 1,
    };
    const to = next[event.key as keyof typeof next];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    focusRow(to);
  };
  return (
    <div className="table" role="table" aria-label={label} aria-rowcount={rows.length + 1} onKeyDown={move}>
      <div className="thead" role="rowgroup">
        <div className="row" role="row" aria-rowindex={1} style={{ gridTemplateColumns: template }}>
          {columns.map(({ head, wide }) => (
            <div key={head} role="columnheader" className={wide ? 'wide-only' : undefined}>
              {head}
            </div>
          ))}
        </div>
      </div>
      <div className="tbody" role="rowgroup" ref={body} style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map(({ index, key, start }) => {
          const row = rows[index] as R;
          const title = heading?.(row);
          return (
            <div
              key={key}
              ref={virtual.measureElement}
              data-index={index}
              className={title === undefined ? 'row' : 'row heading'}
              role="row"
              aria-rowindex={index + 2}
              style={{ gridTemplateColumns: template, transform: `translateY(${start - top}px)` }}
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
