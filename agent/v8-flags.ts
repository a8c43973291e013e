import { setFlagsFromString } from 'node:v8';

// An agent runs on its users' clusters, where little memory matters more than speed. These flags are set before anything else is
// loaded, because V8 reserves memory early.
setFlagsFromString('--optimize-for-size');
setFlagsFromString('--max-semi-space-size=2');
