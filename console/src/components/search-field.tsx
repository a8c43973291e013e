import { useEffect, useRef } from 'react';
import { Icon } from './icon.tsx';

/** A search field. The key "/" focuses it unless a text field has the focus. */
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
    const focusOnSlash = (event: KeyboardEvent) => {
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
    document.addEventListener('keydown', focusOnSlash);
    return () => document.removeEventListener('keydown', focusOnSlash);
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
