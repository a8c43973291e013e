import { useEffect, useRef } from 'react';
import { Icon } from './icon.tsx';

/** A field to search with; "/" goes there from anywhere that takes no text. */
export function SearchField({
  label,
  value,
  onChange,
}: {
  label: string;
  value: string;
  onChange: (value: string) => void;
}) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const come = (event: KeyboardEvent) => {
      const { target } = event;
      if (
        event.key !== '/' ||
        event.ctrlKey ||
        event.metaKey ||
        (target instanceof Element && target.matches('input, textarea, select'))
      )
        return;
      event.preventDefault();
      field.current?.focus();
    };
    document.addEventListener('keydown', come);
    return () => document.removeEventListener('keydown', come);
  }, []);
  return (
    <span className="search">
      <Icon name="search" />
      <input
        ref={field}
        type="search"
        aria-label={label}
        aria-keyshortcuts="/"
        placeholder="Search"
        value={value}
        onChange={(event) => onChange(event.target.value)}
      />
      <span className="keycap" aria-hidden="true">
        /
      </span>
    </span>
  );
}
