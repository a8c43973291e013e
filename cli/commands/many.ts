import { pluralize } from '../format/enum-labels.ts';
import { Failure } from '../output/failure.ts';
import type { Output } from '../output/output.ts';
import { explainError } from '../session/errors.ts';

/** Calls that a command for many resources has under way at once. */
const maxAtOnce = 8;

/**
 * Acts on each name, a few at once, and passes the results, in the order of the names, to `print`. A failure of one of several does not
 * stop the others: it is printed, and in the end a Failure counts them.
 */
export async function actOnEach<R>(
  output: Output,
  noun: string,
  names: readonly string[],
  act: (name: string) => Promise<R>,
  print: (results: readonly R[]) => void,
): Promise<void> {
  const [only, ...others] = names;
  if (only !== undefined && others.length === 0) return print([await act(only)]);
  const results = new Map<string, R>();
  const failures: unknown[] = [];
  const left = [...names];
  const actOnRest = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      try {
        results.set(name, await act(name));
      } catch (error) {
        failures.push(error);
        output.note(`${noun} ${name}: ${explainError(error).lines.join('\n')}`);
      }
    }
  };
  await Promise.all(Array.from({ length: maxAtOnce }, actOnRest));
  print(names.flatMap((name) => (results.has(name) ? [results.get(name) as R] : [])));
  if (failures.length > 0) throw new Failure(`${failures.length} of ${pluralize(names.length, noun)} failed`);
}
