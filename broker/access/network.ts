import { isIPv6 } from 'node:net';

/** Returns the network that limits count an address as: for IPv6 the /64, which one caller has as a whole; otherwise the address. */
export function networkOf(address: string): string {
  if (!isIPv6(address)) return address;
  const written = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [before = [], after = []] = written.split('::').map((half) => half.split(':').filter((group) => group !== ''));
  const groups = [...before, ...Array(8 - before.length - after.length).fill('0'), ...after];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
