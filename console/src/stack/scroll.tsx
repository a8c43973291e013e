import { useVirtualizer } from '@tanstack/react-virtual';
import { useLayoutEffect, useRef } from 'react';
import { Icon } from '../components/icon.tsx';
import type { Entry } from './entries.ts';

interface ScrollProps {
  readonly entries: readonly Entry[];
  /** Stays at the end as more comes. */
  readonly follows: boolean;
  /** Asked for by scrolling away from the end, and back to it. */
  readonly onFollow: (follows: boolean) => void;
}

const lineHeight = 21;
const ahead = 20;
/** Nearer than that is the end. */
const endPx = 4;
/** A wheel or a finger goes on for a while. */
const handMs = 1_000;

/** Entries in an area of their own: only those in sight are there. */
export function Scroll({ entries, follows, onFollow }: ScrollProps) {
  const area = useRef<HTMLDivElement>(null);
  const handledAt = useRef(Number.NEGATIVE_INFINITY);
  const virtual = useVirtualizer({
    count: entries.length,
    getScrollElement: () => area.current,
    estimateSize: () => lineHeight,
    overscan: ahead,
    getItemKey: (index) => (entries[index] as Entry).key,
  });
  const height = virtual.getTotalSize();
  // biome-ignore lint/correctness/useExhaustiveDependencies: the end moves with what is there and how high it is
  useLayoutEffect(() => {
    if (follows && area.current) area.current.scrollTop = area.current.scrollHeight;
  }, [entries, height, follows]);
  // It also scrolls when it grows: only what somebody's hand did says what they want.
  const touch = () => {
    handledAt.current = performance.now();
  };
  const scrolled = () => {
    if (!area.current || performance.now() - handledAt.current > handMs) return;
    const { scrollHeight, scrollTop, clientHeight } = area.current;
    const isAtEnd = scrollHeight - scrollTop - clientHeight <= endPx;
    if (isAtEnd !== follows) onFollow(isAtEnd);
  };
  return (
    <div
      ref={area}
      className="log"
      role="log"
      aria-live="off"
      aria-label="Lines and events"
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
      tabIndex={0}
      onWheel={touch}
      onTouchMove={touch}
      onPointerDown={touch}
      onPointerMove={(event) => event.buttons > 0 && touch()}
      onKeyDown={touch}
      onScroll={scrolled}
    >
      <div className="log-all" style={{ height }}>
        {virtual.getVirtualItems().map(({ index, key, start }) => (
          <div
            key={key}
            ref={virtual.measureElement}
            data-index={index}
            className="log-entry"
            style={{ transform: `translateY(${start}px)` }}
          >
            <Row entry={entries[index] as Entry} />
          </div>
        ))}
      </div>
    </div>
  );
}

const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 3,
});

function Row({ entry: { kind, agent, source, time, text, warning } }: { entry: Entry }) {
  return (
    <p className={warning ? 'warning' : undefined}>
      {time && (
        <time dateTime={time.toISOString()} title={time.toLocaleString()}>
          {clock.format(time)}{' '}
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
