import { useVirtualizer } from '@tanstack/react-virtual';
import { useLayoutEffect, useRef } from 'react';
import { Icon } from '../components/icon.tsx';
import type { LogEntry } from './log-entries.ts';

interface LogViewProps {
  readonly entries: readonly LogEntry[];
  /** Keeps the view scrolled to the end as entries arrive. */
  readonly follows: boolean;
  /** Called when the user scrolls away from the end, or back to it. */
  readonly onFollow: (follows: boolean) => void;
}

const lineHeight = 21;
const overscanRows = 20;
/** Distance from the end that still counts as the end. */
const endTolerancePx = 4;
/** Scrolling within this time after an input counts as the user's, because wheels and touch have momentum. */
const userScrollMs = 1_000;

/** A virtualized, scrollable list of entries: only the visible ones are in the DOM. */
export function LogView({ entries, follows, onFollow }: LogViewProps) {
  const area = useRef<HTMLDivElement>(null);
  const lastInputMs = useRef(Number.NEGATIVE_INFINITY);
  const virtualizer = useVirtualizer({
    count: entries.length,
    getScrollElement: () => area.current,
    estimateSize: () => lineHeight,
    overscan: overscanRows,
    getItemKey: (index) => (entries[index] as LogEntry).key,
  });
  const height = virtualizer.getTotalSize();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the end moves with the entries and their height
  useLayoutEffect(() => {
    if (follows && area.current) area.current.scrollTop = area.current.scrollHeight;
  }, [entries, height, follows]);
  // The list also scrolls when it grows; only scrolling by the user changes whether it follows.
  const noteInput = () => {
    lastInputMs.current = performance.now();
  };
  const handleScroll = () => {
    if (!area.current || performance.now() - lastInputMs.current > userScrollMs) return;
    const { scrollHeight, scrollTop, clientHeight } = area.current;
    const isAtEnd = scrollHeight - scrollTop - clientHeight <= endTolerancePx;
    if (isAtEnd !== follows) onFollow(isAtEnd);
  };
  return (
    <div
      ref={area}
      className="log"
      role="log"
      aria-live="off"
      aria-label="Lines and events"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: a scrollable region must be reachable by keyboard
      tabIndex={0}
      onWheel={noteInput}
      onTouchMove={noteInput}
      onPointerDown={noteInput}
      onPointerMove={(event) => event.buttons > 0 && noteInput()}
      onKeyDown={noteInput}
      onScroll={handleScroll}
    >
      <div className="log-all" style={{ height }}>
        {virtualizer.getVirtualItems().map(({ index, key, start }) => (
          <div
            key={key}
            ref={virtualizer.measureElement}
            data-index={index}
            className="log-entry"
            style={{ transform: `translateY(${start}px)` }}
          >
            <LogRow entry={entries[index] as LogEntry} />
          </div>
        ))}
      </div>
    </div>
  );
}

const timeFormat = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});

function LogRow({ entry: { kind, agent, source, time, text, warning } }: { entry: LogEntry }) {
  return (
    <p className={warning ? 'warning' : undefined}>
      {time && (
        <time dateTime={time.toISOString()} title={time.toLocaleString()}>
          {timeFormat.format(time)}{' '}
        </time>
      )}
      <span className="log-agent">{agent} </span>
      <span className="log-source">{source} </span>
      {kind !== 'line' && (
        <>
          <Icon name={warning ? 'warning' : 'info'} />
          <span className="log-kind"> {kind === 'gap' ? 'Gap' : warning ? 'Warning' : 'Event'} </span>
        </>
      )}
      {text}
    </p>
  );
}
