// Draws the diagrams; without scripts their text stays readable where it is.
const dark = matchMedia('(prefers-color-scheme: dark)').matches;
globalThis.mermaid.initialize({ startOnLoad: false, securityLevel: 'strict', theme: dark ? 'dark' : 'neutral' });
globalThis.mermaid.run({ querySelector: 'pre.mermaid' });
