// Draws the diagrams. Without JavaScript their text stays readable.
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
globalThis.mermaid.initialize({ startOnLoad: false, securityLevel: 'strict', theme: dark ? 'dark' : 'neutral' });
globalThis.mermaid.run({ querySelector: 'pre.mermaid' });
