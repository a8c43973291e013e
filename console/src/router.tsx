import { type AnchorHTMLAttributes, type MouseEvent, useSyncExternalStore } from 'react';

/** The decoded segments of the path, and the query. */
export interface Location {
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
}

const listeners = new Set<() => void>();
const notifyListeners = () => {
  for (const listener of listeners) listener();
};
window.addEventListener('popstate', notifyListeners);

/** Navigates to a view. With `replace`, the current history entry is replaced. */
export function navigate(href: string, { replace = false } = {}): void {
  history[replace ? 'replaceState' : 'pushState'](null, '', href);
  if (!replace) window.scrollTo(0, 0);
  notifyListeners();
}

/** Returns the current location and renders the component again when it changes. */
export function useLocation(): Location {
  const href = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => location.pathname + location.search,
  );
  const url = new URL(href, location.origin);
  return { segments: url.pathname.split('/').filter(Boolean).map(decode), query: url.searchParams };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** Sets query parameters, or removes those set to ''. Filters are kept in the URL, so that a view can be shared. */
export function setQuery(changes: Readonly<Record<string, string>>): void {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') query.delete(name);
    else query.set(name, value);
  }
  const text = query.toString();
  navigate(location.pathname + (text && `?${text}`), { replace: true });
}

/** Joins segments to an encoded path. */
export function pathOf(...parts: readonly string[]): string {
  return `/${parts.map(encodeURIComponent).join('/')}`;
}

/** Returns the path of a stack's view; `stack` is "generator/name". */
export function stackPath(stack: string, ...more: readonly string[]): string {
  const slash = stack.indexOf('/');
  return pathOf('stacks', stack.slice(0, slash), stack.slice(slash + 1), ...more);
}

/** Links to a view with a real anchor, so that it can be opened in another tab. */
export function Link({ href, onClick, ...rest }: AnchorHTMLAttributes<HTMLAnchorElement> & { href: string }) {
  const follow = (event: MouseEvent<HTMLAnchorElement>) => {
    onClick?.(event);
    if (
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    event.preventDefault();
    navigate(href);
  };
  return <a href={href} onClick={follow} {...rest} />;
}
