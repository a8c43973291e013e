import type { Inventories, Inventory } from '../inventory/inventory.ts';

/**
 * Rejects with InventoryConflict once another process has begun something newer. Reuses an answer that is younger than `maxAgeMs`.
 */
export type Fence = (maxAgeMs: number) => Promise<void>;

/** Milliseconds for which a fence's answer is good enough within one group of deletions. */
export const fenceMaxAgeMs = 1_000;

/**
 * Creates the check that goes before what cannot be undone. A process that was suspended or cut off learns only from the inventory
 * that another one has replaced it, and saving the inventory after a deletion would find that out too late.
 */
export function createFence(inventories: Inventories, inventory: Inventory, signal: AbortSignal): Fence {
  let askedAt = Number.NEGATIVE_INFINITY;
  let answer = Promise.resolve();
  return (maxAgeMs) => {
    if (Date.now() - askedAt >= maxAgeMs) {
      askedAt = Date.now();
      answer = inventories.confirm(inventory, signal);
    }
    return answer;
  };
}
