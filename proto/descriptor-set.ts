import { buf } from './gen.ts';

/** Writes the whole contract, with everything that it imports and its comments, as a google.protobuf.FileDescriptorSet. */
export function writeDescriptorSet(file: string): void {
  buf('build', 'proto', '--as-file-descriptor-set', '--output', file);
}
