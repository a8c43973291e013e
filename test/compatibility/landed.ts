import { git } from '../tools/git.ts';
import landed from './landed.json' with { type: 'json' };

/**
 * The commit that landed last. Its programs may be running anywhere, so those of this tree must work with them. Whoever
 * lands a tree for others to run records its commit in `landed.json`.
 */
export const landedCommit: string = landed.commit;

/** Reports whether git has the landed commit here; a shallow clone or an archive of the sources lacks it. */
export function hasLandedCommit(): boolean {
  return git('rev-parse', '--verify', '--quiet', `${landedCommit}^{commit}`) !== undefined;
}
