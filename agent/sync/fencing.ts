import type { Inventories, Inventory } from '../inventory/inventory.ts';

/** Throws InventoryConflict once another process has begun something newer; asks again when the last answer is older than `maxAgeMs`. */
export type Fence = (maxAgeMs: number) => Promise<void>;

/**
 * Guards what cannot be undone: a process that was cut off, or suspended, does not learn in another way that it is not the latest,
 * and an inventory that is saved after a deletion tells too late.
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
