import { parentPort } from 'node:worker_threads';
import { parseManifest } from './parse.ts';

parentPort?.on('message', (bytes: Uint8Array) => parentPort?.postMessage(parseManifest(bytes)));
