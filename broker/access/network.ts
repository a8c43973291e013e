import { isIPv6 } from 'node:net';

/** Returns what limits count an address under: for IPv6 its network of 64 bits, as one caller usually has all of it. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const written = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [before = [], after = []] = written.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const groups = [...before, ...Array(8 - before.length - after.length).fill('0'), ...after];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
