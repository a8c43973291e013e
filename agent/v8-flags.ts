import { setFlagsFromString } from 'node:v8';

// An agent lives on its users' clusters: it is to be small rather than fast. Before anything else is loaded, since V8 makes room early.
setFlagsFromString('--optimize-for-size');
setFlagsFromString('--max-semi-space-size=2');
